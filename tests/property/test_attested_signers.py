"""Whatever set a client accepts: no strict minority of operators makes an attestation, and no rotation asks less."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lockgate.lightclients.attested import SignerSet
from lockgate.lightclients.attested.errors import QuorumMissing, RotationRefused, SignersRefused
from lockgate.lightclients.attested.quorum import check_quorum
from lockgate.lightclients.attested.signers import check_not_lower, check_set
from lockgate.primitives.time import UnixNanos
from tests.support.attesters import START, client_state, ordered, signatures, signer

NOW = UnixNanos(START)
MESSAGE = b"what is attested"


@st.composite
def sets(draw: st.DrawFn) -> SignerSet:
    count = draw(st.integers(1, 7))
    signers = [
        signer(
            number,
            draw(st.integers(1, 4)),
            f"operator-{draw(st.integers(0, 5))}",
            f"node-{draw(st.integers(0, 5))}",
        )
        for number in range(count)
    ]
    return SignerSet(
        epoch=1, threshold=draw(st.integers(0, sum(each.weight for each in signers) + 1)), signers=ordered(signers)
    )


def accepted(signers: SignerSet) -> bool:
    try:
        check_set(signers, NOW)
    except SignersRefused:
        return False
    return True


def weight_of(signers: SignerSet, operators: tuple[str, ...]) -> int:
    return sum(each.weight for each in signers.signers if each.operator in operators)


@given(sets())
@settings(max_examples=300, deadline=None)
def test_p21_no_strict_minority_of_operators_and_no_one_source_reaches_a_threshold(signers: SignerSet) -> None:
    if not accepted(signers):
        return
    operators = sorted(signers.operators)
    assert len(operators) > 1
    for few in range(1, (len(operators) + 1) // 2):
        for some in combinations(operators, few):
            assert weight_of(signers, some) < signers.threshold
    assert all(weight < signers.threshold for weight in signers.sources.values())


@given(sets())
@settings(max_examples=300, deadline=None)
def test_what_is_refused_is_weak_somewhere(signers: SignerSet) -> None:
    """The rule is exact: a refused set has a threshold, a minority or a source that breaks the promise."""
    if accepted(signers):
        return
    operators = sorted(signers.operators)
    half = len(operators) // 2
    weak = (
        2 * signers.threshold <= signers.total
        or signers.threshold > signers.total
        or len(operators) < 2
        or any(weight_of(signers, some) >= signers.threshold for some in combinations(operators, max(half, 1)))
        or max(signers.sources.values()) >= signers.threshold
    )
    assert weak


@given(sets(), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_no_forgery_by_a_strict_minority_of_operators(signers: SignerSet, data: st.DataObject) -> None:
    assume(accepted(signers))
    operators = sorted(signers.operators)
    few = data.draw(st.integers(0, (len(operators) - 1) // 2))
    colluding = data.draw(st.permutations(operators))[:few]
    state = client_state(signers)
    by = [number for number in range(7) if signer(number).key.hash in signers.by_hash]
    held = [n for n in by if signers.by_hash[signer(n).key.hash].operator in colluding]
    with pytest.raises(QuorumMissing):
        check_quorum(state, signers, MESSAGE, signatures(state, MESSAGE, held), NOW)
    check_quorum(state, signers, MESSAGE, signatures(state, MESSAGE, by), NOW)


@given(st.lists(sets(), min_size=2, max_size=4))
@settings(max_examples=300, deadline=None)
def test_p21_a_chain_of_rotations_never_asks_less(chain: list[SignerSet]) -> None:
    good = [each for each in chain if accepted(each)]
    present = None
    first = good[0] if good else None
    for following in good:
        try:
            check_not_lower(present or following, following)
        except RotationRefused:
            continue
        present = following
    if present is None or first is None:
        return
    assert present.threshold >= first.threshold
    assert present.threshold * first.total >= first.threshold * present.total
    assert len(present.operators) >= len(first.operators)
    assert present.operators_needed >= first.operators_needed
    assert present.sources_needed >= first.sources_needed
