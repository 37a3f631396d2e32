"""Two signed histories of one ledger: every client that they convince freezes, and its lanes close (P14, P20).

A client that freezes on a conflicting header or on a Misbehaviour message is not the only one that
follows the liar. The same message is shown to every other client on this ledger, and each judges by
the states it holds itself, so nobody stops an honest lane with a client of his own making. A lane that
closes this way stays closed; what it left open is settled packet by packet (`settlement`).

Each showing of a Misbehaviour message is charged: anybody makes clients, and two headers may hold thousands of
signatures. With less gas than all of them take the message fails as a whole, so that nobody freezes one client and
spares the others; with the most gas that a transaction may have, those are shown it that it reaches, the oldest
first. Any other is told by a message of its own, as IBC has it.
"""

from __future__ import annotations

import hashlib
from typing import Final

from lockgate.codec.protobuf import parse_own
from lockgate.codec.wire import ibc_client_pb2
from lockgate.ibc import events, host
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


def spread(view: View, block: Block, clients: Clients, update: bytes, meter: Meter, most_gas: int) -> Outcome:
    """What follows for this ledger from a MsgUpdateClient (its protobuf bytes) that froze its client.

    `most_gas` is the most that a transaction may have. Raises OutOfGas where `meter` has less and too little.
    """
    message = parse_own(ibc_client_pb2.MsgUpdateClient, update)
    content = (message.client_message.type_url, message.client_message.value)
    digest = hashlib.sha256(content[0].encode() + content[1]).digest()
    record = Evidence(digest, block.height.height)
    accused = ClientId(message.client_id)
    outcome = _closed(view, accused, record)
    charged = content[0].endswith(gas.EVIDENCE)
    chain = _follows(view, accused, clients.of(view, accused)) if charged else ""
    for client, module in clients.every(view):
        if client == accused:
            continue
        if charged:
            same = module.client_type == host.client_type(accused) and _follows(view, client, module) == chain
            judged = same and _active(view, client, module, block)
            price = gas.shown(len(update)) if judged else gas.PER_CLIENT_SHOWN
            if meter.used + price > meter.limit == most_gas:
                outcome.emit("evidence_not_shown", ("from_client", client))
                break
            meter.charge(price, "evidence shown to another client")
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


def _follows(view: View, client: ClientId, module: ClientModule) -> str:
    """The name of the chain that a client follows, without the revision, over which it goes on following it."""
    try:
        chain_id = module.subject(view, client).chain_id
    except (PeerFault, Refused):
        return ""  # it cannot be judged, and costs a look
    return chain_id.rpartition("-")[0] or chain_id


def _active(view: View, client: ClientId, module: ClientModule, block: Block) -> bool:
    try:
        return module.status(view, client, block.time) == ACTIVE
    except (PeerFault, Refused):
        return False


def _closed(view: View, client: ClientId, record: Evidence) -> Outcome:
    outcome = lanes.closed_by_equivocation(view, client, NOTE)
    outcome.set(keys.LANE, keys.equivocation(client), record.to_bytes())
    return outcome


__all__ = ("froze", "spread")
