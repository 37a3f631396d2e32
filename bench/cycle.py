"""The packet life cycle in process: two ledgers of four validators, and one leg after the other.

Send B packets · client update · receive B · client update · acknowledge B. `Pair.separate` gives each its
own transaction (seven blocks, two updates, five transactions), `Pair.combined` puts an update in front
of the messages that need it (five blocks, three transactions). Every signature and proof is checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lockgate.codec.type_urls import MSG_SEND_PACKET
from lockgate.crypto import ed25519
from lockgate.engines.embedded.ports import BlockStore
from lockgate.ibc import wire
from lockgate.ibc.packet import Packet, Payload
from lockgate.ibc.ports import Accepted, Call, Reception
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabAccount, LabLedger
from lockgate.lab.paths import (
    End,
    acknowledge_message,
    acknowledgements_of,
    connect,
    expect,
    packets_of,
    receive_message,
    update_message,
)
from lockgate.machine import keys
from lockgate.machine.genesis import Parameters
from lockgate.machine.machine import TxResult
from lockgate.machine.transaction import Message
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, seconds
from lockgate.storage.blocks import MemoryBlocks

VALIDATORS = 4
VOTES_CHECKED_PER_UPDATE = 3  # three of four equal votes pass two thirds; the overlap check's are not repeated
Stores = Callable[[str], tuple[BlockStore, MultiStore]]


class Mock:
    """An application that accepts everything, as ibc-go's mock does."""

    def on_send(self, view: View, call: Call, /) -> Outcome:
        return Outcome()

    def on_receive(self, view: View, call: Call, /) -> Reception:
        return Accepted(b'{"result":"bW9jayBhY2tub3dsZWRnZW1lbnQ="}')

    def on_acknowledgement(self, view: View, call: Call, acknowledgement: bytes, /) -> Outcome:
        return Outcome()

    def on_timeout(self, view: View, call: Call, /) -> Outcome:
        return Outcome()


def in_memory(name: str) -> tuple[BlockStore, MultiStore]:
    """Blocks in dictionaries, every version of the state as shared tree nodes: nothing is serialised for a disk."""
    return MemoryBlocks(), MultiStore(keys.STORES)


@dataclass
class Split:
    """Where the time of life cycles went, and what they did."""

    seconds: dict[str, float] = field(default_factory=dict)
    transactions: int = 0
    updates: int = 0
    _last: float = 0.0

    def begin(self) -> None:
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._last
        self._last = now


@dataclass
class Pair:
    """Two connected ledgers."""

    clock: SimulatedClock
    a: End
    b: End
    sent: int = 0

    @classmethod
    def make(cls, stores: Stores = in_memory) -> Pair:
        clock = SimulatedClock(UnixNanos(1_750_000_000 * NANOS_PER_SECOND))
        limits = Parameters(max_tx_gas=1 << 40, max_tx_bytes=8 << 20)
        ends = []
        for number, name in enumerate(("alpha-1", "beta-1")):
            blocks, state = stores(name)
            ledger = LabLedger(
                name,
                clock,
                validators=VALIDATORS,
                parameters=limits,
                applications={"mock": Mock()},
                store=blocks,
                state=state,
            )
            ends.append(End(ledger, LabAccount(ed25519.SigningKey(f"relayer {number}".encode().ljust(32, b"\0")))))
        connect(*ends, lane=False)
        return cls(clock, ends[0], ends[1])

    def separate(self, batch: int, split: Split) -> None:
        """One life cycle of `batch` packets, each step in its own transaction."""
        a, b = self.a, self.b
        packets = self._send(batch, split)
        self._update(b, a, split)
        received = [receive_message(b, a, packet) for packet in packets]
        split.lap("prove")
        result = self._transact(b, received, split)
        b.ledger.chain.produce([])
        split.lap("receive")
        self._update(a, b, split)
        messages = self._acknowledgements(packets, result)
        split.lap("prove")
        self._transact(a, messages, split)
        split.lap("acknowledge")
        assert not _pending(a), "every packet has ended"

    def combined(self, batch: int, split: Split) -> None:
        """The same with each client update in front of what needs it."""
        a, b = self.a, self.b
        packets = self._send(batch, split)
        update = self._next_update(b, a, split)
        received = [update, *(receive_message(b, a, packet) for packet in packets)]
        split.lap("prove")
        result = self._transact(b, received, split)
        b.ledger.chain.produce([])
        split.lap("update, receive")
        update = self._next_update(a, b, split)
        messages = [update, *self._acknowledgements(packets, result)]
        split.lap("prove")
        self._transact(a, messages, split)
        split.lap("update, acknowledge")
        assert not _pending(a), "every packet has ended"

    def prune(self) -> None:
        """Let go of old versions of the state, as a ledger in use does."""
        for end in (self.a, self.b):
            end.ledger.chain.state.prune(end.ledger.height - 4)

    def _send(self, batch: int, split: Split) -> list[Packet]:
        a = self.a
        self.clock.advance(seconds(5))
        split.begin()
        timeout = UnixSeconds(self.clock.now() // NANOS_PER_SECOND + 3_600)
        messages = []
        for _ in range(batch):
            self.sent += 1
            message = wire.SendMessage(a.client, timeout, (_payload(self.sent),), a.account.id)
            messages.append((MSG_SEND_PACKET, wire.encode_send(message)))
        result = self._transact(a, messages, split)
        a.ledger.chain.produce([])
        packets = packets_of(result)
        split.lap("send")
        return packets

    def _acknowledgements(self, packets: list[Packet], result: TxResult) -> list[Message]:
        given = acknowledgements_of(result.events)
        return [acknowledge_message(self.a, self.b, packet, given[packet.sequence]) for packet in packets]

    def _update(self, on: End, of: End, split: Split) -> None:
        self._transact(on, [self._next_update(on, of, split)], split)
        split.lap("updates")

    @staticmethod
    def _next_update(on: End, of: End, split: Split) -> Message:
        height = of.ledger.height
        message = update_message(on, of.ledger, height)
        on.trusted = height
        split.updates += 1
        return message

    @staticmethod
    def _transact(end: End, messages: list[Message], split: Split) -> TxResult:
        split.transactions += 1
        return expect(end.ledger.block(end.ledger.signed(end.account, messages)).results.transactions[0])


def _payload(number: int) -> Payload:
    """No two packets say the same: what is remembered of one body must not help with the next."""
    return Payload(
        source_port="mock",
        destination_port="mock",
        version="mock-version",
        encoding="application/x-protobuf",
        value=b"mock %011d" % number,
    )


def _pending(end: End) -> bool:
    prefix = str(end.client).encode() + b"\x01"
    return any(True for _ in end.ledger.chain.view().scan("ibc", prefix, prefix + b"\xff" * 9))


def measure(pair: Pair, schedule: str, batch: int, packets: int) -> dict[str, Any]:
    """One round: `packets` packets, at least one batch. Signatures are counted as the other side's are."""
    run = {"separate": pair.separate, "combined": pair.combined}[schedule]
    split = Split()
    cycles = max(packets // batch, 1)
    before = pair.a.ledger.height + pair.b.ledger.height
    start = time.perf_counter()
    for _ in range(cycles):
        run(batch, split)
    taken = time.perf_counter() - start
    blocks = pair.a.ledger.height + pair.b.ledger.height - before
    pair.prune()
    count = cycles * batch
    return {
        "packets": count,
        "seconds": taken,
        "packets_per_s": count / taken,
        "blocks": blocks,
        "transactions": split.transactions,
        "signatures_made": VALIDATORS * blocks + split.transactions,
        "signatures_checked": split.transactions + VOTES_CHECKED_PER_UPDATE * split.updates,
        "split_us_per_packet": {step: spent / count * 1e6 for step, spent in split.seconds.items()},
    }
