"""Receives over an ordered lane: the claim of each packet's place, proven beside the packet (`lane.receive`).

A packet whose turn has not come is not submitted: it waits, and another sender's goes on. What the
destination expects is read without proof; a node that lies delays, as one that is silent does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lockgate.courier.plan import Track
from lockgate.courier.ports import Ground, OwnLedger
from lockgate.machine import keys
from lockgate.machine.ordering import RECEIVE, Claim, is_next
from lockgate.machine.records import LaneOrder
from lockgate.machine.transaction import Message
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import UnixNanos
from lockgate.relay.messages import News, Part, Path, Stage, look, messages


async def look_in_order(
    destination: OwnLedger, order: LaneOrder, path: Path, batch: Sequence[Track], ground: Ground, now: UnixNanos
) -> list[Part | News | Exception]:
    """As `messages.look` for receives; `now` is the destination's time. Packets stand in order of sequence."""
    plain = await look(path, Stage.RECEIVE, batch, ground)
    places = [keys.order_claim(path.source_client, track.sequence) for track in batch]
    claims = await ground.prove(keys.LANE, places)
    expected: dict[bytes, int] = {}
    found: list[Part | News | Exception] = []
    for part, proven in zip(plain, claims, strict=True):
        if isinstance(part, News | Exception):
            found.append(part)
            continue
        if isinstance(proven, Exception):
            found.append(proven)
            continue
        if proven.value is None:
            found.append(part)  # a packet between applications: no endpoint's, and in no order
            continue
        try:
            claim = Claim.read(proven.value)
        except LockgateError as refusal:
            found.append(refusal)
            continue
        sender = claim.sender
        if sender not in expected:
            expected[sender] = await destination.next_in_order(path.dest_client, sender)
        if not is_next(order, claim, expected[sender], now):
            found.append(News.NOT_ITS_TURN)
            continue
        expected[sender] = claim.number + 1
        found.append(dataclasses.replace(part, claim=proven))
    return found


def messages_in_order(parts: Sequence[Part], ground: Ground, signer: str) -> list[Message]:
    """As `messages.messages` for receives, each with the claim of its place beside it."""
    found: list[Message] = []
    claims = iter(ground.proofs([part.claim for part in parts if part.claim is not None]))
    for part, plain in zip(parts, messages(Stage.RECEIVE, parts, ground, signer), strict=True):
        if part.claim is None:
            found.append(plain)
        else:
            found.append((RECEIVE, {"packet": plain[1], "claim": part.claim.value, "proof": next(claims)}))
    return found


__all__ = ("look_in_order", "messages_in_order")
