"""What two ledgers write down of a seeded life is one sequence of bytes, with every short cut on or off.

Good and altered packet messages stand beside each other in the blocks. Of every block the header's hash,
the app hash and the stored results (events, gas, refusals with their texts) go into one record.
"""

from __future__ import annotations

import gc
import hashlib
import random
from typing import Any

import pytest

from lockgate.codec.type_urls import MSG_SEND_PACKET
from lockgate.crypto import ed25519
from lockgate.ibc import packet_bytes, wire
from lockgate.ibc.counterparty import allowed_relayers, find_counterparty
from lockgate.ibc.packet import Packet, Payload
from lockgate.ibc.ports import Accepted, Call, Reception, Rejected
from lockgate.ibc.wiring import Route, Wiring
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabAccount, LabLedger
from lockgate.lab.paths import (
    End,
    acknowledge_message,
    acknowledgements_of,
    connect,
    packets_of,
    receive_message,
    timeout_message,
    update_message,
)
from lockgate.machine import machine
from lockgate.machine.transaction import Message
from lockgate.merkle.errors import EmptyTree
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.primitives.state import Draft, Outcome, View
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, seconds

# A change here is a change of protocol. Every header names the app version, so raising it changes all of it.
RECORDED = {
    (1, False): "802ce819cc5f300934be8ad4d6c0bcbb5e8384e05d9476a93b408b9a2971ca1e",
    (2, True): "388e5f27e2e8136f23f4314496c2e339bc2f8dfd64dc1e0706b1cfb76b2a99d4",
}


class Ledger:
    """An application that writes, emits, and refuses what its payload's last byte tells it to."""

    def on_send(self, view: View, call: Call, /) -> Outcome:
        return self._noted("sent", call)

    def on_receive(self, view: View, call: Call, /) -> Reception:
        if call.payload.value[-1] % 5 == 0:
            return Rejected("test.refused")
        return Accepted(b"took " + call.payload.value[:8], self._noted("received", call))

    def on_acknowledgement(self, view: View, call: Call, acknowledgement: bytes, /) -> Outcome:
        return self._noted("acknowledged", call)

    def on_timeout(self, view: View, call: Call, /) -> Outcome:
        return self._noted("timed out", call)

    def _noted(self, what: str, call: Call) -> Outcome:
        outcome = Outcome()
        if call.payload.value[-1] % 2:
            outcome.set("app", b"%d" % call.packet.sequence, what.encode())
            outcome.emit("noted", ("what", what), ("who", call.passage.account))
        return outcome


class Life:
    """Two connected ledgers and a relayer that makes mistakes, all drawn from one seed."""

    def __init__(self, seed: int, *, lane: bool) -> None:
        self.random = random.Random(seed)
        self.lane = lane
        self.clock = SimulatedClock(UnixNanos(1_750_000_000 * NANOS_PER_SECOND))
        self.record = hashlib.sha256()
        self.ends = [
            End(
                LabLedger(f"{name}-1", self.clock, validators=4, applications={"mock": Ledger()}),
                LabAccount(ed25519.SigningKey(name.encode().ljust(32, b"\0"))),
            )
            for name in ("alpha", "beta")
        ]
        connect(*self.ends, lane=lane)
        self.packets: tuple[list[Packet], list[Packet]] = ([], [])

    def block(self, end: End, *batches: list[Message]) -> Any:
        """One block with one transaction a batch, into the record."""
        made = end.ledger.block(*[end.ledger.signed(end.account, batch) for batch in batches if batch])
        for part in (made.block_id.hash, made.app_hash, made.results.to_bytes(), made.results.hash):
            self.record.update(part)
        # A refused transaction leaves its sequence spent or not: ask the ledger, as a client would.
        for result in made.results.transactions:
            self.record.update(result.log.encode())
        return made.results.transactions

    def altered(self, message: Message) -> Message:
        name, content = message
        changed = bytearray(content)
        for _ in range(self.random.randint(1, 2)):
            changed[self.random.randrange(len(changed))] ^= 1 << self.random.randrange(8)
        return name, bytes(changed)

    def mixed(self, messages: list[Message]) -> list[list[Message]]:
        """Good messages in one transaction; before and after it, altered ones and copies of some, each alone."""
        some = self.random.sample(messages, min(4, len(messages)))
        return [*([self.altered(one)] for one in some), messages, *([one] for one in some[:2])]

    def turn(self, side: int) -> None:
        """Packets from one side: sent, some received, some acknowledged, some timed out."""
        a, b = self.ends[side], self.ends[1 - side]
        self.clock.advance(seconds(self.random.randint(1, 5)))
        sends = [self.send_message(a) for _ in range(self.random.randint(1, 7))]
        odd = [[self.odd_send(a)] for _ in range(4)]
        results = self.block(a, *odd[:2], *self.mixed(sends), *odd[2:])
        packets = [packet for result in results for packet in packets_of(result)]
        self.block(a)
        self.update(b, a)
        late = self.random.sample(packets, len(packets) // 4)
        received = [receive_message(b, a, packet) for packet in packets if packet not in late]
        results = self.block(b, *self.mixed(received)) if received else ()
        given = acknowledgements_of(event for result in results for event in result.events)
        if late and self.random.random() < 0.7:
            self.clock.advance(seconds(70))
            self.block(b, *self.mixed([receive_message(b, a, packet) for packet in late]))
        self.block(b)
        self.update(a, b)
        known = [packet for packet in packets if packet.sequence in given]
        done = [acknowledge_message(a, b, packet, given[packet.sequence]) for packet in known]
        if done:
            self.block(a, *self.mixed(done))
        try:
            expired = [timeout_message(a, b, packet) for packet in late]
        except EmptyTree:
            expired = []
        if expired:
            self.block(a, *self.mixed(expired))

    def update(self, on: End, of: End) -> None:
        message = update_message(on, of.ledger, of.ledger.height)
        self.block(on, [self.altered(message)], [message], [message])
        on.trusted = of.ledger.height

    def send_message(self, end: End, **changed: Any) -> Message:
        draw = self.random
        fields: dict[str, Any] = {
            "source_port": "mock",
            "destination_port": "mock",
            "version": draw.choice(("v1", "v" * 130)),
            "encoding": "application/json",
            "value": draw.randbytes(draw.choice((1, 40, 130, 20_000))),
            "ahead": 60,
            "count": draw.choice((1, 1, 2)) if self.lane else 1,
        } | changed
        ahead, count = fields.pop("ahead"), fields.pop("count")
        timeout = UnixSeconds(self.clock.now() // NANOS_PER_SECOND + ahead)
        payloads = tuple(Payload(**fields) for _ in range(count))
        return MSG_SEND_PACKET, wire.encode_send(wire.SendMessage(end.client, timeout, payloads, end.account.id))

    def odd_send(self, end: End) -> Message:
        changes: list[dict[str, Any]] = [
            {"ahead": 0}, {"ahead": 90_000}, {"version": " "}, {"value": b""}, {"count": 9}, {"source_port": "x"},
            {"source_port": "nobody"}, {"destination_port": "ab" * 32}, {"source_port": "ab" * 32},
        ]  # fmt: skip
        return self.send_message(end, **self.random.choice(changes))


def lived(seed: int, *, lane: bool) -> str:
    life = Life(seed, lane=lane)
    for turn in range(8):
        life.turn(turn % 2)
    return life.record.hexdigest()


@pytest.fixture
def no_short_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No runs, no memory; every message is read by the protobuf library, every proof by the plain verifier."""

    def unusual(*_: Any) -> Any:
        raise packet_bytes.Unusual

    def route(wiring: Wiring, view: Any, client: Any, now: Any) -> Route:
        return Route(find_counterparty(view, client), allowed_relayers(view, client), None)

    for reader in ("_send_of", "_remembered_send", "_relay_of", "_acknowledge_of", "packet_at", "_acknowledgement_at"):
        monkeypatch.setattr(wire, reader, unusual)
    monkeypatch.setattr(Wiring, "route", route)
    monkeypatch.setattr(machine, "RUNNERS", {})
    monkeypatch.setattr(Draft, "learn", lambda draft, name, compute: compute(draft))
    monkeypatch.setattr(ProofMemo, "_accepts", lambda *_: False)


@pytest.mark.parametrize(("seed", "lane"), RECORDED)
def test_a_seeded_life_leaves_the_recorded_bytes(seed: int, lane: bool) -> None:
    assert lived(seed, lane=lane) == RECORDED[seed, lane]


@pytest.mark.parametrize(("seed", "lane"), RECORDED)
@pytest.mark.usefixtures("no_short_cuts")
def test_the_same_life_without_short_cuts_leaves_the_same_bytes(seed: int, lane: bool) -> None:
    assert lived(seed, lane=lane) == RECORDED[seed, lane]


@pytest.mark.parametrize("lane", [False, True])
def test_blocks_leave_nothing_to_the_cycle_collector(lane: bool) -> None:
    """A ledger's process all but stops full collections (`node.collector`): what blocks let go of goes by itself."""
    life = Life(3, lane=lane)
    life.turn(0)
    gc.collect()
    gc.disable()
    try:
        for turn in range(1, 5):
            life.turn(turn % 2)
        left = gc.collect()
    finally:
        gc.enable()
    assert left == 0
