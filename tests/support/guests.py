"""Good values for calling guests, to be spoiled one at a time."""

from __future__ import annotations

import dataclasses
from typing import Any

from lockgate.host.ports import (
    Guest,
    GuestEnv,
    GuestId,
    GuestLimits,
    GuestOutcome,
    GuestState,
    GuestTrap,
    Handle,
    Invocation,
    Message,
    MessageRef,
    PublicSeed,
    SecretSeed,
    TrapKind,
)
from lockgate.primitives.ids import Hash32
from lockgate.primitives.time import UnixNanos
from lockgate.runtime.wasm.testing import MemoryState

NOW = UnixNanos(1_700_000_000_000_000_000)
ID = MessageRef(b"\x11" * 32)
PROBE_ID = GuestId(Hash32(b"\x77" * 32))
ENV = GuestEnv(
    call_id=b"\xca" * 32,
    ledger_time=NOW,
    public_seed=PublicSeed(b"\x0b" * 32),
    secret_seed=SecretSeed(b"\x05" * 32),
    peers=frozenset({"bob"}),
)


def env(**changes: Any) -> GuestEnv:
    """The good environment with fields or limits replaced."""
    limit_names = {field.name for field in dataclasses.fields(GuestLimits)}
    limits = {name: changes.pop(name) for name in list(changes) if name in limit_names and name != "state_bytes"}
    quota = changes.pop("state_quota", None)
    if quota is not None:
        limits["state_bytes"] = quota
    return dataclasses.replace(ENV, limits=dataclasses.replace(ENV.limits, **limits), **changes)


def message(body: bytes, schema: str = "probe@1.0") -> Handle:
    return Handle(Message(id=ID, sender="bob", schema=schema, body=body, deadline=UnixNanos(NOW + 60_000_000_000)))


def state(pairs: dict[bytes, bytes] | None = None) -> MemoryState:
    made = MemoryState()
    made.apply(GuestOutcome(result=GuestTrap(TrapKind.OTHER), writes=tuple((pairs or {}).items())))
    return made


def call(guest: Guest, invocation: Invocation, over: GuestState | None = None, **changes: Any) -> GuestOutcome:
    return guest.call(invocation, over if over is not None else state(), env(**changes))


def trapped(outcome: GuestOutcome) -> TrapKind:
    """The kind of trap an outcome ended in; fails the test when it did not, or when it left anything."""
    assert isinstance(outcome.result, GuestTrap), outcome.result
    assert (outcome.writes, outcome.sends, outcome.answers) == ((), (), ())
    return outcome.result.kind
