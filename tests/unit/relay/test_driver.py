"""A relayer between two ledgers: every packet ends, once, whatever the relayer has seen of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.courier.plan import Lane, Phase
from lockgate.courier.ports import ChainUnavailable
from lockgate.primitives.time import seconds
from lockgate.relay import watch as watching
from lockgate.relay.driver import Relayer
from lockgate.relay.endpoint import Slot
from lockgate.relay.messages import News, Stage
from lockgate.relay.precedence import at_once
from lockgate.relay.rpc import Calls, RpcError
from tests.support.relays import FaultyRpc, Pair, relaying


def unwritable(rpc: Calls) -> FaultyRpc:
    """A node that takes no transaction."""

    async def refuse(method: str, _: dict[str, object]) -> None:
        if method == "broadcast_tx_commit":
            raise ChainUnavailable("no transactions here")

    return FaultyRpc(rpc, before=refuse)


async def started(relayer: Relayer) -> None:
    async with asyncio.timeout(10):
        await relayer.ready.wait()


def ended_once(pair: Pair, count: int) -> None:
    """All packets from alpha have ended, and nothing happened twice."""
    assert pair.open_packets() == []
    ended = pair.history(pair.a, "acknowledge_packet") + pair.history(pair.a, "timeout_packet")
    assert sorted(ended) == list(range(1, count + 1))
    received = pair.history(pair.b, "recv_packet")
    assert len(received) == len(set(received))


def test_packets_of_both_directions_end() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running(), relaying(pair.relayer()) as (relayer,):
            await started(relayer)
            pair.send(20)
            pair.send(5, on=pair.b)
            await pair.ended(20)
            await pair.ended(5, pair.b)
        assert pair.open_packets() == pair.open_packets(pair.b) == []
        assert (relayer.counters.received, relayer.counters.acknowledged) == (25, 25)
        assert relayer.counters.failures == 0

    asyncio.run(work())


def test_an_answer_that_is_too_deep_to_be_printed_ends_no_relayer() -> None:
    async def work() -> None:
        left = [3]

        def deep(method: str, _: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
            if method == "status" and left[0]:
                left[0] -= 1
                height: list[Any] = []
                for _ in range(10_000):
                    height = [height]
                result["sync_info"]["latest_block_height"] = height
            return result

        pair = Pair.make()
        async with (
            pair.running(),
            relaying(pair.relayer(wrap={"alpha-1": lambda rpc: FaultyRpc(rpc, deep)})) as (relayer,),
        ):
            await started(relayer)
            pair.send()
            await pair.ended(1)
        assert left == [0]
        ended_once(pair, 1)

    asyncio.run(work())


def test_a_packet_is_acknowledged_long_before_the_next_heartbeat() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=60.0)
        async with pair.running(), relaying(pair.relayer()) as (relayer,):
            await started(relayer)
            begun = asyncio.get_running_loop().time()
            pair.send()
            await pair.until(lambda: pair.history(pair.a, "acknowledge_packet") == [1], 5.0)
            assert asyncio.get_running_loop().time() - begun < 2.0

    asyncio.run(work())


def test_a_backlog_found_by_a_scan_is_cleared_in_its_own_lane() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(120, per_tx=30)
            await pair.until(lambda: len(pair.open_packets()) == 120)
            relayer = pair.relayer()
            async with relaying(relayer):
                await started(relayer)
                lanes = {track.lane for track in relayer.directions[0].watch.tracks.values()}
                assert lanes <= {Lane.BACKLOG}
                await pair.until(lambda: not pair.open_packets())
        ended_once(pair, 120)
        assert pair.nonce(pair.b, "relayer", Slot.RECEIVE_BACKLOG) > 0
        assert pair.nonce(pair.b, "relayer", Slot.RECEIVE_LIVE) == 0

    asyncio.run(work())


def test_fresh_packets_overtake_a_backlog() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(400, per_tx=100)
            await pair.until(lambda: len(pair.open_packets()) == 400)
            async with relaying(pair.relayer()) as (relayer,):
                await started(relayer)
                pair.send(timeout_s=7_200)
                fresh = 401
                await pair.until(lambda: fresh in pair.received() and fresh not in pair.open_packets())
                assert len(pair.open_packets()) > 100, "the backlog is still being worked off"
                await pair.until(lambda: not pair.open_packets(), 60)
        ended_once(pair, 401)

    asyncio.run(work())


def test_a_batch_is_submitted_only_when_it_is_its_turn() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(20)
            await pair.until(lambda: len(pair.open_packets()) == 20)
            relayer = pair.relayer()
            await relayer.look()
            direction = relayer.directions[0]
            batch = tuple(direction.watch.tracks.values())
            turns = []

            async def turn() -> None:
                turns.append(relayer.counters.transactions)
                raise ChainUnavailable("something fresh goes first, for ever")

            with pytest.raises(ChainUnavailable):
                await relayer._mover.move(direction, Stage.RECEIVE, batch, relayer.ends[1].submitters[Slot.CARE], turn)
            assert turns == [0]
            assert pair.received() == []

    asyncio.run(work())


def test_a_burst_beyond_the_window_is_a_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LIVE_WINDOW", 10)

    async def work() -> None:
        pair = Pair.make()
        async with pair.running(), relaying(pair.relayer()) as (relayer,):
            await started(relayer)
            pair.send(60, per_tx=60)
            await pair.until(lambda: relayer.directions[0].watch.seen == 60)
            assert len(relayer.directions[0].watch.live) <= 10
            await pair.until(lambda: not pair.open_packets())
        ended_once(pair, 60)

    asyncio.run(work())


def test_the_earliest_timeout_is_received_first() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            for timeout in (9_000, 3_000, 6_000):
                pair.send(timeout_s=timeout)
                await asyncio.sleep(0.02)
            await pair.until(lambda: len(pair.open_packets()) == 3)
            async with relaying(pair.relayer()):
                await pair.until(lambda: not pair.open_packets())
        assert pair.history(pair.b, "recv_packet") == [2, 3, 1]

    asyncio.run(work())


def test_packets_that_nobody_delivered_time_out_at_the_first_late_header() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(3, timeout_s=100)
            await pair.until(lambda: len(pair.open_packets()) == 3)
            pair.clock.advance(seconds(101))
            await pair.until(lambda: pair.b.ledger.chain.time >= pair.clock.now())
            first_late = pair.b.ledger.height
            pair.clock.advance(seconds(3))
            await pair.until(lambda: pair.b.ledger.height > first_late + 3)
            async with relaying(pair.relayer()) as (relayer,):
                await pair.until(lambda: not pair.open_packets())
            await relayer.ends[0].refresh()
        assert sorted(pair.history(pair.a, "timeout_packet")) == [1, 2, 3]
        assert pair.received() == []
        tracked = relayer.ends[0].tracked
        assert tracked is not None
        assert tracked.latest.height == first_late, "the first late header is enough, the newest is not chased"

    asyncio.run(work())


def test_a_timeout_finds_that_the_packet_was_received_and_acknowledges_it() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(timeout_s=100)
            await pair.until(lambda: len(pair.open_packets()) == 1)
            relayer = pair.relayer()
            await relayer.look()
            direction = relayer.directions[0]
            (track,) = direction.watch.tracks.values()
            async with relaying(pair.relayer("another", {"alpha-1": unwritable})):
                await pair.until(lambda: pair.received() == [1])
            pair.clock.advance(seconds(200))
            await pair.until(lambda: pair.b.ledger.chain.time >= pair.clock.now())
            await pair.until(lambda: pair.a.ledger.chain.time >= pair.clock.now())
            for end in relayer.ends:
                await end.see_tip()
            # What this one believes is old: the packet as sent. Only the proof tells it otherwise.
            await relayer._mover.move(
                direction, Stage.TIME_OUT, (track,), relayer.ends[0].submitters[Slot.CARE], at_once
            )
            assert direction.watch.tracks[1].phase is Phase.ANSWERED
            assert await relayer.clear() == 0
        ended_once(pair, 1)
        assert pair.history(pair.a, "timeout_packet") == []
        assert [fields["what"] for fields in pair.reported("news")] == [News.RECEIVED.value]

    asyncio.run(work())


def test_a_receive_that_comes_too_late_becomes_a_timeout() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(timeout_s=100)
            await pair.until(lambda: len(pair.open_packets()) == 1)
            relayer = pair.relayer()
            await relayer.look()
            direction = relayer.directions[0]
            (track,) = direction.watch.tracks.values()
            pair.clock.advance(seconds(110))
            await relayer._mover.move(
                direction, Stage.RECEIVE, (track,), relayer.ends[1].submitters[Slot.CARE], at_once
            )
            assert direction.watch.tracks[1].late
            assert direction.quarantine.held(0.0) == set(), "the packet is not to blame"
            await pair.until(lambda: pair.b.ledger.chain.time >= pair.clock.now())
            assert await relayer.clear() == 0
        assert pair.history(pair.a, "timeout_packet") == [1]
        assert pair.received() == []

    asyncio.run(work())


def test_clear_moves_what_can_move_and_says_what_cannot() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(30)
            pair.send(7, on=pair.b)
            await pair.until(lambda: len(pair.open_packets()) == 30 and len(pair.open_packets(pair.b)) == 7)
            relayer = pair.relayer()
            assert await relayer.clear() == 0
            assert pair.open_packets() == pair.open_packets(pair.b) == []
            assert await relayer.clear() == 0, "again: nothing to do"
        ended_once(pair, 30)

    asyncio.run(work())


def keeping(first: int) -> Callable[[Calls], Calls]:
    """A node that let its headers below a height go."""

    async def refuse(method: str, params: dict[str, Any]) -> None:
        if method == "commit" and int(params["height"]) < first:
            raise RpcError(f"height {params['height']} is not available, lowest height is {first}")

    def shown(method: str, _: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        if method == "status":
            result["sync_info"]["earliest_block_height"] = str(first)
        return result

    return lambda rpc: FaultyRpc(rpc, shown, refuse)


async def refreshed(pair: Pair, on: int) -> int:
    """Bring the client on one ledger to the other's newest header; returns its height."""
    relayer = pair.relayer("another")
    await relayer.look()
    end, of = relayer.ends[on], relayer.ends[1 - on]
    assert end.tracked is not None
    submitter = end.submitters[Slot.CARE]
    ground = await of.updater.reach(end.tracked, of.height, end.time)
    assert (await submitter.submit(ground.updates(end.client, submitter.signer))).code == 0
    return of.height.height


@pytest.mark.parametrize("gone", ["before the timeout", "past the timeout"])
def test_packets_time_out_although_their_ledgers_node_let_old_blocks_go(gone: str) -> None:
    """A search for the first late header must not ask for blocks that the node no longer has."""

    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(3, timeout_s=100)
            await pair.until(lambda: len(pair.open_packets()) == 3)
            first = await refreshed(pair, 0)
            pair.clock.advance(seconds(101))
            await pair.until(lambda: pair.b.ledger.chain.time >= pair.clock.now())
            first_late = pair.b.ledger.height
            await pair.until(lambda: pair.b.ledger.height > first_late + 3)
            if gone == "past the timeout":
                first = await refreshed(pair, 0)
            relayer = pair.relayer(wrap={"beta-1": keeping(first)})
            assert await relayer.clear() == 0
            await relayer.ends[0].refresh()
        assert sorted(pair.history(pair.a, "timeout_packet")) == [1, 2, 3]
        assert relayer.ends[0].tracked is not None
        assert relayer.ends[0].tracked.latest.height == max(first, first_late)

    asyncio.run(work())


@pytest.mark.parametrize("answer", ["without its block", "never"])
def test_a_packet_whose_block_cannot_be_dated_holds_nothing_up(answer: str) -> None:
    """How old the oldest packet is, is for people: no worker waits for it."""

    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(1)
            await pair.until(lambda: pair.open_packets() == [1])
            sent = pair.a.ledger.height
            pair.clock.advance(seconds(60))
            await pair.until(lambda: pair.a.ledger.height > sent + 3 and pair.a.ledger.chain.time >= pair.clock.now())
            first = await refreshed(pair, 1)

            async def undated(method: str, params: dict[str, Any]) -> None:
                if method == "commit" and int(params["height"]) <= sent:
                    await asyncio.sleep(3_600)

            wrap = keeping(first) if answer == "without its block" else lambda rpc: FaultyRpc(rpc, before=undated)
            look = pair.relayer("other", {"alpha-1": wrap})
            if answer == "without its block":
                await look.look()
                since = pair.a.ledger.chain.signed_header(first).header.time
                age_s = look.directions[0].oldest_age_s()
                assert age_s == (look.ends[0].time - since) / 10**9, "as old as the first block that is left, at least"
            async with relaying(pair.relayer(wrap={"alpha-1": wrap})) as (relayer,):
                await started(relayer)
                await pair.until(lambda: not pair.open_packets())
        ended_once(pair, 1)

    asyncio.run(work())
