"""Two ledgers become clients of each other; a refusal names the ledger and its words."""

from __future__ import annotations

import asyncio

import pytest

from lockgate.courier.ports import Submitted
from lockgate.machine import lanes
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import seconds
from lockgate.relay import pairing
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.pairing import PairingRefused, Terms
from lockgate.relay.submitter import AccountSubmitter
from tests.support.relays import Pair

Side = tuple[CometBftChain, AccountSubmitter]


def sides(pair: Pair) -> tuple[Side, Side]:
    made = []
    for end in (pair.a, pair.b):
        chain = CometBftChain(pair.rpc(end), end.ledger.genesis.chain_id)
        key = end.account.key
        made.append((chain, AccountSubmitter(chain, end.ledger.genesis.domain_id, key.public_key, key.sign, 7)))
    return made[0], made[1]


def test_each_client_follows_the_other_ledger_and_names_its_client() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            one, other = sides(pair)
            terms = Terms(trusting=seconds(600), unbonding=seconds(900))
            clients = await pairing.pair(one, other, terms)
            for (chain, _), (followed, _), client in zip((one, other), (other, one), clients, strict=True):
                tracked = await chain.client(client)
                assert (tracked.status, tracked.state.chain_id) == ("Active", followed.chain_id)
                assert tracked.trusting_period == terms.trusting
            pair.a.client, pair.b.client = clients
            pair.send(1)  # refused where no counterparty is registered
            await pair.until(lambda: pair.open_packets() == [1])

    asyncio.run(work())


def test_P9_a_foreign_lane_is_opened_on_proofs_read_from_the_other_ledger() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            one, other = sides(pair)
            mine, theirs = await pairing.pair(one, other)
            with pytest.raises(PairingRefused, match="no such client"):
                await pairing.open_foreign_lane(one, mine, other[0], ClientId("07-tendermint-99"))
            await pairing.open_foreign_lane(one, mine, other[0], theirs, {"max_packets": 2})
            (lane,) = lanes.every(pair.a.ledger.chain.view())
            assert (lane.own, lane.remote_client, lane.caps.packets) == (False, theirs, 2)

    asyncio.run(work())


def test_a_ledgers_refusal_is_told() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            one, other = sides(pair)
            with pytest.raises(PairingRefused) as refused:
                await pairing.pair(one, other, Terms(trusting=pairing.UNBONDING))
            assert refused.value.fields["refusal"] == "07-tendermint/3"

    asyncio.run(work())


@pytest.mark.parametrize("response", [None, b"", b"\xff", b"\x0a\x03a/b"], ids=["none", "empty", "no message", "no id"])
def test_a_node_that_does_not_name_the_new_client_is_a_typed_failure(response: bytes | None) -> None:
    done = Submitted(0, "", "", Height(1, 1), () if response is None else (response,), ())
    with pytest.raises(PeerFault):
        pairing.created(done)
