"""Two lab ledgers with running services and an application that answers at once: what relayers are tested on."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from lockgate.codec.type_urls import MSG_SEND_PACKET
from lockgate.crypto import ed25519
from lockgate.engines.embedded.results import BlockResults
from lockgate.engines.embedded.service import LedgerService
from lockgate.ibc import wire
from lockgate.ibc.packet import Payload
from lockgate.ibc.ports import Accepted, Call, Reception
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.ledgers import LabAccount, LabLedger
from lockgate.lab.paths import TRUSTING, End, connect
from lockgate.lab.rpc import LabRpc
from lockgate.machine import accounts
from lockgate.machine.genesis import Parameters
from lockgate.primitives.ids import AccountId, ClientId
from lockgate.primitives.state import Event, Outcome, View
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos, UnixNanos, UnixSeconds
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.driver import EndPoint, Relayer
from lockgate.relay.endpoint import Slot
from lockgate.relay.rpc import Calls
from lockgate.relay.submitter import AccountSubmitter

START = UnixNanos(1_750_000_000 * NANOS_PER_SECOND)
RELAY_LANE = 3
Spoil = Callable[[str, dict[str, Any], dict[str, Any]], dict[str, Any]]
Before = Callable[[str, dict[str, Any]], Awaitable[None]]


class Answering:
    """An application that accepts everything; a body of `poison` makes its acknowledgement callback fail."""

    def on_send(self, view: View, call: Call, /) -> Outcome:
        return Outcome()

    def on_receive(self, view: View, call: Call, /) -> Reception:
        return Accepted(b"answer to " + call.payload.value[:32])

    def on_acknowledgement(self, view: View, call: Call, acknowledgement: bytes, /) -> Outcome:
        if call.payload.value == b"poison":
            raise ValueError("this callback always fails")
        return Outcome()

    def on_timeout(self, view: View, call: Call, /) -> Outcome:
        return Outcome()


class FaultyRpc:
    """A node that misbehaves on purpose: `before` may raise or wait, `spoil` changes what is answered."""

    def __init__(self, inner: Calls, spoil: Spoil | None = None, before: Before | None = None) -> None:
        self.inner = inner
        self.spoil = spoil
        self.before = before
        self.calls: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.calls.append(method)
        if self.before is not None:
            await self.before(method, params)
        result = await self.inner.call(method, **params)
        return result if self.spoil is None else self.spoil(method, params, json.loads(json.dumps(result)))

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class Pair:
    """Ledgers alpha and beta, clients of each other, and accounts that send over them."""

    clock: SimulatedClock
    a: End
    b: End
    services: list[LedgerService]
    reports: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    served: list[LabRpc] = field(default_factory=list)
    _read: dict[str, tuple[int, list[Event]]] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        *,
        validators: int = 1,
        heartbeat_s: float = 0.1,
        parameters: Parameters | None = None,
        trusting: DurationNanos | None = None,
    ) -> Self:
        clock = SimulatedClock(START)
        apps = {"app": Answering()}
        ledgers = [
            LabLedger(name, clock, validators=validators, parameters=parameters, applications=apps)
            for name in ("alpha-1", "beta-1")
        ]
        a, b = (End(ledger, account(f"operator {ledger.genesis.chain_id}")) for ledger in ledgers)
        connect(a, b, lane=False, trusting=TRUSTING if trusting is None else trusting)
        return cls(clock, a, b, [LedgerService(ledger.chain, heartbeat_s=heartbeat_s) for ledger in ledgers])

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Both services run inside; they end with it."""
        tasks = [asyncio.create_task(service.run()) for service in self.services]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def now_s(self) -> int:
        return max(self.clock.now(), *(end.ledger.chain.time for end in (self.a, self.b))) // NANOS_PER_SECOND

    def rpc(self, end: End) -> LabRpc:
        rpc = LabRpc.of(self.services[0 if end is self.a else 1])
        self.served.append(rpc)
        return rpc

    def endpoint(self, end: End, name: str, wrap: Callable[[Calls], Calls] | None = None) -> EndPoint:
        """How the relayer account `name` sees one ledger, perhaps through a node that is wrapped."""
        rpc: Calls = self.rpc(end)
        chain = CometBftChain(wrap(rpc) if wrap else rpc, end.ledger.genesis.chain_id)
        key = account(name).key
        domain = end.ledger.genesis.domain_id
        submitter = AccountSubmitter(chain, domain, key.public_key, key.sign, RELAY_LANE)
        return EndPoint(chain, submitter, ClientId(end.client), own_lane=False)

    def relayer(self, name: str = "relayer", wrap: dict[str, Callable[[Calls], Calls]] | None = None) -> Relayer:
        wrapped = wrap or {}
        a, b = (self.endpoint(end, name, wrapped.get(end.ledger.genesis.chain_id)) for end in (self.a, self.b))
        return Relayer(a, b, lambda kind, fields: self.reports.append((kind, fields)), SeededEntropy(name.encode()))

    def send(
        self, count: int = 1, *, on: End | None = None, body: bytes = b"hello", timeout_s: int = 3_600, per_tx: int = 50
    ) -> None:
        """Put packets into the mempool, several in one transaction."""
        end = on or self.a
        service = self.services[0 if end is self.a else 1]
        left = count
        while left:
            part = min(left, per_tx)
            data = end.ledger.signed(end.account, [self._message(end, body, timeout_s)] * part)
            _, result = service.submit(data)
            assert result.code == 0, result.log
            left -= part

    def _message(self, end: End, body: bytes, timeout_s: int) -> tuple[str, bytes]:
        payload = Payload(
            source_port="app",
            destination_port="app",
            version="app-1",
            encoding="application/octet-stream",
            value=body,
        )
        timeout = UnixSeconds(self.now_s + timeout_s)
        return MSG_SEND_PACKET, wire.encode_send(wire.SendMessage(end.client, timeout, (payload,), end.account.id))

    def open_packets(self, end: End | None = None) -> list[int]:
        return _sequences(end or self.a, b"\x01")

    def received(self, end: End | None = None) -> list[int]:
        return _sequences(end or self.b, b"\x02")

    def history(self, end: End, kind: str) -> list[int]:
        """Sequences of every event of a kind that succeeded on a ledger, in the order they happened."""
        read, events = self._read.setdefault(end.ledger.genesis.chain_id, (0, []))
        for height in range(read + 1, end.ledger.height + 1):
            row = end.ledger.chain.store.block(height)
            assert row is not None
            results = BlockResults.from_bytes(row.results)
            events += [event for result in results.transactions for event in result.events]
            events += results.events
        self._read[end.ledger.genesis.chain_id] = (end.ledger.height, events)
        return [int(e.get("packet_sequence") or 0) for e in events if e.type == kind]

    def nonce(self, end: End, name: str, slot: Slot) -> int:
        """How many transactions a relayer has made in one of its slots."""
        return accounts.next_sequence(end.ledger.chain.view(), AccountId(account(name).id), RELAY_LANE + slot)

    async def ended(self, count: int, end: End | None = None, deadline_s: float = 20.0) -> None:
        """Wait until so many packets that one ledger sent have ended."""
        of = end or self.a
        kinds = ("acknowledge_packet", "timeout_packet")
        await self.until(lambda: sum(len(self.history(of, kind)) for kind in kinds) >= count, deadline_s)

    def reported(self, kind: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.reports if name == kind]

    async def until(self, done: Callable[[], bool], deadline_s: float = 20.0) -> None:
        """Wait for something the ledgers show."""
        async with asyncio.timeout(deadline_s):
            while not done():
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def relaying(*relayers: Relayer) -> AsyncIterator[Sequence[Relayer]]:
    """The relayers run inside, and are killed at the end."""
    tasks = [asyncio.create_task(relayer.run()) for relayer in relayers]
    try:
        yield relayers
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for result in ended:
            if isinstance(result, BaseExceptionGroup | Exception) and not isinstance(result, asyncio.CancelledError):
                raise result


def account(name: str) -> LabAccount:
    return LabAccount(ed25519.SigningKey(name.encode().ljust(32, b"\0")[:32]))


def _sequences(end: End, mark: bytes) -> list[int]:
    prefix = str(end.client).encode() + mark
    return [
        int.from_bytes(key[-8:], "big") for key, _ in end.ledger.chain.view().scan("ibc", prefix, prefix + b"\xff" * 9)
    ]
