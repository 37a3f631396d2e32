"""Two signed histories of one ledger: every client that they convince freezes, and its lanes close (P14, P20).

A client that freezes on a conflicting header or on a Misbehaviour message is not the only one that
follows the liar. The same message is shown to every other client on this ledger, and each judges by
the states it holds itself, so nobody stops an honest lane with a client of his own making. A lane that
closes this way stays closed; what it left open is settled packet by packet (`settlement`).
"""

from __future__ import annotations

import hashlib
from typing import Final

from lockgate.codec.protobuf import parse_own
from lockgate.codec.wire import ibc_client_pb2
from lockgate.ibc import events
from lockgate.machine import keys, lanes
from lockgate.machine.clients import Clients
from lockgate.machine.records import Evidence
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import ClientId
from lockgate.primitives.state import Block, Outcome, Overlay, View

NOTE: Final = "the other ledger signed two histories"


def froze(outcome: Outcome) -> bool:
    """Did this client message freeze its client?"""
    return any(event.type == events.CLIENT_MISBEHAVIOUR for event in outcome.events)


def spread(view: View, block: Block, clients: Clients, update: bytes) -> Outcome:
    """What follows for this ledger from a MsgUpdateClient (its protobuf bytes) that froze its client."""
    message = parse_own(ibc_client_pb2.MsgUpdateClient, update)
    content = (message.client_message.type_url, message.client_message.value)
    digest = hashlib.sha256(content[0].encode() + content[1]).digest()
    record = Evidence(digest, block.height.height)
    outcome = _closed(view, ClientId(message.client_id), record)
    for client, module in clients.every(view):
        if client == message.client_id:
            continue
        # A kind that rests on others is wired after them, and sees which of them have frozen by now.
        try:
            frozen = module.convict(Overlay(view, outcome.writes), client, content, block.time)
        except (PeerFault, Refused):
            continue  # a client that cannot be judged must not shield the others
        if frozen is not None:
            outcome.then(frozen)
            events.client_event(outcome, events.CLIENT_MISBEHAVIOUR, client, module.client_type)
            outcome.then(_closed(Overlay(view, outcome.writes), client, record))
    return outcome


def _closed(view: View, client: ClientId, record: Evidence) -> Outcome:
    outcome = lanes.closed_by_equivocation(view, client, NOTE)
    outcome.set(keys.LANE, keys.equivocation(client), record.to_bytes())
    return outcome


__all__ = ("froze", "spread")
