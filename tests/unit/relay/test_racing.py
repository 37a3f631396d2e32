"""Any number of relayers at once: packets end once, and being second is no failure."""

from __future__ import annotations

import asyncio

from lockgate.relay.driver import Relayer
from lockgate.relay.endpoint import Slot
from lockgate.relay.messages import Stage
from tests.support.relays import Pair, relaying


def test_two_relayers_race_and_every_packet_ends_once() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running(), relaying(pair.relayer("one"), pair.relayer("two")) as (one, two):
            await one.ready.wait()
            await two.ready.wait()
            for _ in range(6):
                pair.send(5)
                pair.send(3, on=pair.b)
                await asyncio.sleep(0.01)
            await pair.ended(30)
            await pair.ended(18, pair.b)
            await pair.until(lambda: not one.directions[0].watch.tracks and not two.directions[0].watch.tracks)
        for end, other, count in ((pair.a, pair.b, 30), (pair.b, pair.a, 18)):
            sequences = list(range(1, count + 1))
            assert sorted(pair.history(other, "recv_packet")) == sequences
            assert sorted(pair.history(end, "acknowledge_packet")) == sequences
        assert pair.reported("failed") == pair.reported("parked") == []

    asyncio.run(work())


async def _stale(pair: Pair) -> Relayer:
    """A relayer that has seen a packet as sent, and knows nothing that happened since."""
    relayer = pair.relayer("second")
    await relayer.look()
    async with relaying(pair.relayer("first")):
        await pair.ended(3)
    return relayer


def test_redundant_is_success_by_another_and_consumes_no_sequence() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=60.0)
        async with pair.running():
            pair.send(3)
            await pair.until(lambda: len(pair.open_packets()) == 3)
            relayer = await _stale(pair)
            direction = relayer.directions[0]
            # Its proof is of the commitment, at a header from before the packets ended.
            await relayer.ends[1].refresh()
            old = relayer.ends[0].height
            batch = tuple(direction.watch.tracks.values())
            submitter = relayer.ends[1].submitters[Slot.RECEIVE_BACKLOG]
            tracked = relayer.ends[1].tracked
            assert tracked is not None
            ground = await relayer.ends[0].updater.reach(tracked, old, relayer.ends[1].time)
            parts, _ = await relayer._mover._look(direction, Stage.RECEIVE, batch, ground)
            assert len(parts) in {0, 3}
            if parts:
                await relayer._mover._submit(direction, Stage.RECEIVE, parts, ground, submitter, 700_000)
                assert relayer.counters.noops == 3
            assert relayer.counters.failures == 0
            assert pair.nonce(pair.b, "second", Slot.RECEIVE_BACKLOG) == 0
            assert await relayer.clear() == 0
        assert pair.reported("failed") == []

    asyncio.run(work())
