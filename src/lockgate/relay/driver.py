"""Drives the courier's plan for one pair of ledgers: reads, plans, proves, submits, confirms.

Stateless in principle: every decision is derived from what the ledgers show, every submission is
proven to the other side, and any number of these may run at once. Live and backlog packets are
planned together but submitted in their own batches, oldest timeout first, so that neither waits for
the other; a packet that keeps failing is parked with the reason and blocks nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.courier.plan import Acknowledge, Receive, Refresh, Side, Step, TimeOut, Track, Wait, plan, proof_height
from lockgate.courier.ports import ChainUnavailable, Submitted, TrackedClient
from lockgate.ibc import host
from lockgate.ibc import wire as ibc_wire
from lockgate.primitives.errors import LockgateError, Refused, Unavailable
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Event
from lockgate.primitives.time import DurationNanos, UnixNanos, floor_seconds
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.submitter import AccountSubmitter
from lockgate.relay.watch import Watch

POLL_S: Final = 0.05
SCAN_EVERY_S: Final = 30.0
PARK_AFTER: Final = 4  # failures of one packet alone before it is set aside
BACKOFF_S: Final = 1.0
BACKOFF_MAX_S: Final = 60.0
REDUNDANT: Final = ("channel", 22)
Message = tuple[str, bytes]
Build = Callable[["Direction", Track, Height, str], Awaitable["Message"]]
Report = Callable[[str, dict[str, object]], None]


class Poisoned(Refused):
    code = "relay.parked"
    summary = "A packet was set aside: every attempt to move it was refused."
    untouched = "Other packets go on; the packet's own state on both ledgers is unchanged."
    next_step = "Read the reason with `lockgate relay status`; a restart of the relayer tries it again."


@dataclass(slots=True)
class Counters:
    """What a relayer did, for people and for metrics."""

    received: int = 0
    acknowledged: int = 0
    timed_out: int = 0
    updates: int = 0
    noops: int = 0
    failures: int = 0


@dataclass(slots=True)
class EndPoint:
    """One side of the pair: how to read it, how to write to it, its client of the other side."""

    chain: CometBftChain
    submitter: AccountSubmitter
    client: ClientId
    next_height: int = 1
    tracked: TrackedClient | None = None
    time: UnixNanos = UnixNanos(0)
    height: Height = Height(0, 0)


@dataclass(slots=True)
class Direction:
    """Packets from `source` to `dest`."""

    source: EndPoint
    dest: EndPoint
    watch: Watch
    parked: dict[int, str] = field(default_factory=dict)
    failures: dict[int, int] = field(default_factory=dict)


class Relayer:
    """Relays both directions of one pair of clients."""

    def __init__(self, one: EndPoint, other: EndPoint, report: Report) -> None:
        self.ends = (one, other)
        self.directions = tuple(
            Direction(s, d, Watch(s.chain, d.chain, s.client, d.client)) for s, d in ((one, other), (other, one))
        )
        self.counters = Counters()
        self._report = report
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Relay until cancelled. A ledger that does not answer is waited for; nothing is lost."""
        backoff = BACKOFF_S
        next_scan = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                if loop.time() >= next_scan:
                    await self._scan()
                    next_scan = loop.time() + SCAN_EVERY_S
                moved = await self.once()
                backoff = BACKOFF_S
                if not moved:
                    await asyncio.sleep(POLL_S)
            except Unavailable as error:
                self._report("unavailable", {"code": error.code, "detail": str(error)})
                next_scan = 0.0
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, BACKOFF_MAX_S)

    async def once(self) -> bool:
        """Read new blocks, plan, act. Tells whether anything was submitted."""
        await asyncio.gather(*(self._read(end) for end in self.ends))
        moved = False
        for direction in self.directions:
            for step in self._plan(direction):
                moved |= await self._act(direction, step)
        return moved

    async def clear(self) -> int:
        """Scan both ledgers for every outstanding packet, forget what was parked, and move what can move."""
        for direction in self.directions:
            direction.parked.clear()
            direction.failures.clear()
        await self._scan()
        while await self.once():
            pass
        return sum(len(direction.watch.tracks) for direction in self.directions)

    def status(self) -> dict[str, object]:
        """Packets in flight and why they wait, per direction."""
        found: dict[str, object] = {}
        for direction in self.directions:
            name = f"{direction.source.chain.chain_id} to {direction.dest.chain.chain_id}"
            waits = [s for s in self._plan(direction) if isinstance(s, Wait)]
            found[name] = {
                "in_flight": len(direction.watch.tracks),
                "parked": {str(k): v for k, v in direction.parked.items()},
                "waiting": [{"packets": [t.sequence for t in w.packets], "who": w.who, "why": w.why} for w in waits],
            }
        return found

    async def _scan(self) -> None:
        for end in self.ends:
            tip = await end.chain.tip()
            end.next_height = max(end.next_height, tip.height.height)
            await self._refresh(end)
        for direction in self.directions:
            await direction.watch.scan()

    async def _read(self, end: EndPoint) -> None:
        tip = await end.chain.tip()
        updated = end.tracked is None
        while end.next_height <= tip.height.height:
            block = await end.chain.block_events(end.next_height)
            for direction in self.directions:
                if direction.source is end:
                    direction.watch.on_source(block)
                else:
                    direction.watch.on_destination(block)
            updated |= _touches_client(block.events, end.client)
            end.next_height += 1
        end.height, end.time = tip.height, tip.time
        if updated:
            await self._refresh(end)

    @staticmethod
    async def _refresh(end: EndPoint) -> None:
        end.tracked = await end.chain.client(end.client)

    def _plan(self, direction: Direction) -> tuple[Step, ...]:
        return plan(
            _side(direction.source),
            _side(direction.dest),
            list(direction.watch.tracks.values()),
            direction.parked,
        )

    async def _act(self, direction: Direction, step: Step) -> bool:
        match step:
            case Receive(packets, height):
                return await self._relay(direction, direction.dest, direction.source, packets, height, self._receive)
            case Acknowledge(packets, height):
                return await self._relay(
                    direction, direction.source, direction.dest, packets, height, self._acknowledge
                )
            case TimeOut(packets):
                height = await self._first_late(direction, max(t.timeout for t in packets))
                return await self._relay(direction, direction.source, direction.dest, packets, height, self._time_out)
            case Refresh(on_source):
                on, of = (direction.source, direction.dest) if on_source else (direction.dest, direction.source)
                done = await on.submitter.submit(await self._updates(on, of, proof_height(of.height)))
                self._count_update(done)
                await self._refresh(on)
                return done.code == 0
            case Wait():
                return False

    async def _relay(
        self,
        direction: Direction,
        on: EndPoint,
        of: EndPoint,
        packets: tuple[Track, ...],
        height: Height,
        build: Build,
    ) -> bool:
        """Submit one batch on `on`, proven at one header of `of` that covers `height`."""
        try:
            tip = await of.chain.header_at_least(height.height)
            target = on.tracked.latest if on.tracked is not None and on.tracked.latest >= height else tip.height
            messages = list(await self._updates(on, of, target))
            proven = await asyncio.gather(
                *(build(direction, track, target, on.submitter.signer) for track in packets),
                return_exceptions=True,
            )
            sound = []
            for track, message in zip(packets, proven, strict=True):
                if isinstance(message, BaseException):
                    self._failed(direction, track, message)
                else:
                    sound.append(track)
                    messages.append(message)
            if not sound:
                return False
            done = await on.submitter.submit(messages)
        except Refused as error:
            self._report("refused", {"code": error.code, "detail": str(error)})
            return False
        return await self._settle(direction, on, of, tuple(sound), height, build, done)

    async def _settle(
        self,
        direction: Direction,
        on: EndPoint,
        of: EndPoint,
        packets: tuple[Track, ...],
        height: Height,
        build: Build,
        done: Submitted,
    ) -> bool:
        await self._refresh(on)
        if done.code == 0:
            self._count(build, len(packets))
            for track in packets:
                direction.failures.pop(track.sequence, None)
            await self._read(on)
            return True
        self.counters.failures += 1
        if (done.codespace, done.code) == REDUNDANT:
            self.counters.noops += len(packets)
            await direction.watch.scan()
            return True
        if len(packets) == 1:
            self._failed(direction, packets[0], RuntimeError(done.log))
            await direction.watch.scan()
            return False
        # One bad message fails the batch: halve it until the offender stands alone.
        middle = len(packets) // 2
        first = await self._relay(direction, on, of, packets[:middle], height, build)
        second = await self._relay(direction, on, of, packets[middle:], height, build)
        return first or second

    async def _updates(self, on: EndPoint, of: EndPoint, target: Height) -> list[Message]:
        """MsgUpdateClient that brings `on`'s client to `target`; none when it is known there."""
        tracked = on.tracked
        assert tracked is not None, "the client was read before anything was planned"
        if tracked.latest >= target:
            return []
        await of.chain.header_at_least(target.height)
        wrapped = await of.chain.update_message(on.client, tracked.latest, target)
        message = client_wire.MsgUpdateClient(
            client_id=on.client, client_message=AnyMessage.FromString(wrapped), signer=on.submitter.signer
        )
        self.counters.updates += 1
        return [(urls.MSG_UPDATE_CLIENT, message.SerializeToString(deterministic=True))]

    async def _first_late(self, direction: Direction, timeout: int) -> Height:
        """Height of the first destination header at or past a timeout; the newest one will do."""
        dest = direction.dest
        while floor_seconds(dest.time) < timeout:
            await asyncio.sleep(POLL_S)
            await self._read(dest)
        return dest.height

    @staticmethod
    async def _receive(direction: Direction, track: Track, at: Height, signer: str) -> Message:
        key = host.packet_commitment(direction.source.client, track.sequence)
        proven = await direction.source.chain.prove("ibc", key, at)
        packet = ibc_wire.read_packet(track.packet)
        return urls.MSG_RECV_PACKET, ibc_wire.encode_receive(packet, proven.proof, at, signer)

    @staticmethod
    async def _acknowledge(direction: Direction, track: Track, at: Height, signer: str) -> Message:
        key = host.packet_acknowledgement(direction.dest.client, track.sequence)
        proven = await direction.dest.chain.prove("ibc", key, at)
        assert track.acknowledgement is not None, "only answered packets are acknowledged"
        acknowledgement = ibc_wire.read_acknowledgement(track.acknowledgement)
        packet = ibc_wire.read_packet(track.packet)
        return urls.MSG_ACKNOWLEDGEMENT, ibc_wire.encode_acknowledge(packet, acknowledgement, proven.proof, at, signer)

    @staticmethod
    async def _time_out(direction: Direction, track: Track, at: Height, signer: str) -> Message:
        key = host.packet_receipt(direction.dest.client, track.sequence)
        proven = await direction.dest.chain.prove("ibc", key, at)
        if proven.value is not None:
            raise ChainUnavailable("the packet was received after all", sequence=track.sequence)
        packet = ibc_wire.read_packet(track.packet)
        return urls.MSG_TIMEOUT, ibc_wire.encode_timeout(packet, proven.proof, at, signer)

    def _failed(self, direction: Direction, track: Track, error: BaseException) -> None:
        count = direction.failures.get(track.sequence, 0) + 1
        direction.failures[track.sequence] = count
        reason = str(error) if isinstance(error, LockgateError | RuntimeError) else type(error).__name__
        if count >= PARK_AFTER:
            direction.parked[track.sequence] = reason
            self._report("parked", {"code": Poisoned.code, "sequence": track.sequence, "reason": reason})
        else:
            self._report("failed", {"sequence": track.sequence, "attempt": count, "reason": reason})

    def _count(self, build: object, packets: int) -> None:
        if build == self._receive:
            self.counters.received += packets
        elif build == self._acknowledge:
            self.counters.acknowledged += packets
        else:
            self.counters.timed_out += packets

    def _count_update(self, done: Submitted) -> None:
        if done.code:
            self.counters.failures += 1
            self._report("refresh_failed", {"detail": done.log})


def _side(end: EndPoint) -> Side:
    tracked = end.tracked
    assert tracked is not None, "the client was read before anything was planned"
    return Side(
        height=end.height,
        time=end.time,
        client=end.client,
        client_status=tracked.status,
        client_height=tracked.latest,
        client_time=tracked.latest_time,
        trusting_period=DurationNanos(tracked.trusting_period),
    )


def _touches_client(events: tuple[Event, ...], client: ClientId) -> bool:
    kinds = {"update_client", "client_misbehaviour", "recover_client", "upgrade_client"}
    return any(event.type in kinds and event.get("client_id") == client for event in events)
