"""An unmodified ibc-go v11 chain and a ledger of ours, packets both ways, each verifying the other (P9, I10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lockgate.ibc import ics20
from lockgate.ibc.commitment import commit_acknowledgement
from lockgate.ibc.packet import ERROR_ACKNOWLEDGEMENT, Acknowledgement
from lockgate.machine import lanes
from lockgate.relay.chains.cosmos_submitter import CosmosSubmitter
from tests.support.ibcgo import (
    GoChain,
    Meeting,
    delegate,
    key,
    meeting,
    mock,
    ok,
    transfer,
    until,
)

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]


def run(go: GoChain, work: Callable[[Meeting], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with meeting(go) as met:
            await work(met)

    asyncio.run(inside())


SENTINEL = commit_acknowledgement(ERROR_ACKNOWLEDGEMENT)
SUCCESS = commit_acknowledgement(Acknowledgement((ics20.SUCCESS_ACKNOWLEDGEMENT,)))


def test_transfers_cross_both_ways_and_are_acknowledged(go: GoChain) -> None:
    async def work(met: Meeting) -> None:
        async with met.relaying() as relayer:
            await met.send_here(transfer("uatom", 12, met.user.signer, "a plain guest"), count=3)
            await met.send_there(transfer("quote", 7, "a plain guest", met.user.signer), count=3)
            await met.settled()
            told = [(each.denom, each.amount, each.receiver) for each in met.guest.got.values()]
            assert told == [("uatom", 12, "a plain guest")] * 3
            assert met.guest.ended == dict.fromkeys((1, 2, 3), ics20.SUCCESS_ACKNOWLEDGEMENT)
            assert await met.answer_here(1) == await met.answer_there(1) == SUCCESS
            await until(lambda: (relayer.counters.received, relayer.counters.acknowledged) == (6, 6))
            assert not relayer.counters.failures, met.reports

    run(go, work)


def test_both_write_the_same_error_acknowledgement(go: GoChain) -> None:
    """Ours is taken by their refund, theirs by our application; the bytes committed are equal."""

    async def work(met: Meeting) -> None:
        before = await balance(met, "uatom")
        async with met.relaying():
            await met.send_here(transfer("uatom", 5, met.user.signer, "nobody"))
            await met.send_there(mock(b"whatever their application refuses", "transfer"))
            await until(lambda: 1 in met.guest.ended)
            await met.settled()
        assert met.guest.ended == {1: ERROR_ACKNOWLEDGEMENT.elements[0]}
        assert await met.answer_here(1) == await met.answer_there(1) == SENTINEL
        assert await balance(met, "uatom") == before  # refunded

    run(go, work)


def test_what_is_not_delivered_in_time_ends_by_a_proof_of_absence(go: GoChain) -> None:
    async def work(met: Meeting) -> None:
        before = await balance(met, "uatom")
        await met.send_here(transfer("uatom", 5, met.user.signer, "a plain guest"), seconds=4)
        await met.send_there(transfer("quote", 5, "a plain guest", met.user.signer), seconds=4)
        assert await balance(met, "uatom") == before - 5
        timeout = await met.timeout(5)
        await until(lambda: met.past(timeout))
        async with met.relaying() as relayer:
            await met.settled()
            await until(lambda: relayer.counters.timed_out == 2)
        assert met.guest.ended == {1: None}
        assert not met.guest.got
        assert await balance(met, "uatom") == before

    run(go, work)


def test_a_validator_set_that_changes_is_followed_block_by_block(go: GoChain) -> None:
    """A delegation changes the power of their validator; packets go on over the change."""

    async def work(met: Meeting) -> None:
        async with met.relaying() as relayer:
            operator = CosmosSubmitter(met.theirs, key("operator"))
            sets = {(await met.theirs.light_block((await met.theirs.tip()).height.height)).header.validators_hash}
            for amount in (2_000_000, 3_000_000):
                ok(await operator.submit([delegate(operator.signer, go.operator, amount)]))
                await met.send_here(transfer("uatom", 1, met.user.signer, "a plain guest"))
                await met.send_there(transfer("quote", 1, "a plain guest", met.user.signer))
                await met.settled()
                tip = await met.theirs.header_at_least((await met.theirs.tip()).height.height + 2)
                sets.add((await met.theirs.light_block(tip.height.height)).header.validators_hash)
            assert len(sets) == 3
            await until(lambda: relayer.counters.received == 4)

    run(go, work)


def test_P9_a_foreign_lane_opens_on_their_proofs_and_bounds_what_is_sent(go: GoChain) -> None:
    async def inside() -> None:
        async with meeting(go, lane=True) as met:
            (lane,) = lanes.every(met.ledger.chain.view())
            assert (lane.own, lane.local_client, lane.remote_client) == (False, met.our_client, met.their_client)
            assert lane.remote_domain == lanes.foreign_domain("simd-1")
            async with met.relaying() as relayer:
                await met.send_there(transfer("quote", 1, "a plain guest", met.user.signer), count=2)
                await met.send_here(transfer("uatom", 1, met.user.signer, "a plain guest"))
                assert lanes.open_sends(met.ledger.chain.view(), met.our_client).packets == 2
                await met.settled()
                assert lanes.open_sends(met.ledger.chain.view(), met.our_client).packets == 0
                await until(lambda: relayer.counters.acknowledged == 3)

    asyncio.run(inside())


def test_a_burst_is_batched_and_each_packet_ends_once(go: GoChain) -> None:
    async def work(met: Meeting) -> None:
        async with met.relaying() as relayer:
            await met.send_here(transfer("uatom", 1, met.user.signer, "a plain guest"), count=60)
            await met.send_there(mock(b"mock packet data", "transfer"), count=60)
            await met.settled()
            assert sorted(met.guest.got) == list(range(1, 61)) == sorted(met.guest.ended)
            await until(lambda: relayer.counters.acknowledged == 120)
            assert relayer.counters.transactions < 60
            refused = [fields for kind, fields in met.reports if kind == "unavailable"]
            assert not refused, "a CometBFT node takes ten calls in one request, and shows blocks before their results"

    run(go, work)


async def balance(met: Meeting, denom: str) -> int:
    return await met.balance(met.user.signer, denom)


def test_two_relayers_that_share_their_accounts_lose_and_double_nothing(go: GoChain) -> None:
    """Neither knows of the other: sequences are taken from under it, and half of what it brings is there already."""

    async def work(met: Meeting) -> None:
        async with met.relaying() as one, met.relaying() as other:
            for _ in range(3):
                await met.send_here(transfer("uatom", 1, met.user.signer, "a plain guest"), count=5)
                await met.send_there(mock(b"mock packet data", "transfer"), count=5)
            await met.settled()
            assert sorted(met.guest.got) == sorted(met.guest.ended) == list(range(1, 16))
            parked = [status["parked"] for each in (one, other) for status in each.status()["directions"].values()]
            assert parked == [{}] * 4

    run(go, work)
