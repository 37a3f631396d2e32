"""Proofs under the storage root of a host contract, and an attested client of an EVM that takes them (S20, S28)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate.codec import rlp
from lockgate.crypto.keccak import keccak256
from lockgate.ibc import host
from lockgate.lightclients.attested import AttestedClient, ClientState, ConsensusState, SignerSet, states
from lockgate.lightclients.evm_storage import (
    StorageProofs,
    chain_name,
    domain_of,
    encode_proof,
    is_evm,
    slot_of,
)
from lockgate.merkle.errors import ProofMalformed, ProofMismatch
from lockgate.merkle.patricia_tree import PatriciaTree
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import seconds
from tests.support.attesters import OWN, START, ordered, signer
from tests.support.memory_view import MemoryView

CLIENT = ClientId("client-0")
KEYS = [host.packet_commitment(CLIENT, sequence) for sequence in range(1, 20)]
VALUES = {key: bytes([number + 1]) * 32 for number, key in enumerate(KEYS)}
TREE = PatriciaTree(
    {keccak256(slot_of(key)): rlp.encode_number(int.from_bytes(value)) for key, value in VALUES.items()}
)
ABSENT = host.packet_receipt(CLIENT, 1)


def proof_of(key: bytes) -> bytes:
    return encode_proof(TREE.prove(keccak256(slot_of(key))))


def test_values_and_absences_hold_under_the_root() -> None:
    proofs = StorageProofs(TREE.root)
    for key in KEYS:
        proofs.membership(proof_of(key), (key,), VALUES[key])
        with pytest.raises(ProofMismatch):
            proofs.non_membership(proof_of(key), (key,))
    proofs.non_membership(proof_of(ABSENT), (ABSENT,))


@pytest.mark.parametrize(
    ("proof", "path", "value"),
    [
        (proof_of(KEYS[0]), (KEYS[0],), VALUES[KEYS[1]]),
        (proof_of(KEYS[0]), (KEYS[1],), VALUES[KEYS[1]]),
        (proof_of(ABSENT), (ABSENT,), bytes(32)),
        (proof_of(KEYS[0]), (b"ibc", KEYS[0]), VALUES[KEYS[0]]),
        (proof_of(KEYS[0]), (), VALUES[KEYS[0]]),
        (b"", (KEYS[0],), VALUES[KEYS[0]]),
        (rlp.encode(b"nodes"), (KEYS[0],), VALUES[KEYS[0]]),
        (rlp.encode(((), ())), (KEYS[0],), VALUES[KEYS[0]]),
        (proof_of(KEYS[0])[:-1], (KEYS[0],), VALUES[KEYS[0]]),
        (encode_proof(TREE.prove(keccak256(slot_of(KEYS[0])))[:-1]), (KEYS[0],), VALUES[KEYS[0]]),
    ],
    ids=[
        *("another value", "another path", "zero is no value", "a store name", "no path", "nothing", "bytes", "lists"),
        *("cut", "a node too few"),
    ],
)
def test_what_does_not_hold_is_refused(proof: bytes, path: tuple[bytes, ...], value: bytes) -> None:
    with pytest.raises((ProofMalformed, ProofMismatch)):
        StorageProofs(TREE.root).membership(proof, path, value)


def test_a_proof_under_another_root_is_refused() -> None:
    with pytest.raises(PeerFault):
        StorageProofs(keccak256(b"another")).membership(proof_of(KEYS[0]), (KEYS[0],), VALUES[KEYS[0]])


def test_a_domain_names_chain_and_contract() -> None:
    domains = {domain_of(network, bytes([number]) * 20) for network in (1, 10, 31_337) for number in range(3)}
    assert len(domains) == 9
    assert chain_name(1) == "eip155:1"
    assert [is_evm(text) for text in ("eip155:1", "alpha-1", "eip1559-1")] == [True, False, False]


def world(chain_id: str) -> tuple[AttestedClient, MemoryView, Height]:
    signers = SignerSet(epoch=1, threshold=3, signers=ordered([signer(number) for number in range(5)]))
    at = Height(1 if chain_id.endswith("-1") else 0, 9)
    state = ClientState(
        domain=domain_of(1, b"\x0a" * 20),
        chain_id=chain_id,
        signers=signers,
        trusting_period=seconds(86_400),
        max_clock_drift=seconds(40),
        latest_height=at,
    )
    module, view = AttestedClient(), MemoryView()
    first = states.encode_consensus_state(ConsensusState(START, TREE.root))
    made = module.initialise(view, CLIENT, states.encode_client_state(state), first, START, OWN)
    view.apply(made)
    return module, view, at


def test_an_attested_client_of_an_evm_takes_storage_proofs_and_no_others_do() -> None:
    module, view, at = world("eip155:1")
    module.verify_membership(view, CLIENT, at, proof_of(KEYS[0]), (KEYS[0],), VALUES[KEYS[0]])
    module.verify_non_membership(view, CLIENT, at, proof_of(ABSENT), (ABSENT,))
    spoilt: list[Callable[[], None]] = [
        lambda: module.verify_membership(view, CLIENT, at, proof_of(KEYS[0]), (KEYS[0],), VALUES[KEYS[1]]),
        lambda: module.verify_non_membership(view, CLIENT, at, proof_of(KEYS[0]), (KEYS[0],)),
    ]
    for call in spoilt:
        with pytest.raises(PeerFault):
            call()
    module, view, at = world("alpha-1")
    with pytest.raises(PeerFault):
        module.verify_membership(view, CLIENT, at, proof_of(KEYS[0]), (KEYS[0],), VALUES[KEYS[0]])
