"""One suite for `courier.ports.Chain` and `Submitter`: on a ledger in this process and on one behind a socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from lockgate.courier.ports import Chain, NotYet, Proven, Submitter
from lockgate.ibc import host
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.commitment import commit_packet
from lockgate.lightclients.cometbft.commit import check_commit_light
from lockgate.merkle import ics23
from lockgate.merkle.specs import IAVL_SPEC, TENDERMINT_SPEC
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import BadAnswer, Calls, Rpc, RpcError
from lockgate.relay.submitter import AccountSubmitter
from tests.support.proxy import served
from tests.support.relays import FaultyRpc, Pair, account
from tests.support.sources import poison, several

SPECS = (IAVL_SPEC, TENDERMINT_SPEC)
KINDS = ("in process", "over loopback", "three sources", "three sources, one poisoned")


@dataclass
class Subject:
    """Ledger alpha of a pair, read and written through the adapter under test."""

    pair: Pair
    rpc: Calls
    chain: CometBftChain

    def submitter(self, name: str, nonce_lane: int = 0) -> AccountSubmitter:
        key = account(name).key
        domain = self.pair.a.ledger.genesis.domain_id
        return AccountSubmitter(self.chain, domain, key.public_key, key.sign, nonce_lane)

    async def sent(self, count: int) -> None:
        self.pair.send(count)
        await self.pair.until(lambda: len(self.pair.open_packets()) == count)


@contextlib.asynccontextmanager
async def subject(kind: str) -> AsyncIterator[Subject]:
    pair = Pair.make()
    async with pair.running():
        if kind == "in process":
            rpc: Calls = pair.rpc(pair.a)
            yield Subject(pair, rpc, CometBftChain(rpc, "alpha-1"))
            return
        if kind.startswith("three sources"):
            first: Calls = pair.rpc(pair.a)
            rpcs = [FaultyRpc(first, spoil=poison) if kind.endswith("poisoned") else first]
            chain, alarms = several([*rpcs, pair.rpc(pair.a), pair.rpc(pair.a)])
            yield Subject(pair, chain.rpc, chain)
            assert kind.endswith("poisoned") or not alarms, alarms
            return
        async with served(pair) as address, Rpc(address) as http:
            yield Subject(pair, http, CometBftChain(http, "alpha-1"))


@pytest.fixture(params=KINDS)
def on(request: pytest.FixtureRequest) -> Callable[[], contextlib.AbstractAsyncContextManager[Subject]]:
    return lambda: subject(str(request.param))


On = Callable[[], contextlib.AbstractAsyncContextManager[Subject]]


def test_it_meets_the_ports(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            chain: Chain = s.chain
            submitter: Submitter = s.submitter("someone")
            assert (await chain.tip()).chain_id == "alpha-1"
            assert (await submitter.limits()).messages > 0

    asyncio.run(work())


def test_blocks_say_what_happened_in_order_and_each_is_there_once(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            await s.sent(3)
            tip = await s.chain.tip()
            blocks = await s.chain.blocks_events(range(1, tip.height.height + 1))
            assert [block.height.height for block in blocks] == list(range(1, tip.height.height + 1))
            assert [b.time for b in blocks] == sorted(b.time for b in blocks)
            sent = [e.get("packet_sequence") for b in blocks for e in b.events if e.type == "send_packet"]
            assert sent == ["1", "2", "3"]
            with pytest.raises(RpcError):
                await s.chain.block_events(tip.height.height + 100)

    asyncio.run(work())


def test_presence_and_absence_are_proven_under_the_header_asked_for(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            await s.sent(2)
            at = (await s.chain.header_at_least(s.pair.a.ledger.height)).height
            keys = [host.packet_commitment(s.pair.a.client, sequence) for sequence in (1, 2, 3)]
            found = await s.chain.prove_many("ibc", keys, at)
            root = (await s.chain.light_block(at.height)).header.app_hash
            proven = [each for each in found if isinstance(each, Proven)]
            assert [each.value is not None for each in proven] == [True, True, False]
            for key, each in zip(keys, proven, strict=True):
                where = (b"ibc", key)
                if each.value is None:
                    ics23.verify_non_membership(SPECS, root, where, each.proof)
                else:
                    ics23.verify_membership(SPECS, root, where, each.value, each.proof)
            assert proven[0] == await s.chain.prove("ibc", keys[0], at)
            ahead = type(at)(at.revision, at.height + 50)
            assert all(isinstance(each, Exception) for each in await s.chain.prove_many("ibc", keys, ahead))

    asyncio.run(work())


def test_what_is_outstanding_received_and_acknowledged(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            await s.sent(4)
            client = ClientId(s.pair.a.client)
            standing = await s.chain.outstanding(client)
            assert sorted(standing) == [1, 2, 3, 4]
            events = [e for h in range(1, s.pair.a.ledger.height + 1) for e in (await s.chain.block_events(h)).events]
            packets = [
                ibc_wire.read_packet(bytes.fromhex(e.get("encoded_packet_hex") or ""))
                for e in events
                if e.type == "send_packet"
            ]
            assert {p.sequence: commit_packet(p) for p in packets} == standing
            assert await s.chain.received(client, {1, 2}) == set()
            assert await s.chain.acknowledged(client, {1, 2}) == {}
            assert await s.chain.still_open(client, {1, 2, 9}) == {1, 2}

    asyncio.run(work())


def test_a_client_shows_what_it_judges_by(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            client = ClientId(s.pair.a.client)
            tracked = await s.chain.client(client)
            assert (tracked.status, tracked.state.chain_id) == ("Active", "beta-1")
            assert tracked.latest in await s.chain.consensus_heights(client)
            assert await s.chain.consensus(client, tracked.latest) == tracked.consensus
            assert await s.chain.clients_of("beta-1") == [client]
            assert await s.chain.clients_of("gamma-1") == []

    asyncio.run(work())


def test_light_blocks_are_signed_by_their_validators(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            block = await s.chain.light_block(2)
            check_commit_light("alpha-1", block.validators, block.signed_header.commit)
            assert block.next_validators.hash == block.header.next_validators_hash

    asyncio.run(work())


def test_a_new_block_is_announced(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            await s.chain.pause(s.chain.beat, 0.01)  # the first one subscribes
            await s.pair.until(lambda: s.chain.beat > 0)
            seen, begun = s.chain.beat, asyncio.get_running_loop().time()
            await s.chain.pause(seen, 5.0)
            assert s.chain.beat > seen
            assert asyncio.get_running_loop().time() - begun < 4.0

    asyncio.run(work())


def test_a_height_that_does_not_come_is_named(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            with pytest.raises(NotYet):
                await s.chain.header_at_least(10_000, deadline_s=0.05)

    asyncio.run(work())


def test_a_node_of_another_chain_is_refused(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            with pytest.raises(BadAnswer, match="another chain"):
                await CometBftChain(s.rpc, "gamma-1").tip()

    asyncio.run(work())


def test_a_submission_ends_with_its_block_or_the_ledgers_refusal(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            submitter = s.submitter("newcomer")
            done = await submitter.submit([s.pair._message(s.pair.a, b"x", 100)])
            assert done.code != 0, "the message names another signer"
            end = s.pair.a
            own = AccountSubmitter(
                s.chain, end.ledger.genesis.domain_id, end.account.key.public_key, end.account.key.sign, 9
            )
            done = await own.submit([s.pair._message(end, b"x", 100)])
            assert (done.code, len(done.responses)) == (0, 1)
            assert next(e.type for e in done.events) == "send_packet"
            block = await s.chain.block_events(done.height.height)
            assert set(done.events) <= set(block.events)

    asyncio.run(work())


def test_nonce_lanes_of_one_account_do_not_wait_for_each_other(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            end = s.pair.a
            key = end.account.key
            first = AccountSubmitter(s.chain, end.ledger.genesis.domain_id, key.public_key, key.sign, 20)
            lanes = [first, *(first.sibling(21 + n) for n in range(3))]
            message = s.pair._message(end, b"x", 100)
            done = await asyncio.gather(*(lane.submit([message]) for lane in lanes for _ in range(2)))
            assert [each.code for each in done] == [0] * 8
            assert len(s.pair.open_packets()) == 8

    asyncio.run(work())
