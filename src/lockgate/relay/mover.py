"""Moves one batch of packets a step further: prove, check, submit, and learn from what the ledger says.

A refusal of a batch says that one of its messages is bad, not which: halves are submitted until the bad
one stands alone. Not every refusal is a packet's fault, though: what is wrong with the account, the
client or the ledger, and a lane's quarantine, concerns the whole lane, and no packet is marked for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lockgate.courier.plan import Phase, Track
from lockgate.courier.ports import Ground, OwnLedger, Submitted, Submitter
from lockgate.courier.quarantine import Mark
from lockgate.ibc import wire as ibc_wire
from lockgate.machine.deviations import LaneQuarantined
from lockgate.primitives.errors import Refused, Unavailable
from lockgate.primitives.ids import Height
from lockgate.relay.direction import Direction
from lockgate.relay.endpoint import EndPoint
from lockgate.relay.jitter import Jitter
from lockgate.relay.messages import News, Part, Stage, look, messages
from lockgate.relay.ordered import look_in_order, messages_in_order
from lockgate.relay.rpc import RpcError

Report = Callable[[str, dict[str, object]], None]

REDUNDANT: Final = ("channel", 22)  # every packet message was done already; the sequence is not consumed
TOO_LATE: Final = ("channelv2", 9)
QUARANTINED: Final = LaneQuarantined.wire  # nothing is received over the lane for a while (S72)
ANOTHERS_BLOCK_S: Final = 0.25
NOT_THE_PACKETS: Final = frozenset(
    {
        *(("lockgate", code) for code in (4, 5, 6, 7, 8)),  # domain, sequence, expiry, account, fee
        *(("sdk", code) for code in (4, 5, 11, 13, 19, 20, 32)),  # of Cosmos SDK chains: signature to sequence
        ("ibc", 2),  # the client has a list of relayers and we are not on it
        ("client", 29),  # the client is not active
        ("evm", 2),  # a host contract's lane is paused; a limit is of the ports that some of its packets share
        ("client", 12),  # what was brought to it does not convince it
        *(("lockgate", code) for code in (85, 86, 87, 88, 89)),  # signers, signatures, epoch, rotation, rule
    }
)


class Poisoned(Refused):
    code = "relay.parked"
    summary = "A packet was set aside: every attempt to move it was refused."
    untouched = "Other packets go on; the packet's own state on both ledgers is unchanged."
    next_step = (
        "Read the reason with `lockgate relay status`; it is tried now and then, by `lockgate relay clear` at once."
    )


class LaneRefused(Unavailable):
    code = "relay.refused"
    summary = "A ledger refuses the relayer's transactions for a reason that is not a packet's."
    untouched = "Packets stay as they are and are tried again."
    next_step = (
        "Read the ledger's words: an account to fund or to allow, a client that is not active, a quarantine that ends."
    )


@dataclass(slots=True)
class Counters:
    """What a relayer did, for people and for metrics."""

    received: int = 0
    acknowledged: int = 0
    timed_out: int = 0
    submitted: int = 0  # packet messages, each time they were sent
    transactions: int = 0
    updates: int = 0
    refreshes: int = 0
    noops: int = 0  # another relayer was first
    failures: int = 0
    misbehaviour_checks: int = 0
    evidence: int = 0  # misbehaviour submitted and accepted
    not_compared: int = 0  # updates of clients that the guard had no room or no header for
    pruned: int = 0


COUNTED: Final = {Stage.RECEIVE: "received", Stage.ACKNOWLEDGE: "acknowledged", Stage.TIME_OUT: "timed_out"}


@dataclass(slots=True)
class Mover:
    """Shared by all workers of one relayer; keeps nothing about packets."""

    report: Report
    took_in: Callable[[EndPoint, Submitted], None]  # events of a transaction of ours
    clock: Callable[[], float]  # monotonic seconds
    jitter: Jitter
    counters: Counters = field(default_factory=Counters)

    async def move(
        self,
        direction: Direction,
        stage: Stage,
        batch: tuple[Track, ...],
        submitter: Submitter,
        turn: Callable[[], Awaitable[None]],
    ) -> None:
        """Take one batch a step further, submitting when it is its `turn`.

        Raises what concerns more than its packets; then none is marked.
        """
        on, of = _ends(direction, stage)
        ground = await self._ground(direction, stage, batch)
        parts, unproven = await self._look(direction, stage, batch, ground)
        if unproven and not parts and all(isinstance(error, RpcError) for _, error in unproven):
            # The state at that height may be pruned: the newest header proves as much.
            await of.see_tip()
            assert on.tracked is not None, "the client was read before anything was planned"
            ground = await of.updater.reach(on.tracked, of.height, on.time)
            parts, unproven = await self._look(direction, stage, batch, ground)
        for track, error in unproven:
            self._failed(direction, track, str(error))
        if parts:
            limits = await submitter.limits()
            await turn()
            await self._submit(direction, stage, parts, ground, submitter, limits.bytes)

    async def _ground(self, direction: Direction, stage: Stage, batch: Sequence[Track]) -> Ground:
        """A header that covers the batch: one the client has, else the newest, else the first late one."""
        on, of = _ends(direction, stage)
        tracked = on.tracked
        assert tracked is not None, "the client was read before anything was planned"
        match stage:
            case Stage.RECEIVE:
                needed, target = max(t.sent_height for t in batch), of.height
            case Stage.ACKNOWLEDGE:
                needed, target = max(t.answered_height for t in batch if t.answered_height is not None), of.height
            case Stage.TIME_OUT:
                target = await of.first_at(max(t.timeout for t in batch))
                needed = Height(target.revision, target.height - 1)
        if tracked.latest > needed:
            target = tracked.latest
        return await of.updater.reach(tracked, target, on.time)

    async def _look(
        self, direction: Direction, stage: Stage, batch: Sequence[Track], ground: Ground
    ) -> tuple[list[Part], list[tuple[Track, Exception]]]:
        on = _ends(direction, stage)[0]
        parts: list[Part] = []
        unproven: list[tuple[Track, Exception]] = []
        if stage is Stage.RECEIVE and direction.ordered:
            assert isinstance(on.chain, OwnLedger), "only lanes between ledgers of ours are ordered"
            found = await look_in_order(on.chain, on.order, direction.path, batch, ground, on.time)
        else:
            found = await look(direction.path, stage, batch, ground)
        look_again: list[int] = []
        for track, part in zip(batch, found, strict=True):
            if isinstance(part, Exception):
                unproven.append((track, part))
            elif isinstance(part, News):
                self._news(direction, track, part, look_again)
            else:
                parts.append(part)
        await direction.watch.refresh(look_again)
        return parts, unproven

    def _news(self, direction: Direction, track: Track, news: News, look_again: list[int]) -> None:
        watch = direction.watch
        match news:
            case News.ENDED | News.OTHER_PACKET:
                watch.drop(track.sequence)  # what stands there is found by the next scan
            case News.RECEIVED | News.OTHER_ANSWER:
                watch.put_back(track.sequence, phase=Phase.RECEIVED, acknowledgement=None, answered_height=None)
                look_again.append(track.sequence)
            case News.NOT_ITS_TURN:
                direction.quarantine.later(track.sequence, news.value, self.clock(), self.jitter.share())
                return
        if news in {News.OTHER_PACKET, News.OTHER_ANSWER}:
            self._failed(direction, track, news.value)  # a node's events say otherwise: not again at once
        self.report("news", {"direction": direction.name, "sequence": track.sequence, "what": news.value})

    async def _submit(
        self,
        direction: Direction,
        stage: Stage,
        parts: Sequence[Part],
        ground: Ground,
        submitter: Submitter,
        most_bytes: int,
    ) -> None:
        on = _ends(direction, stage)[0]
        updates = ground.updates(on.client, submitter.signer)
        if stage is Stage.RECEIVE and direction.ordered:
            packets = messages_in_order(parts, ground, submitter.signer)
        else:
            packets = messages(stage, parts, ground, submitter.signer)
        size = sum(_size(content) for _, content in (*updates, *packets))
        if len(parts) == 1 or size <= most_bytes:
            self.counters.transactions += 1
            self.counters.submitted += len(packets)
            done = await submitter.submit((*updates, *packets))
            if await self._settled(direction, stage, [part.track for part in parts], done, len(updates)):
                return
        middle = len(parts) // 2
        for half in (parts[:middle], parts[middle:]):
            await self._submit(direction, stage, half, ground, submitter, most_bytes)

    async def _settled(
        self, direction: Direction, stage: Stage, tracks: Sequence[Track], done: Submitted, updates: int
    ) -> bool:
        """Learn from a transaction's fate; False asks for its halves."""
        on = _ends(direction, stage)[0]
        outcome = (done.codespace, done.code)
        if done.code == 0:
            self.counters.updates += updates
            await self._succeeded(direction, stage, tracks, done, updates)
            return True
        if outcome == REDUNDANT:
            await self._done_by_another(direction, stage, tracks)
            return True
        self.counters.failures += 1
        if outcome in NOT_THE_PACKETS:
            await on.refresh()
            raise LaneRefused(done.log, ledger=on.chain.chain_id, code=f"{done.codespace}/{done.code}")
        if len(tracks) > 1:
            return False  # also a quarantine: the packet that brings it about may be among them
        if outcome == QUARANTINED:
            raise LaneRefused(done.log, ledger=on.chain.chain_id, code=f"{done.codespace}/{done.code}")
        (track,) = tracks
        if outcome == TOO_LATE and stage is Stage.RECEIVE:
            direction.watch.put_back(track.sequence, late=True)
            self.report("too_late", {"direction": direction.name, "sequence": track.sequence})
        else:
            await on.refresh()
            self._failed(direction, track, done.log)
        return True

    async def _succeeded(
        self, direction: Direction, stage: Stage, tracks: Sequence[Track], done: Submitted, updates: int
    ) -> None:
        on = _ends(direction, stage)[0]
        answers = done.responses[updates:]
        others = [t for t, answer in zip(tracks, answers, strict=False) if answer == ibc_wire.NOOP]
        left = [t for t, answer in zip(tracks, answers, strict=False) if answer == ibc_wire.FAILURE]
        name = COUNTED[stage]
        setattr(self.counters, name, getattr(self.counters, name) + len(tracks) - len(others) - len(left))
        for track in tracks:
            if track in left:
                self._failed(direction, track, "left out of its batch")
            else:
                direction.quarantine.moved(track.sequence)
        self.took_in(on, done)
        if updates:
            await on.refresh()
        if others:
            await self._done_by_another(direction, stage, others)

    async def _done_by_another(self, direction: Direction, stage: Stage, tracks: Sequence[Track]) -> None:
        """Success, by another relayer: find out how far the packets are."""
        self.counters.noops += len(tracks)
        sequences = [t.sequence for t in tracks]
        on = _ends(direction, stage)[0].chain
        await on.pause(on.beat, ANOTHERS_BLOCK_S)  # what the other one sent may wait for a block yet
        if stage is Stage.RECEIVE:
            await direction.watch.refresh(sequences)
        else:
            open_ = await on.still_open(direction.source.client, sequences)
            for sequence in set(sequences) - open_:
                direction.watch.drop(sequence)

    def _failed(self, direction: Direction, track: Track, reason: str) -> None:
        mark: Mark = direction.quarantine.failed(track.sequence, reason, self.clock(), self.jitter.share())
        fields: dict[str, object] = {
            "direction": direction.name, "sequence": track.sequence, "attempt": mark.attempts, "reason": mark.reason,
        }  # fmt: skip
        if mark.parked:
            fields["code"] = Poisoned.code
        self.report("parked" if mark.parked else "failed", fields)


def _size(content: Any) -> int:
    """Bytes of a message's content, near enough for a limit that leaves room."""
    return len(content) if isinstance(content, bytes) else sum(map(len, content.values()))


def _ends(direction: Direction, stage: Stage) -> tuple[EndPoint, EndPoint]:
    """Where a stage submits, and which ledger it proves."""
    ends = (direction.source, direction.dest)
    return ends[::-1] if stage is Stage.RECEIVE else ends


__all__ = ("Counters", "LaneRefused", "Mover", "Poisoned", "Report")
