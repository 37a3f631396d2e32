"""Who may meet in which suite: the signatures of the two key records decide, and each side signs by its own."""

from __future__ import annotations

import pytest

from lockgate.codec import cbor
from lockgate.crypto.keys import IdentitySigner, KeyRole
from lockgate.crypto.suites import SIGN_ED25519, SIGN_ED25519_MLDSA65, SIGN_P256_MLDSA65
from lockgate.envelope.content import LedgerView
from lockgate.keystore.software import OsEntropy, identity_signer
from lockgate.primitives.ids import Hash32, Height
from lockgate.session.edhoc import Established, Known, Method, receive, start
from lockgate.session.edhoc.errors import HandshakeFailed, WrongSuite
from lockgate.session.edhoc.messages import Ead
from lockgate.session.edhoc.suites import DEFAULT
from lockgate.session.meeting import CLAIMS, EVIDENCE, UNDERSTOOD, Claims, Party, meeting, suites_of

HYBRIDS = (SIGN_ED25519_MLDSA65.id, SIGN_P256_MLDSA65.id)
VIEW = LedgerView(Height(1, 7), Hash32(b"h" * 32))


def party(name: bytes, suite: int) -> tuple[Party, IdentitySigner]:
    signer = identity_signer(suite, name.ljust(32, b"\0"), KeyRole.IDENTITY)
    body = cbor.encode([name, list(signer.key.parts)])
    return Party(name.ljust(32), "07-tendermint-0", name.rjust(32), name.center(32), body, signer.key), signer


def met(
    one: int, other: int, *, impostor: IdentitySigner | None = None
) -> tuple[Established, Established, Claims, Claims]:
    """A whole handshake of two parties, with claims and evidence on both sides."""
    (alice, alices), (bob, bobs) = party(b"alice", one), party(b"bob", other)
    entropy = OsEntropy()
    message_1, sent = start(Method.SIGN_SIGN, suites_of(alice.key, bob.key), b"\x01", entropy)
    asked = receive(message_1, suites_of(bob.key, alice.key), understood=UNDERSTOOD)
    message_2, second = asked.message_2(
        b"\x02", bob.identity(impostor or bobs), entropy, Claims(5, VIEW, VIEW, b"quote of bob").eads()
    )
    known = sent.take(message_2, alice.identity(alices), Known([bob.credential]), UNDERSTOOD)
    message_3, third = known.message_3(Claims(9, VIEW, VIEW).eads())
    proven = second.take(message_3, Known([alice.credential]), UNDERSTOOD)
    done, _ = third.take(proven.message_4(), UNDERSTOOD)
    return done, proven.established, Claims.of(known.eads), Claims.of(proven.eads)


@pytest.mark.parametrize("one", HYBRIDS)
@pytest.mark.parametrize("other", HYBRIDS)
def test_S86_identities_of_unlike_hybrid_suites_meet(one: int, other: int) -> None:
    ours, theirs, of_bob, of_alice = met(one, other)
    (alice, _), (bob, _) = party(b"alice", one), party(b"bob", other)
    context = meeting(alice, bob)
    assert ours.export(40_001, context, 32) == theirs.export(40_001, context, 32)
    assert ours.export(40_001, context, 32) != ours.export(40_001, meeting(bob, alice), 32)
    assert ours.suite.id == DEFAULT[0]
    assert (of_bob.fence, of_bob.evidence, of_alice.fence, of_alice.evidence) == (5, b"quote of bob", 9, b"")


@pytest.mark.parametrize("suite", HYBRIDS)
def test_P5_keys_of_another_record_of_either_suite_prove_nothing(suite: int) -> None:
    for other in HYBRIDS:
        with pytest.raises(HandshakeFailed):
            met(HYBRIDS[0], suite, impostor=identity_signer(other, b"m" * 32, KeyRole.IDENTITY))


@pytest.mark.parametrize("suite", HYBRIDS)
def test_a_classical_identity_meets_no_hybrid_one(suite: int) -> None:
    (classic, _), (hybrid, _) = party(b"alice", SIGN_ED25519.id), party(b"bob", suite)
    for pair in ((classic.key, hybrid.key), (hybrid.key, classic.key)):
        with pytest.raises(WrongSuite):
            suites_of(*pair)


@pytest.mark.parametrize(
    "eads",
    [
        (),
        (Ead(EVIDENCE, b"x"),),
        (Ead(CLAIMS, None, critical=True),),
        (Ead(CLAIMS, b"\x00", critical=True),),
        (Ead(CLAIMS, cbor.encode([0, VIEW.to_value(), VIEW.to_value()]), critical=True),),
        (Ead(CLAIMS, cbor.encode([1 << 32, VIEW.to_value(), VIEW.to_value()]), critical=True),),
        (Ead(CLAIMS, cbor.encode([1, VIEW.to_value()]), critical=True),),
        (Ead(CLAIMS, cbor.encode([1, VIEW.to_value(), 7]), critical=True),),
        Claims(1, VIEW, VIEW).eads() * 2,
        (*Claims(1, VIEW, VIEW, b"x").eads(), Ead(EVIDENCE, b"y")),
        (*Claims(1, VIEW, VIEW).eads(), Ead(EVIDENCE, bytes(32_769))),
    ],
)
def test_claims_have_one_form(eads: tuple[Ead, ...]) -> None:
    with pytest.raises(HandshakeFailed):
        Claims.of(eads)
