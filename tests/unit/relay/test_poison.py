"""One packet that always fails holds up no other, and people can see why it waits."""

from __future__ import annotations

import asyncio

import pytest

from lockgate.courier import quarantine
from lockgate.courier.ports import Submitted
from lockgate.ibc import wire
from lockgate.machine import deviations
from lockgate.machine.deviations import LaneQuarantined
from lockgate.primitives.ids import Height
from lockgate.primitives.state import View
from lockgate.primitives.time import UnixNanos
from lockgate.relay.endpoint import Slot
from lockgate.relay.messages import Stage
from lockgate.relay.mover import LaneRefused, Poisoned
from lockgate.relay.precedence import at_once
from tests.support.relays import Pair, relaying


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(quarantine, "PARK_AFTER", 3)


def test_one_bad_message_is_isolated_by_halving_and_parked_with_its_reason() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(9)
            pair.send(body=b"poison")
            pair.send(10)
            await pair.until(lambda: len(pair.open_packets()) == 20)
            async with relaying(pair.relayer()) as (relayer,):
                await pair.until(lambda: bool(pair.reported("parked")))
                assert pair.open_packets() == [10]
                status = relayer.status()["directions"]["alpha-1 to beta-1"]
        assert list(status["parked"]) == ["10"]
        assert "machine.fault" in status["parked"]["10"]
        (parked,) = pair.reported("parked")
        assert (parked["code"], parked["sequence"]) == (Poisoned.code, 10)
        assert {fields["sequence"] for fields in pair.reported("failed")} == {10}, "no other was marked"
        assert len(pair.history(pair.b, "recv_packet")) == 20

    asyncio.run(work())


def test_what_a_ledger_left_out_of_a_batch_is_tried_again_and_parked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host contract does the rest of a batch and says so: that is no success of the one it left."""

    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(4)
            await pair.until(lambda: len(pair.open_packets()) == 4)
            relayer = pair.relayer()
            await relayer.look()
            direction, submitter = relayer.directions[0], relayer.ends[1].submitters[Slot.CARE]
            left = Submitted(0, "", "", Height(1, 9), (b"", *(wire.SUCCESS,) * 3, wire.FAILURE), ())

            async def answered(_: object) -> Submitted:
                return left

            monkeypatch.setattr(submitter, "submit", answered)
            tracks = tuple(direction.watch.tracks.values())
            await relayer._mover.move(direction, Stage.RECEIVE, tracks, submitter, at_once)
            assert direction.quarantine.held(0.0) == {tracks[-1].sequence}
            assert [fields["sequence"] for fields in pair.reported("failed")] == [tracks[-1].sequence]
            assert relayer.counters.noops == 0

    asyncio.run(work())


def test_a_parked_packet_does_not_slow_fresh_ones() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running(), relaying(pair.relayer()) as (relayer,):
            await relayer.ready.wait()
            pair.send(body=b"poison")
            await pair.until(lambda: bool(pair.reported("parked")))
            begun = asyncio.get_running_loop().time()
            pair.send(5)
            await pair.until(lambda: pair.open_packets() == [1])
            assert asyncio.get_running_loop().time() - begun < 2.0

    asyncio.run(work())


def test_a_parked_packet_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "PARKED_WAIT_S", 0.05)

    async def work() -> None:
        pair = Pair.make()
        async with pair.running(), relaying(pair.relayer()) as (relayer,):
            await relayer.ready.wait()
            pair.send(body=b"poison")
            await pair.until(lambda: len(pair.reported("parked")) >= 2)

    asyncio.run(work())


def test_a_relayer_that_may_not_act_blames_no_packet() -> None:
    """An account without funds is the lane's trouble, told with the ledger's own words."""

    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(4)
            await pair.until(lambda: len(pair.open_packets()) == 4)
            relayer = pair.relayer()
            await relayer.look()
            direction = relayer.directions[0]
            submitter = relayer.ends[1].submitters[Slot.CARE]
            limits = await submitter.limits()
            submitter._limits = type(limits)(gas_price=1)  # type: ignore[attr-defined]  # a fee nobody can pay
            with pytest.raises(LaneRefused, match=r"tx\.fee"):
                await relayer._mover.move(
                    direction, Stage.RECEIVE, tuple(direction.watch.tracks.values()), submitter, at_once
                )
            assert direction.quarantine.held(0.0) == set()
            assert pair.received() == []

    asyncio.run(work())


def test_a_lane_in_quarantine_marks_no_packet_and_costs_a_few_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is received for a while (S72): asked now and then, and not for every packet that waits."""
    closed = True

    def check(view: View, client: str, now: UnixNanos) -> None:
        if closed:
            raise LaneQuarantined("in quarantine", client=client)

    monkeypatch.setattr(deviations, "check", check)

    async def work() -> None:
        nonlocal closed
        pair = Pair.make()
        async with pair.running():
            pair.send(40)
            await pair.until(lambda: len(pair.open_packets()) == 40)
            async with relaying(pair.relayer()) as (relayer,):
                await pair.until(lambda: len(pair.reported("unavailable")) >= 2)
                assert "lane.quarantined" in str(pair.reported("unavailable")[0]["detail"])
                assert not pair.reported("failed")
                assert relayer.counters.transactions < 20
                assert pair.received() == []
                closed = False
                await pair.until(lambda: len(pair.received()) == 40)

    asyncio.run(work())
