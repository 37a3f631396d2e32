"""The lab's beacon chain and EVM state prove what they say, the same in every run."""

from __future__ import annotations

import pytest

from lockgate.lab.beacon import Beacon, minimal_network
from lockgate.lab.execution import COMMITMENTS_SLOT, ExecutionState, commitment_key
from lockgate.lightclients.ethereum import committee
from lockgate.merkle import ethereum
from lockgate.merkle.errors import ProofMismatch
from tests.support.beacons import beacon

HOST = b"\xcc" * 20
PATH = b"client-0\x01" + (1).to_bytes(8)
WORD = b"\x00\x05" + bytes(30)


def test_a_state_proves_words_and_their_absence() -> None:
    state = ExecutionState()
    state.commit(HOST, PATH, WORD)
    before = state.at()
    state.commit(HOST, PATH, bytes(32))
    after = state.at()
    key = commitment_key(PATH)
    assert before.root != after.root
    for at, word in ((before, WORD), (after, bytes(32))):
        account = ethereum.account(at.root, HOST, at.prove_account(HOST))
        assert account is not None
        assert ethereum.storage(account.storage_root, key, at.prove_storage(HOST, key)) == word
    with pytest.raises(ProofMismatch):
        ethereum.account(after.root, HOST, before.prove_account(HOST))
    gone = state.at(without=[HOST])
    assert ethereum.account(gone.root, HOST, gone.prove_account(HOST)) is None


def test_the_key_of_a_commitment_is_the_one_deployed_contracts_have() -> None:
    """Source: solidity-ibc's store layout (ERC-7201), worked out apart from this code."""
    path = b"07-tendermint-0\x01" + (1).to_bytes(8)
    assert commitment_key(path).hex() == "0c17411598a8927d322d47a7b449d3c2a22b46b11601d52249e72722aa3af28b"
    assert COMMITMENTS_SLOT[-1] == 0


def test_a_chain_is_the_same_in_every_run_and_another_seed_gives_other_keys() -> None:
    one, other = beacon(range(0, 57, 8)), beacon(range(0, 57, 8))
    assert one.update(56) == other.update(56)
    strange = Beacon(minimal_network(one.network.genesis_time), seed=b"other")
    assert strange.committee(0) != one.committee(0) != one.committee(1)
    assert len(committee.load(one.committee(0))) == 32


def test_a_fork_shares_what_was_before_it() -> None:
    chain = beacon([0, 8])
    branch = chain.forked()
    branch.propose(16, chain.blocks[8].header.execution)
    assert 16 not in chain.blocks
    assert branch.blocks[8] == chain.blocks[8]
