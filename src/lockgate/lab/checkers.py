"""The promises of a run, each a check that can fail (P1, P3, P4, P17, S8).

They read what the ledgers committed to and what stands in the guests' own state, and compare it with
the journal of what guests meant. None of them asks the code under test whether it did well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.engines.embedded.replay import replay
from lockgate.host.staging import GuestTree
from lockgate.ibc import wire
from lockgate.lab.disk import disk_from, image_of
from lockgate.lab.guests import ENDED, HANDLED
from lockgate.lab.history import Key, Record, outbox
from lockgate.lab.network import forms_of
from lockgate.lab.outcome import Outcome
from lockgate.lab.parties import HostParty, LedgerParty
from lockgate.lab.session_checkers import Erased, SealedOnce
from lockgate.machine import keys
from lockgate.machine.records import LaneOrder
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import LockgateError
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.memory import MemoryNodes
from lockgate.storage.nodes import SqliteNodes

ONCE: Final = b"\x01"
NO_EFFECT: Final = frozenset({"refused", "timed_out"})


class ExactlyOnce:
    """Each message's effect on guest state at most once, and exactly once where it was acknowledged.

    A refused or timed-out message has none. On each ledger a packet is received, answered and ended
    at most once, and never both acknowledged and timed out.
    """

    def complaints(self, outcome: Outcome, /) -> Sequence[str]:
        found = [text for name, record in outcome.history.records.items() for text in _twice(name, record)]
        states = {host.origin.config.name: _tally(host) for host in outcome.history.acting()}
        for name, tally in states.items():
            found += [f"{name}: {key.hex()} has {count[0]} effects" for key, count in tally.items() if count != ONCE]
        # A thief can send a sealed body again in another packet: one of the two acts, and either may be refused.
        for host in outcome.history.acting() if outcome.hostile != "thief" else ():
            found += _effects(outcome, host, states)
        return found


def _twice(name: str, record: Record) -> Iterator[str]:
    happened = {
        "sent": record.sent,
        "received": record.received,
        "answered": record.answered,
        "ended": _merged(record.acknowledged, record.timed_out),
    }
    for word, packets in happened.items():
        for (client, sequence), times in packets.items():
            if len(times) > 1:
                yield f"{name}: packet {client}/{sequence} was {word} {len(times)} times"


def _merged(one: dict[Key, list[str]], other: dict[Key, list[str]]) -> dict[Key, list[str]]:
    return {key: [*one.get(key, ()), *other.get(key, ())] for key in {**one, **other}}


def _effects(outcome: Outcome, host: HostParty, states: dict[str, dict[bytes, bytes]]) -> Iterator[str]:
    """Compare what a sender was told with what the receiver's state shows."""
    own = states[host.origin.config.name]
    for row in outbox(host):
        known, peer = outcome.journal.bodies.get(row.ref), row.peer
        if known is None or peer not in states:
            continue
        effect = states[peer].get(HANDLED + hashlib.sha256(known[1]).digest())
        told = own.get(ENDED + row.ref)
        if row.state == "acknowledged" and effect is None:
            yield f"{host.name}: {row.ref.hex()[:8]} was acknowledged and has no effect"
        if row.state in NO_EFFECT and effect is not None:
            yield f"{host.name}: {row.ref.hex()[:8]} is {row.state} and has an effect"
        if row.state in {"acknowledged", *NO_EFFECT} and told is None:
            yield f"{host.name}: {row.ref.hex()[:8]} is {row.state} and the guest was not told"


def _tally(host: HostParty) -> dict[bytes, bytes]:
    """The guest's state on the promoted version of a host's disk."""
    return dict(_tree(host).scan(b"", b""))


def _tree(host: HostParty) -> GuestTree:
    promoted = host.store.steps(promoted=True)
    nodes = SqliteNodes(disk_from(image_of(host.disk)))
    nodes.discard_after(promoted[-1].version if promoted else 0)
    return GuestTree(nodes)


class NoForgery:
    """Everything a guest handled was sent by the named peer with exactly these bytes, and so was every reply.

    On the ledgers: a packet that was received is one that was sent, an acknowledgement that came back
    is one that was written, and nothing that an adversary made up was accepted.
    """

    def complaints(self, outcome: Outcome, /) -> Sequence[str]:
        journal, history = outcome.journal, outcome.history
        people = {host.origin.config.name for host in history.hosts}
        found = [f"accepted: {text}" for text in journal.accepted_forgeries]
        for receiver, sender, body in journal.handled:
            if (sender, body) not in journal.said:
                found.append(f"{receiver} handled {body!r}, which {sender} never sent")
        for receiver, ref, reply in journal.answers:
            known = journal.bodies.get(ref)
            if known is None or not any((who, known[1], reply) in journal.replied for who in people):
                found.append(f"{receiver} was given a reply nobody made")
        sent = {
            name: {packet for packets in record.sent.values() for packet in packets}
            for name, record in history.records.items()
        }
        for name, record in history.records.items():
            for (client, sequence), packets in record.received.items():
                if not set(packets) <= sent[history.other(name, client)]:
                    found.append(f"{name}: received a packet that was never sent: {client}/{sequence}")
            for (client, sequence), packets in record.acknowledged.items():
                if not _was_answered(history.records[history.other(name, client)], packets[0]):
                    found.append(f"{name}: {client}/{sequence} was acknowledged and never answered")
            for (client, sequence), packets in record.timed_out.items():
                packet = wire.read_packet(bytes.fromhex(packets[0]))
                other = history.records[history.other(name, client)]
                if (packet.destination_client, packet.sequence) in other.received:
                    found.append(f"{name}: {client}/{sequence} timed out and was received")
        return found


def _was_answered(other: Record, encoded: str) -> bool:
    packet = wire.read_packet(bytes.fromhex(encoded))
    return (packet.destination_client, packet.sequence) in other.answered


class Settled:
    """After the storm every packet ends within bounded time: acknowledged, refused or timed out. Nothing is lost.

    Every inbox is empty again, and one copy of each host stands, with the root that its ledger shows. The
    last is promised only while nobody else holds the endpoint's account key.
    """

    def complaints(self, outcome: Outcome, /) -> Sequence[str]:
        found = outcome.history.unsettled()
        for party in outcome.history.ledgers:
            state = MultiStore(keys.STORES, SqliteNodes(party.disk))
            found += [f"{party.name}: an inbox entry is left" for _ in _inbox(state)]
        return found


def _inbox(state: MultiStore) -> Iterator[bytes]:
    for key, _ in state.scan(keys.INBOX, keys.ENTRY_PREFIX, keys.ENTRY_PREFIX + b"\xff"):
        yield key


class Consistent:
    """Replaying a ledger's blocks from genesis gives the roots it signed; a host's state has the root it shows.

    A ledger that runs another machine is found out by the same replay.
    """

    def complaints(self, outcome: Outcome, /) -> Sequence[str]:
        found: list[str] = []
        for party in outcome.history.ledgers:
            if party.name in outcome.history.deviating:
                found += _replayed_all_the_same(party)
                continue
            try:
                _replayed(party)
            except LockgateError as error:
                found.append(f"{party.name}: {error}")
        for host in outcome.history.acting():
            found += _wrong_state(host)
        return found


def _replayed(party: LedgerParty) -> None:
    store, genesis = LedgerStore(party.disk, None), party.origin.genesis
    tip = store.tip()
    assert tip is not None, "a run starts with blocks"
    replay(genesis, store, MemoryNodes(), tip.height)


def _replayed_all_the_same(party: LedgerParty) -> Iterator[str]:
    try:
        _replayed(party)
    except LockgateError:
        return
    yield f"{party.name}: it does what our machine never does, and a replay does not show it"


def _wrong_state(host: HostParty) -> Iterator[str]:
    step = next(reversed(host.store.steps(promoted=True)), None)
    if step is not None and GuestTree(SqliteNodes(host.disk)).renewed(step.version, step.salt) != step.root:
        yield f"{host.name}: its state does not have the root that it posted"


@dataclass(frozen=True, slots=True)
class NoPlaintext:
    """No byte of a body stands in a block, in a ledger's store, or in anything that crossed the network (S8, S39)."""

    def complaints(self, outcome: Outcome, /) -> Sequence[str]:
        marker = outcome.journal.marker
        found = [f"in the clear on the way {where}" for where in outcome.journal.seen_plaintext]
        for party in outcome.history.ledgers:
            image = party.disk.serialize()
            if any(form.encode() in image for form in forms_of(marker)):
                found.append(f"in the clear in the store of {party.name}")
        return found


class InOrder:
    """Over an ordered lane, packets are received in the order in which they were sent (S45).

    One endpoint sends on each side, so its packets are all that come one way.
    """

    def complaints(self, outcome: Outcome, /) -> Sequence[str]:
        if outcome.order is LaneOrder.UNORDERED:
            return []
        found = []
        for name, record in outcome.history.records.items():
            sequences = [sequence for _, sequence in record.received]  # as they happened
            if sequences != sorted(sequences):
                found.append(f"{name}: received out of order: {sequences}")
        return found


EVERY: Final = (
    ExactlyOnce(),
    NoForgery(),
    Settled(),
    Consistent(),
    NoPlaintext(),
    InOrder(),
    SealedOnce(),
    Erased(),
)

__all__ = ("EVERY", "Consistent", "ExactlyOnce", "InOrder", "NoForgery", "NoPlaintext", "Settled")
