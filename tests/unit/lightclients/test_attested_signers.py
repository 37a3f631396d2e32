"""Which signer sets a client may rest on, and that a later one never asks less (B1-B5, C3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.crypto.suites import SIGN_ED25519_MLDSA65
from lockgate.lightclients.attested import SignerSet, messages
from lockgate.lightclients.attested.errors import QuorumMissing, RotationRefused, SignaturesRefused, SignersRefused
from lockgate.lightclients.attested.signers import MAX_DELEGATION, check_not_lower, check_set
from lockgate.primitives.time import UnixNanos
from tests.support.attesters import START, AttestedWorld, attester, ordered, signatures, signer, signer_set

NOW = UnixNanos(START)


def test_the_good_sets_are_good() -> None:
    for count, threshold in ((2, 2), (3, 2), (5, 3), (5, 4), (7, 5)):
        check_set(signer_set(count, threshold), NOW)


SPOILT: dict[str, Callable[[SignerSet], SignerSet]] = {
    "no signer": lambda s: replace(s, signers=()),
    "epoch zero": lambda s: replace(s, epoch=0),
    "threshold zero": lambda s: replace(s, threshold=0),
    "half of the weight": lambda s: replace(s, signers=s.signers[:4], threshold=2),
    "exactly half, of unequal operators": lambda s: replace(
        s, signers=ordered([signer(number, 2) for number in range(3)]), threshold=3
    ),
    "more than the total": lambda s: replace(s, threshold=6),
    "unordered": lambda s: replace(s, signers=s.signers[::-1]),
    "one signer twice": lambda s: replace(s, signers=(s.signers[0], *s.signers)),
    "a weight of zero": lambda s: replace(s, signers=(replace(s.signers[0], weight=0), *s.signers[1:])),
    "one operator for all": lambda s: replace(s, signers=tuple(replace(x, operator="one") for x in s.signers)),
    "one source for all": lambda s: replace(s, signers=tuple(replace(x, source="one") for x in s.signers)),
    "one operator reaches it": lambda s: replace(
        s, signers=(*(replace(x, operator="one") for x in s.signers[:3]), *s.signers[3:])
    ),
    "one weight reaches it": lambda s: replace(
        s, signers=(replace(s.signers[0], weight=5), *s.signers[1:]), threshold=5
    ),
    "two of five operators reach it": lambda s: replace(
        s, signers=(replace(s.signers[0], weight=4), replace(s.signers[1], weight=4), *s.signers[2:]), threshold=6
    ),
    "a name with a capital": lambda s: replace(s, signers=(replace(s.signers[0], operator="One"), *s.signers[1:])),
    "a look-alike name": lambda s: replace(s, signers=(replace(s.signers[0], operator="оne"), *s.signers[1:])),
    "a padded name": lambda s: replace(s, signers=(replace(s.signers[0], operator="one "), *s.signers[1:])),
    "a lapsed delegation": lambda s: replace(s, signers=(replace(s.signers[0], until=NOW), *s.signers[1:])),
    "an endless delegation": lambda s: replace(
        s, signers=(replace(s.signers[0], until=UnixNanos(NOW + MAX_DELEGATION + 1)), *s.signers[1:])
    ),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_spoilt_set_is_refused(spoil: Callable[[SignerSet], SignerSet]) -> None:
    good = signer_set()
    check_set(good, NOW)
    with pytest.raises(SignersRefused):
        check_set(spoil(good), NOW)


def test_two_identities_that_share_half_a_key_are_refused() -> None:
    """The Ed25519 half of one is the Ed25519 key of another: one thief has both."""
    hybrid = attester(0, SIGN_ED25519_MLDSA65.id).key
    classical = replace(attester(0).key, parts=hybrid.parts[:1])
    shared = replace(
        signer_set(), signers=ordered([signer(0, key=hybrid), signer(1, key=classical), *map(signer, (2, 3, 4))])
    )
    with pytest.raises(SignersRefused, match="share a key"):
        check_set(shared, NOW)


# --- monotone


LOWERED: dict[str, tuple[SignerSet, SignerSet]] = {
    "threshold": (signer_set(5, 3), signer_set(3, 2)),
    "share": (signer_set(5, 4), signer_set(7, 5)),
    "operators": (signer_set(5, 4), signer_set(4, 4)),
    "operators needed": (
        signer_set(4, 4),
        SignerSet(epoch=2, threshold=8, signers=ordered([signer(0, 3), signer(1, 3), signer(2, 2), signer(3, 1)])),
    ),
    "sources needed": (
        signer_set(3, 3),
        replace(
            signer_set(3, 3),
            signers=tuple(replace(x, source=f"n-{i % 2}") for i, x in enumerate(signer_set(3, 3).signers)),
        ),
    ),
}


@pytest.mark.parametrize(("name", "pair"), LOWERED.items(), ids=LOWERED.keys())
def test_no_later_set_asks_less(name: str, pair: tuple[SignerSet, SignerSet]) -> None:
    old, new = pair
    check_not_lower(old, old)
    with pytest.raises(RotationRefused) as refused:
        check_not_lower(old, new)
    assert name in str(refused.value.fields["lowered"])


def test_a_post_quantum_set_stays_one() -> None:
    hybrid = [signer(number, key=attester(number, SIGN_ED25519_MLDSA65.id).key) for number in range(3)]
    old = SignerSet(epoch=1, threshold=2, signers=ordered(hybrid))
    check_set(old, NOW)
    new = replace(old, signers=ordered([*hybrid[:2], signer(7)]))
    with pytest.raises(RotationRefused, match="what is required"):
        check_not_lower(old, new)


def test_hybrid_signers_attest() -> None:
    suite = SIGN_ED25519_MLDSA65.id
    hybrid = SignerSet(
        epoch=1,
        threshold=2,
        signers=ordered([signer(number, key=attester(number, suite).key) for number in range(3)]),
    )
    w = AttestedWorld(hybrid)
    bare = replace(w.attest(2, by=()), signatures=())
    message = bare.message("ledger-1", hybrid)
    full = signatures(w.state, message, (0, 2), lambda number: attester(number, suite))
    w.update(replace(bare, signatures=full))
    assert w.current().latest_height.height == 2
    w.now = UnixNanos(w.now + 1)
    halves = tuple((name, signature[:64] + bytes(len(signature) - 64)) for name, signature in full)
    with pytest.raises(SignaturesRefused):
        w.update(replace(bare, signatures=halves))


def test_a_set_that_no_client_state_can_hold_is_refused_at_rotation_too() -> None:
    """Stored, it could not be read again: the client would answer nothing any more."""
    suite = SIGN_ED25519_MLDSA65.id
    many = [signer(number, key=attester(number, suite).key) for number in range(20)]
    following = SignerSet(epoch=2, threshold=12, signers=ordered(many))
    w = AttestedWorld()
    before = w.view.snapshot()
    with pytest.raises(SignersRefused, match="too large"):
        w.rotate(w.rotation(following))
    assert w.view.snapshot() == before
    fewer = SignerSet(epoch=2, threshold=9, signers=ordered(many[:15]))
    w.rotate(w.rotation(fewer))
    assert w.current().signers == fewer


# --- quorums (C3)

Spoil = Callable[[messages.Signatures], messages.Signatures]
SIGNATURES: dict[str, tuple[Spoil, type[Exception]]] = {
    "too few": (lambda s: s[:2], QuorumMissing),
    "none": (lambda s: (), QuorumMissing),
    "one twice": (lambda s: (s[0], s[0], s[1]), SignaturesRefused),
    "unordered": (lambda s: s[::-1], SignaturesRefused),
    "an unknown signer": (lambda s: tuple(sorted((*s[:2], (attester(9).key.hash, s[0][1])))), SignaturesRefused),
    "one that does not hold": (lambda s: (*s[:2], (s[2][0], bytes(64))), SignaturesRefused),
    "another's signature": (lambda s: ((s[0][0], s[1][1]), *s[1:]), SignaturesRefused),
    "one too many that does not hold": (lambda s: (*s[:2], (s[2][0], s[2][1][:-1])), SignaturesRefused),
}


@pytest.mark.parametrize(("spoil", "refusal"), SIGNATURES.values(), ids=SIGNATURES.keys())
def test_c3_signatures_are_checked_one_by_one(spoil: Spoil, refusal: type[Exception]) -> None:
    w = AttestedWorld()
    good = w.attest(2)
    before = w.view.snapshot()
    with pytest.raises(refusal):
        w.update(replace(good, signatures=spoil(good.signatures)))
    assert w.view.snapshot() == before
    w.update(good)
    assert w.current().latest_height.height == 2
