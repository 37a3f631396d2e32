"""An update that a sync committee signed, and each way in which it is not one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from py_arkworks_bls12381 import G1Point

from lockgate.crypto import bls12381 as bls
from lockgate.lab.beacon import Beacon, sign_together
from lockgate.lightclients.ethereum import Fork, LightHeader, SyncAggregate, SyncCommittee, Update, committee, indices
from lockgate.lightclients.ethereum.containers import NO_HEADER, Branch, domain, signing_root
from lockgate.lightclients.ethereum.errors import (
    BranchMismatch,
    CommitteeRefused,
    HeaderRefused,
    MalformedBeaconData,
    ParticipationLow,
    PeriodSkipped,
    SignatureRefused,
    SlotAhead,
    UpdateStale,
)
from lockgate.lightclients.ethereum.verification import Known, check_bootstrap, check_header, check_update
from lockgate.merkle import ssz
from tests.support.beacons import EPOCH, PERIOD, beacon, known, signers

ATTESTED = 56
TRUSTED = 8
OFF_SUBGROUP = bytes([0x80]) + bytes(46) + b"\x04"  # x = 4 is on the curve, whose order has a cofactor
OFF_CURVE = bytes([0x80]) + bytes(46) + b"\x01"


@pytest.fixture(scope="module")
def chain() -> Beacon:
    return beacon()


def check(chain: Beacon, update: Update, trust: Known, now: int | None = None) -> None:
    at = update.signature_slot
    check_update(chain.network, trust, update, signers(chain, at), at if now is None else now)


def flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def flipped(branch: Branch) -> Branch:
    return (*branch[:-1], flip(branch[-1]))


@pytest.mark.parametrize("following", [False, True])
@pytest.mark.parametrize("fork", list(Fork)[1:])
def test_an_update_of_each_fork_holds(fork: Fork, following: bool) -> None:
    chain = beacon(range(0, PERIOD + 1, EPOCH), (0,) * (fork + 1))
    update = chain.update(ATTESTED)
    assert len(update.finality_branch) == (7 if fork >= Fork.ELECTRA else 6)
    assert len(update.next_sync_committee_branch) == (6 if fork >= Fork.ELECTRA else 5)
    assert bool(update.attested_header.execution_branch) is (fork >= Fork.CAPELLA)
    check(chain, update, known(chain, TRUSTED, following=following))
    bootstrap = chain.bootstrap(TRUSTED)
    check_bootstrap(chain.network, bootstrap, bootstrap.header.beacon.root)


def test_an_update_may_be_signed_in_the_next_period_when_its_committee_is_known(chain: Beacon) -> None:
    update = chain.update(PERIOD + 16)
    check(chain, update, known(chain, TRUSTED, following=True))
    with pytest.raises(PeriodSkipped):
        check(chain, update, known(chain, TRUSTED))
    with pytest.raises(PeriodSkipped):
        check(chain, chain.update(2 * PERIOD), known(chain, TRUSTED, following=True))


def test_what_is_not_new_is_refused(chain: Beacon) -> None:
    with pytest.raises(UpdateStale):
        check(chain, chain.update(ATTESTED), known(chain, PERIOD))
    with pytest.raises(UpdateStale):
        check(chain, chain.update(ATTESTED), known(chain, ATTESTED, following=True))
    check(chain, chain.update(ATTESTED), known(chain, ATTESTED))  # it brings the next committee
    with pytest.raises(UpdateStale):
        check(chain, chain.update(ATTESTED, with_next=False), known(chain, ATTESTED))


def test_evidence_may_be_old_and_of_no_period_before_the_known_ones(chain: Beacon) -> None:
    update, late = chain.update(ATTESTED), chain.update(PERIOD + 16)
    with pytest.raises(UpdateStale, match="a period before"):
        check_update(chain.network, known(chain, PERIOD), update, chain.committee(0), 10**6, newer=False)
    check_update(chain.network, known(chain, PERIOD + 24), late, chain.committee(1), 10**6, newer=False)


def test_without_finality_without_next_committee(chain: Beacon) -> None:
    update = replace(chain.update(ATTESTED, with_next=False), finalized_header=NO_HEADER, finality_branch=())
    check(chain, update, known(chain, TRUSTED))
    genesis = chain.update(EPOCH)
    assert genesis.has_finality
    assert genesis.finalized_header == NO_HEADER
    check(chain, genesis, known(chain, 0))


def with_aggregate(**changes: Any) -> Callable[[Update], Update]:
    return lambda u: replace(u, sync_aggregate=replace(u.sync_aggregate, **changes))


def with_header(name: str, part: str, **changes: Any) -> Callable[[Update], Update]:
    def spoil(update: Update) -> Update:
        header = getattr(update, name)
        changed = {part: replace(getattr(header, part), **changes)}
        return replace(update, **{name: replace(header, **changed)})

    return spoil


def with_branch(name: str, change: Callable[[Branch], Branch]) -> Callable[[Update], Update]:
    return lambda u: replace(u, **{name: change(getattr(u, name))})


def with_execution_branch(name: str, change: Callable[[Branch], Branch]) -> Callable[[Update], Update]:
    def spoil(update: Update) -> Update:
        header = getattr(update, name)
        return replace(update, **{name: replace(header, execution_branch=change(header.execution_branch))})

    return spoil


NONZERO, ZERO = (b"\x01" * 32,), (bytes(32),)


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (with_aggregate(bits=bytes(4)), ParticipationLow),
        (with_aggregate(bits=b"\xff" * 8), MalformedBeaconData),
        (with_aggregate(bits=b"\xff" * 3), MalformedBeaconData),
        (with_aggregate(bits=b"\xff\xff\xff\xfe"), SignatureRefused),
        (with_aggregate(signature=bytes(96)), SignatureRefused),
        (with_aggregate(signature=b"\xc0" + bytes(95)), SignatureRefused),
        (with_aggregate(signature=b"\x80" + bytes(94) + b"\x05"), SignatureRefused),
        (lambda u: replace(u, signature_slot=ATTESTED), HeaderRefused),
        (lambda u: replace(u, signature_slot=0), HeaderRefused),
        (with_header("finalized_header", "beacon", slot=ATTESTED + 1), HeaderRefused),
        (with_header("attested_header", "beacon", proposer_index=1), SignatureRefused),
        (with_header("attested_header", "beacon", state_root=b"\x01" * 32), BranchMismatch),
        (with_header("attested_header", "beacon", body_root=b"\x01" * 32), BranchMismatch),
        (with_header("attested_header", "execution", state_root=b"\x01" * 32), BranchMismatch),
        (with_header("finalized_header", "beacon", proposer_index=1), BranchMismatch),
        (with_header("finalized_header", "beacon", slot=0), HeaderRefused),
        (with_header("finalized_header", "execution", state_root=b"\x01" * 32), BranchMismatch),
        (with_header("finalized_header", "execution", timestamp=1), BranchMismatch),
        (with_header("finalized_header", "execution", extra_data=b"lab\0"), BranchMismatch),
        (with_execution_branch("attested_header", flipped), BranchMismatch),
        (with_execution_branch("finalized_header", flipped), BranchMismatch),
        (with_execution_branch("finalized_header", lambda b: ZERO + b), BranchMismatch),
        (with_execution_branch("finalized_header", lambda b: ()), BranchMismatch),
        (with_branch("finality_branch", flipped), BranchMismatch),
        (with_branch("finality_branch", lambda b: b[1:]), BranchMismatch),
        (with_branch("finality_branch", lambda b: ZERO + b), BranchMismatch),
        (with_branch("finality_branch", lambda b: ()), BranchMismatch),
        (with_branch("next_sync_committee_branch", flipped), BranchMismatch),
        (with_branch("next_sync_committee_branch", lambda b: b[1:]), BranchMismatch),
        (with_branch("next_sync_committee_branch", lambda b: NONZERO + b), BranchMismatch),
        (with_branch("next_sync_committee_branch", lambda b: ZERO * 2 + b), BranchMismatch),
        (lambda u: replace(u, next_sync_committee=None), BranchMismatch),
    ],
)
@pytest.mark.parametrize("following", [False, True], ids=["next-unknown", "next-known"])
def test_one_spoilt_part_is_refused(
    chain: Beacon, spoil: Callable[[Update], Update], refusal: type[Exception], following: bool
) -> None:
    update = chain.update(ATTESTED)
    check(chain, update, known(chain, TRUSTED, following=following))
    with pytest.raises(refusal):
        check(chain, spoil(update), known(chain, TRUSTED, following=following))


def test_a_branch_in_the_form_of_a_later_fork_has_zeros_in_front() -> None:
    chain = beacon(range(0, PERIOD + 1, EPOCH), (0,) * (Fork.DENEB + 1))
    update = chain.update(ATTESTED)
    longer = replace(
        update,
        finality_branch=ZERO + update.finality_branch,
        next_sync_committee_branch=ZERO + update.next_sync_committee_branch,
    )
    check(chain, longer, known(chain, TRUSTED))
    for name in ("finality_branch", "next_sync_committee_branch"):
        with pytest.raises(BranchMismatch):
            check(chain, replace(longer, **{name: NONZERO + getattr(update, name)}), known(chain, TRUSTED))


def test_a_clock_behind_the_signature_refuses_now_and_not_later(chain: Beacon) -> None:
    update = chain.update(ATTESTED)
    with pytest.raises(SlotAhead):
        check(chain, update, known(chain, TRUSTED), ATTESTED)
    check(chain, update, known(chain, TRUSTED), ATTESTED + 1)


def test_the_committee_of_another_period_does_not_sign(chain: Beacon) -> None:
    update, trust = chain.update(ATTESTED), known(chain, TRUSTED, following=True)
    other = replace(update, sync_aggregate=chain.sign(update.attested_header.beacon.root, ATTESTED + 1, period=1))
    with pytest.raises(SignatureRefused):
        check(chain, other, trust)
    with pytest.raises(CommitteeRefused):
        check_update(chain.network, trust, other, chain.committee(1), PERIOD)


def test_a_next_committee_other_than_the_known_one_is_refused(chain: Beacon) -> None:
    trust = replace(known(chain, TRUSTED), following=chain.committee(7).root)
    with pytest.raises(CommitteeRefused):
        check(chain, chain.update(ATTESTED), trust)
    check(chain, chain.update(ATTESTED, with_next=False), trust)


def test_at_a_fork_the_version_is_that_of_the_slot_before_the_signature() -> None:
    chain = beacon([*range(0, 40, EPOCH), 39, 40], (0, 0, 0, 0, 0, 5))
    update = chain.update(39)
    assert chain.network.version(update.signature_slot) != chain.network.version(39)
    check(chain, update, known(chain, TRUSTED))
    root = update.attested_header.beacon.root
    wrong = chain.sign(root, 40, version=chain.network.version(40))
    with pytest.raises(SignatureRefused):
        check(chain, replace(update, sync_aggregate=wrong), known(chain, TRUSTED))
    check(chain, chain.update(40), known(chain, TRUSTED))


def test_another_chain_does_not_take_the_signature(chain: Beacon) -> None:
    network = replace(chain.network, genesis_validators_root=b"\x01" * 32)
    with pytest.raises(SignatureRefused):
        check_update(network, known(chain, TRUSTED), chain.update(ATTESTED), chain.committee(0), PERIOD)


def test_a_header_has_what_its_fork_has() -> None:
    chain = beacon([8], (0, 0, 0, 0))
    header = chain.blocks[8].header
    check_header(chain.network, header)
    with pytest.raises(HeaderRefused, match="blobs"):
        check_header(chain.network, replace(header, execution=replace(header.execution, blob_gas_used=1)))
    before = beacon([8], (0, 0, 0)).network
    with pytest.raises(HeaderRefused, match="before Capella"):
        check_header(before, header)
    check_header(before, LightHeader(header.beacon))


def test_a_bootstrap_is_of_the_trusted_block_and_its_committee(chain: Beacon) -> None:
    bootstrap = chain.bootstrap(TRUSTED)
    root = bootstrap.header.beacon.root
    with pytest.raises(HeaderRefused):
        check_bootstrap(chain.network, bootstrap, flip(root))
    with pytest.raises(BranchMismatch):
        check_bootstrap(chain.network, replace(bootstrap, current_sync_committee=chain.committee(1)), root)
    with pytest.raises(BranchMismatch):
        check_bootstrap(chain.network, replace(bootstrap, current_sync_committee_branch=()), root)


# ---- committees whose keys are not keys: named by the trusted state, so that only the keys are wrong


def made(keys: list[bytes], aggregate: bytes) -> tuple[SyncCommittee, Known]:
    spoilt = SyncCommittee(tuple(keys), aggregate)
    return spoilt, Known(TRUSTED, spoilt.root, None)


@pytest.mark.parametrize(
    "key", [OFF_SUBGROUP, OFF_CURVE, b"\xc0" + bytes(47), bytes(48)], ids=["subgroup", "curve", "identity", "zeros"]
)
def test_a_committee_with_a_key_that_is_none_is_refused_though_it_does_not_sign(chain: Beacon, key: bytes) -> None:
    good = chain.committee(0)
    summed = bls.add_keys(map(bls.load_public, good.pubkeys[:31]))
    spoilt, trust = made([*good.pubkeys[:31], key], bls.encode_public(summed))
    update = chain.update(ATTESTED, participants=31, with_next=False)
    with pytest.raises(CommitteeRefused, match="no key"):
        check_update(chain.network, trust, update, spoilt, PERIOD)


def test_an_aggregate_key_that_is_not_the_sum_is_refused(chain: Beacon) -> None:
    good, update = chain.committee(0), chain.update(ATTESTED, with_next=False)
    spoilt, trust = made(list(good.pubkeys), chain.committee(1).aggregate_pubkey)
    with pytest.raises(CommitteeRefused, match="sum"):
        check_update(chain.network, trust, update, spoilt, PERIOD)
    check_update(chain.network, known(chain, TRUSTED), update, good, PERIOD)


def test_a_key_may_stand_twice_in_a_committee(chain: Beacon) -> None:
    secrets = [5] * 32
    key = bls.SigningKey(bytes(31) + b"\x05").public_key
    spoilt, trust = made([key] * 32, bls.SigningKey(bytes(31) + b"\xa0").public_key)
    update = chain.update(ATTESTED, with_next=False)
    message = committee_message(chain, update)
    update = replace(update, sync_aggregate=sign_together(secrets, 2**32 - 1, message, 32))
    check_update(chain.network, trust, update, spoilt, PERIOD)


def committee_message(chain: Beacon, update: Update) -> bytes:
    version, root = chain.network.version(update.signature_slot - 1), chain.network.genesis_validators_root
    return signing_root(update.attested_header.beacon.root, domain(bytes.fromhex("07000000"), version, root))


def test_keys_that_cancel_out_sign_nothing(chain: Beacon) -> None:
    one = bls.load_public(chain.committee(0).pubkeys[0])
    keys = [bls.encode_public(key) for key in [one, -one] * 15 + [one, one]]
    spoilt, trust = made(keys, bls.encode_public(one + one))
    update = chain.update(ATTESTED, with_next=False)
    nothing = SyncAggregate(b"\xff\xff\xff\x3f", G2_IDENTITY)
    with pytest.raises(SignatureRefused):
        check_update(chain.network, trust, replace(update, sync_aggregate=nothing), spoilt, PERIOD)
    assert bls.add_keys(map(bls.load_public, keys[:30])) == G1Point.identity()


G2_IDENTITY = b"\xc0" + bytes(95)


def test_keys_of_a_committee_that_nobody_named_are_never_loaded(chain: Beacon, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: SyncCommittee) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(committee, "load", never)
    with pytest.raises(CommitteeRefused):
        check_update(chain.network, known(chain, TRUSTED), chain.update(ATTESTED), chain.committee(3), PERIOD)


def test_keys_are_loaded_once(chain: Beacon, monkeypatch: pytest.MonkeyPatch) -> None:
    committee.load.cache_clear()
    calls = []
    load_public = bls.load_public
    monkeypatch.setattr(bls, "load_public", lambda raw: calls.append(raw) or load_public(raw))
    for _ in range(3):
        check(chain, chain.update(ATTESTED), known(chain, TRUSTED))
    assert len(calls) == 32


def test_the_indices_of_a_fork_are_as_deep_as_its_branches() -> None:
    depths = {
        fork: tuple(
            map(
                ssz.depth,
                (indices.finalized_root(fork), indices.current_sync_committee(fork), indices.next_sync_committee(fork)),
            )
        )
        for fork in Fork
    }
    assert depths[Fork.DENEB] == (6, 5, 5)
    assert depths[Fork.ELECTRA] == depths[Fork.FULU] == (7, 6, 6)
