"""Attack replays B1 to B5, C1, C3 and C6 of the incident list, against attested clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.lightclients.attested import SignerSet
from lockgate.lightclients.attested.errors import (
    QuorumMissing,
    RotationRefused,
    SignaturesRefused,
    SignersRefused,
    StaleEpoch,
)
from lockgate.lightclients.standing import ClientFrozen
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos
from tests.support.attesters import CLIENT, DAY, START, AttestedWorld, client_state, ordered, signer, signer_set

OTHER = b"\x02" * 32
SECOND = ClientId("attested-1")


def created(signers: SignerSet) -> None:
    AttestedWorld().create(SECOND, client_state(signers))


def refuses(w: AttestedWorld, act: Callable[[], object], refusal: type[LockgateError]) -> None:
    before = w.view.snapshot()
    with pytest.raises(refusal):
        act()
    assert w.view.snapshot() == before


# --- B1 (Ronin 2022): five of nine keys, four of them one operator's, one by a delegation long over


def ronin(threshold: int = 5) -> SignerSet:
    four = [signer(number, operator="the company") for number in range(4)]
    others = [signer(number) for number in range(4, 9)]
    return SignerSet(epoch=1, threshold=threshold, signers=ordered([*four, *others]))


def test_b1_nine_keys_of_six_operators_are_judged_by_operators() -> None:
    with pytest.raises(SignersRefused, match="operators"):
        created(ronin())
    created(ronin(threshold=7))  # the company and three more


def test_b1_a_delegation_that_is_over_signs_nothing() -> None:
    borrowed = [signer(number, until=UnixNanos(START + DAY)) for number in (0,)]
    own = [signer(number) for number in range(1, 5)]
    w = AttestedWorld(SignerSet(epoch=1, threshold=3, signers=ordered([*borrowed, *own])))
    w.update(w.attest(2, by=(0, 1, 2)))
    w.now = UnixNanos(START + DAY)
    refuses(w, lambda: w.update(w.attest(3, by=(0, 1, 2))), SignaturesRefused)
    w.update(w.attest(3, by=(1, 2, 3)))


# --- B2 (Ronin 2024): an upgrade left the threshold at zero


@pytest.mark.parametrize("threshold", [0, 6, 2])
def test_b2_a_threshold_of_zero_or_beyond_the_total_is_never_loaded(threshold: int) -> None:
    with pytest.raises(SignersRefused):
        created(signer_set(5, threshold))
    w = AttestedWorld()
    following = signer_set(5, threshold, epoch=2)
    refuses(w, lambda: w.rotate(w.rotation(following)), SignersRefused)


def test_b2_no_rotation_lowers_the_threshold_even_where_a_new_client_could_have_it() -> None:
    w = AttestedWorld(signer_set(5, 4))
    created(signer_set(5, 3))
    refuses(w, lambda: w.rotate(w.rotation(signer_set(5, 3, epoch=2), by=(0, 1, 2, 3))), RotationRefused)


# --- B3 (Harmony, Orbit): two of five hot keys


def test_b3_two_of_five_is_refused_and_two_stolen_keys_make_nothing() -> None:
    with pytest.raises(SignersRefused, match="half of the weight"):
        created(signer_set(5, 2))
    w = AttestedWorld()
    refuses(w, lambda: w.update(w.attest(2, by=(0, 1))), QuorumMissing)


def test_b3_stolen_keys_are_worth_nothing_after_the_next_rotation() -> None:
    w = AttestedWorld()
    w.rotate(w.rotation(signer_set(epoch=2, first=10)))
    refuses(w, lambda: w.update(w.attest(2, signers=signer_set())), StaleEpoch)
    with pytest.raises(StaleEpoch):
        w.update(replace(w.attest(2, signers=signer_set()), epoch=1))
    refuses(w, lambda: w.update(replace(w.attest(2, signers=signer_set()), epoch=2)), SignaturesRefused)


# --- B4 (Multichain): all shares under one person


def test_b4_many_keys_of_one_person_are_one_operator() -> None:
    keys = [signer(number, operator="one person") for number in range(5)]
    with pytest.raises(SignersRefused):
        created(SignerSet(epoch=1, threshold=5, signers=ordered(keys)))
    most = [*keys[:4], signer(9)]
    with pytest.raises(SignersRefused):
        created(SignerSet(epoch=1, threshold=4, signers=ordered(most)))


# --- B5 (KelpDAO): one of one, and nodes that were poisoned together


def test_b5_one_of_one_is_refused() -> None:
    with pytest.raises(SignersRefused):
        created(SignerSet(epoch=1, threshold=1, signers=(signer(0),)))


def test_b5_one_of_two_is_refused() -> None:
    with pytest.raises(SignersRefused):
        created(signer_set(2, 1))


def test_b5_signers_that_read_one_node_are_refused() -> None:
    with pytest.raises(SignersRefused, match="data source"):
        created(replace(signer_set(), signers=ordered([signer(number, source="rpc") for number in range(5)])))
    poisoned = [signer(number, source="rpc" if number < 3 else "") for number in range(5)]
    with pytest.raises(SignersRefused, match="data source"):
        created(replace(signer_set(), signers=ordered(poisoned)))
    created(replace(signer_set(5, 4), signers=ordered(poisoned)))


def test_b5_disagreement_stops_everything() -> None:
    w = AttestedWorld()
    w.update(w.attest(5, by=(0, 1, 2)))
    assert w.update(w.attest(5, by=(2, 3, 4), root=OTHER)).misbehaviour
    refuses(w, lambda: w.update(w.attest(6)), ClientFrozen)


# --- C1 (ETHPoW): a fork with the same keys


@pytest.mark.parametrize(
    "fork",
    [
        {"domain": OTHER},
        {"chain_id": "ledger-2", "latest_height": Height(2, 1)},
        {"latest_height": Height(2, 1)},
    ],
    ids=["another genesis", "another chain id", "another revision"],
)
def test_c1_what_was_attested_of_a_fork_is_refused(fork: dict[str, object]) -> None:
    w = AttestedWorld()
    elsewhere = replace(w.state, **fork)  # type: ignore[arg-type]  # a test spoils what it likes
    refuses(w, lambda: w.update(w.attest(2, state=elsewhere)), SignaturesRefused)
    refuses(
        w,
        lambda: w.accuse(w.attest(2), w.attest(2, root=OTHER, state=elsewhere)),
        LockgateError,
    )


# --- C3 (Chainswap): the list of signatories was not really checked


@pytest.mark.parametrize("by", [(0, 1, 1), (0, 1, 9), (7, 8, 9)], ids=["twice", "one unknown", "all unknown"])
def test_c3_unknown_and_repeated_signers_are_refused(by: tuple[int, ...]) -> None:
    w = AttestedWorld()
    refuses(w, lambda: w.update(w.attest(2, by=by)), SignaturesRefused)


def test_c3_a_quorum_is_state_and_never_what_a_message_says() -> None:
    """A message that names another set, an easier one, is judged by the stored set all the same."""
    w = AttestedWorld()
    easier = signer_set(3, 2)
    refuses(w, lambda: w.update(w.attest(2, by=(0, 1), signers=easier)), QuorumMissing)
    refuses(w, lambda: w.update(w.attest(2, by=(0, 1, 2), signers=easier)), SignaturesRefused)


# --- C6 (re-organisation after release): what was final does not become another


def test_c6_a_source_that_signs_a_second_history_freezes_the_client() -> None:
    w = AttestedWorld()
    w.update(w.attest(5))
    assert w.update(w.attest(4, at=UnixNanos(START + 4 * 10**9))).misbehaviour, "a time not before its successor's"
    assert w.client.status(w.view, CLIENT, w.now) == "Frozen"
