"""What is read out of a call of a host contract or its client: nothing is believed, and nothing breaks the reader."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from lockgate.codec import abi
from lockgate.crypto.keccak import keccak256
from lockgate.crypto.recoverable import EvmKey
from lockgate.ibc import commitment
from lockgate.ibc import host as paths
from lockgate.ibc.packet import Acknowledgement
from lockgate.lightclients.evm_attestation import (
    Binding,
    Inclusion,
    Leaf,
    Member,
    Signed,
    Statement,
    attestation_fields,
    encode_proof,
    merkle_root,
    prove,
)
from lockgate.primitives.time import UnixSeconds
from lockgate.relay.chains.evm.clients import AttestedContract
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.packets import item_fields, packet_fields
from lockgate.relay.evm_guard import _conflict
from lockgate.relay.evm_words import Shown, Word, root_over, single_inclusions, sound, word_in, words_within
from tests.support.evm_node import FakeNode

KEYS = [EvmKey(bytes([number + 1]) * 32) for number in range(3)]
CONTRACT = AttestedContract(
    b"\x0a" * 20, 1, tuple(Member(0, key.address, 1) for key in KEYS), 2, 2, UnixSeconds(2_000_000_000)
)
BINDING = Binding(chain_id=1, contract=b"\x0a" * 20, client_id="client-0", source=b"\x01" * 32)
LEAVES = [Leaf(bytes([at]) * 32, bytes([at + 1]) * 32) for at in range(3)]


def statement(height: int = 7, time: int = 1_700_000_000, root: bytes = b"\x11" * 32) -> Statement:
    leaves = merkle_root(LEAVES)
    return Statement(epoch=1, height=height, time=UnixSeconds(time), state_root=root, leaves_root=leaves)


def signed(over: Statement, signers: range = range(2), binding: Binding = BINDING) -> tuple[Signed, ...]:
    return tuple(Signed(at, *KEYS[at].sign_digest(over.digest(binding)).compact) for at in signers)


def word(over: Statement) -> Word:
    return Word(over, signed(over))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 50])
def test_one_leaf_leads_to_the_root_as_all_of_them_do(size: int) -> None:
    leaves = [Leaf(bytes([at]) * 32, bytes([at + 100]) * 32) for at in range(size)]
    rng = random.Random(size)
    for _ in range(20):
        places = sorted(rng.sample(range(size), rng.randint(1, size)))
        whole = prove(leaves, places)[1]
        singles = single_inclusions([leaves[at] for at in places], whole)
        assert singles == [prove(leaves, [at])[1] for at in places]


@pytest.mark.parametrize(
    "spoilt",
    [Inclusion(0, 1, ()), Inclusion(257, 1, ()), Inclusion(2, 4, ()), Inclusion(2, 3, ()), Inclusion(2, 0, ())],
)
def test_an_inclusion_of_other_leaves_is_none(spoilt: Inclusion) -> None:
    with pytest.raises(ValueError, match="other leaves"):
        single_inclusions(LEAVES[:1], spoilt)


def test_an_update_and_a_packets_proof_read_as_they_were_made() -> None:
    over = statement()
    data = interface("attested").call("update", attestation_fields(over, signed(over)))
    assert word_in(data, to_host=False) == word(over)
    packet = FakeNode().send()
    key = paths.packet_commitment(packet.source_client, packet.sequence)
    leaves = [Leaf(keccak256(key), commitment.commit_packet(packet)), *LEAVES]
    over = replace(over, leaves_root=merkle_root(leaves))
    inclusion = prove(leaves, [0])[1]
    call = (packet_fields(packet), encode_proof(over, signed(over), inclusion), (1, over.height))
    found = word_in(interface("host").call("recvPacket", call), to_host=True)
    assert found is not None
    assert (found.statement, found.signatures) == (over, signed(over))
    assert found.shown == (Shown(key, leaves[0], inclusion),)


def test_a_batch_shows_each_of_its_packets() -> None:
    packets = [FakeNode().send(), FakeNode().send(b"another")._replace(sequence=2)]
    lane = packets[0].source_client, packets[0].destination_client
    items = [item_fields(packet) for packet in packets]
    answers = [b"yes", b"no"]
    sent = [paths.packet_commitment(lane[0], number) for number in (1, 2)]
    answered = [paths.packet_acknowledgement(lane[1], number) for number in (1, 2)]
    made = [commitment.commit_packet(packet) for packet in packets]
    ended = [commitment.commit_acknowledgement(Acknowledgement((answer,))) for answer in answers]
    for name, keys, values in (("recvPackets", sent, made), ("ackPackets", answered, ended)):
        leaves = [Leaf(keccak256(key), value) for key, value in zip(keys, values, strict=True)]
        over = replace(statement(), leaves_root=merkle_root(leaves))
        proof = encode_proof(over, signed(over), prove(leaves, [0, 1])[1])
        more = (answers,) if name == "ackPackets" else ()
        found = word_in(interface("host").call(name, *lane, items, *more, proof, (1, over.height)), to_host=True)
        assert found is not None
        assert [one.leaf.value for one in found.shown] == values
        assert [one.key for one in found.shown] == keys


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01" * 4, b"\x01" * 300])
def test_what_is_no_call_says_nothing(data: bytes) -> None:
    for to_host in (False, True):
        assert word_in(data, to_host) is None
        for name in ("recvPacket", "recvPackets", "ackPackets", "timeoutPacket") if to_host else ("update",):
            selector = interface("host" if to_host else "attested")._functions[name].selector
            assert word_in(selector + data, to_host) is None


def test_only_a_quorum_of_its_set_over_this_very_contract_counts() -> None:
    over = statement()
    assert sound(word(over), CONTRACT, BINDING) == word(over)
    for other in (
        Word(over, signed(over, range(1))),
        Word(over, signed(over)[:1] * 2),
        Word(over, signed(statement(8))),
        Word(over, signed(over, binding=replace(BINDING, chain_id=2))),
        Word(over, (Signed(0, bytes(32), bytes(32)), *signed(over)[1:])),
        Word(over, signed(over, range(3)) + signed(over, range(1))),  # more than the contract reads
        word(replace(over, epoch=2)),
    ):
        assert sound(other, CONTRACT, BINDING) is None


def test_signatures_stand_as_the_contract_takes_them_however_they_were_given() -> None:
    """Whoever shows a false word first, in a call that fails, must not make it useless as evidence."""
    over = statement()
    first, second = signed(over)
    for given in (
        (second, first),
        (Signed(2, first.r, first.vs), Signed(0, second.r, second.vs)),
        (first, Signed(1, b"\x07" * 32, b"\x08" * 32), second),
    ):
        assert sound(Word(over, given), CONTRACT, BINDING) == word(over)
    assert sound(Word(over, signed(over, range(3))), CONTRACT, BINDING) == word(over)


def test_leaves_that_are_not_under_the_root_are_not_the_quorums() -> None:
    over, packet = statement(), FakeNode().send()
    leaf = Leaf(keccak256(paths.packet_commitment(packet.source_client, 1)), commitment.commit_packet(packet))
    leaves = [leaf, *LEAVES]
    true = replace(over, leaves_root=merkle_root(leaves))
    for said, shown in ((true, 1), (over, 0)):
        proof = encode_proof(said, signed(said), prove(leaves, [0])[1])
        found = word_in(interface("host").call("recvPacket", (packet_fields(packet), proof, (1, 7))), to_host=True)
        assert found is not None
        assert (found.statement, len(found.shown)) == (said, shown)
    for size in range(1, 20):
        many = [Leaf(bytes([at]) * 32, bytes([at + 100]) * 32) for at in range(size)]
        for at in range(size):
            assert root_over(many[at], prove(many, [at])[1]) == merkle_root(many)


def test_a_call_is_found_in_the_call_of_a_forwarder_and_packed_in_a_batch() -> None:
    over = statement()
    update = interface("attested").call("update", attestation_fields(over, signed(over)))
    forwarded = b"\x01\x02\x03\x04" + abi.encode(abi.Tuple((abi.Uint(160), abi.BYTES)), (1, update))
    packed = b"\x00" + b"\x0a" * 20 + bytes(32) + len(update).to_bytes(32) + update
    assert words_within(forwarded) == words_within(b"\x09" * 5 + packed) == [word(over)]
    assert words_within(packed + packed) == [word(over)] * 2
    for cut in (update, b"\xff" * 32 + update, packed[:-1], b"", update[:4] * 1_000):
        assert words_within(cut) == []


def test_words_conflict_where_the_contract_says_that_they_do() -> None:
    truth = word(statement())
    assert _conflict(truth, truth) is None
    assert _conflict(truth, word(statement(8, 1_700_000_001))) is None
    for other in (statement(root=b"\x12" * 32), statement(time=1_700_000_001), statement(8, 1_699_999_999)):
        found = _conflict(word(other), truth)
        assert found is not None
        assert found[0] == "misbehaviour"
        assert found == _conflict(truth, word(other)) or other.height == 7, "the lower one stands first"
