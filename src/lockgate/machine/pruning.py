"""Forgetting finished packets of own lanes, by proof and never by age alone (I15).

Receipt, acknowledgement and reason of a packet may go once the sender's commitment is proven gone:
the acknowledgement has arrived. One absence proof covers a whole run of sequences, because the two
neighbours in it leave no room for a key between them. What is left is one number per client, the
watermark: a sequence at or below it was received, ended, and must never be received again, even where
an old consensus state still proves its commitment. A run may hold packets that timed out, and ends with
one that was received: sequences are given in order, so nothing in it is still to be sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from lockgate.machine import inbox, keys, lanes
from lockgate.machine.context import Context, field, only_fields
from lockgate.machine.errors import NotPrunable
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome, View

MAX_RUN: Final = 4_096  # sequences one message may forget: bounds its deletes


class PacketStore(Protocol):
    """The provable objects of received packets, and proofs about the sender's."""

    def prove_commitments_gone(
        self, view: View, client: ClientId, first: int, last: int, height: Height, proof: bytes
    ) -> None: ...

    def received_keys(self, client: ClientId, sequence: int) -> tuple[bytes, bytes]: ...


def watermark_key(client: str) -> bytes:
    return b"pruned/" + client.encode()


def watermark(view: View, client: str) -> int:
    """Greatest sequence up to which every packet of this client was received, ended and forgotten."""
    return int.from_bytes(view.get(keys.LANE, watermark_key(client)) or b"", "big")


def prune(view: View, context: Context, message: Mapping[str, Any], packets: PacketStore) -> Outcome:
    """Forget the packets from `first` to `last` on one own lane. Anyone may bring the proof.

    `first` follows the watermark: what the message names is what it pays for (`gas.PER_PRUNED`), whatever it finds.
    """
    only_fields(message, "client", "first", "last", "height", "proof")
    client = ClientId(field(message, "client", str))
    first, last = field(message, "first", int), field(message, "last", int)
    lane = lanes.lane_of(view, client)
    if lane is None or not lane.own:
        raise NotPrunable("only packets of own lanes are pruned", client=client)
    if first != watermark(view, client) + 1 or not first <= last < first + MAX_RUN:
        raise NotPrunable("the run must start after the watermark and stay within bounds", first=first, last=last)
    if view.get(keys.IBC, packets.received_keys(client, last)[0]) is None:
        raise NotPrunable("the run ends with a packet that was never received", client=client, sequence=last)
    height = Height.parse(field(message, "height", str))
    packets.prove_commitments_gone(view, client, first, last, height, field(message, "proof", bytes))
    for sequence in range(first, last + 1):
        receipt, acknowledgement = packets.received_keys(client, sequence)
        if view.get(keys.IBC, receipt) is None:
            continue  # sent, since a later one was received; gone at the sender without us: it timed out
        if view.get(keys.IBC, acknowledgement) is None or inbox.find(view, client, sequence) is not None:
            raise NotPrunable("not answered yet", client=client, sequence=sequence)
    outcome = Outcome()
    for sequence in range(first, last + 1):
        for key in packets.received_keys(client, sequence):
            if view.get(keys.IBC, key) is not None:
                outcome.delete(keys.IBC, key)
        reason_key = keys.reason(client, sequence)
        if view.get(keys.REASON, reason_key) is not None:
            outcome.delete(keys.REASON, reason_key)
    outcome.set(keys.LANE, watermark_key(client), keys.u64(last))
    outcome.emit("lane_pruned", ("client", client), ("last", str(last)))
    return outcome
