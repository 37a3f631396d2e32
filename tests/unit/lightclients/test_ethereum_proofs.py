"""Words of a packet host under an execution state root, and what proves none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from lockgate.codec import cbor
from lockgate.lab.execution import COMMITMENTS_SLOT, ExecutionState, StateAt, commitment_key
from lockgate.lightclients.ethereum.errors import AccountMissing
from lockgate.lightclients.ethereum.proofs import (
    KNOWN_ACCOUNTS,
    MAX_PROOF,
    AccountProofs,
    decode_proof,
    encode_proof,
)
from lockgate.lightclients.evm_storage import slot_of
from lockgate.merkle.errors import LayersDiffer, ProofMalformed, ProofMismatch
from lockgate.primitives.errors import PeerFault
from tests.support.ethereum_worlds import HOST

PATH, ABSENT = b"client-0\x01" + (1).to_bytes(8), b"client-0\x01" + (2).to_bytes(8)
WORD = b"\x00\x05" + b"\x09" * 30  # its leading zero is not stored
OTHER = b"\xdd" * 20


@cache
def world() -> StateAt:
    state = ExecutionState()
    for number in range(40):
        state.commit(HOST, b"client-1\x01" + number.to_bytes(8), b"\x07" * 32)
    state.commit(HOST, PATH, WORD)
    state.commit(OTHER, PATH, b"\x08" * 32)
    return state.at()


def proofs(held: StateAt | None = None, *, host: bytes = HOST, slot: bytes = COMMITMENTS_SLOT) -> AccountProofs:
    return AccountProofs((held or world()).root, host, slot)


def proof(path: bytes = PATH, address: bytes = HOST, storage_of: bytes = HOST) -> bytes:
    return encode_proof(world().prove_account(address), world().prove_storage(storage_of, commitment_key(path)))


def test_a_word_and_its_absence_are_proven() -> None:
    good = proofs()
    good.membership(proof(), (PATH,), WORD)
    good.non_membership(proof(ABSENT), (ABSENT,))
    assert slot_of(PATH, COMMITMENTS_SLOT) == commitment_key(PATH)


@pytest.mark.parametrize(
    ("given", "path", "word"),
    [
        (proof, (PATH,), WORD[:-1] + b"\x0a"),
        (proof, (PATH,), WORD[1:]),
        (proof, (PATH,), WORD + b"\0"),
        (proof, (PATH,), b""),
        (lambda: proof(ABSENT), (ABSENT,), bytes(32)),
        (proof, (ABSENT,), WORD),
        (lambda: proof(storage_of=OTHER), (PATH,), b"\x08" * 32),
        (lambda: proof(address=OTHER, storage_of=OTHER), (PATH,), b"\x08" * 32),
        (proof, (b"ibc", PATH), WORD),
        (proof, (), WORD),
        (lambda: b"", (PATH,), WORD),
        (lambda: b"\x0a\x00", (PATH,), WORD),
        (lambda: proof() + b"\0", (PATH,), WORD),
        (lambda: cbor.encode([[b"x"], [1]]), (PATH,), WORD),
        (lambda: cbor.encode([[], []]), (PATH,), WORD),
        (lambda: cbor.encode([[], [b"x"] * 66]), (PATH,), WORD),
        (lambda: cbor.encode([[b"x" * MAX_PROOF], []]), (PATH,), WORD),
        (lambda: cbor.encode([list(decode_proof(proof())[0]), []]), (PATH,), WORD),
        (lambda: cbor.encode([list(part)[::-1] for part in decode_proof(proof())]), (PATH,), WORD),
        (lambda: cbor.encode([[*part, part[-1]] for part in decode_proof(proof())]), (PATH,), WORD),
    ],
)
def test_what_proves_no_word(given: Callable[[], bytes], path: tuple[bytes, ...], word: bytes) -> None:
    with pytest.raises((ProofMismatch, ProofMalformed, LayersDiffer)):
        proofs().membership(given(), path, word)


def test_a_proof_is_not_read_beyond_its_bound() -> None:
    with pytest.raises(ProofMalformed, match="too long"):
        decode_proof(bytes(MAX_PROOF + 1))


def test_a_word_that_is_there_is_not_absent_and_another_path_s_absence_is_not_this_one_s() -> None:
    with pytest.raises(ProofMismatch, match="holds a word"):
        proofs().non_membership(proof(), (PATH,))
    with pytest.raises((ProofMismatch, ProofMalformed)):
        proofs().non_membership(proof(ABSENT), (PATH,))
    with pytest.raises(LayersDiffer):
        proofs().non_membership(proof(ABSENT), (b"ibc", ABSENT))


@pytest.mark.parametrize(
    "other",
    [
        lambda: proofs(host=OTHER),
        lambda: proofs(slot=b"\x01" * 32),
        lambda: proofs(ExecutionState().at()),
    ],
    ids=["other-contract", "other-slot", "stale-root"],
)
def test_a_proof_of_another_contract_slot_or_state_is_refused(other: Callable[[], AccountProofs]) -> None:
    with pytest.raises(PeerFault):
        other().membership(proof(), (PATH,), WORD)


def test_where_there_is_no_contract_nothing_is_absent_either() -> None:
    state = ExecutionState()
    state.commit(HOST, PATH, WORD)
    before = state.at(without=[HOST])
    nowhere = encode_proof(before.prove_account(HOST), [])
    with pytest.raises(AccountMissing):
        proofs(before).non_membership(nowhere, (PATH,))
    with pytest.raises(AccountMissing):
        proofs(before).membership(nowhere, (PATH,), WORD)


def test_a_contract_that_holds_nothing_proves_absence_alone() -> None:
    state = ExecutionState()
    state.commit(HOST, PATH, WORD)
    state.commit(HOST, PATH, bytes(32))
    empty = state.at()
    nodes = encode_proof(empty.prove_account(HOST), empty.prove_storage(HOST, commitment_key(PATH)))
    proofs(empty).non_membership(nodes, (PATH,))
    with pytest.raises(ProofMismatch):
        proofs(empty).membership(nodes, (PATH,), WORD)


def test_an_account_proof_that_held_once_changes_no_later_verdict() -> None:
    """The memo is by the very nodes: those of another account are judged anew, however many came before."""
    mixed = encode_proof(world().prove_account(OTHER), world().prove_storage(OTHER, commitment_key(PATH)))
    good = proofs()
    for _ in range(2 * KNOWN_ACCOUNTS):
        good.membership(proof(), (PATH,), WORD)
        with pytest.raises(PeerFault):
            good.membership(mixed, (PATH,), b"\x08" * 32)
    truncated = encode_proof(world().prove_account(HOST)[:-1], decode_proof(proof())[1])
    with pytest.raises(PeerFault):
        good.membership(truncated, (PATH,), WORD)
