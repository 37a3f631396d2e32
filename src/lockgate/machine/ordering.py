"""Ordered lanes: the packets of one sender are received in the order he sent them.

The ledger that sends numbers each sender's packets over a lane and writes a claim beside each: its number,
and the greatest timeout of those before it that were still open. Whoever relays the packet proves the claim
under the same header (`lane.receive`); the packet and its commitment are those of any lane. The ledger that
receives keeps one number for each sender: the next. Nobody waits for another sender's packet.

Let passing be what lets a claim through although one before it never came. On an ordered lane: nothing before
it was open any more when it was sent. On a lane ordered with gaps also: its horizon has come, so none of those
before it can be received any more. Both rest on this ledger's own clock and on what the other one has proven.
Source: ICS-04 (ORDERED, ORDERED_ALLOW_TIMEOUT); ADR 21.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

from lockgate.machine import keys
from lockgate.machine.errors import CODESPACE
from lockgate.machine.records import Lane, LaneOrder, Record, StateDamaged
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import EndpointId
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import UnixNanos, UnixSeconds, floor_seconds

RECEIVE: Final = "lane.receive"  # the message that brings a packet with its claim
_UNTOUCHED: Final = "The packet is not received; it can be delivered again, or it times out at its sender."


class OutOfTurn(Refused):
    code = "order.out_of_turn"
    summary = "An earlier packet of the same sender has not been received over this ordered lane."
    untouched = _UNTOUCHED
    next_step = "Deliver the earlier packet first. With gaps, one that has timed out lets its successors pass."
    wire = (CODESPACE, 90)


class OrderUnproven(Refused):
    code = "order.unproven"
    summary = "A packet over an ordered lane came without the claim of its place, or the claim says otherwise."
    untouched = _UNTOUCHED
    next_step = "Relay it with `lane.receive`; both ends of the lane must have been opened with the same order."
    wire = (CODESPACE, 91)


@dataclass(frozen=True, slots=True)
class Stream(Record):
    """What one sender has under way over a lane: his newest number, how many are open, and their horizon."""

    number: int
    open: int
    horizon: UnixSeconds  # greatest timeout sent since nothing was open; 0 while nothing is


@dataclass(frozen=True, slots=True)
class Claim(Record):
    """The place of one open packet among those of its sender, as its own ledger proves it."""

    order: LaneOrder
    sender: EndpointId
    number: int  # from 1
    horizon: UnixSeconds  # of the packets before it that were open; 0: none was

    @classmethod
    def _convert(cls, values: list[Any]) -> list[Any]:
        order, sender, number, horizon = values
        if [type(value) for value in values] != [int, bytes, int, int] or len(sender) != 32:
            raise ValueError
        if not (0 < number < 1 << 63 and 0 <= horizon < 1 << 63):
            raise ValueError
        return [LaneOrder(order), sender, number, horizon]

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read another ledger's claim. Its machine may be any: what does not decode is its fault, not our damage."""
        try:
            return cls.from_bytes(data)
        except StateDamaged:
            raise OrderUnproven("the claim does not decode") from None


def sent(view: View, lane: Lane, sequence: int, sender: EndpointId, timeout: UnixSeconds) -> Outcome:
    """Number a packet that is being sent, and claim its place. Nothing on an unordered lane."""
    outcome = Outcome()
    if lane.order is LaneOrder.UNORDERED:
        return outcome
    client = lane.local_client
    before = stream(view, client, sender)
    claim = Claim(lane.order, sender, before.number + 1, before.horizon)
    after = Stream(claim.number, before.open + 1, max(before.horizon, timeout))
    outcome.set(keys.LANE, keys.order_stream(client, sender), after.to_bytes())
    outcome.set(keys.LANE, keys.order_claim(client, sequence), claim.to_bytes())
    return outcome


def ended(view: View, lane: Lane, sequence: int) -> Outcome:
    """A packet has ended, whatever ended it: its claim goes, and its sender has one less open."""
    outcome = Outcome()
    key = keys.order_claim(lane.local_client, sequence)
    data = view.get(keys.LANE, key)
    if data is None:
        return outcome
    sender = Claim.from_bytes(data).sender
    before = stream(view, lane.local_client, sender)
    left = before.open - 1
    after = Stream(before.number, left, before.horizon if left else UnixSeconds(0))
    outcome.delete(keys.LANE, key)
    outcome.set(keys.LANE, keys.order_stream(lane.local_client, sender), after.to_bytes())
    return outcome


def stream(view: View, client: str, sender: EndpointId) -> Stream:
    """What a sender has under way over the lane of a local client."""
    data = view.get(keys.LANE, keys.order_stream(client, sender))
    return Stream(0, 0, UnixSeconds(0)) if data is None else Stream.from_bytes(data)


def next_number(view: View, client: str, sender: EndpointId) -> int:
    """The number that a remote sender's next packet has, when none is missing."""
    return int.from_bytes(view.get(keys.LANE, keys.order_next(client, sender)) or b"\x01", "big")


def take(view: View, lane: Lane, claim: Claim, now: UnixNanos) -> Outcome:
    """Let a packet in by its proven claim. Raises OrderUnproven where the ends differ in order, or OutOfTurn.

    Whatever becomes of the packet then, also a refusal, its number is used up.
    """
    if claim.order is not lane.order:
        raise OrderUnproven("the ends differ", here=lane.order.name.lower(), there=claim.order.name.lower())
    expected = next_number(view, lane.local_client, claim.sender)
    if not is_next(lane.order, claim, expected, now):
        raise OutOfTurn("not the next", number=claim.number, expected=expected, horizon=claim.horizon)
    outcome = Outcome()
    outcome.set(keys.LANE, keys.order_next(lane.local_client, claim.sender), keys.u64(claim.number + 1))
    return outcome


def is_next(order: LaneOrder, claim: Claim, expected: int, now: UnixNanos) -> bool:
    """May this packet be received at `now`, on a ledger that expects number `expected` of its sender?"""
    if claim.number <= expected:
        return claim.number == expected
    return claim.horizon == 0 or (order is LaneOrder.GAPS and claim.horizon <= floor_seconds(now))


__all__ = (
    "RECEIVE",
    "Claim",
    "OrderUnproven",
    "OutOfTurn",
    "Stream",
    "ended",
    "is_next",
    "next_number",
    "sent",
    "stream",
    "take",
)
