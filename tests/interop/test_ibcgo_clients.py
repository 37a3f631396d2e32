"""Clients of an ibc-go chain and of ours in trouble: two histories freeze them, expired ones are recovered."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import cosmos_pb2
from lockgate.codec.wire.ibc_client_pb2 import MsgUpdateClient
from lockgate.ibc import ics20
from lockgate.lab.ledgers import lab_authority
from lockgate.lightclients.tendermint.messages import decode_header, encode_header
from lockgate.machine import lanes
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import seconds
from lockgate.relay import guard, pairing
from lockgate.relay.chains.cosmos_submitter import CosmosSubmitter
from tests.support.forgery import forged
from tests.support.ibcgo import (
    GoChain,
    Meeting,
    key,
    meeting,
    ok,
    transfer,
    until,
)
from tests.support.ibcgo_sides import Side, proposal, resigned, sides, validator_key, vote

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]
SHORT = seconds(6)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "RECHECK_S", 0.2)
    monkeypatch.setattr(guard, "WAIT_S", 0.2)


async def forged_update(met: Meeting, side: Side) -> tuple[str, bytes]:
    """A header of the other ledger that its validators signed beside the one it shows."""
    trusted = (await side.chain.client(side.client)).latest
    tip = await side.remote.header_at_least(trusted.height + 3)
    witness = await side.remote.light_block(trusted.height)
    if side.name == "ours":
        block = await side.remote.light_block(tip.height.height)
        signed = resigned(block, validator_key(met.go.home))
    else:
        block = met.ledger.light_block(tip.height.height)
        signed = forged(met.ledger, tip.height.height)
    header = encode_header(signed, block.validators, trusted, witness.next_validators)
    return side.carrying(AnyMessage(type_url=urls.TENDERMINT_HEADER, value=header))


@pytest.mark.parametrize("place", [0, 1], ids=["their client of ours", "our client of theirs"])
def test_two_signed_histories_freeze_the_client_that_was_told_both(go: GoChain, place: int) -> None:
    """The forged header is taken, being signed; the relayer's watch sees it and submits both."""

    async def work() -> None:
        async with meeting(go, lane=True) as met, met.relaying() as relayer:
            side, other = sides(met)[place], sides(met)[1 - place]
            ok(await side.submitter.submit([await forged_update(met, side)]))

            async def frozen() -> bool:
                return (await side.chain.client(side.client)).status == "Frozen"

            await until(frozen)
            await until(lambda: relayer.counters.evidence >= 1)
            assert (await other.chain.client(other.client)).status == "Active"
            (lane,) = lanes.every(met.ledger.chain.view())
            assert lane.equivocated == (side.name == "ours"), "our lane closes when it is they who signed two (P14)"

    asyncio.run(work())


@pytest.mark.parametrize("place", [0, 1], ids=["their client of ours", "our client of theirs"])
def test_a_header_that_contradicts_a_known_one_freezes_at_once(go: GoChain, place: int) -> None:
    async def work() -> None:
        async with meeting(go) as met:
            side = sides(met)[place]
            message = await forged_update(met, side)
            forgery = decode_header(MsgUpdateClient.FromString(message[1]).client_message.value)
            known = Height((await side.remote.tip()).height.revision, forgery.block.header.height)
            ok(await side.submitter.submit([await side.update(known)]))
            done = ok(await side.submitter.submit([message]))
            assert "client_misbehaviour" in {event.type for event in done.events}
            assert (await side.chain.client(side.client)).status == "Frozen"
            assert await side.code(message) == ("client", 29)

    asyncio.run(work())


def test_a_relayer_keeps_both_clients_alive(go: GoChain) -> None:
    """Longer than the trusting period, with nothing to relay: each is refreshed at a third of it."""

    async def work() -> None:
        async with meeting(go, trusting=seconds(9)) as met, met.relaying() as relayer:
            begun = [(await side.chain.client(side.client)).latest_time for side in sides(met)]

            async def lived() -> bool:
                tips = [(await side.chain.tip()).time for side in sides(met)]
                return all(tip - first > seconds(12) for tip, first in zip(tips, begun, strict=True))

            await until(lived)
            assert {(await side.chain.client(side.client)).status for side in sides(met)} == {"Active"}
            assert relayer.counters.refreshes >= 4
            assert not relayer.counters.failures, met.reports

    asyncio.run(work())


def test_expired_clients_are_recovered_and_their_packets_go_on(go: GoChain) -> None:
    """Sent before both clients expired, delivered after each ledger's authority put a fresh one in its place."""

    async def work() -> None:
        async with meeting(go, trusting=SHORT) as met:
            await met.send_here(transfer("uatom", 3, met.user.signer, "a plain guest"))
            await met.send_there(transfer("quote", 4, "a plain guest", met.user.signer))

            async def expired() -> bool:
                states = [await side.chain.client(side.client) for side in sides(met)]
                return all(state.status == "Expired" for state in states)

            await until(expired)
            theirs, ours = sides(met)
            tip = await theirs.remote.tip()
            assert await theirs.code(await theirs.update(tip.height)) == ("client", 29)
            tip = await ours.remote.tip()
            assert await ours.code(await ours.update(tip.height)) == ("client", 29)
            await recover_theirs(met, await substitute(theirs))
            await recover_ours(met, await substitute(ours))
            assert {(await side.chain.client(side.client)).status for side in sides(met)} == {"Active"}
            async with met.relaying():
                await met.settled()
            assert met.guest.ended == {1: ics20.SUCCESS_ACKNOWLEDGEMENT}
            assert [data.amount for data in met.guest.got.values()] == [3]

    asyncio.run(work())


async def substitute(side: Side) -> ClientId:
    message = await pairing.create_message(side.remote, side.submitter.signer)
    return pairing.created(ok(await side.submitter.submit([message])))


async def recover_theirs(met: Meeting, fresh: ClientId) -> None:
    """By a proposal and the vote of the one validator's owner."""
    operator = CosmosSubmitter(met.theirs, key("operator"))
    done = ok(await operator.submit([proposal(met.their_client, fresh, operator.signer)]))
    number = cosmos_pb2.GasInfo.FromString(done.responses[0]).gas_wanted  # field 1 of the response as well
    ok(await operator.submit([vote(number, operator.signer)]))

    async def active() -> bool:
        return (await met.theirs.client(met.their_client)).status == "Active"

    await until(active)


async def recover_ours(met: Meeting, fresh: ClientId) -> None:
    """Announced by the ledger's authority; carried out after its delay."""
    arguments = {"subject": met.our_client, "substitute": fresh}
    announced = met.ledger.authorized(
        lab_authority("gov"), "gov.announce", {"action": "client.recover", "arguments": arguments}
    )
    ok(await met.account("clerk").submit([announced]))

    async def active() -> bool:
        return (await met.ours.client(met.our_client)).status == "Active"

    await until(active)
