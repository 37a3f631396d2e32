"""The life of a packet, as tables: what each ledger holds of it and which step is legal when.

A ledger keeps no phase field: the phase is read off the provable objects it stores. The sender's
ledger cannot tell a packet that ended from one it never sent under a sequence it has not reached;
for a relay of either it does nothing, which is what `REDUNDANT` says. A pair in neither table is
refused. The diagram in the documentation is drawn from these tables. Source: specs/ibc-v2.md §7.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from lockgate.ibc import host
from lockgate.primitives.state import View


class Step(IntEnum):
    SEND = 1
    RECEIVE = 2  # applications run at once and the acknowledgement is written
    HOLD = 3  # received, acknowledged later
    ANSWER = 4  # the later acknowledgement
    ACKNOWLEDGE = 5
    TIME_OUT = 6


class Sent(IntEnum):
    """Phase on the source ledger."""

    UNSENT = 1
    PENDING = 2  # the commitment is stored
    ENDED = 3  # acknowledged or timed out: the commitment is gone for good


class Arrived(IntEnum):
    """Phase on the destination ledger."""

    UNSEEN = 11
    HELD = 12  # receipt stored, acknowledgement not yet
    ANSWERED = 13  # receipt and acknowledgement stored, or both forgotten by proof


Phase = Sent | Arrived

TRANSITIONS: Final[Mapping[tuple[Phase, Step], Phase]] = {
    (Sent.UNSENT, Step.SEND): Sent.PENDING,
    (Sent.PENDING, Step.ACKNOWLEDGE): Sent.ENDED,
    (Sent.PENDING, Step.TIME_OUT): Sent.ENDED,
    (Arrived.UNSEEN, Step.RECEIVE): Arrived.ANSWERED,
    (Arrived.UNSEEN, Step.HOLD): Arrived.HELD,
    (Arrived.HELD, Step.ANSWER): Arrived.ANSWERED,
}
REDUNDANT: Final[frozenset[tuple[Phase, Step]]] = frozenset(
    {
        (Sent.UNSENT, Step.ACKNOWLEDGE),
        (Sent.UNSENT, Step.TIME_OUT),
        (Sent.ENDED, Step.ACKNOWLEDGE),
        (Sent.ENDED, Step.TIME_OUT),
        (Arrived.HELD, Step.RECEIVE),
        (Arrived.HELD, Step.HOLD),
        (Arrived.ANSWERED, Step.RECEIVE),
        (Arrived.ANSWERED, Step.HOLD),
    }
)


def sent_phase(view: View, client: str, sequence: int) -> Sent:
    """Read where a packet sent over `client` stands on this ledger."""
    if view.get(host.STORE, host.packet_commitment(client, sequence)):
        return Sent.PENDING
    following = view.get(host.STORE, host.next_sequence_send(client))
    return Sent.ENDED if sequence < int.from_bytes(following or b"", "big") else Sent.UNSENT


def arrived_phase(view: View, client: str, sequence: int, forgotten_to: int = 0) -> Arrived:
    """Read where a packet received over `client` stands on this ledger.

    `forgotten_to`: sequences up to it were received, answered and then pruned (I15).
    """
    if sequence <= forgotten_to:
        return Arrived.ANSWERED
    if not view.get(host.STORE, host.packet_receipt(client, sequence)):
        return Arrived.UNSEEN
    answered = view.get(host.STORE, host.packet_acknowledgement(client, sequence))
    return Arrived.ANSWERED if answered else Arrived.HELD
