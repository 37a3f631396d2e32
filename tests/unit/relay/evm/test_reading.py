"""A reader of words misses none: over restarts, re-organisations, rotations, calls of other contracts, lying nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from lockgate.codec import abi
from lockgate.courier.ports import ChainUnavailable
from lockgate.crypto.keccak import keccak256
from lockgate.ibc import commitment
from lockgate.ibc import host as paths
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.lightclients.evm_attestation import (
    Leaf,
    Statement,
    attestation_fields,
    encode_proof,
    merkle_root,
    prove,
)
from lockgate.lightclients.evm_storage import slot_of
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds
from lockgate.relay import evm_reading
from lockgate.relay.chains.evm.answers import hexed
from lockgate.relay.chains.evm.chain import EvmChain
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.node import Call
from lockgate.relay.chains.evm.nodes import EvmNodes
from lockgate.relay.chains.evm.packets import packet_fields
from lockgate.relay.evm_reading import WordReader
from lockgate.relay.evm_words import Word
from lockgate.relay.rpc import BadAnswer, RpcError
from tests.support.evm_node import CLIENT, HOST, NETWORK, FakeNode, chain_of
from tests.unit.relay.evm.test_words import CONTRACT as CONTRACT_STATE
from tests.unit.relay.evm.test_words import KEYS, signed, statement

CONTRACT = b"\x0c" * 20
FORWARDER = b"\x0f" * 20
SOURCE = b"\x01" * 32
Told = list[tuple[str, dict[str, Any]]]


class Speaking(FakeNode):
    """A node of a chain on which the contract stands, and of which others make calls."""

    def __init__(self) -> None:
        self.pool: list[tuple[bytes, bytes]] = []
        self.calls_in: dict[bytes, list[tuple[bytes, bytes]]] = {}  # by block hash: to, data
        self.epoch = 1
        self.epochs: dict[bytes, int] = {}
        self.standing = 7, 1_700_000_000  # the newest height that the contract was told of, and its time
        self.stood: dict[bytes, tuple[int, int]] = {}
        super().__init__()

    def mine(self, count: int = 1) -> None:
        for _ in range(count):
            super().mine()
            block = self.blocks[-1]
            self.calls_in[block.hash], self.pool = self.pool, []
            self.epochs[block.hash], self.stood[block.hash] = self.epoch, self.standing
            for log in block.logs:
                log["transactionHash"] = hexed(keccak256(block.hash + bytes(1)))

    def say(self, over: Statement, to: bytes = CONTRACT) -> Word:
        self.call("update", attestation_fields(over, signed(over, binding=BINDING)), to=to)
        return Word(over, signed(over, binding=BINDING))

    def call(self, name: str, *arguments: Any, to: bytes) -> None:
        call = interface("attested" if name == "update" else "host").call(name, *arguments)
        if to == FORWARDER:
            call = b"\x01\x02\x03\x04" + abi.encode(abi.Tuple((abi.Uint(160), abi.BYTES)), (1, call))
        self.pool.append((to, call))

    def show(self, name: str, packet: Packet, *more: Any, key: bytes, value: bytes, to: bytes = FORWARDER) -> None:
        """A call of the host with a quorum's word that this value is under this key."""
        leaf = Leaf(keccak256(key), value)
        over = replace(at(7), leaves_root=merkle_root([leaf]))
        proof = encode_proof(over, signed(over, binding=BINDING), prove([leaf], [0])[1])
        self.call(name, (packet_fields(packet), *more, proof, (1, over.height)), to=to)

    def eth_getBlockByNumber(self, at: str, full: bool) -> Any:
        json = super().eth_getBlockByNumber(at, full)
        if json is None or not full:
            return json
        block = bytes.fromhex(json["hash"][2:])
        calls = enumerate(self.calls_in[block])
        made = [
            {"hash": hexed(keccak256(block + bytes([place]))), "to": hexed(to) if to else None, "input": hexed(data)}
            for place, (to, data) in calls
        ]
        return {**json, "transactions": made}

    def eth_call(self, transaction: dict[str, str], at: Any) -> str:
        data, own = bytes.fromhex(transaction["data"][2:]), interface("attested")
        if data[:4] == interface("host").selector("getClient"):
            return hexed(int.from_bytes(CONTRACT).to_bytes(32))
        block = self.blocks[-1].hash if at == "latest" else bytes.fromhex(at["blockHash"][2:])
        if block not in self.epochs:
            raise RpcError("missing trie node")
        if data[:4] == own.selector("status"):
            return hexed(abi.encode(abi.Tuple((abi.Uint(1), abi.UINT64, abi.UINT64)), (1, *self.stood[block])))
        assert data[:4] == own.selector("getSet")
        epoch = self.epoch if at == "latest" else self.epochs[block]
        members = abi.Array(abi.Tuple((abi.UINT64, abi.Uint(160), abi.UINT64)))
        kinds = abi.Tuple((abi.UINT64, members, abi.UINT64, abi.UINT64, abi.UINT64))
        rows = [(0, int.from_bytes(key.address), 1) for key in KEYS]
        return hexed(abi.encode(kinds, (epoch, rows, 2, 2, 2_000_000_000))[abi.WORD :])


class Reading:
    """A reader of such a chain, what it took, and what it told."""

    def __init__(self, node: Speaking, chain: EvmChain | None = None) -> None:
        self.told: Told = []
        self.chain = chain or chain_of(node, "2")[0]
        self.reader = WordReader(self.chain, CLIENT, SOURCE, lambda name, fields: self.told.append((name, fields)))
        self.took: list[Word] = []

    def step(self, times: int = 1) -> list[Word]:
        """What was taken in these steps."""
        self.took.clear()
        for _ in range(times):
            asyncio.run(self.reader.step(self.took.append))
        return list(self.took)

    def alarms(self) -> list[str]:
        return [str(fields["code"]) for name, fields in self.told if name == "alarm"]


BINDING = replace(
    WordReader(chain_of(FakeNode())[0], CLIENT, SOURCE, lambda *_: None).binding, contract=CONTRACT, chain_id=NETWORK
)


def at(height: int) -> Statement:
    return statement(height, 1_700_000_000 + height)


def test_each_block_is_read_once_and_only_what_a_quorum_signed_is_taken() -> None:
    node = Speaking()
    node.mine(5)
    reading = Reading(node)
    assert reading.step() == []
    said = node.say(at(7))
    node.pool.append((CONTRACT, b"\x00" * 9))
    node.pool.append((b"", b"\x00" * 9))
    forged = interface("attested").call("update", attestation_fields(at(8), signed(at(9), binding=BINDING)))
    node.pool.append((CONTRACT, forged))
    node.mine()
    assert reading.step(3) == [said]
    assert reading.told == []


def test_a_call_through_another_contract_is_read() -> None:
    node = Speaking()
    reading = Reading(node)
    reading.step()
    said = node.say(at(7), FORWARDER)
    node.mine()
    assert reading.step() == [said]


def begun() -> tuple[Speaking, Reading]:
    node = Speaking()
    reading = Reading(node)
    reading.step()
    return node, reading


def sent_key(packet: Packet) -> bytes:
    return paths.packet_commitment(packet.source_client, packet.sequence)


def test_a_proof_that_the_host_took_and_nobody_can_read_is_told() -> None:
    node, reading = begun()
    node.receive(1)
    node.pool.append((FORWARDER, b"packed in a way of its own"))
    node.mine()
    assert reading.step() == []
    assert reading.alarms() == ["evm.words_unseen"]


@pytest.mark.parametrize("to", [FORWARDER, HOST])
def test_a_proof_that_was_read_is_not_told(to: bytes) -> None:
    node, reading = begun()
    packet = node.receive(1)
    node.show("recvPacket", packet, key=sent_key(packet), value=commitment.commit_packet(packet), to=to)
    node.mine()
    assert len(reading.step()) == 1
    sent = node.send()
    node.mine()
    node.acknowledge(sent)
    answered = commitment.commit_acknowledgement(Acknowledgement((b"yes",)))
    key = paths.packet_acknowledgement(sent.destination_client, sent.sequence)
    node.show("ackPacket", sent, b"yes", key=key, value=answered, to=to)
    node.mine()
    ended = node.send()
    node.state.storage.pop(slot_of(sent_key(ended)))
    node.mine()
    node.tell("TimeoutPacket", CLIENT, ended)
    key = paths.packet_receipt(ended.destination_client, ended.sequence)
    node.show("timeoutPacket", ended, key=key, value=bytes(32), to=to)
    node.mine()
    assert len(reading.step()) == 2
    assert reading.told == []


def decoys(node: Speaking, packet: Packet) -> dict[str, Callable[[], object]]:
    """What can stand in the transaction that has a false packet received, in which the true call is hidden."""
    true = packet._replace(timeout=UnixSeconds(packet.timeout + 1))
    other = packet._replace(sequence=2)
    made = commitment.commit_packet
    unsigned = encode_proof(at(7), signed(at(8), binding=BINDING), prove([Leaf(sent_key(packet), b"")], [0])[1])
    return {
        "a word without a packet": lambda: node.say(at(7), FORWARDER),
        "a word that nobody signed": lambda: node.call(
            "recvPacket", (packet_fields(packet), unsigned, (1, 7)), to=FORWARDER
        ),
        "the word of another packet": lambda: node.show("recvPacket", other, key=sent_key(other), value=made(other)),
        "the true word of this sequence": lambda: node.show("recvPacket", true, key=sent_key(true), value=made(true)),
    }


@pytest.mark.parametrize("decoy", decoys(Speaking(), FakeNode().receive(1)))
def test_a_word_beside_a_hidden_one_does_not_stand_for_it(decoy: str) -> None:
    node, reading = begun()
    decoys(node, node.receive(1))[decoy]()
    node.mine()
    reading.step()
    assert reading.alarms() == ["evm.words_unseen"]


def test_what_others_have_proven_to_clients_of_theirs_is_not_told() -> None:
    node, reading = begun()
    packet = node.receive(1)
    node.logs.clear()
    node.tell("WriteAcknowledgement", "client-9", packet._replace(destination_client=ClientId("client-9")), (b"yes",))
    node.mine()
    reading.step()
    assert reading.told == []


def test_a_proof_for_a_packet_that_no_ledger_can_have_sent_is_told() -> None:
    node, reading = begun()
    packet = node.receive(1)
    node.show("recvPacket", packet, key=sent_key(packet), value=commitment.commit_packet(packet))
    name, topics, data = node.logs[-1]
    node.logs[-1] = name, topics, data.replace(b"echo-1", b"echo-\xff")
    node.mine()
    reading.step()
    assert reading.alarms() == ["evm.words_unseen"]


def test_a_height_that_the_contract_reached_in_no_word_is_told() -> None:
    node, reading = begun()
    node.say(at(8))
    node.standing = 8, 1_700_000_008
    node.mine(2)
    reading.step()
    assert reading.told == []
    node.say(at(8))  # again
    node.standing = 9, 1_700_000_009
    node.mine()
    reading.step()
    ((name, fields),) = reading.told
    assert (name, fields["code"], fields["block"], fields["height"]) == ("alarm", "evm.words_unseen", 3, 9)
    node.mine()
    reading.step()
    assert len(reading.told) == 1


def test_a_word_of_the_same_height_and_another_time_does_not_stand_for_a_hidden_one() -> None:
    node, reading = begun()
    node.say(at(8))
    node.standing = 8, 1_700_000_001
    node.mine()
    reading.step()
    assert reading.alarms() == ["evm.words_unseen"]


def test_where_no_node_keeps_state_so_old_the_words_since_then_count() -> None:
    node, reading = begun()
    node.say(at(8))
    node.standing = 8, 1_700_000_008
    node.mine(20)
    for block in node.blocks[:-1]:
        node.epochs.pop(block.hash, None)
    reading.step(2)
    assert reading.told == []
    node.standing = 9, 1_700_000_009
    node.mine()
    reading.step()
    assert reading.alarms() == ["evm.words_unseen"]


def test_what_a_reorganisation_takes_back_is_no_word_for_what_comes_then() -> None:
    node, reading = begun()
    node.mine(4)
    reading.step()
    node.say(at(8))
    node.standing = 8, 1_700_000_008
    node.mine()
    reading.step()
    node.reorganise(1)
    reading.step()
    assert reading.alarms() == ["evm.words_unseen"], "it is at 8 again, and nothing was said"


def test_what_a_reorganisation_put_in_place_of_blocks_that_were_read_is_read() -> None:
    node = Speaking()
    node.mine(9)
    reading = Reading(node)
    reading.step()
    node.mine(2)
    assert reading.step() == []
    node.say(at(7))
    node.reorganise(2)
    assert [word.statement.height for word in reading.step()] == [7]
    assert reading.step() == []


def test_another_process_begins_before_what_the_first_one_released() -> None:
    node = Speaking()
    node.mine(5)
    first = Reading(node)
    first.step()
    node.say(at(7))
    node.mine(3)
    chain = chain_of(node, "2")[0]
    chain.taken_up = chain.history.released = first.chain.history.released
    assert [word.statement.height for word in Reading(node, chain).step()] == [7]


def test_a_gap_that_is_too_far_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evm_reading, "FAR", 10)
    node = Speaking()
    node.mine(5)
    reading = Reading(node)
    reading.step()
    node.mine(30)
    reading.step()
    (told,) = [fields for name, fields in reading.told if name == "alarm"]
    assert (told["code"], told["first"], told["last"]) == ("evm.words_unread", 6, 24)


def test_a_word_of_a_set_that_was_rotated_away_before_it_was_read_is_judged_by_that_set() -> None:
    node = Speaking()
    node.mine(5)
    reading = Reading(node)
    node.epoch = 2
    node.mine()
    reading.step()
    node.epoch = 1
    node.mine()
    said = node.say(at(7))
    node.epoch = 2
    node.mine()
    assert reading.step() == [said]
    node.say(replace(at(8), epoch=9))
    node.say(replace(at(8), epoch=0))
    node.mine()
    assert reading.step() == []


def test_a_thiefs_many_rotations_bury_neither_the_sets_before_them_nor_the_newest() -> None:
    _, reading = begun()
    for epoch in range(1, 2 * evm_reading.SETS_KEPT):
        reading.reader._remember(replace(CONTRACT_STATE, epoch=epoch))
    known = [one.epoch for one in reading.reader.sets_before(2 * evm_reading.SETS_KEPT)]
    assert len(known) == evm_reading.SETS_KEPT
    assert (known[0], known[-1]) == (2 * evm_reading.SETS_KEPT - 1, 1)


def test_the_set_before_a_rotation_is_known_to_a_process_that_came_after_it() -> None:
    node = Speaking()
    node.mine(5)
    first = Reading(node)
    first.step()
    node.epoch = 2
    node.mine(3)
    chain = chain_of(node, "2")[0]
    chain.taken_up = chain.history.released = first.chain.history.released
    second = Reading(node, chain)
    second.step()
    assert [one.epoch for one in second.reader.sets_before(2)] == [1]


class Hiding:
    """A node that leaves transactions out of a block, whose header is as the others show it. Meets `EvmCalls`."""

    def __init__(self, node: Speaking) -> None:
        self.node = node

    async def close(self) -> None: ...

    async def many(self, calls: Sequence[Call], /) -> list[Any]:
        found = await self.node.many(calls)
        return [
            {**one, "transactions": []} if isinstance(one, dict) and "transactions" in one else one for one in found
        ]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_b5_one_node_that_hides_a_call_hides_it_from_nobody(place: int) -> None:
    node = Speaking()
    nodes: list[Any] = [node, node]
    nodes.insert(place, Hiding(node))
    chain, told = chain_of(node, "2")
    chain.node = EvmNodes(
        [(f"node {at}", each) for at, each in enumerate(nodes)], 2, lambda name, fields: told.append((name, fields))
    )
    reading = Reading(node, chain)
    reading.step()
    said = node.say(at(7))
    node.mine()
    assert reading.step() == [said]
    assert {fields["node"] for name, fields in told if name == "alarm"} == {f"node {place}"}


def test_b5_two_nodes_that_differ_about_calls_leave_the_block_to_be_read_again() -> None:
    node = Speaking()
    chain, told = chain_of(node, "2")
    nodes: list[Any] = [("one", node), ("other", Hiding(node))]
    chain.node = EvmNodes(nodes, 2, lambda name, fields: told.append((name, fields)))
    reading = Reading(node, chain)
    reading.step()
    said = node.say(at(7))
    node.mine()
    with pytest.raises(ChainUnavailable):
        reading.step()
    chain.node = node
    assert reading.step() == [said]


def test_a_node_that_answers_for_another_block_is_not_believed() -> None:
    node = Speaking()
    node.mine(3)
    reading = Reading(node)
    reading.step()
    node.mine()
    node.spoil = lambda method, params, answer: (
        node.eth_getBlockByNumber("0x1", True)
        if method == "eth_getBlockByNumber" and params[1] and params[0] != "0x1"
        else answer
    )
    with pytest.raises(BadAnswer):
        reading.step()
