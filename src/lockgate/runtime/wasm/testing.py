"""Runs a guest's own test messages against its component: `tests.toml` beside `guest.toml`.

Cases run in order on one state, as messages reach an endpoint. Each has exactly one of `message`,
`command`, `acknowledged`, `timed_out` and `refused`, and an `expect`:

    [[case]]
    name = "greets"
    message = { schema = "hello@1.0", text = "Ada" }
    expect = { text = "hello, Ada" }

A body is `text`, `hex` or `cbor` (a TOML value in deterministic CBOR). `expect` is such a body, or one of
`reply = true` (any), `refuse = CODE`, `defer = true`, `done = true`, `trap = KIND`; `sends = N` and
`answers = N` may stand beside it. `sent = N` in an event means the Nth message sent so far, from 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, assert_never

from lockgate.codec import cbor
from lockgate.host.ports import (
    Acknowledged,
    Command,
    Deferred,
    Done,
    Guest,
    GuestEnv,
    GuestOutcome,
    GuestTrap,
    Handle,
    Invocation,
    Message,
    MessageRef,
    PublicSeed,
    Refusal,
    RefusedByPeer,
    Reply,
    SecretSeed,
    TimedOut,
)
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.runtime.errors import BadProject
from lockgate.runtime.wasm.project import read_toml

FILE: Final = "tests.toml"
START: Final = UnixNanos(1_767_225_600 * NANOS_PER_SECOND)  # ledger time of the first case: 2026-01-01
DEADLINE_NS: Final = 60 * NANOS_PER_SECOND  # the default grace (I6)
_EVENTS: Final = ("message", "command", "acknowledged", "timed_out", "refused")


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case: what was expected and what came, in words, equal when it passed."""

    name: str
    expected: str
    found: str
    outcome: GuestOutcome

    @property
    def passed(self) -> bool:
        return self.expected == self.found


class MemoryState:
    """A guest's state in memory."""

    def __init__(self) -> None:
        self._pairs: dict[bytes, bytes] = {}

    def get(self, key: bytes, /) -> bytes | None:
        return self._pairs.get(key)

    def scan(self, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self._pairs):
            if start <= key < end:
                yield key, self._pairs[key]

    def apply(self, outcome: GuestOutcome) -> None:
        for key, value in outcome.writes:
            if value is None:
                self._pairs.pop(key, None)
            else:
                self._pairs[key] = value

    @property
    def bytes(self) -> int:
        return sum(len(key) + len(value) for key, value in self._pairs.items())


def run_cases(guest: Guest, folder: Path) -> list[CaseResult]:
    """Run a project's cases; raises BadProject when the file itself is wrong."""
    cases = read_toml(folder / FILE).get("case")
    if not isinstance(cases, list) or not cases:
        raise BadProject("tests.toml has no [[case]]", folder=folder)
    bench = _Bench(guest)
    return [bench.run(index, case) for index, case in enumerate(cases)]


class _Bench:
    """The state that cases share: key-value pairs, messages sent, messages deferred."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._state = MemoryState()
        self._sent: list[MessageRef] = []
        self._deferred: set[MessageRef] = set()

    def run(self, index: int, case: Any) -> CaseResult:
        if not isinstance(case, Mapping):
            raise BadProject("a case is a table", case=index)
        name = str(case.get("name", f"case {index}"))
        try:
            invocation = self._invocation(index, case)
            expected = _expected(case)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, LockgateError) as wrong:
            raise BadProject(f"case {name!r}: {type(wrong).__name__}: {wrong}") from None
        outcome = self._guest.call(invocation, self._state, self._env(index, case))
        self._keep(invocation, outcome)
        return CaseResult(name, expected, _found(case, outcome), outcome)

    def _invocation(self, index: int, case: Mapping[str, Any]) -> Invocation:
        (event,) = (name for name in _EVENTS if name in case)
        given = case[event]
        match event:
            case "message":
                message = Message(
                    id=MessageRef(_hash(b"message", index)),
                    sender=given.get("from", "peer"),
                    schema=given["schema"],
                    body=_body(given),
                    deadline=UnixNanos(_now(index) + DEADLINE_NS),
                )
                return Handle(message)
            case "command":
                return Command(_body(given))
            case "acknowledged":
                return Acknowledged(self._sent[given["sent"]], _body(given))
            case "timed_out":
                return TimedOut(self._sent[given["sent"]])
            case _:
                return RefusedByPeer(self._sent[given["sent"]], given["code"])

    def _env(self, index: int, case: Mapping[str, Any]) -> GuestEnv:
        return GuestEnv(
            call_id=_hash(b"call", index),
            ledger_time=_now(index),
            public_seed=PublicSeed(_hash(b"public", index)),
            secret_seed=SecretSeed(_hash(b"secret", index)),
            peers=frozenset(case.get("peers", ("peer",))),
            deferred=frozenset(self._deferred),
            state_bytes=self._state.bytes,
        )

    def _keep(self, invocation: Invocation, outcome: GuestOutcome) -> None:
        self._state.apply(outcome)
        self._sent += [send.ref for send in outcome.sends]
        self._deferred -= {answer.id for answer in outcome.answers}
        if isinstance(invocation, Handle) and isinstance(outcome.result, Deferred):
            self._deferred.add(invocation.message.id)


def _expected(case: Mapping[str, Any]) -> str:
    expect = case["expect"]
    kinds = [name for name in ("reply", "refuse", "defer", "done", "trap") if name in expect]
    if not kinds:
        words = f"reply {_body(expect).hex()}"
    else:
        (kind,) = kinds
        words = kind if expect[kind] is True else f"{kind} {expect[kind]}"
    return words + _counts(expect, {name: expect[name] for name in ("sends", "answers") if name in expect})


def _found(case: Mapping[str, Any], outcome: GuestOutcome) -> str:
    counts = {"sends": len(outcome.sends), "answers": len(outcome.answers)}
    expect = case["expect"]
    return _result_words(outcome, "reply" in expect) + _counts(expect, counts)


def _result_words(outcome: GuestOutcome, any_reply: bool) -> str:
    match outcome.result:
        case Reply(body):
            return "reply" if any_reply else f"reply {body.hex()}"
        case Refusal(code):
            return f"refuse {code}"
        case Deferred():
            return "defer"
        case Done():
            return "done"
        case GuestTrap(kind):
            return f"trap {kind.value}"
        case _:
            assert_never(outcome.result)


def _counts(expect: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    return "".join(f", {name} {number}" for name, number in counts.items() if name in expect)


def _body(table: Mapping[str, Any]) -> bytes:
    (kind,) = (name for name in ("text", "hex", "cbor") if name in table)
    value = table[kind]
    if kind == "cbor":
        return cbor.encode(value)
    return bytes.fromhex(value) if kind == "hex" else value.encode()


def _hash(label: bytes, index: int) -> bytes:
    return hashlib.sha256(b"lockgate guest test " + label + index.to_bytes(4, "big")).digest()


def _now(index: int) -> UnixNanos:
    return UnixNanos(START + index * NANOS_PER_SECOND)


__all__ = ("FILE", "START", "CaseResult", "MemoryState", "run_cases")
