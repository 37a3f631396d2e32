"""A run of packet messages changes cost and never a result: seeded lives with runs and without leave the same bytes.

The lives are hostile to runs: applications that refuse, defer, raise, write where the run has looked already;
copies and altered messages inside a batch; gas that ends in the middle of one; endpoints' packets between others.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lockgate.codec.type_urls import MSG_ACKNOWLEDGEMENT, MSG_RECV_PACKET, MSG_SEND_PACKET
from lockgate.crypto import ed25519
from lockgate.ibc import host, wire
from lockgate.ibc.errors import NoRoute
from lockgate.ibc.packet import SENTINEL, Packet, Payload
from lockgate.ibc.ports import Accepted, Call, Deferred, Reception, Rejected
from lockgate.ibc.runs import RUNNERS
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabAccount, LabLedger
from lockgate.lab.paths import (
    End,
    acknowledge_message,
    acknowledgements_of,
    connect,
    packets_of,
    receive_message,
    update,
)
from lockgate.machine import machine, packets
from lockgate.machine.machine import BlockInput, BlockResult
from lockgate.machine.transaction import Message
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, seconds
from tests.support.lab import World

ACCEPT = 9  # kinds from here on accept and write nothing
PORT = "mock"
NOBODY = b"\x0a\x28" + b"ff" * 20  # a client's configuration that lets one account relay, which no one has


class Meddler:
    """An application whose payload's first byte says what it does wrong."""

    def on_send(self, view: View, call: Call, /) -> Outcome:
        kind, client = call.payload.value[0], call.packet.source_client
        outcome = self._noted("sent", call)
        if view.get(host.STORE, host.config(client)) is not None:
            outcome.delete(host.STORE, host.config(client))
        if kind == 1 and call.packet.sequence % 3 == 0:
            raise NoRoute("not today", port=PORT)
        if kind == 2:  # a sequence is skipped: the next packet must not take it
            counter = host.next_sequence_send(client)
            now = int.from_bytes(view.get(host.STORE, counter) or b"", "big")
            outcome.set(host.STORE, counter, (now + 1).to_bytes(8, "big"))
        return outcome

    def on_receive(self, view: View, call: Call, /) -> Reception:
        kind, packet = call.payload.value[0], call.packet
        noted = self._noted("received", call)
        if kind == 1:
            return Rejected("test.refused", b"detail")
        if kind == 2:
            return Deferred(noted)
        if kind == 3:  # its own acknowledgement stands already: the transaction is refused
            noted.set(host.STORE, host.packet_acknowledgement(packet.destination_client, packet.sequence), b"x" * 32)
        if kind == 4:  # what every packet of the batch asked of its client changes: the rest of it is refused
            noted.set(host.STORE, host.config(packet.destination_client), NOBODY)
        if kind == 5:
            return Accepted(SENTINEL if packet.sequence % 2 else b"", noted)
        if kind == 6:
            raise ZeroDivisionError
        return Accepted(b"took " + call.payload.value[:4], noted)

    def on_acknowledgement(self, view: View, call: Call, acknowledgement: bytes, /) -> Outcome:
        noted = self._noted("acknowledged " + acknowledgement.hex(), call)
        if call.payload.value[0] == 7 and call.packet.sequence % 2:
            raise NoRoute("not today", port=PORT)
        if call.payload.value[0] == 8:
            noted.set(host.STORE, host.config(call.packet.source_client), NOBODY)
        return noted

    def on_timeout(self, view: View, call: Call, /) -> Outcome:
        return Outcome()

    @staticmethod
    def _noted(what: str, call: Call) -> Outcome:
        outcome = Outcome()
        if call.payload.value[0] < ACCEPT:
            outcome.set("app", b"%d" % call.packet.sequence, what.encode())
            outcome.emit("noted", ("what", what), ("who", call.passage.account))
        return outcome


class Life:
    """Two connected ledgers, and batches that a relayer and an adversary made together."""

    def __init__(self, seed: int, *, lane: bool) -> None:
        self.random = random.Random(seed)
        self.record = hashlib.sha256()
        self.clock = SimulatedClock(UnixNanos(1_750_000_000 * NANOS_PER_SECOND))
        self.ends = [
            End(
                LabLedger(f"{name}-1", self.clock, applications={PORT: Meddler()}),
                LabAccount(ed25519.SigningKey(name.encode().ljust(32, b"\0"))),
            )
            for name in ("alpha", "beta")
        ]
        self.stranger = LabAccount(ed25519.SigningKey(b"stranger".ljust(32, b"\0")))
        connect(*self.ends, lane=lane)

    def turn(self, side: int) -> None:
        a, b = self.ends[side], self.ends[1 - side]
        self.clock.advance(seconds(self.random.randint(1, 5)))
        results = self.block(a, [self.send(a) for _ in range(self.random.randint(2, 12))])
        packets = [packet for result in results for packet in packets_of(result)]
        self.settle(b, a)
        results = self.block(b, [receive_message(b, a, packet) for packet in packets])
        given = acknowledgements_of(event for result in results for event in result.events)
        self.settle(a, b)
        known = [packet for packet in packets if packet.sequence in given]
        self.block(a, [acknowledge_message(a, b, packet, given[packet.sequence]) for packet in known])

    def settle(self, on: End, of: End) -> None:
        of.ledger.block()
        update(on, of.ledger)

    def block(self, end: End, messages: list[Message]) -> Any:
        """The batch in pieces, some spoiled, some short of gas, some with copies; everything into the record."""
        transactions = []
        while messages:
            size = self.random.randint(1, 12)
            batch, messages = messages[:size], messages[size:]
            trick = self.random.randrange(6)
            if trick == 0:
                batch.insert(self.random.randrange(len(batch) + 1), self.altered(self.random.choice(batch)))
            elif trick == 1:
                batch.insert(self.random.randrange(len(batch) + 1), self.random.choice(batch))
            gas_limit = self.random.randint(10_000, 20_000 * len(batch)) if trick == 2 else 50_000_000
            if trick == 3:
                transactions.append(end.ledger.signed(self.stranger, batch))
            transactions.append(end.ledger.signed(end.account, batch, gas_limit=gas_limit))
        made = end.ledger.block(*transactions)
        for result in made.results.transactions:
            self.record.update(result.log.encode())
        for part in (made.block_id.hash, made.app_hash, made.results.to_bytes(), made.results.hash):
            self.record.update(part)
        return made.results.transactions

    def altered(self, message: Message) -> Message:
        name, content = message
        changed = bytearray(content)
        changed[self.random.randrange(len(changed))] ^= 1 << self.random.randrange(8)
        return name, bytes(changed)

    def send(self, end: End) -> Message:
        draw = self.random
        kind = draw.randrange(ACCEPT) if draw.random() < 0.12 else ACCEPT + draw.randrange(9)
        value = bytes([kind]) + draw.randbytes(draw.choice((0, 5, 130, 200, 17_000)))
        version = "v1" if draw.random() < 0.9 else draw.choice(("v2", "v" * 200))
        count = 2 if draw.random() < 0.05 else 1
        timeout = UnixSeconds(self.clock.now() // NANOS_PER_SECOND + draw.choice((60, 60, 60, 60, 61, 90_000)))
        payloads = (Payload(PORT, PORT, version, "application/json", value),) * count
        return MSG_SEND_PACKET, wire.encode_send(wire.SendMessage(end.client, timeout, payloads, end.account.id))


def lived(seed: int, *, lane: bool) -> str:
    life = Life(seed, lane=lane)
    for turn in range(6):
        life.turn(turn % 2)
    return life.record.hexdigest()


def endpoints_lived(seed: int) -> str:
    """Packets between endpoints, which the receiving ledger holds, delivered and acknowledged in batches."""
    draw, record = random.Random(seed), hashlib.sha256()
    w = World.make(applications={PORT: Meddler()})
    sent: list[Packet] = []
    for _ in range(3):
        until = w.now_s + 600
        sends = [w.sender.sending(w.a.client, w.receiver, until, draw.randbytes(40)) for _ in range(4)]
        result = w.a.ledger.transact(w.host_a, w.sender.advance(*sends))
        record.update(result.log.encode())
        sent += packets_of(result)
    update(w.b, w.a.ledger)
    batch = [receive_message(w.b, w.a, packet) for packet in sent]
    batch.insert(draw.randrange(len(batch)), batch[draw.randrange(len(batch))])
    made = [w.b.ledger.block(w.b.ledger.signed(w.b.account, batch))]
    given = {}
    for packet in sent:
        refusal = ("test.no", b"detail") if draw.random() < 0.3 else None
        message = w.receiver.answer(w.b.client, packet.sequence, ack=None if refusal else b"yes", refusal=refusal)
        given |= acknowledgements_of(w.b.ledger.transact(w.host_b, message).events)
    update(w.a, w.b.ledger)
    ended = [acknowledge_message(w.a, w.b, packet, given[packet.sequence]) for packet in sent]
    made.append(w.a.ledger.block(w.a.ledger.signed(w.a.account, ended)))
    made += [end.ledger.block() for end in (w.a, w.b)]
    for block in made:
        assert not any(result.code for result in block.results.transactions)
        for part in (block.block_id.hash, block.app_hash, block.results.to_bytes(), block.results.hash):
            record.update(part)
    return record.hexdigest()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many messages runs of two and more took, by kind; each kind must have had some."""
    counts = dict.fromkeys(RUNNERS, 0)

    def counting(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            ran = run(*arguments)
            counts[name] += len(ran.responses) if len(ran.responses) > 1 else 0
            return ran

        return counted

    monkeypatch.setattr(packets, "RUNNERS", {name: counting(name, run) for name, run in RUNNERS.items()})
    return counts


@pytest.mark.parametrize("lane", [False, True])
def test_lives_that_are_hostile_to_runs_leave_the_same_bytes_without_them(
    taken: dict[str, int], monkeypatch: pytest.MonkeyPatch, lane: bool
) -> None:
    seeds = range(30)
    with_runs = [lived(seed, lane=lane) for seed in seeds]
    assert min(taken.values()) > 20, taken
    monkeypatch.setattr(machine, "RUNNERS", {})
    assert [lived(seed, lane=lane) for seed in seeds] == with_runs


def test_packets_between_endpoints_leave_the_same_bytes_without_runs(
    taken: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_runs = [endpoints_lived(seed) for seed in range(2)]
    assert min(taken[MSG_RECV_PACKET], taken[MSG_ACKNOWLEDGEMENT]) > 10, taken
    monkeypatch.setattr(machine, "RUNNERS", {})
    assert [endpoints_lived(seed) for seed in range(2)] == with_runs


def batches() -> Iterator[tuple[LabLedger, LabAccount, list[Message]]]:
    """Three messages of each kind, as the ledger would take them now."""
    life = Life(0, lane=False)
    a, b = life.ends
    until = UnixSeconds(life.clock.now() // NANOS_PER_SECOND + 60)
    payload = Payload(PORT, PORT, "v1", "application/json", bytes([ACCEPT]) * 3)
    sends = [(MSG_SEND_PACKET, wire.encode_send(wire.SendMessage(a.client, until, (payload,), a.account.id)))] * 3
    yield a.ledger, a.account, sends
    sent = packets_of(a.ledger.transact(a.account, *sends))
    update(b, a.ledger)
    received = [receive_message(b, a, packet) for packet in sent]
    yield b.ledger, b.account, received
    given = acknowledgements_of(b.ledger.transact(b.account, *received).events)
    update(a, b.ledger)
    yield a.ledger, a.account, [acknowledge_message(a, b, packet, given[packet.sequence]) for packet in sent]


def test_any_altered_byte_in_a_batch_is_judged_as_without_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte of the second of three messages, changed alone; the state stays as it is."""
    for ledger, account, (first, (name, content), third) in batches():
        verdicts: list[list[BlockResult]] = []
        for runners in (RUNNERS, {}):
            monkeypatch.setattr(machine, "RUNNERS", runners)
            verdicts.append([])
            for place in range(-1, len(content)):
                changed = bytearray(content)
                if place >= 0:
                    changed[place] ^= 1 << place % 8
                data = ledger.signed(account, [first, (name, bytes(changed)), third])
                account.sequence -= 1
                block = BlockInput(height=ledger.height + 1, time=ledger.chain.time, transactions=(data,))
                verdicts[-1].append(ledger.chain.machine.execute(ledger.chain.view(), block))
        assert verdicts[0][0].results[0].code == 0
        assert verdicts[0] == verdicts[1]


def test_a_batch_that_another_relayer_brought_is_tried_by_few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try costs more than to see that the packet was received; it must not be made for every packet."""
    tried = []
    run = RUNNERS[MSG_RECV_PACKET]

    def counted(*arguments: Any) -> Any:
        tried.append(arguments[5])
        return run(*arguments)

    for ledger, account, messages in batches():
        if messages[0][0] == MSG_RECV_PACKET:
            assert not ledger.transact(account, *messages).code
            monkeypatch.setattr(packets, "RUNNERS", {**RUNNERS, MSG_RECV_PACKET: counted})
            assert not ledger.transact(account, *messages * 20).code
            break
    assert tried == [0, 2, 6, 14, 30]
