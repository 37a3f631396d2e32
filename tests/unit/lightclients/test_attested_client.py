"""An attested client from its creation to its recovery: what moves it, what stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lockgate.codec.errors import SchemaMismatch
from lockgate.lightclients.attested import Attestation, ConsensusState, SignerSet, messages, states
from lockgate.lightclients.attested.errors import (
    AttestationDated,
    InvalidClientState,
    QuorumMissing,
    RotationRefused,
    SignaturesRefused,
    SignersRefused,
    StaleEpoch,
    UpgradeUnknown,
)
from lockgate.lightclients.attested.messages import ATTESTATION, MISBEHAVIOUR
from lockgate.lightclients.attested.schemas import SCHEMAS
from lockgate.lightclients.forms import unwrap_any
from lockgate.lightclients.standing import (
    ClientExpired,
    ClientFrozen,
    ConsensusStateMissing,
    MalformedState,
    NotMisbehaviour,
    ProofHeightAhead,
    RootUnset,
    SubstituteMismatch,
    SubstituteUnusable,
)
from lockgate.merkle.errors import ProofMismatch
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos, seconds
from tests.support.attesters import CLIENT, DAY, OWN, START, AttestedWorld, client_state, signer, signer_set

OTHER = b"\x02" * 32
SUBSTITUTE = ClientId("attested-1")


def test_p21_an_attestation_moves_the_client_and_its_root_proves() -> None:
    w = AttestedWorld()
    done = w.update(w.attest(5))
    assert (done.consensus_heights, done.misbehaviour) == ((Height(1, 5),), False)
    assert w.client.latest_height(w.view, CLIENT) == Height(1, 5)
    assert w.client.timestamp_at(w.view, CLIENT, Height(1, 5)) == START + seconds(4)
    proof = w.store.prove("ibc", b"seed", 1).merkle_proof
    w.client.verify_membership(w.view, CLIENT, Height(1, 5), proof, (b"ibc", b"seed"), b"\x01")
    with pytest.raises(ProofMismatch):
        w.client.verify_membership(w.view, CLIENT, Height(1, 5), proof, (b"ibc", b"seed"), b"\x02")
    absent = w.store.prove("ibc", b"other", 1).merkle_proof
    w.client.verify_non_membership(w.view, CLIENT, Height(1, 5), absent, (b"ibc", b"other"))
    with pytest.raises(ConsensusStateMissing):
        w.client.verify_membership(w.view, CLIENT, Height(1, 4), proof, (b"ibc", b"seed"), b"\x01")
    with pytest.raises(ProofHeightAhead):
        w.client.verify_membership(w.view, CLIENT, Height(1, 6), proof, (b"ibc", b"seed"), b"\x01")


@pytest.mark.parametrize(
    "spoil",
    [
        {"domain": bytes(32)},
        {"domain": b"\x01" * 31},
        {"chain_id": " "},
        {"chain_id": "x" * 51},
        {"trusting_period": 0},
        {"max_clock_drift": 0},
        {"latest_height": Height(1, 0)},
        {"latest_height": Height(2, 1)},
        {"is_frozen": True},
    ],
    ids=str,
)
def test_no_client_starts_from_a_spoilt_state(spoil: dict[str, Any]) -> None:
    w = AttestedWorld()
    before = w.view.snapshot()
    with pytest.raises(InvalidClientState):
        w.create(SUBSTITUTE, client_state(**spoil))
    assert w.view.snapshot() == before


@pytest.mark.parametrize("consensus", [ConsensusState(UnixNanos(1), OTHER), ConsensusState(START, bytes(32))], ids=str)
def test_no_client_starts_from_an_unset_consensus_state(consensus: ConsensusState) -> None:
    w = AttestedWorld()
    raw = states.encode_client_state(w.state)
    with pytest.raises(InvalidClientState):
        w.client.initialise(w.view, SUBSTITUTE, raw, states.encode_consensus_state(consensus), w.now, OWN)


def test_a_single_operator_makes_no_client() -> None:
    w = AttestedWorld()
    alone = SignerSet(epoch=1, threshold=1, signers=(signer(0),))
    with pytest.raises(SignersRefused):
        w.create(SUBSTITUTE, client_state(alone))


REFUSED: dict[str, tuple[Callable[[AttestedWorld], Attestation], type[Exception]]] = {
    "another domain": (lambda w: w.attest(2, state=replace(w.state, domain=OTHER)), SignaturesRefused),
    "another chain": (lambda w: w.attest(2, state=replace(w.state, chain_id="ledger-2")), SignaturesRefused),
    "another revision's keys": (
        lambda w: w.attest(2, state=replace(w.state, latest_height=Height(2, 1))),
        SignaturesRefused,
    ),
    "a later epoch": (lambda w: w.attest(2, signers=signer_set(epoch=2)), StaleEpoch),
    "another threshold": (lambda w: w.attest(2, signers=signer_set(5, 4)), SignaturesRefused),
    "another revision": (lambda w: replace(w.attest(2), height=Height(2, 2)), MalformedState),
    "height zero": (lambda w: w.attest(0), MalformedState),
    "an unset root": (lambda w: w.attest(2, root=bytes(32)), RootUnset),
    "a short root": (lambda w: w.attest(2, root=b"\x01" * 20), RootUnset),
    "the future": (lambda w: w.attest(2, at=UnixNanos(w.now + w.state.max_clock_drift)), AttestationDated),
    "long ago": (lambda w: w.attest(2, at=UnixNanos(w.now - w.state.trusting_period)), AttestationDated),
    "another time than was signed": (lambda w: replace(w.attest(2), timestamp=UnixNanos(START + 7)), SignaturesRefused),
    "another root than was signed": (lambda w: replace(w.attest(2), root=OTHER), SignaturesRefused),
    "another height than was signed": (lambda w: replace(w.attest(2), height=Height(1, 3)), SignaturesRefused),
}


@pytest.mark.parametrize(("spoil", "refusal"), REFUSED.values(), ids=REFUSED.keys())
def test_an_attestation_is_refused(spoil: Callable[[AttestedWorld], Attestation], refusal: type[Exception]) -> None:
    w = AttestedWorld()
    before = w.view.snapshot()
    with pytest.raises(refusal):
        w.update(spoil(w))
    assert w.view.snapshot() == before
    w.update(w.attest(2, at=UnixNanos(w.now + w.state.max_clock_drift - 1)))  # the nearest good neighbour


# --- two histories


def test_c6_two_attestations_of_one_height_freeze() -> None:
    w = AttestedWorld()
    w.update(w.attest(5))
    assert w.accuse(w.attest(7), w.attest(7, root=OTHER)).misbehaviour
    assert w.status() == "Frozen"
    before = w.view.snapshot()
    with pytest.raises(ClientFrozen):
        w.update(w.attest(8))
    with pytest.raises(ClientFrozen):
        w.rotate(w.rotation(signer_set(epoch=2)))
    proof = w.store.prove("ibc", b"seed", 1).merkle_proof
    with pytest.raises(ClientFrozen):
        w.client.verify_membership(w.view, CLIENT, Height(1, 5), proof, (b"ibc", b"seed"), b"\x01")
    assert w.view.snapshot() == before


@pytest.mark.parametrize("spoilt", ["root", "time", "earlier", "later"])
def test_an_attestation_that_contradicts_what_is_stored_freezes(spoilt: str) -> None:
    w = AttestedWorld()
    for height in (5, 9):
        w.update(w.attest(height))
    second = {
        "root": lambda: w.attest(5, root=OTHER),
        "time": lambda: w.attest(5, at=UnixNanos(START + seconds(4) + 1)),
        "earlier": lambda: w.attest(7, at=UnixNanos(START + seconds(4))),
        "later": lambda: w.attest(7, at=UnixNanos(START + seconds(8))),
    }[spoilt]()
    assert w.update(second).misbehaviour
    assert w.status() == "Frozen"


def test_the_same_attestation_again_changes_nothing_and_a_gap_is_filled() -> None:
    w = AttestedWorld()
    w.update(w.attest(9))
    before = w.view.snapshot()
    assert w.update(w.attest(9, by=(2, 3, 4))).consensus_heights == (Height(1, 9),)
    assert w.view.snapshot() == before
    w.update(w.attest(5))
    assert w.client.latest_height(w.view, CLIENT) == Height(1, 9)
    assert w.client.timestamp_at(w.view, CLIENT, Height(1, 5)) == START + seconds(4)


@pytest.mark.parametrize(
    "pair",
    [
        lambda w: (w.attest(5), w.attest(5)),
        lambda w: (w.attest(6), w.attest(5)),
        lambda w: (w.attest(5, by=(0, 1)), w.attest(5, root=OTHER)),
        lambda w: (w.attest(5), w.attest(5, root=OTHER, state=replace(w.state, domain=OTHER))),
        lambda w: (w.attest(5), w.attest(5, root=OTHER, signers=signer_set(epoch=2))),
    ],
    ids=["alike", "in order", "no quorum", "another domain", "an epoch to come"],
)
def test_what_is_no_evidence_freezes_nothing(pair: Callable[[AttestedWorld], tuple[Attestation, Attestation]]) -> None:
    w = AttestedWorld()
    before = w.view.snapshot()
    with pytest.raises(NotMisbehaviour):
        w.accuse(*pair(w))
    assert w.view.snapshot() == before


def test_evidence_convicts_other_clients_that_the_same_signers_convince() -> None:
    w = AttestedWorld()
    w.create(SUBSTITUTE)
    stranger = ClientId("attested-2")
    w.create(stranger, client_state(signer_set(first=10)))
    raw = messages.encode_misbehaviour(messages.Misbehaviour(w.attest(7), w.attest(7, root=OTHER)))
    assert w.client.convict(w.view, SUBSTITUTE, (MISBEHAVIOUR, raw), w.now) is not None
    assert w.client.convict(w.view, stranger, (MISBEHAVIOUR, raw), w.now) is None
    assert w.client.convict(w.view, SUBSTITUTE, ("/other", raw), w.now) is None
    assert w.client.convict(w.view, SUBSTITUTE, (ATTESTATION, b"\x80"), w.now) is None
    found = w.client.equivocation(w.view, CLIENT, raw)
    assert found is not None
    assert found[0] != found[1]
    assert w.client.equivocation(w.view, stranger, raw) is None


# --- rotation


def test_a_quorum_of_the_present_set_brings_the_next() -> None:
    w = AttestedWorld()
    following = signer_set(7, 5, epoch=2, first=3)
    w.rotate(w.rotation(following))
    assert w.current().signers == following
    old = signer_set()
    with pytest.raises(StaleEpoch):
        w.update(w.attest(5, signers=old))
    w.update(w.attest(5, by=(3, 4, 5, 6, 7)))


@pytest.mark.parametrize(
    ("following", "by", "refusal"),
    [
        (signer_set(epoch=3), (0, 1, 2), RotationRefused),
        (signer_set(epoch=1), (0, 1, 2), RotationRefused),
        (signer_set(3, 2, epoch=2), (0, 1, 2), RotationRefused),
        (signer_set(epoch=2), (0, 1), QuorumMissing),
        (signer_set(epoch=2, first=10), (10, 11, 12), SignaturesRefused),
        (replace(signer_set(epoch=2), threshold=0), (0, 1, 2), SignersRefused),
    ],
    ids=["skips", "repeats", "lowers", "too few", "by the next set", "no threshold"],
)
def test_a_rotation_is_refused(following: SignerSet, by: tuple[int, ...], refusal: type[Exception]) -> None:
    w = AttestedWorld()
    before = w.view.snapshot()
    with pytest.raises(refusal):
        w.rotate(w.rotation(following, by))
    assert w.view.snapshot() == before


def test_what_a_retired_set_signed_counts_as_evidence_for_one_trusting_period() -> None:
    w = AttestedWorld()
    pair = w.attest(7), w.attest(7, root=OTHER)
    w.rotate(w.rotation(signer_set(5, 3, epoch=2, first=10)))
    assert w.accuse(*pair).misbehaviour


def test_a_set_that_retired_long_ago_is_forgotten() -> None:
    w = AttestedWorld()
    pair = w.attest(7), w.attest(7, root=OTHER)
    w.rotate(w.rotation(signer_set(5, 3, epoch=2, first=10)))
    for step in range(1, 3):
        w.now = UnixNanos(w.now + 8 * DAY)
        w.update(w.attest(10 * step, by=(10, 11, 12), at=UnixNanos(w.now - 1)))
    with pytest.raises(NotMisbehaviour):
        w.accuse(*pair)
    kept = [key for key in w.view.stores["ibc"] if b"signerSets/" in key]
    assert len(kept) == 1
    w.rotate(w.rotation(signer_set(5, 3, epoch=3, first=20), by=(10, 11, 12)))
    kept = [key for key in w.view.stores["ibc"] if b"signerSets/" in key]
    assert [int.from_bytes(key[-8:], "big") for key in kept] == [2], "of epoch 1 nothing is left"


def test_a_lapsed_delegation_signs_nothing() -> None:
    lapsing = replace(
        signer_set(), signers=tuple(replace(s, until=UnixNanos(START + DAY)) for s in signer_set().signers)
    )
    w = AttestedWorld(lapsing)
    w.update(w.attest(2))
    w.now = UnixNanos(START + DAY)
    with pytest.raises(SignaturesRefused, match="lapsed"):
        w.update(w.attest(3))


# --- expiry and recovery


def expired() -> AttestedWorld:
    w = AttestedWorld()
    w.now = UnixNanos(START + w.state.trusting_period)
    return w


def test_a_client_whose_newest_attestation_is_old_expires() -> None:
    w = expired()
    assert w.status() == "Expired"
    with pytest.raises(ClientExpired):
        w.update(w.attest(9, at=UnixNanos(w.now - 1)))
    w.now = UnixNanos(w.now - 1)
    assert w.status() == "Active"


def newer(w: AttestedWorld, **changes: Any) -> None:
    w.create(SUBSTITUTE, client_state(latest_height=Height(1, 90), **changes), UnixNanos(w.now - 1))


def test_an_expired_client_is_recovered_from_a_newer_one_that_asks_no_less() -> None:
    w = expired()
    newer(w, signers=signer_set(7, 5, first=3))
    w.view.apply(w.client.recover(w.view, CLIENT, SUBSTITUTE, w.now, OWN))
    assert w.status() == "Active"
    assert w.current().latest_height == Height(1, 90)
    with pytest.raises(SubstituteUnusable, match="active"):
        w.client.recover(w.view, CLIENT, SUBSTITUTE, w.now, OWN)


def kept(w: AttestedWorld, client: ClientId) -> set[bytes]:
    """Names of what is stored of a client."""
    prefix = f"clients/{client}/".encode()
    return {key.removeprefix(prefix) for key in w.view.stores["ibc"] if key.startswith(prefix)}


def test_a_client_that_was_caught_believes_nothing_of_before_once_it_is_recovered() -> None:
    w = AttestedWorld()
    for height in (5, 6, 7):
        w.update(w.attest(height, root=OTHER))
    w.rotate(w.rotation(signer_set(epoch=2)))
    w.update(w.attest(5, signers=signer_set(epoch=2)))
    assert w.status() == "Frozen"
    newer(w, signers=signer_set(7, 5, first=3, epoch=3))
    w.view.apply(w.client.recover(w.view, CLIENT, SUBSTITUTE, w.now, OWN))
    assert w.status() == "Active"
    assert kept(w, CLIENT) == kept(w, SUBSTITUTE)
    with pytest.raises(ConsensusStateMissing):
        w.client.proofs_at(w.view, CLIENT, Height(1, 5))
    old = signer_set()
    with pytest.raises(NotMisbehaviour):
        w.accuse(w.attest(8, signers=old), w.attest(8, root=OTHER, signers=old))


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"domain": OTHER}, SubstituteMismatch),
        ({"chain_id": "other-1"}, SubstituteMismatch),
        ({"max_clock_drift": seconds(16)}, SubstituteMismatch),
        ({"signers": signer_set(3, 2)}, RotationRefused),
    ],
    ids=str,
)
def test_a_substitute_is_refused(changes: dict[str, Any], refusal: type[Exception]) -> None:
    w = expired()
    newer(w, **changes)
    with pytest.raises(refusal):
        w.client.recover(w.view, CLIENT, SUBSTITUTE, w.now, OWN)


def test_a_client_is_not_moved_to_another_domain() -> None:
    w = AttestedWorld()
    with pytest.raises(UpgradeUnknown):
        w.client.upgrade(w.view, CLIENT, b"", b"", b"\x01", b"\x01", w.now, OWN)


# --- bytes


def test_what_is_stored_and_brought_reads_back_alike_and_meets_its_schema() -> None:
    w = AttestedWorld()
    a, rotation = w.attest(2), w.rotation(signer_set(epoch=2))
    evidence = messages.Misbehaviour(a, w.attest(2, root=OTHER))
    assert states.decode_client_state(states.encode_client_state(w.state)) == w.state
    assert messages.decode_attestation(messages.encode_attestation(a)) == a
    assert messages.decode_rotation(messages.encode_rotation(rotation)) == rotation
    assert messages.decode_misbehaviour(messages.encode_misbehaviour(evidence)) == evidence
    written = {
        "client-state": unwrap_any(states.encode_client_state(w.state), states.CLIENT_STATE),
        "consensus-state": unwrap_any(states.encode_consensus_state(a.consensus_state), states.CONSENSUS_STATE),
        "attestation": messages.encode_attestation(a),
        "rotation": messages.encode_rotation(rotation),
        "misbehaviour": messages.encode_misbehaviour(evidence),
    }
    for schema in SCHEMAS:
        raw = written.pop(schema.id.removeprefix("attested/"))
        schema.validate(raw)
        with pytest.raises(SchemaMismatch):
            schema.validate(b"\x81" + raw)
    assert not written


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\xff", b"\x85\x01\x82\x01\x02\x20\x40\x80", b"\x84\x01\x02\x03\x04"])
def test_bytes_that_are_no_message_are_refused(raw: bytes) -> None:
    w = AttestedWorld()
    for kind in (ATTESTATION, messages.ROTATION, MISBEHAVIOUR, "/other"):
        with pytest.raises(MalformedState):
            w.send(kind, raw)
