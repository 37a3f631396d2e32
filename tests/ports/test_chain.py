"""One suite for `courier.ports.Chain` and `Submitter`: on a ledger in this process and on one behind a socket.

`tests/interop/test_ibcgo_ports.py` runs it on a Cosmos SDK chain.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

import pytest

from lockgate.courier.ports import Chain, NotYet, Proven, Submitted, Submitter
from lockgate.crypto import ed25519
from lockgate.ibc import host
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.commitment import commit_packet
from lockgate.lightclients.cometbft.commit import check_commit_light
from lockgate.machine.transaction import Message
from lockgate.merkle import ics23
from lockgate.merkle.specs import IAVL_SPEC, TENDERMINT_SPEC
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.endpoint import NonceLanes
from lockgate.relay.rpc import BadAnswer, Calls, Rpc, RpcError
from lockgate.relay.submitter import AccountSubmitter
from tests.support.proxy import served
from tests.support.relays import FaultyRpc, Pair, account
from tests.support.sources import poison, several

SPECS = (IAVL_SPEC, TENDERMINT_SPEC)
KINDS = ("in process", "over loopback", "three sources", "three sources, one poisoned")


class Subject(Protocol):
    """A ledger with a client of another, read and written through the adapters under test."""

    @property
    def chain(self) -> CometBftChain: ...

    @property
    def client(self) -> ClientId:
        """Its client of the other ledger, over which it sends."""
        ...

    @property
    def followed(self) -> str:
        """The other ledger's chain id."""
        ...

    def sender(self, nonce_lane: int) -> NonceLanes:
        """Signs for the account that may send."""
        ...

    def stranger(self) -> Submitter:
        """Signs for another account."""
        ...

    async def message(self) -> Message:
        """A packet of the sender's."""
        ...


@dataclass
class OwnLedger:
    """Ledger alpha of a pair of ours."""

    pair: Pair
    chain: CometBftChain
    followed: str = "beta-1"

    @property
    def client(self) -> ClientId:
        return ClientId(self.pair.a.client)

    def sender(self, nonce_lane: int) -> AccountSubmitter:
        return self._submitter(self.pair.a.account.key, nonce_lane)

    def stranger(self) -> AccountSubmitter:
        return self._submitter(account("newcomer").key, 0)

    async def message(self) -> Message:
        return self.pair._message(self.pair.a, b"x", 100)

    def _submitter(self, key: ed25519.SigningKey, nonce_lane: int) -> AccountSubmitter:
        domain = self.pair.a.ledger.genesis.domain_id
        return AccountSubmitter(self.chain, domain, key.public_key, key.sign, nonce_lane)


async def sent(s: Subject, count: int) -> Submitted:
    """Have the sender send so many packets."""
    done = await s.sender(9).submit([await s.message()] * count)
    assert done.code == 0, done.log
    return done


@contextlib.asynccontextmanager
async def subject(kind: str) -> AsyncIterator[Subject]:
    pair = Pair.make()
    async with pair.running():
        if kind == "in process":
            rpc: Calls = pair.rpc(pair.a)
            yield OwnLedger(pair, CometBftChain(rpc, "alpha-1"))
            return
        if kind.startswith("three sources"):
            first: Calls = pair.rpc(pair.a)
            rpcs = [FaultyRpc(first, spoil=poison) if kind.endswith("poisoned") else first]
            chain, alarms = several([*rpcs, pair.rpc(pair.a), pair.rpc(pair.a)])
            yield OwnLedger(pair, chain)
            assert kind.endswith("poisoned") or not alarms, alarms
            return
        async with served(pair) as address, Rpc(address) as http:
            yield OwnLedger(pair, CometBftChain(http, "alpha-1"))


@pytest.fixture(params=KINDS)
def on(request: pytest.FixtureRequest) -> Callable[[], contextlib.AbstractAsyncContextManager[Subject]]:
    return lambda: subject(str(request.param))


On = Callable[[], contextlib.AbstractAsyncContextManager[Subject]]


def test_it_meets_the_ports(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            chain: Chain = s.chain
            submitter: Submitter = s.stranger()
            assert (await chain.tip()).chain_id == s.chain.chain_id
            assert (await submitter.limits()).messages > 0

    asyncio.run(work())


def test_blocks_say_what_happened_in_order_and_each_is_there_once(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            first = (await s.chain.tip()).height.height
            await sent(s, 3)
            tip = await s.chain.tip()
            blocks = await s.chain.blocks_events(range(first, tip.height.height + 1))
            assert [block.height.height for block in blocks] == list(range(first, tip.height.height + 1))
            assert [b.time for b in blocks] == sorted(b.time for b in blocks)
            told = [e for b in blocks for e in b.events if e.get("packet_source_client") == s.client]
            assert [e.get("packet_sequence") for e in told if e.type == "send_packet"] == ["1", "2", "3"]
            with pytest.raises(RpcError):
                await s.chain.block_events(tip.height.height + 100)

    asyncio.run(work())


def test_presence_and_absence_are_proven_under_the_header_asked_for(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            done = await sent(s, 2)
            at = (await s.chain.header_at_least(done.height.height + 1)).height
            keys = [host.packet_commitment(s.client, sequence) for sequence in (1, 2, 3)]
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
            for asked in (keys, keys[:1]):
                assert all(isinstance(each, Exception) for each in await s.chain.prove_many("ibc", asked, ahead))

    asyncio.run(work())


def test_what_is_outstanding_received_and_acknowledged(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            done = await sent(s, 4)
            assert await s.chain.last_sent(s.client) == 4
            standing = await s.chain.outstanding(s.client)
            packets = [
                ibc_wire.read_packet(bytes.fromhex(e.get("encoded_packet_hex") or ""))
                for e in done.events
                if e.type == "send_packet"
            ]
            assert {p.sequence: commit_packet(p) for p in packets} == standing
            assert sorted(standing) == [1, 2, 3, 4]
            assert await s.chain.received(s.client, {1, 2}) == set()
            assert await s.chain.acknowledged(s.client, {1, 2}) == {}
            assert await s.chain.still_open(s.client, {1, 2, 9}) == {1, 2}

    asyncio.run(work())


def test_a_client_shows_what_it_judges_by(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            tracked = await s.chain.client(s.client)
            assert (tracked.status, tracked.state.chain_id) == ("Active", s.followed)
            assert tracked.latest in await s.chain.consensus_heights(s.client)
            assert await s.chain.consensus(s.client, tracked.latest) == tracked.consensus
            assert s.client in await s.chain.clients_of(s.followed)
            assert await s.chain.clients_of("gamma-1") == []

    asyncio.run(work())


def test_light_blocks_are_signed_by_their_validators(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            block = await s.chain.light_block(2)
            check_commit_light(s.chain.chain_id, block.validators, block.signed_header.commit)
            assert block.next_validators.hash == block.header.next_validators_hash

    asyncio.run(work())


def test_a_new_block_is_announced(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            await s.chain.pause(s.chain.beat, 0.01)  # the first one subscribes
            async with asyncio.timeout(20.0):
                while not s.chain.beat:
                    await asyncio.sleep(0.01)
            seen, begun = s.chain.beat, asyncio.get_running_loop().time()
            await s.chain.pause(seen, 5.0)
            assert s.chain.beat > seen
            assert asyncio.get_running_loop().time() - begun < 4.0

    asyncio.run(work())


def test_a_height_that_does_not_come_is_named(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            with pytest.raises(NotYet):
                await s.chain.header_at_least(100_000, deadline_s=0.05)

    asyncio.run(work())


def test_a_node_of_another_chain_is_refused(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            with pytest.raises(BadAnswer, match="another chain"):
                await CometBftChain(s.chain.rpc, "gamma-1").tip()

    asyncio.run(work())


def test_a_submission_ends_with_its_block_or_the_ledgers_refusal(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            message = await s.message()
            done = await s.stranger().submit([message])
            assert done.code != 0, "the message names another signer"
            done = await s.sender(9).submit([message])
            assert (done.code, len(done.responses)) == (0, 1)
            assert "send_packet" in {event.type for event in done.events}
            block = await s.chain.block_events(done.height.height)
            assert set(done.events) <= set(block.events)

    asyncio.run(work())


def test_nonce_lanes_of_one_account_do_not_wait_for_each_other(on: On) -> None:
    async def work() -> None:
        async with on() as s:
            first = s.sender(20)
            slots = [first, *(first.sibling(21 + n) for n in range(3))]
            message = await s.message()
            done = await asyncio.gather(*(slot.submit([message]) for slot in slots for _ in range(2)))
            assert [each.code for each in done] == [0] * 8
            assert len(await s.chain.outstanding(s.client)) == 8

    asyncio.run(work())
