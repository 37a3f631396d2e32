"""Membership and absence against stored roots, recovery from a substitute, upgrade to a new chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.lightclients.tendermint.client import TendermintClient
from lockgate.lightclients.tendermint.errors import (
    ClientUnknown,
    ConsensusStateMissing,
    InvalidConsensusState,
    ProofHeightAhead,
    RootUnset,
    SubstituteMismatch,
    SubstituteUnusable,
    UpgradeHeight,
    UpgradeRefused,
)
from lockgate.lightclients.tendermint.recovery import scaled_trusting_period
from lockgate.lightclients.tendermint.states import (
    ClientState,
    ConsensusState,
    decode_client_state,
    decode_consensus_state,
    encode_client_state,
    encode_committed_client_state,
    encode_consensus_state,
)
from lockgate.merkle.errors import LayersDiffer, ProofMalformed, ProofMismatch
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import DurationNanos, UnixNanos, seconds
from tests.support.chain import TRUSTING, TestLedger, client_state_of, consensus_state_of, resigned
from tests.unit.lightclients.world import CLIENT, OWN, ClientWorld

SPARE = ClientId("07-tendermint-1")
UNBONDING = seconds(42 * 86_400)  # twice that of the old chain
Question = tuple[Height, bytes, tuple[bytes, ...], bytes]
Upgrade = tuple[ClientState, ConsensusState, list[bytes]]
KEY, VALUE = b"07-tendermint-9\x01" + bytes(7) + b"\x01", b"commitment of a packet"


def proven() -> tuple[ClientWorld, Height]:
    """Return a world whose client knows the root under which KEY stands."""
    world = ClientWorld()
    world.write({("ibc", KEY): VALUE})
    block = world.produce()
    world.now = UnixNanos(block.header.time + 1)
    world.update(block)
    return world, world.height(block.height)


def proof_of(world: ClientWorld, key: bytes, store: str = "ibc") -> bytes:
    return world.store.prove(store, key, world.store.version).merkle_proof


def test_presence_and_absence_are_proven() -> None:
    world, height = proven()
    for _ in range(2):  # the second time from the memo
        world.client.verify_membership(world.view, CLIENT, height, proof_of(world, KEY), (b"ibc", KEY), VALUE)
        world.client.verify_non_membership(world.view, CLIENT, height, proof_of(world, b"none"), (b"ibc", b"none"))


REFUSALS: list[tuple[str, Callable[[ClientWorld, Height], Question], type[LockgateError]]] = [
    ("another value", lambda w, h: (h, proof_of(w, KEY), (b"ibc", KEY), b"other"), ProofMismatch),
    ("another key", lambda w, h: (h, proof_of(w, KEY), (b"ibc", b"seed"), VALUE), ProofMismatch),
    ("another store", lambda w, h: (h, proof_of(w, KEY), (b"upgrade", KEY), VALUE), ProofMismatch),
    ("an empty value", lambda w, h: (h, proof_of(w, KEY), (b"ibc", KEY), b""), ProofMismatch),
    ("a longer path", lambda w, h: (h, proof_of(w, KEY), (b"a", b"ibc", KEY), VALUE), LayersDiffer),
    ("no proof", lambda w, h: (h, b"", (b"ibc", KEY), VALUE), ProofMalformed),
    ("another height's root", lambda w, h: (Height(1, 1), proof_of(w, KEY), (b"ibc", KEY), VALUE), ProofMismatch),
    ("a height not held", lambda w, h: (Height(1, 9), proof_of(w, KEY), (b"ibc", KEY), VALUE), ConsensusStateMissing),
    ("height zero", lambda w, h: (Height(0, 0), proof_of(w, KEY), (b"ibc", KEY), VALUE), ConsensusStateMissing),
    ("a height ahead", lambda w, h: (Height(1, 99), proof_of(w, KEY), (b"ibc", KEY), VALUE), ProofHeightAhead),
    ("a later revision", lambda w, h: (Height(2, 1), proof_of(w, KEY), (b"ibc", KEY), VALUE), ProofHeightAhead),
]


@pytest.mark.parametrize(("spoil", "refusal"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
@pytest.mark.parametrize("warm", [False, True])
def test_spoilt_proofs_are_refused(
    spoil: Callable[[ClientWorld, Height], Question],
    refusal: type[LockgateError],
    warm: bool,
) -> None:
    world, height = proven()
    if warm:
        world.client.verify_membership(world.view, CLIENT, height, proof_of(world, KEY), (b"ibc", KEY), VALUE)
    with pytest.raises(refusal):
        world.client.verify_membership(world.view, CLIENT, *spoil(world, height))


def test_absence_of_what_is_there_is_refused() -> None:
    world, height = proven()
    for proof in (proof_of(world, KEY), proof_of(world, b"none")):
        with pytest.raises(ProofMismatch):
            world.client.verify_non_membership(world.view, CLIENT, height, proof, (b"ibc", KEY))


def test_an_unset_root_proves_nothing() -> None:
    world, height = proven()
    key = f"clients/{CLIENT}/consensusStates/{height}".encode()
    state = decode_consensus_state(world.view.stores["ibc"][key])
    for root in (b"", bytes(32), b"sentinel_root"):
        world.view.stores["ibc"][key] = encode_consensus_state(replace(state, root=root))
        with pytest.raises(RootUnset):
            world.client.verify_membership(world.view, CLIENT, height, proof_of(world, KEY), (b"ibc", KEY), VALUE)
        with pytest.raises(RootUnset):
            world.client.verify_non_membership(world.view, CLIENT, height, proof_of(world, b"none"), (b"ibc", b"none"))


def test_a_client_that_does_not_exist_proves_nothing() -> None:
    world, height = proven()
    with pytest.raises(ClientUnknown):
        world.client.verify_membership(world.view, SPARE, height, proof_of(world, KEY), (b"ibc", KEY), VALUE)


def test_memory_of_another_module_object_changes_no_answer() -> None:
    world, height = proven()
    world.client.verify_membership(world.view, CLIENT, height, proof_of(world, KEY), (b"ibc", KEY), VALUE)
    fresh = TendermintClient()
    fresh.verify_membership(world.view, CLIENT, height, proof_of(world, KEY), (b"ibc", KEY), VALUE)


# --- recovery


def frozen_world() -> tuple[ClientWorld, Height]:
    """Return a frozen client and a substitute of the same ledger at a later block."""
    world = ClientWorld()
    block = world.ledger.block(5)
    world.update(block)
    world.update(resigned(block, app_hash=b"\x01" * 32))
    world.create(SPARE, world.ledger.block(10))
    return world, Height(1, 10)


def test_a_frozen_client_is_revived_from_a_substitute() -> None:
    world, height = frozen_world()
    spare = kept(world, SPARE)
    world.view.apply(world.client.recover(world.view, CLIENT, SPARE, world.now, OWN))
    assert world.status() == "Active"
    assert world.client.latest_height(world.view, CLIENT) == height
    assert {**kept(world, CLIENT), b"clientState": b""} == {**spare, b"clientState": b""}
    assert world.update(world.produce(), world.ledger.block(10)).consensus_heights == (Height(1, 11),)


def kept(world: ClientWorld, client: ClientId) -> dict[bytes, bytes]:
    """What is stored of a client, by name."""
    prefix = f"clients/{client}/".encode()
    stored = world.view.stores["ibc"].items()
    return {key.removeprefix(prefix): value for key, value in stored if key.startswith(prefix)}


def test_a_revived_client_believes_nothing_of_the_history_that_was_forged() -> None:
    """A forged header was stored before the true one was brought: it proves nothing, and no header rests on it."""
    world = ClientWorld()
    true = world.ledger.block(5)
    forged = resigned(true, app_hash=b"\x01" * 32)
    world.update(forged)
    world.update(true)
    assert world.status() == "Frozen"
    world.create(SPARE, world.ledger.block(10))
    world.view.apply(world.client.recover(world.view, CLIENT, SPARE, world.now, OWN))
    for read in (world.client.timestamp_at, world.client.proofs_at):
        with pytest.raises(ConsensusStateMissing):
            read(world.view, CLIENT, Height(1, 5))
    assert world.client.triple_at(world.view, CLIENT, Height(1, 5)) is None
    with pytest.raises(ConsensusStateMissing):
        world.update(world.produce(), forged)


def test_an_expired_client_keeps_what_it_knew() -> None:
    world = ClientWorld()
    late = world.ledger.produce(world.store.app_hash, after=TRUSTING)
    world.now = UnixNanos(late.header.time + 1)
    before = kept(world, CLIENT)
    world.create(SPARE, late)
    world.view.apply(world.client.recover(world.view, CLIENT, SPARE, world.now, OWN))
    assert before.items() - {(b"clientState", before[b"clientState"])} <= kept(world, CLIENT).items()


def test_an_expired_client_takes_the_substitute_s_trusting_period() -> None:
    world = ClientWorld()
    late = world.ledger.produce(world.store.app_hash, after=TRUSTING)
    world.now = UnixNanos(late.header.time + 1)
    assert world.status() == "Expired"
    shorter = replace(client_state_of(late), trusting_period=seconds(86_400))
    world.view.apply(
        world.client.initialise(
            world.view,
            SPARE,
            encode_client_state(shorter),
            encode_consensus_state(consensus_state_of(late)),
            world.now,
            OWN,
        )
    )
    world.view.apply(world.client.recover(world.view, CLIENT, SPARE, world.now, OWN))
    assert world.status() == "Active"
    raw = world.view.get("ibc", b"clients/07-tendermint-0/clientState")
    assert raw == encode_client_state(shorter)


@pytest.mark.parametrize(
    "changes",
    [
        {"unbonding_period": seconds(22 * 86_400)},
        {"max_clock_drift": seconds(16)},
        {"proof_specs": client_state_of(TestLedger().produce()).proof_specs[:1]},
        {"upgrade_path": ("upgrade",)},
    ],
    ids=str,
)
def test_a_substitute_must_equal_the_subject(changes: dict[str, object]) -> None:
    world, _ = frozen_world()
    key = b"clients/07-tendermint-1/clientState"
    state = decode_client_state(world.view.stores["ibc"][key])
    changed = replace(state, **changes)  # type: ignore[arg-type]  # names are fields
    world.view.stores["ibc"][key] = encode_client_state(changed)
    with pytest.raises(SubstituteMismatch):
        world.client.recover(world.view, CLIENT, SPARE, world.now, OWN)


def test_recovery_needs_a_lost_subject_and_a_good_newer_substitute() -> None:
    world, _ = frozen_world()
    with pytest.raises(SubstituteUnusable):
        world.client.recover(world.view, SPARE, SPARE, world.now, OWN)  # the subject is active
    with pytest.raises(SubstituteUnusable):
        world.client.recover(world.view, CLIENT, CLIENT, world.now, OWN)  # the substitute is frozen
    with pytest.raises(ClientUnknown):
        world.client.recover(world.view, CLIENT, ClientId("07-tendermint-9"), world.now, OWN)
    key = b"clients/07-tendermint-1/clientState"
    good = world.view.stores["ibc"][key]
    world.view.stores["ibc"][key] = encode_client_state(replace(decode_client_state(good), frozen_height=Height(0, 1)))
    with pytest.raises(SubstituteUnusable):
        world.client.recover(world.view, CLIENT, SPARE, world.now, OWN)  # newer, and frozen itself
    world.view.stores["ibc"][key] = good
    older = ClientId("07-tendermint-2")
    world.create(older, world.ledger.block(5))
    with pytest.raises(SubstituteUnusable):
        world.client.recover(world.view, CLIENT, older, world.now, OWN)


def test_recovery_needs_the_substitute_s_metadata() -> None:
    world, height = frozen_world()
    for name in ("processedTime", "processedHeight"):
        key = f"clients/{SPARE}/consensusStates/{height}/{name}".encode()
        value = world.view.stores["ibc"].pop(key)
        with pytest.raises(ConsensusStateMissing):
            world.client.recover(world.view, CLIENT, SPARE, world.now, OWN)
        world.view.stores["ibc"][key] = value


# --- upgrade


def planned(
    unbonding: DurationNanos = UNBONDING,
) -> tuple[ClientWorld, ClientState, ConsensusState, list[bytes]]:
    """Return a client at the block whose state commits to the chain's upgrade to ledger-2."""
    world = ClientWorld()
    plan = b"upgradedIBCState/11/"
    committed = replace(
        client_state_of(world.first),
        chain_id="ledger-2",
        latest_height=Height(2, 12),
        unbonding_period=unbonding,
    )
    last = ConsensusState(world.now, b"sentinel_root", world.ledger.latest.next_validators.hash)
    world.write(
        {
            ("upgrade", plan + b"upgradedClient"): encode_committed_client_state(committed),
            ("upgrade", plan + b"upgradedConsState"): encode_consensus_state(last),
        }
    )
    block = world.produce()
    world.now = UnixNanos(block.header.time + 1)
    world.update(block)
    proofs = [proof_of(world, plan + name, "upgrade") for name in (b"upgradedClient", b"upgradedConsState")]
    return world, committed, last, proofs


def upgraded(world: ClientWorld, state: ClientState, consensus: ConsensusState, proofs: list[bytes]) -> ClientState:
    outcome = world.client.upgrade(
        world.view,
        CLIENT,
        encode_client_state(state),
        encode_consensus_state(consensus),
        proofs[0],
        proofs[1],
        world.now,
        OWN,
    )
    world.view.apply(outcome)
    raw = world.view.get("ibc", b"clients/07-tendermint-0/clientState")
    assert raw is not None
    return decode_client_state(raw)


def test_a_committed_upgrade_is_taken_and_the_client_keeps_its_choices() -> None:
    world, committed, last, proofs = planned()
    chosen = replace(committed, trusting_period=seconds(1), max_clock_drift=seconds(99))
    state = upgraded(world, chosen, last, proofs)
    assert (state.chain_id, state.latest_height) == ("ledger-2", Height(2, 12))
    assert (state.trusting_period, state.max_clock_drift) == (TRUSTING, seconds(15))
    assert state.unbonding_period == UNBONDING
    stored = world.view.get("ibc", b"clients/07-tendermint-0/consensusStates/2-12")
    assert stored is not None
    assert decode_consensus_state(stored) == replace(last, root=b"sentinel_root")
    assert world.status() == "Active"
    with pytest.raises(RootUnset):
        world.client.verify_membership(world.view, CLIENT, Height(2, 12), proofs[0], (b"ibc", KEY), VALUE)


def test_the_first_block_of_the_new_chain_is_signed_by_the_old_validators() -> None:
    world, committed, last, proofs = planned()
    upgraded(world, committed, last, proofs)
    fresh = TestLedger("ledger-2", start=UnixNanos(world.now + 10**9))
    fresh.run(13)
    world.now = UnixNanos(fresh.latest.header.time + 1)
    first_trusted = replace(fresh.block(12), next_validators=world.ledger.latest.next_validators)
    assert world.update(fresh.block(13), first_trusted).consensus_heights == (Height(2, 13),)


def test_a_shorter_unbonding_period_scales_the_trusting_period_down() -> None:
    world, committed, last, proofs = planned(unbonding=seconds(7 * 86_400))
    assert upgraded(world, committed, last, proofs).trusting_period == TRUSTING // 3
    state = client_state_of(world.first)
    assert scaled_trusting_period(state, seconds(21 * 86_400)) == TRUSTING
    assert scaled_trusting_period(state, seconds(42 * 86_400)) == TRUSTING
    assert scaled_trusting_period(state, DurationNanos(seconds(21 * 86_400) // 3)) == TRUSTING // 3
    assert scaled_trusting_period(state, DurationNanos(1)) == 0


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (9 * 10**18, 9 * 10**18 - 1, 1),  # 1 - 1.1e-19 is 1 at 18 decimal places
        (2 * 10**18, 2 * 10**18 - 1, 1),  # 1 - 5e-19 is a tie, and 0.99…9 is odd
        (10**18, 10**18 - 1, 0),  # 1 - 1e-18 is kept, and rounded down
    ],
)
def test_scaling_rounds_as_ibc_go_s_decimals_do(old: int, new: int, expected: int) -> None:
    state = replace(
        client_state_of(TestLedger().produce()),
        trusting_period=DurationNanos(1),
        unbonding_period=DurationNanos(old),
    )
    assert scaled_trusting_period(state, DurationNanos(new)) == expected


UPGRADES: list[tuple[str, Callable[[ClientState, ConsensusState, list[bytes]], Upgrade], type[LockgateError]]] = [
    ("another chain", lambda s, c, p: (replace(s, chain_id="evil-2"), c, p), ProofMismatch),
    ("another height", lambda s, c, p: (replace(s, latest_height=Height(2, 13)), c, p), ProofMismatch),
    ("another path", lambda s, c, p: (replace(s, upgrade_path=("x",)), c, p), ProofMismatch),
    ("another time", lambda s, c, p: (s, replace(c, timestamp=UnixNanos(c.timestamp + 1)), p), ProofMismatch),
    (
        "other validators",
        lambda s, c, p: (s, replace(c, next_validators_hash=b"\x01" * 32), p),
        ProofMismatch,
    ),
    ("proofs exchanged", lambda s, c, p: (s, c, p[::-1]), ProofMismatch),
    ("no proof", lambda s, c, p: (s, c, [b"", p[1]]), ProofMalformed),
    ("a lower height", lambda s, c, p: (replace(s, latest_height=Height(1, 5)), c, p), UpgradeHeight),
]


@pytest.mark.parametrize(("spoil", "refusal"), [row[1:] for row in UPGRADES], ids=[row[0] for row in UPGRADES])
def test_what_the_old_chain_did_not_commit_to_is_refused(
    spoil: Callable[[ClientState, ConsensusState, list[bytes]], Upgrade],
    refusal: type[LockgateError],
) -> None:
    world, state, consensus, proofs = planned()
    before = world.view.snapshot()
    with pytest.raises(refusal):
        upgraded(world, *spoil(state, consensus, proofs))
    assert world.view.snapshot() == before


def test_a_client_without_upgrade_path_cannot_be_upgraded() -> None:
    world, committed, last, proofs = planned()
    key = b"clients/07-tendermint-0/clientState"
    state = decode_client_state(world.view.stores["ibc"][key])
    world.view.stores["ibc"][key] = encode_client_state(replace(state, upgrade_path=()))
    with pytest.raises(UpgradeRefused):
        upgraded(world, committed, last, proofs)


@pytest.mark.parametrize(("time", "validators"), [(0, b"\x01" * 32), (1, b""), (1, b"\x01" * 31)])
def test_a_committed_consensus_state_must_be_usable(time: int, validators: bytes) -> None:
    world = ClientWorld()
    plan = b"upgradedIBCState/11/"
    committed = replace(client_state_of(world.first), chain_id="ledger-2", latest_height=Height(2, 12))
    bad = ConsensusState(UnixNanos(time), b"sentinel_root", validators)
    world.write(
        {
            ("upgrade", plan + b"upgradedClient"): encode_committed_client_state(committed),
            ("upgrade", plan + b"upgradedConsState"): encode_consensus_state(bad),
        }
    )
    block = world.produce()
    world.now = UnixNanos(block.header.time + 1)
    world.update(block)
    proofs = [proof_of(world, plan + name, "upgrade") for name in (b"upgradedClient", b"upgradedConsState")]
    with pytest.raises(InvalidConsensusState):
        upgraded(world, committed, bad, proofs)
