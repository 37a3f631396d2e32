"""Receives over an ordered lane: the claim of each packet's place, proven beside the packet (`lane.receive`).

A packet whose turn has not come is not submitted: it waits, and another sender's goes on. What the
destination expects is read without proof; a node that lies delays, as one that is silent does.
"""

from __future__ import annotations

from collections.abc import Sequence

from lockgate.courier.plan import Track
from lockgate.courier.ports import Proven
from lockgate.machine import keys
from lockgate.machine.ordering import RECEIVE, Claim, is_next
from lockgate.machine.records import LaneOrder
from lockgate.machine.transaction import Message
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import UnixNanos
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.messages import News, Path, Stage, build
from lockgate.relay.rpc import b64
from lockgate.relay.updates import Ground


async def build_receives(
    source: CometBftChain,
    destination: CometBftChain,
    order: LaneOrder,
    path: Path,
    batch: Sequence[Track],
    ground: Ground,
    signer: str,
    now: UnixNanos,
) -> list[Message | News | Exception]:
    """As `messages.build` for receives; `now` is the destination's time. Packets stand in order of sequence."""
    plain = await build(source, path, Stage.RECEIVE, batch, ground, signer)
    places = [keys.order_claim(path.source_client, track.sequence) for track in batch]
    claims = await source.prove_many(keys.LANE, places, ground.height)
    expected: dict[bytes, int] = {}
    found: list[Message | News | Exception] = []
    for message, place, proven in zip(plain, places, claims, strict=True):
        if isinstance(message, News | Exception):
            found.append(message)
            continue
        if isinstance(proven, Exception):
            found.append(proven)
            continue
        try:
            claim = _claim(ground, place, proven)
        except LockgateError as refusal:
            found.append(refusal)
            continue
        if claim is None:
            found.append(message)  # a packet between applications: no endpoint's, and in no order
            continue
        sender = claim.sender
        if sender not in expected:
            expected[sender] = await _next(destination, path, sender)
        if not is_next(order, claim, expected[sender], now):
            found.append(News.NOT_ITS_TURN)
            continue
        expected[sender] = claim.number + 1
        received = {"packet": message[1], "claim": proven.value, "proof": proven.proof}
        found.append((RECEIVE, received))
    return found


def _claim(ground: Ground, place: bytes, proven: Proven) -> Claim | None:
    """Check the proof as the destination will."""
    where = (keys.LANE.encode(), place)
    if proven.value is None:
        ground.proofs.non_membership(proven.proof, where)
        return None
    ground.proofs.membership(proven.proof, where, proven.value)
    return Claim.read(proven.value)


async def _next(destination: CometBftChain, path: Path, sender: bytes) -> int:
    answer = await destination.query(f"/store/{keys.LANE}/key", keys.order_next(path.dest_client, sender))
    return int.from_bytes(b64(answer.get("value")) or b"\x01", "big")


__all__ = ("build_receives",)
