"""Attack replays A1, A8, C1 and C6 of the incident list, against clients of a beacon chain.

The adversary runs every node and relayer, holds the keys of all committees before and after the present one and of
21 of its 32 members, and may shape blocks and states as it likes.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.lab.beacon import Beacon
from lockgate.lightclients.ethereum import Header
from lockgate.lightclients.ethereum.containers import NO_HEADER
from lockgate.lightclients.ethereum.errors import (
    CommitteeRefused,
    ParticipationLow,
    PeriodSkipped,
    SignatureRefused,
    UpdateStale,
)
from lockgate.lightclients.standing import ClientFrozen, RootUnset
from lockgate.primitives.errors import LockgateError
from tests.support.beacons import EPOCH, PERIOD
from tests.support.ethereum_worlds import CLIENT, EthereumWorld, Evm, at, path_of, word_of


def forged(
    w: EthereumWorld, *, state_root: bytes = b"\x66" * 32, slot: int = 32, attested: int = 48, seed: bytes = b"lab"
) -> Evm:
    """The chain as the adversary would have it: a block that never was, and one that sees it as final."""
    other = w.evm.forked()
    other.chain = replace(other.chain, seed=seed)  # of the committees' keys
    other.block(slot, state_root=state_root)
    other.chain.propose(attested, other.chain.blocks[attested].header.execution, finalized=slot)
    return other


def refuses(w: EthereumWorld, header: Header, refusal: type[LockgateError]) -> None:
    before = w.view.snapshot()
    with pytest.raises(refusal):
        w.update(header)
    assert w.view.snapshot() == before
    assert w.status() == "Active"


def test_a1_no_state_root_that_is_not_set_is_ever_stored() -> None:
    w = EthereumWorld()
    refuses(w, forged(w, state_root=bytes(32)).header(48, 8), RootUnset)


def test_a8_whoever_brings_a_committee_of_his_own_is_not_asked_what_it_signed() -> None:
    w = EthereumWorld()
    own = forged(w, seed=b"adversary")
    refuses(w, own.header(48, 8), CommitteeRefused)
    mixed = replace(own.header(48, 8), committee=w.evm.chain.committee(0))
    refuses(w, mixed, SignatureRefused)


@pytest.mark.parametrize("period", [1, 2, 7])
def test_a8_keys_of_every_other_committee_sign_nothing_here(period: int) -> None:
    w = EthereumWorld()
    header = forged(w).header(48, 8)
    root = header.update.attested_header.beacon.root
    aggregate = w.evm.chain.sign(root, 49, period=period)
    by_others = replace(header, update=replace(header.update, sync_aggregate=aggregate))
    refuses(w, by_others, SignatureRefused)
    refuses(w, replace(by_others, committee=w.evm.chain.committee(period)), CommitteeRefused)


def test_a8_a_future_committee_is_reached_only_through_the_ones_before_it() -> None:
    w = EthereumWorld()
    refuses(w, forged(w, slot=2 * PERIOD, attested=2 * PERIOD + 2 * EPOCH).header(144, 8), PeriodSkipped)


def test_c3_twenty_one_of_thirty_two_move_nothing_in_any_combination() -> None:
    w = EthereumWorld()
    for by in (range(21), range(11, 32), range(0, 32, 2)):
        refuses(w, forged(w).header(48, 8, participants=tuple(by)), ParticipationLow)
    padded = forged(w).header(48, 8, participants=21)
    aggregate = replace(padded.update.sync_aggregate, bits=b"\xff" * 4)
    refuses(w, replace(padded, update=replace(padded.update, sync_aggregate=aggregate)), SignatureRefused)


def test_c1_what_the_same_keys_sign_on_a_fork_counts_for_nothing_here() -> None:
    """Both sides of a contentious fork keep the committee; version or genesis differ, and so does what is signed."""
    w = EthereumWorld()
    network = w.evm.chain.network
    versions = (*network.forks[:-1], replace(network.forks[-1], version=b"\x05\0\0\x99"))
    for changed in (replace(network, forks=versions), replace(network, genesis_validators_root=b"\x05" * 32)):
        fork = forged(w)
        fork.chain = Beacon(changed, blocks=fork.chain.blocks)
        refuses(w, fork.header(48, 8), SignatureRefused)


def test_c6_what_is_not_final_releases_nothing_however_many_signed_it() -> None:
    w = EthereumWorld()
    header = w.header(48)
    bare = replace(header.update, finalized_header=NO_HEADER, finality_branch=())
    refuses(w, replace(header, update=bare), UpdateStale)
    held = w.client.latest_height(w.view, CLIENT)
    assert held == at(8), "no optimistic head, and no forced update after a period without finality"


@pytest.mark.parametrize("forged_first", [False, True])
def test_c6_a_final_block_that_is_taken_back_freezes_whichever_came_first(forged_first: bool) -> None:
    """Here the adversary has two thirds after all: it forges one block, and is caught by the first honest update."""
    w = EthereumWorld()
    headers = [w.header(48), forged(w).header(48, 8)]
    first, second = reversed(headers) if forged_first else headers
    w.update(first)
    assert w.update(second).misbehaviour
    with pytest.raises(ClientFrozen):
        w.client.verify_membership(w.view, CLIENT, at(8), w.evm.proof(8, path_of(8)), (path_of(8),), word_of(8))
