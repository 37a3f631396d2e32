"""Two signed histories of one ledger: every client that they convince freezes, and its lanes close (P14, P20).

A client that freezes on a conflicting header or on a Misbehaviour message is not the only one that
follows the liar. The same message is shown to every other client on this ledger, and each judges by
the states it holds itself, so nobody stops an honest lane with a client of his own making. A lane that
closes this way stays closed; what it left open is settled packet by packet (`settlement`).

Anybody makes clients, and a header may hold thousands of signatures, so every showing is paid for, whatever the
message: a look, the bytes that are read, and each signature that is about to be verified, which is none where the
client holds nothing that is contradicted. Where the gas ends the showing ends, and what froze stays frozen: if the
message failed instead, many cheap clients would shield the one that it was sent to. So that they do not take the
place of others, clients that lanes rest on come first (ADR 54). Whoever is not reached is told by a message of its
own, which freezes it for the price of one update.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from lockgate.codec.protobuf import parse_own
from lockgate.codec.wire import ibc_client_pb2
from lockgate.ibc import events
from lockgate.ibc.ports import ACTIVE
from lockgate.machine import gas, keys, lanes
from lockgate.machine.clients import ClientModule, Clients
from lockgate.machine.gas import Meter
from lockgate.machine.records import Evidence
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import ClientId
from lockgate.primitives.state import Block, Outcome, Overlay, View

NOTE: Final = "the other ledger signed two histories"


def froze(outcome: Outcome) -> bool:
    """Did this client message freeze its client?"""
    return any(event.type == events.CLIENT_MISBEHAVIOUR for event in outcome.events)


def spread(view: View, block: Block, clients: Clients, update: bytes, meter: Meter) -> Outcome:
    """What follows for this ledger from a MsgUpdateClient (its protobuf bytes) that froze its client.

    Uses of `meter` what it shows, and never more than is left: the first client for which that is too little is
    named by an `evidence_not_shown` event, and it and those after it are not asked.
    """
    message = parse_own(ibc_client_pb2.MsgUpdateClient, update)
    content = (message.client_message.type_url, message.client_message.value)
    digest = hashlib.sha256(content[0].encode() + content[1]).digest()
    record = Evidence(digest, block.height.height)
    accused = ClientId(message.client_id)
    outcome = _closed(view, accused, record)
    kind = clients.of(view, accused)
    same = _follows(view, accused, kind)
    for client, module in _in_turn(view, clients):
        if client == accused:
            continue
        paying = _Paying(meter)
        # What rests on others comes after them, and sees which of them have frozen by now.
        current, members = Overlay(view, outcome.writes), module.rests_on(view, client)
        if not paying.affords(gas.PER_CLIENT_SHOWN * (1 + len(members))):
            pass
        elif members or (module is kind and _judges(view, client, module, same, block)):
            frozen = _convicted(current, client, module, content, block, paying, 0 if members else len(update))
            if frozen is not None:
                outcome.then(frozen)
                events.client_event(outcome, events.CLIENT_MISBEHAVIOUR, client, module.client_type)
                outcome.then(_closed(Overlay(view, outcome.writes), client, record))
        if paying.short:
            outcome.emit("evidence_not_shown", ("from_client", client))
            break
    return outcome


def _convicted(
    view: View,
    client: ClientId,
    module: ClientModule,
    content: tuple[str, bytes],
    block: Block,
    paying: _Paying,
    size: int,
) -> Outcome | None:
    """What freezes one client on a message of which it reads `size` bytes; None if nothing does, or nobody pays."""
    if not paying.affords(gas.PER_BYTE * size):
        return None
    try:
        return module.convict(view, client, content, block.time, paying.signatures)
    except (PeerFault, Refused):
        return None  # a client that cannot be judged must not shield the others


class _Paying:
    """Takes gas for one showing as long as there is enough, and remembers that there was not."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.short = False

    def affords(self, amount: int) -> bool:
        self.short = self.short or self._meter.used + amount > self._meter.limit
        if not self.short:
            self._meter.charge(amount, "evidence shown to another client")
        return not self.short

    def signatures(self, count: int) -> bool:
        return self.affords(gas.PER_SIGNATURE * count)


def _in_turn(view: View, clients: Clients) -> Iterator[tuple[ClientId, ClientModule]]:
    """Every client: first those that lanes rest on, then the others. Kinds as they are wired, the oldest first."""
    bearing = {ClientId(client) for client in lanes.clients(view)}
    bearing |= {member for client in bearing for member in clients.of(view, client).rests_on(view, client)}
    first = sorted(((client, clients.of(view, client)) for client in bearing), key=clients.place)
    yield from first
    for client, module in clients.every(view):
        if client not in bearing:
            yield client, module


def _follows(view: View, client: ClientId, module: ClientModule) -> str | bytes:
    """The ledger of a client: its domain, or its chain's name without the revision, over which it goes on."""
    subject = module.subject(view, client)
    return subject.domain or subject.chain_id.rpartition("-")[0] or subject.chain_id


def _judges(view: View, client: ClientId, module: ClientModule, ledger: str | bytes, block: Block) -> bool:
    """Whether a client is active and follows this ledger; one that does not read is neither, and costs a look."""
    try:
        return module.status(view, client, block.time) == ACTIVE and _follows(view, client, module) == ledger
    except (PeerFault, Refused):
        return False


def _closed(view: View, client: ClientId, record: Evidence) -> Outcome:
    outcome = lanes.closed_by_equivocation(view, client, NOTE)
    outcome.set(keys.LANE, keys.equivocation(client), record.to_bytes())
    return outcome


__all__ = ("froze", "spread")
