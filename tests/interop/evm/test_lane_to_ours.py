"""A lane between a ledger of ours and a real EVM node, both ways, over quorums of attestors (S20, S28, S74)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lockgate.ibc import events as ibc_events
from lockgate.ibc import wire
from lockgate.ibc.packet import Acknowledgement
from tests.interop.evm.world import Node, start_node
from tests.support.evm_lane import NEEDED, OPERATORS, RELAYER, EvmLane, evm_lane, until
from tests.support.relays import relaying

pytestmark = pytest.mark.interop
Work = Callable[[EvmLane], Awaitable[None]]
Run = Callable[..., None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def within(work: Work, finality: str = "1") -> None:
        node: Node = start_node()

        async def main() -> None:
            async with asyncio.timeout(150), evm_lane(node.url, tmp_path, finality) as lane:
                await work(lane)

        try:
            asyncio.run(main())
        finally:
            node.process.terminate()
            node.process.wait(10)

    return within


def test_a_packet_of_ours_is_answered_by_the_contract(run: Run) -> None:
    async def work(lane: EvmLane) -> None:
        async with relaying(lane.relayer()):
            for number in range(5):
                lane.send(b"question %d" % number)
            await until(lambda: len(lane.events(ibc_events.ACKNOWLEDGE_PACKET)) == 5, lane)
        assert lane.said("parked") == []

    run(work)


def test_a_packet_of_the_contracts_is_answered_by_our_ledger(run: Run) -> None:
    async def work(lane: EvmLane) -> None:
        async with relaying(lane.relayer()):
            await until(lambda: heard(lane), lane)
            for number in range(3):
                await lane.ask(b"question %d" % number)
            await until(lambda: len(lane.events(ibc_events.WRITE_ACKNOWLEDGEMENT)) == 3, lane)
            await until(lambda: none_open(lane), lane)
        answer = lane.events(ibc_events.WRITE_ACKNOWLEDGEMENT)[0].get(ibc_events.ENCODED_ACKNOWLEDGEMENT) or ""
        assert wire.read_acknowledgement(bytes.fromhex(answer)) == Acknowledgement((b"answer to question 0",))
        assert lane.said("parked") == []

    run(work)


async def heard(lane: EvmLane) -> bool:
    """The contract was told its first height."""
    return (await lane.evm_chain("0").client(lane.client)).latest.height > 0


async def none_open(lane: EvmLane) -> bool:
    return not await lane.evm_open()


def test_packets_that_nobody_delivers_end_by_timeout_each_way(run: Run) -> None:
    async def work(lane: EvmLane) -> None:
        async with relaying(lane.relayer()):
            await until(lambda: heard(lane), lane)
        lane.send(b"late", ahead_s=60)
        await lane.ask(b"late", ahead_s=60)
        await lane.pass_time(90)
        async with relaying(lane.relayer("another")):
            await until(lambda: len(lane.events(ibc_events.TIMEOUT_PACKET)) == 1, lane)
            await until(lambda: none_open(lane), lane)
        assert lane.events(ibc_events.RECV_PACKET) == []

    run(work)


def test_a_reorganisation_before_release_loses_nothing_and_doubles_nothing(run: Run) -> None:
    async def work(lane: EvmLane) -> None:
        async with relaying(lane.relayer()):
            await until(lambda: heard(lane), lane)
            lane.send(b"before")
            await until(lambda: received(lane, 1), lane, mining=False)  # in a block that is not final
            await lane.rpc("anvil_reorg", 1, [])
            await until(lambda: len(lane.events(ibc_events.ACKNOWLEDGE_PACKET)) == 1, lane)
            await lane.ask(b"question")
            await lane.rpc("anvil_reorg", 1, [])
            await lane.ask(b"question again")
            await until(lambda: none_open(lane), lane)
        assert lane.said("alarm") == []
        sequences = [event.get(ibc_events.SEQUENCE) for event in lane.events(ibc_events.RECV_PACKET)]
        assert len(sequences) == len(set(sequences))

    run(work, "6")


async def received(lane: EvmLane, sequence: int) -> bool:
    return bool(await lane.evm_chain("0").received(lane.client, {sequence}))


def test_c6_a_reorganisation_after_release_raises_an_alarm_and_halts_the_lane(run: Run) -> None:
    async def work(lane: EvmLane) -> None:
        async with relaying(lane.relayer()):
            await until(lambda: heard(lane), lane)
            await lane.ask(b"question")
            await until(lambda: len(lane.events(ibc_events.RECV_PACKET)) == 1, lane)  # released, and delivered
            await lane.rpc("anvil_reorg", 8, [])
            await until(lambda: lane.said("alarm"), lane)
            assert {said["code"] for said in lane.said("alarm")} == {"evm.reorganised_after_release"}
            sent = await lane.rpc("eth_getTransactionCount", "0x" + RELAYER.address.hex(), "latest")
            lane.send(b"not any more")
            for _ in range(10):
                await lane.mine()
                await asyncio.sleep(0.2)
            assert await lane.rpc("eth_getTransactionCount", "0x" + RELAYER.address.hex(), "latest") == sent
            codes = {said.get("code") for said in lane.said("unavailable")}
            assert "evm.reorganised_after_release" in codes

    run(work)


def test_c3_below_a_quorum_nothing_is_brought_and_packets_wait(run: Run) -> None:
    async def work(lane: EvmLane) -> None:
        lane.operators = OPERATORS[: NEEDED - 1]
        async with relaying(lane.relayer()):
            lane.send(b"question")
            await until(lambda: "attestor.too_few_for_evm" in {s.get("code") for s in lane.said("unavailable")}, lane)
            assert not await received(lane, 1)
            assert lane.said("parked") == []
        lane.operators = OPERATORS
        async with relaying(lane.relayer("another")):
            await until(lambda: len(lane.events(ibc_events.ACKNOWLEDGE_PACKET)) == 1, lane)

    run(work)
