"""A stolen quorum's false words freeze the contract they were told to, by a relayer that reads them (P20, S28, B3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockgate.crypto.keccak import keccak256
from lockgate.crypto.recoverable import EvmKey
from lockgate.ibc import commitment, host
from lockgate.ibc import events as ibc_events
from lockgate.ibc.packet import Packet, Payload
from lockgate.lightclients.evm_attestation import (
    Binding,
    Leaf,
    Member,
    Signed,
    SigningSet,
    Statement,
    attestation_fields,
    encode_proof,
    merkle_root,
    prove,
)
from lockgate.primitives.time import UnixSeconds, floor_seconds
from lockgate.relay.chains.evm.deployment import invoke
from lockgate.relay.chains.evm.packets import packet_fields
from lockgate.relay.evm_rotation import signature_fields
from tests.interop.evm.test_lane_to_ours import heard
from tests.interop.evm.world import start_node
from tests.support.evm_lane import NEEDED, NETWORK, OPERATORS, EvmLane, evm_lane, until
from tests.support.relays import relaying

pytestmark = pytest.mark.interop
Work = Callable[[EvmLane], Awaitable[None]]
Run = Callable[[Work], None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def within(work: Work) -> None:
        node = start_node()

        async def main() -> None:
            async with asyncio.timeout(150), evm_lane(node.url, tmp_path) as lane:
                await work(lane)

        try:
            asyncio.run(main())
        finally:
            node.process.terminate()
            node.process.wait(10)

    return within


def bound(lane: EvmLane) -> Binding:
    source = lane.ledger.genesis.domain_id
    return Binding(chain_id=NETWORK, contract=lane.contract, client_id=lane.client, source=source)


def stolen(lane: EvmLane, statement: Statement) -> tuple[Signed, ...]:
    """A quorum's signatures by whoever has its keys."""
    digest = statement.digest(bound(lane))
    return tuple(Signed(at, *OPERATORS[at].sign_digest(digest).compact) for at in range(NEEDED))


def statement(lane: EvmLane, leaves: Sequence[Leaf], *, root: bytes = b"", ahead_s: int = 0) -> Statement:
    """Of the ledger's newest header but one, as it is unless another root is named."""
    header = lane.ledger.chain.signed_header(lane.ledger.height - 1).header
    time = UnixSeconds(floor_seconds(header.time) + ahead_s)
    return Statement(
        epoch=1, height=header.height, time=time, state_root=root or header.app_hash, leaves_root=merkle_root(leaves)
    )


THIEVES = tuple(EvmKey(bytes([0x77 + at]) * 32) for at in range(5))


async def hijacked(lane: EvmLane) -> None:
    """Whoever stole a quorum hands over to keys of his own."""
    members = tuple(Member(at + 1, key.address, 1) for at, key in enumerate(THIEVES))
    following = SigningSet(members, NEEDED, NEEDED, UnixSeconds(lane.now_s + 86_400))
    digest = following.rotation_digest(bound(lane), 1)
    signed = tuple(Signed(at, *OPERATORS[at].sign_digest(digest).compact) for at in range(NEEDED))
    await invoke(lane.owner, lane.contract, "attested", "rotate", following.fields(), signature_fields(signed))


async def frozen(lane: EvmLane) -> bool:
    return (await lane.evm_chain("0").client(lane.client)).status == "Frozen"


def forged(lane: EvmLane) -> Packet:
    """A packet that nobody sent."""
    payload = Payload("app", "echo", "echo-1", "application/octet-stream", b"never sent")
    return Packet(
        sequence=77,
        source_client=lane.end.client,
        destination_client=lane.client,
        timeout=UnixSeconds(lane.now_s + 3_600),
        payloads=(payload,),
    )


def test_a_false_root_is_met_by_the_true_one_and_freezes_the_contract(run: Run) -> None:
    async def work(lane: EvmLane) -> None:
        async with relaying(lane.relayer(guarded=True)):
            await until(lambda: heard(lane), lane)
            false = statement(lane, [Leaf(bytes(32), bytes(32))], root=b"\x66" * 32)
            told: Any = attestation_fields(false, stolen(lane, false))
            await invoke(lane.owner, lane.contract, "attested", "update", told)
            await until(lambda: frozen(lane), lane)
            await until(lambda: lane.said("misbehaviour"), lane)
        # Where the guard remembers a true word of that height, the two are enough, and the ledger is not asked.
        assert len(lane.kept) == 1

    run(work)


def test_a_quorum_that_lies_and_rotates_away_in_the_next_block_is_answered_all_the_same(run: Run) -> None:
    async def work(lane: EvmLane) -> None:
        async with relaying(lane.relayer(guarded=True)):
            await until(lambda: heard(lane), lane)
            false = statement(lane, [Leaf(bytes(32), bytes(32))], root=b"\x66" * 32)
            told: Any = attestation_fields(false, stolen(lane, false))
            await invoke(lane.owner, lane.contract, "attested", "update", told)
            await hijacked(lane)
            await until(lambda: frozen(lane), lane)

    run(work)


def test_a_false_word_of_a_set_that_thieves_rotated_to_is_met_by_the_set_before_it(run: Run) -> None:
    async def work(lane: EvmLane) -> None:
        async with relaying(lane.relayer(guarded=True)):
            await until(lambda: heard(lane), lane)
            await hijacked(lane)
            false = replace(statement(lane, [Leaf(bytes(32), bytes(32))], root=b"\x66" * 32), epoch=2)
            digest = false.digest(bound(lane))
            signed = tuple(Signed(at, *THIEVES[at].sign_digest(digest).compact) for at in range(NEEDED))
            told: Any = attestation_fields(false, signed)
            await invoke(lane.owner, lane.contract, "attested", "update", told)
            await until(lambda: frozen(lane), lane)

    run(work)


def test_b3_a_packet_that_was_never_sent_freezes_the_contract_though_the_header_is_true(run: Run) -> None:
    async def work(lane: EvmLane) -> None:
        async with relaying(lane.relayer(guarded=True)):
            await until(lambda: heard(lane), lane)
            packet = forged(lane)
            key = host.packet_commitment(packet.source_client, packet.sequence)
            leaves = [
                Leaf(b"\x01" * 32, b"\x02" * 32),
                Leaf(keccak256(key), commitment.commit_packet(packet)),
                Leaf(b"\x03" * 32, b"\x04" * 32),
            ]
            false = statement(lane, leaves)
            proof = encode_proof(false, stolen(lane, false), prove(leaves, [1])[1])
            call = (packet_fields(packet), proof, (1, false.height))
            await invoke(lane.owner, lane.host, "host", "recvPacket", call)
            await until(lambda: frozen(lane), lane)
            await until(lambda: lane.said("misbehaviour"), lane)
        assert [said["client"] for said in lane.said("misbehaviour")] == [lane.client]
        (kept,) = lane.kept.values()
        assert str(kept["call"]).startswith(
            keccak256(
                b"misbehaviourOfLeaf((uint64,uint64,uint64,bytes32,bytes32,(uint8,bytes32,bytes32)[]),(bytes32,bytes32),"
                b"(uint64,uint256,bytes32[]),(uint64,uint64,uint64,bytes32,bytes32,(uint8,bytes32,bytes32)[]),"
                b"(bytes32,bytes32),(uint64,uint256,bytes32[]))"
            )[:4].hex()
        )

    run(work)


def test_what_is_true_and_what_no_quorum_signed_freezes_nothing(run: Run) -> None:
    async def work(lane: EvmLane) -> None:
        async with relaying(lane.relayer(guarded=True)):
            await until(lambda: heard(lane), lane)
            for number in range(3):
                lane.send(b"question %d" % number)
                await lane.ask(b"question %d" % number)
            await until(lambda: len(lane.events(ibc_events.ACKNOWLEDGE_PACKET)) == 3, lane)
            await until(lambda: len(lane.events(ibc_events.WRITE_ACKNOWLEDGEMENT)) == 3, lane)
            await lane.mine(8)
            await asyncio.sleep(3)
        assert not await frozen(lane)
        assert lane.said("misbehaviour") == lane.said("attested_otherwise") == []
        assert lane.kept == {}

    run(work)
