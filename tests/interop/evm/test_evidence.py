"""Quorums that contradict themselves, whenever they did, and what stands still afterwards (S20, S28, P14, P20)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from web3.exceptions import ContractLogicError

from lockgate.codec import abi
from lockgate.ibc import host
from lockgate.lightclients import evm_attestation as words
from lockgate.primitives.time import UnixSeconds
from tests.interop.evm.test_attested import active, rotated, update
from tests.interop.evm.test_packets import ask
from tests.interop.evm.world import World, answered, attestation, fields, keys_of, sent, signing_set, unreceived

pytestmark = pytest.mark.interop

LEAF = words.Leaf(b"\x21" * 32, b"\x22" * 32)
WEEKS_3 = 21 * 86_400


def two_words(world: World) -> tuple[Any, Any]:
    """Two attestations of one height that cannot both be true."""
    first = world.statement([LEAF])
    second = replace(first, state_root=b"\x77" * 32)
    return attestation(first, world.signed(first)), attestation(second, world.signed(second, (2, 3, 4)))


def hand_over(world: World, seed: int) -> None:
    """Rotate to new keys, which sign from then on."""
    keys = keys_of(seed)
    rotated(world, signing_set(keys, world.now() + 300 * 86_400))
    world.keys = keys


def test_p20_a_set_that_handed_over_still_answers_for_its_words(world: World) -> None:
    """A quorum that lied and rotated away at once would otherwise keep what it took."""
    lie = two_words(world)
    hand_over(world, 3)
    hand_over(world, 4)
    later = world.statement([LEAF])
    world.do(update(world, later, world.signed(later)))
    world.do(world.client.functions.misbehaviour(*lie))
    assert not active(world)
    later = world.statement([LEAF])
    world.refuses(update(world, later, world.signed(later)), r"client\.frozen")


def test_p20_two_values_of_one_path_by_a_set_that_handed_over_freeze(world: World) -> None:
    first = world.statement([LEAF])
    other = replace(LEAF, value=words.ABSENT)
    second = replace(first, leaves_root=words.merkle_root([other]))
    both = [attestation(one, world.signed(one)) for one in (first, second)]
    hand_over(world, 3)
    alone = (1, 1, [])
    call = world.client.functions.misbehaviourOfLeaf
    one, two = (LEAF.path, LEAF.value), (other.path, other.value)
    world.refuses(call(both[0], one, alone, both[0], one, alone), r"misbehaviour\.none")
    world.do(call(both[0], one, alone, both[1], two, alone))
    assert not active(world)


def test_p20_two_sets_that_contradict_each_other_freeze(world: World) -> None:
    before = world.statement([LEAF])
    signed = attestation(before, world.signed(before))
    hand_over(world, 3)
    after = replace(before, epoch=world.epoch, state_root=b"\x77" * 32)
    world.refuses(
        world.client.functions.misbehaviour(signed, attestation(replace(after, epoch=1), world.signed(after))),
        r"attestation\.signer",
    )
    world.do(world.client.functions.misbehaviour(signed, attestation(after, world.signed(after))))
    assert not active(world)


def test_evidence_takes_the_quorum_of_its_own_set(world: World) -> None:
    """What a later set asks for, or who is in it, counts for nothing in an earlier one."""
    first = world.statement([LEAF])
    second = replace(first, state_root=b"\x77" * 32)
    good = attestation(first, world.signed(first))
    few = attestation(second, world.signed(second, (0, 1)))
    keys = keys_of(3, 7)
    rotated(world, signing_set(keys, world.now() + 86_400, threshold=5, operators=5))
    theirs = attestation(second, replace(world, keys=keys).signed(second, range(5)))
    world.refuses(world.client.functions.misbehaviour(good, few), r"attestation\.operators")
    world.refuses(world.client.functions.misbehaviour(good, theirs), r"attestation\.signer")
    enough = attestation(second, world.signed(second))
    world.do(world.client.functions.misbehaviour(good, enough))


def test_keys_of_a_set_that_ended_long_ago_freeze_nothing(world: World) -> None:
    """Old keys are kept worse with every year: whoever collects a quorum of them must not stop the lane."""
    lie = two_words(world)
    hand_over(world, 3)
    with world.undone():
        world.advance(WEEKS_3 - 60)
        world.do(world.client.functions.misbehaviour(*lie))
    world.advance(WEEKS_3)
    world.refuses(world.client.functions.misbehaviour(*lie), r"set\.expired")
    assert active(world)


def test_a_set_that_ended_proves_nothing_any_more(world: World) -> None:
    packet = world.incoming(1)
    proof, height = world.proof([sent(packet)])
    hand_over(world, 3)
    world.refuses(world.receive(packet, proof, height), r"attestation\.epoch")
    never = attestation(world.statement([LEAF], epoch=7), ())
    world.refuses(world.client.functions.misbehaviour(never, never), r"attestation\.epoch")


def test_p14_nothing_settles_over_a_frozen_client(world: World) -> None:
    """A frozen client proves neither an answer nor the absence of a receipt: what was sent stays as it is."""
    packet = ask(world, ahead=30)
    done = ask(world, b"done")
    answer, answer_height = world.proof([answered(done, b"yes")])
    world.do(world.host.functions.ackPacket((fields(done), b"yes", answer, answer_height)))
    world.advance(31)
    proofs = world.proof([answered(packet, b"yes")]), world.proof([unreceived(packet)])
    world.do(world.client.functions.misbehaviour(*two_words(world)))
    calls = world.host.functions
    (acked, acked_at), (absent, absent_at) = proofs
    for call in (
        calls.ackPacket((fields(packet), b"yes", acked, acked_at)),
        world.acknowledge_many([packet], [b"yes"], acked, acked_at),
        calls.timeoutPacket((fields(packet), absent, absent_at)),
        calls.ackPacket((fields(done), b"yes", answer, answer_height)),  # no Noop either: nothing is looked at
        world.receive(world.incoming(1), *world.proof([sent(world.incoming(1))])),
    ):
        world.refuses(call, r"client\.frozen")
    path = host.packet_commitment(packet.source_client, packet.sequence)
    assert world.commitment_at(path) != bytes(32)


Spoiling = Callable[[bytes], bytes]
WORD = abi.WORD


def moved_apart(proof: bytes) -> bytes:
    """A gap between the heads and what they point at, which a decoder steps over."""
    heads = b"".join((int.from_bytes(proof[at : at + WORD]) + WORD).to_bytes(WORD) for at in (0, WORD))
    return heads + bytes(WORD) + proof[2 * WORD :]


def swapped(proof: bytes) -> bytes:
    """The second value's bytes before the first's: the same values, as long as the canonical form."""
    first, second = (int.from_bytes(proof[at : at + WORD]) for at in (0, WORD))
    attested, inclusion = proof[first:second], proof[second:]
    heads = (2 * WORD + len(inclusion)).to_bytes(WORD) + (2 * WORD).to_bytes(WORD)
    return heads + inclusion + attested


FORMS: list[tuple[str, Spoiling]] = [
    ("a word behind", lambda proof: proof + bytes(WORD)),
    ("a byte behind", lambda proof: proof + b"\x00"),
    ("a gap", moved_apart),
    ("another order", swapped),
]


@pytest.mark.parametrize("spoil", [form[1] for form in FORMS], ids=[form[0] for form in FORMS])
def test_a2_a_proof_has_one_form(world: World, spoil: Spoiling) -> None:
    packet = world.incoming(1)
    proof, height = world.proof([sent(packet), words.Leaf(bytes(32), bytes(32))], [0])
    world.refuses(world.receive(packet, spoil(proof), height), r"proof\.encoding")
    world.do(world.receive(packet, proof, height))


def test_a2_an_update_has_one_form(world: World) -> None:
    statement = world.statement([LEAF])
    call = world.client.functions.update(attestation(statement, world.signed(statement)))
    data = bytes.fromhex(call._encode_transaction_data()[2:])
    transaction = {"to": world.client.address, "from": world.web3.eth.accounts[0], "gas": 1_000_000}
    gap = data[:4] + (2 * WORD).to_bytes(WORD) + bytes(WORD) + data[4 + WORD :]
    for spoilt in (data + b"\x00", data + bytes(WORD), data + bytes(64 * WORD), gap):
        with pytest.raises(ContractLogicError, match=r"proof\.encoding"):
            world.web3.eth.call({**transaction, "data": spoilt})
    world.do(call)


def test_a_time_before_the_newest_is_no_evidence_by_itself(world: World) -> None:
    """An ended set may be shown a lower height; only a contradiction counts."""
    first = world.statement([LEAF])
    signed = attestation(first, world.signed(first))
    world.advance(60)
    hand_over(world, 3)
    after = world.statement([LEAF], time=UnixSeconds(world.now()))
    good = attestation(after, world.signed(after))
    world.refuses(world.client.functions.misbehaviour(signed, good), r"misbehaviour\.none")
    world.refuses(world.client.functions.misbehaviour(good, signed), r"misbehaviour\.none")
    assert active(world)
