"""EDHOC between two parties: every method and suite, and everything that must not make a session."""

from __future__ import annotations

import pytest

from lockgate.codec import cbor
from lockgate.crypto.errors import WrongLength
from lockgate.lab.entropy import SeededEntropy
from lockgate.session.edhoc import SUITES, Credential, Ead, ErrorMessage, Identity, Known, Method, receive, start
from lockgate.session.edhoc.errors import (
    CredentialUnusable,
    CriticalEad,
    HandshakeFailed,
    HandshakeMalformed,
    MethodRefused,
    PeerRefused,
    WrongSuite,
)
from lockgate.session.edhoc.messages import Message1, Plaintext2, Plaintext3, full, long, short
from lockgate.session.edhoc.suites import DEFAULT, HYBRID_AES, HYBRID_CHACHA, SUITE_0, SUITE_2, SUITE_3
from tests.support.edhoc import CLASSIC, HYBRID, Pair, party

METHODS = [(suite, method) for suite in CLASSIC for method in Method] + [(s, Method.SIGN_SIGN) for s in HYBRID]
ALL = pytest.mark.parametrize(("suite", "method"), METHODS, ids=[f"{s.id}-{int(m)}" for s, m in METHODS])
CHOSEN = [(SUITE_0, Method.SIGN_SIGN), (SUITE_2, Method.DH_DH), (SUITE_2, Method.SIGN_DH), (SUITE_3, Method.DH_SIGN)]
FEW = pytest.mark.parametrize(("suite", "method"), CHOSEN, ids=[f"{s.id}-{int(m)}" for s, m in CHOSEN])


@ALL
def test_both_sides_hold_one_secret_and_know_each_other(suite, method) -> None:
    pair = Pair(suite, method)
    ours, theirs = pair.established()
    assert ours.prk_out == theirs.prk_out
    assert ours.transcript == theirs.transcript
    assert ours.peer == pair.responder.credential
    assert theirs.peer == pair.initiator.credential
    assert (ours.c_i, ours.c_r) == (theirs.c_i, theirs.c_r) == (b"\x0e", b"conn-r")
    exported = [side.export(40_000, b"lane", 32) for side in (ours, theirs)]
    assert exported[0] == exported[1]
    assert exported[0] != ours.export(40_001, b"lane", 32)
    assert exported[0] != ours.export(40_000, b"lant", 32)


def test_a_second_handshake_of_the_same_parties_shares_nothing_with_the_first() -> None:
    one, _ = Pair(SUITE_0, seed="1").established()
    other, _ = Pair(SUITE_0, seed="2").established()
    assert one.prk_out != other.prk_out


def test_key_update_gives_both_sides_one_new_secret_that_depends_on_its_context() -> None:
    ours, theirs = Pair(SUITE_0).established()
    assert ours.updated(b"1").prk_out == theirs.updated(b"1").prk_out
    assert len({ours.prk_out, ours.updated(b"1").prk_out, ours.updated(b"2").prk_out}) == 3
    assert ours.updated(b"1").export(0, b"", 16) != ours.export(0, b"", 16)


def test_an_export_longer_than_the_hash_allows_is_refused() -> None:
    ours, _ = Pair(SUITE_0).established()
    assert len(ours.export(0, b"", 255 * 32)) == 255 * 32
    with pytest.raises(WrongLength):
        ours.export(0, b"", 255 * 32 + 1)


@FEW
def test_a_changed_byte_of_message_2_is_one_failure_wherever_it_is(suite, method) -> None:
    pair = Pair(suite, method)
    message_1, sent_1 = pair.first()
    message_2, _ = pair.second(message_1)
    head = len(message_2) - len(cbor.decode(message_2))
    for place in range(head, len(message_2)):
        spoilt = bytearray(message_2)
        spoilt[place] ^= 0x01
        with pytest.raises(HandshakeFailed) as caught:
            sent_1.take(bytes(spoilt), pair.initiator, pair.known)
        assert str(caught.value) == "edhoc.failed: message_2 does not authenticate", "P19: nothing tells them apart"
        assert caught.value.__suppress_context__
    sent_1.take(message_2, pair.initiator, pair.known)


@FEW
def test_a_changed_byte_of_message_1_ends_at_message_2(suite, method) -> None:
    pair = Pair(suite, method)
    message_1, sent_1 = pair.first()
    for place in range(len(message_1)):
        spoilt = bytearray(message_1)
        spoilt[place] ^= 0x01
        try:
            message_2, _ = pair.second(bytes(spoilt))
        except (HandshakeMalformed, WrongSuite, MethodRefused):
            continue
        with pytest.raises(HandshakeFailed):
            sent_1.take(message_2, pair.initiator, pair.known)


@FEW
def test_a_changed_byte_of_message_3_and_message_4_is_refused(suite, method) -> None:
    pair = Pair(suite, method)
    met, sent_2 = pair.met()
    message_3, sent_3 = met.message_3()
    for place in range(1, len(message_3)):
        spoilt = bytearray(message_3)
        spoilt[place] ^= 0x80
        with pytest.raises((HandshakeFailed, HandshakeMalformed)):
            sent_2.take(bytes(spoilt), pair.known)
    message_4 = sent_2.take(message_3, pair.known).message_4()
    for place in range(1, len(message_4)):
        spoilt = bytearray(message_4)
        spoilt[place] ^= 0x80
        with pytest.raises((HandshakeFailed, HandshakeMalformed)):
            sent_3.take(bytes(spoilt))
    sent_3.take(message_4)


@pytest.mark.parametrize("cut", [0, 1, 40, 1200])
def test_hybrid_messages_altered_or_cut_do_not_authenticate(cut: int) -> None:
    pair = Pair(HYBRID_AES)
    message_1, sent_1 = pair.first()
    message_2, _ = pair.second(message_1)
    inner = bytearray(cbor.decode(message_2))
    if cut:
        del inner[-cut:]
    else:
        inner[5] ^= 1  # of ML-KEM's ciphertext: implicit rejection gives another secret, and shows as nothing else
    with pytest.raises(HandshakeFailed) as caught:
        sent_1.take(cbor.encode(bytes(inner)), pair.initiator, pair.known)
    assert "message_2 does not authenticate" in str(caught.value)


@pytest.mark.parametrize("half", [0, 1], ids=["Ed25519", "ML-DSA-65"])
def test_both_halves_of_a_hybrid_signature_are_required(half: int) -> None:
    """A thief of one half's key signs with it, and with a key of his own for the other."""
    pair = Pair(HYBRID_CHACHA)
    thief = party("bob", HYBRID_CHACHA, seed="thief")
    mixed = list(pair.responder.signers)
    mixed[half] = thief.signers[half]
    pair.responder = Identity(pair.responder.credential, mixed)
    message_1, sent_1 = pair.first()
    message_2, _ = pair.second(message_1)
    with pytest.raises(HandshakeFailed):
        sent_1.take(message_2, pair.initiator, pair.known)


def test_a_hybrid_signature_of_a_handshake_is_none_of_anything_else() -> None:
    """The purpose is inside what is signed (P6), so an identity's other signatures do not fit here."""
    suite = HYBRID_AES
    side = party("bob", suite)
    from lockgate.crypto import hybrid
    from lockgate.session.edhoc.signing import IDENTITIES

    identity = hybrid.identity_hash(2, side.credential.signing)
    for purpose in hybrid.Purpose:
        covered = hybrid.signing_bytes(purpose, 2, identity, b"", 0, b"message")
        signature = hybrid.sign(IDENTITIES.suites[0], side.signers, covered)
        good = IDENTITIES.verify(side.credential.signing, signature, b"message")
        assert good is (purpose is hybrid.Purpose.HANDSHAKE)


# ---- negotiation


def test_the_first_common_suite_is_selected_after_an_error() -> None:
    entropy = SeededEntropy(b"n")
    message_1, _ = start(Method.SIGN_SIGN, [6, 2, 0], b"\x01", entropy)
    with pytest.raises(WrongSuite) as caught:
        receive(message_1, [0, 2])
    error = ErrorMessage.wrong_suite(caught.value.fields["ours"]).encode()
    supported = ErrorMessage.decode(error).info
    assert supported == (0, 2)
    again, sent = start(Method.SIGN_SIGN, [6, 2, 0], b"\x01", entropy, supported=supported)
    assert sent.message.suites == (6, 2), "those before the selected one are named, so that a downgrade shows"
    assert receive(again, [0, 2]).suite.id == 2


def test_a_suite_that_was_hidden_from_the_choice_is_refused() -> None:
    """Somebody answers in the responder's place that it has suite 2 only; the responder sees what was preferred."""
    message_1, _ = start(Method.SIGN_SIGN, [0, 2], b"\x01", SeededEntropy(b"n"), supported=[2])
    with pytest.raises(WrongSuite):
        receive(message_1, [2, 0])


def test_a_list_of_suites_shortened_on_the_way_ends_the_handshake() -> None:
    pair = Pair(SUITE_2)
    _message_1, sent_1 = start(Method.SIGN_SIGN, [24, 2], b"\x01", pair.entropy, supported=[2])
    shortened = Message1(Method.SIGN_SIGN, (2,), sent_1.message.g_x, b"\x01").encode()
    message_2, _ = receive(shortened, [2]).message_2(b"\x02", pair.responder, pair.entropy)
    with pytest.raises(HandshakeFailed):
        sent_1.take(message_2, pair.initiator, pair.known)


def test_no_common_suite_is_said_before_anything_is_sent() -> None:
    with pytest.raises(WrongSuite):
        start(Method.SIGN_SIGN, [0], b"\x01", SeededEntropy(b"n"), supported=[2, 3])


def test_the_default_suites_are_hybrid() -> None:
    assert all(SUITES[number].post_quantum for number in DEFAULT)
    with pytest.raises(WrongSuite):
        receive(start(Method.SIGN_SIGN, [0], b"\x01", SeededEntropy(b"n"))[0], DEFAULT)


@pytest.mark.parametrize("method", [Method.SIGN_DH, Method.DH_SIGN, Method.DH_DH])
def test_hybrid_suites_take_no_static_keys(method: Method) -> None:
    with pytest.raises(MethodRefused):
        start(method, DEFAULT, b"\x01", SeededEntropy(b"n"))
    hybrid, _ = start(Method.SIGN_SIGN, DEFAULT, b"\x01", SeededEntropy(b"n"))
    with pytest.raises(MethodRefused):
        receive(bytes([method]) + hybrid[1:], DEFAULT, set(Method))


def test_a_method_that_was_not_asked_for_is_refused() -> None:
    message_1, _ = start(Method.DH_DH, [2], b"\x01", SeededEntropy(b"n"))
    with pytest.raises(MethodRefused):
        receive(message_1, [2])


# ---- identities


def test_a_credential_that_is_not_held_and_one_with_another_key_are_refused_alike() -> None:
    pair = Pair(SUITE_0)
    message_1, sent_1 = pair.first()
    message_2, _ = pair.second(message_1)
    other = party("bob", SUITE_0, seed="other").credential
    for known in (Known(), Known([other])):
        with pytest.raises(HandshakeFailed, match="message_2 does not authenticate"):
            sent_1.take(message_2, pair.initiator, known)


@FEW
def test_a_message_that_comes_back_to_its_sender_is_refused(suite, method) -> None:
    """Reflection: a side that holds its own credential does not open a session with itself."""
    pair = Pair(suite, method)
    pair.responder = pair.initiator
    message_1, sent_1 = pair.first()
    message_2, _sent_2 = pair.second(message_1)
    with pytest.raises(HandshakeFailed):
        sent_1.take(message_2, pair.initiator, pair.known)


@FEW
def test_a_thief_of_alices_key_cannot_pass_for_bob_to_her(suite, method) -> None:
    """Key-compromise impersonation: with all of Alice's secrets, and none of Bob's."""
    pair = Pair(suite, method)
    stolen = Identity(pair.responder.credential, pair.initiator.signers, pair.initiator.static)
    pair.responder = stolen
    message_1, sent_1 = pair.first()
    message_2, _ = pair.second(message_1)
    with pytest.raises(HandshakeFailed):
        sent_1.take(message_2, pair.initiator, pair.known)


@FEW
def test_two_credentials_with_one_key_are_not_mixed_up(suite, method) -> None:
    """Identity misbinding, unknown key share: Mallory registers Bob's public keys under her own name."""
    pair = Pair(suite, method)
    bob = pair.responder.credential
    mallory = Credential(bob.id_cred, cbor.encode(["mallory"]), bob.signing, bob.agreement)
    message_1, sent_1 = pair.first()
    message_2, _ = pair.second(message_1)
    with pytest.raises(HandshakeFailed):
        sent_1.take(message_2, pair.initiator, Known([mallory]))


@FEW
def test_a_message_of_another_run_is_refused(suite, method) -> None:
    one, other = Pair(suite, method), Pair(suite, method, seed="later")
    (met, _), (_, sent_2) = one.met(), other.met()
    message_3, _ = met.message_3()
    with pytest.raises(HandshakeFailed):
        sent_2.take(message_3, other.known)
    _, proven = one.proven()
    sent_3, _ = other.proven()
    with pytest.raises(HandshakeFailed):
        sent_3.take(proven.message_4())


def test_a_side_without_the_key_its_method_needs_says_so() -> None:
    pair = Pair(SUITE_2, Method.DH_DH)
    pair.responder = Identity(pair.responder.credential)
    message_1, _ = pair.first()
    with pytest.raises(CredentialUnusable):
        pair.second(message_1)
    signing = Pair(SUITE_2)
    signing.responder = Identity(signing.responder.credential, party("bob", SUITE_0).signers)
    with pytest.raises(CredentialUnusable):
        signing.second(signing.first()[0])


def test_a_static_key_that_a_credential_lacks_fails_as_everything_does() -> None:
    pair = Pair(SUITE_2, Method.DH_DH)
    message_1, sent_1 = pair.first()
    message_2, _ = pair.second(message_1)
    bob = pair.responder.credential
    with pytest.raises(HandshakeFailed):
        sent_1.take(message_2, pair.initiator, Known([Credential(bob.id_cred, bob.cred, bob.signing)]))


# ---- external authorisation data


def test_eads_arrive_in_their_messages_and_are_bound_to_them() -> None:
    pair = Pair(SUITE_0)
    first, second, third, fourth = (Ead(label, bytes([label])) for label in (11, 12, 13, 14))
    message_1, sent_1 = pair.first(first)
    asked = pair.received(message_1)
    assert asked.message.eads == (first,)
    message_2, sent_2 = asked.message_2(b"r", pair.responder, pair.entropy, (second, Ead(0, b"padding")))
    met = sent_1.take(message_2, pair.initiator, pair.known)
    assert met.eads == (second, Ead(0, b"padding"))
    message_3, sent_3 = met.message_3((third, Ead(5)))
    proven = sent_2.take(message_3, pair.known)
    assert proven.eads == (third, Ead(5))
    assert sent_3.take(proven.message_4((fourth,)))[1] == (fourth,)


def test_a_critical_ead_that_is_not_understood_ends_the_handshake() -> None:
    pair = Pair(SUITE_0)
    critical = Ead(7, b"x", critical=True)
    message_1, sent_1 = pair.first(critical)
    with pytest.raises(CriticalEad):
        pair.received(message_1)
    asked = pair.received(message_1, frozenset({7}))
    message_2, sent_2 = asked.message_2(b"r", pair.responder, pair.entropy, (critical,))
    with pytest.raises(CriticalEad):
        sent_1.take(message_2, pair.initiator, pair.known)
    met = sent_1.take(message_2, pair.initiator, pair.known, frozenset({7}))
    message_3, sent_3 = met.message_3((critical,))
    with pytest.raises(CriticalEad):
        sent_2.take(message_3, pair.known)
    message_4 = sent_2.take(message_3, pair.known, frozenset({7})).message_4((critical,))
    with pytest.raises(CriticalEad):
        sent_3.take(message_4)


# ---- bytes


@pytest.mark.parametrize("byte", [0x00, 0x17, 0x20, 0x37])
def test_a_byte_that_reads_as_an_integer_travels_as_one(byte: int) -> None:
    identifier = bytes([byte])
    assert cbor.encode(short(identifier)) == identifier
    assert long(short(identifier), "C_I") == identifier
    with pytest.raises(HandshakeMalformed):
        long(identifier, "C_I")


@pytest.mark.parametrize("identifier", [b"", b"\x18", b"\x1f", b"\x38", b"\x00\x01", b"\x40"])
def test_other_identifiers_travel_as_byte_strings(identifier: bytes) -> None:
    assert short(identifier) == identifier == long(identifier, "C_I")


@pytest.mark.parametrize("travelling", [24, -25, "text", None, True, b"x" * 65, (1,)])
def test_what_is_no_identifier_is_refused(travelling: object) -> None:
    with pytest.raises(HandshakeMalformed):
        long(travelling, "C_I")


def test_a_credentials_name_has_one_encoding() -> None:
    assert full(5) == {4: b"\x05"}
    assert full({34: (-15, b"12345678")}) == {34: (-15, b"12345678")}
    for wrong in ({}, {4: b"\x05"}, {"kid": b"1"}, None, 1 << 20):
        with pytest.raises(HandshakeMalformed):
            full(wrong)


@pytest.mark.parametrize(
    "suites",
    [[], [2], [2, 2], ["2"], "2", list(range(17)), None],
    ids=["none", "one", "twice", "text", "str", "17", "nil"],
)
def test_lists_of_suites_that_are_none(suites: object) -> None:
    message = b"\x00" + cbor.encode(suites) + cbor.encode(bytes(32)) + b"\x01"
    with pytest.raises(HandshakeMalformed):
        receive(message, [2])


def test_readers_refuse_what_is_short_long_or_of_another_type() -> None:
    for data in (b"", b"\x00", cbor.encode(bytes(10)) * 40, b"\xff", b"\x5b" + b"\xff" * 8, b"\x00" * 70_000):
        for read in (Message1.decode, Plaintext2.decode, Plaintext3.decode, ErrorMessage.decode):
            with pytest.raises(HandshakeMalformed):
                read(data)


def test_an_error_in_place_of_a_message_ends_the_handshake_with_its_words() -> None:
    pair = Pair(SUITE_0)
    _, sent_1 = pair.first()
    with pytest.raises(PeerRefused) as caught:
        sent_1.take(ErrorMessage.wrong_suite([2, 3]).encode(), pair.initiator, pair.known)
    assert caught.value.fields["supported"] == (2, 3)
    sent_3, _ = pair.proven()
    with pytest.raises(PeerRefused):
        sent_3.take(ErrorMessage.failed().encode())
    for nonsense in (b"\x01", b"\x01\x01", b"\x02\x80", b"\x18\x63\x60", b"\x03\xf4"):
        with pytest.raises(HandshakeMalformed):
            sent_1.take(nonsense, pair.initiator, pair.known)


def test_no_secret_shows_in_what_prints() -> None:
    pair = Pair(SUITE_2, Method.DH_DH)
    met, sent_2 = pair.met()
    sent_3, proven = pair.proven()
    ours, _ = pair.established()
    shown = "".join(map(repr, (met, sent_2, sent_3, proven, ours, pair.initiator)))
    for secret in (met.prk_3e2m, sent_3.prk_4e3m, ours.prk_out, sent_2.ephemeral.finish(pair.first()[1].message.g_x)):
        assert secret.hex() not in shown
        assert repr(secret) not in shown
