"""Envelopes outside sessions: what opens, and every way in which one does not (I7, P3, P6, P17, P20)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.crypto.errors import WrongPurpose
from lockgate.crypto.hybrid import Purpose
from lockgate.crypto.keys import IdentityKey, KeyRole
from lockgate.crypto.suites import SEAL_XWING_CHACHA, SIGN_P256_MLDSA65, seal_suite
from lockgate.envelope.binding import Binding, MessageId, Role
from lockgate.envelope.content import MAX_BODY
from lockgate.envelope.cose.algorithms import SIGNER_NUMBERS
from lockgate.envelope.cose.encrypt import Encrypt
from lockgate.envelope.cose.headers import Headers
from lockgate.envelope.cose.sign import Sign
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import (
    BadBinding,
    BadEnvelope,
    BindingMismatch,
    BodyTooLarge,
    DecryptionRefused,
    KeyNotForUse,
    NoRecipient,
    SignersWrong,
)
from lockgate.envelope.outside import inspect_envelope
from lockgate.envelope.seal import MAX_ENVELOPE, Opened, open_envelope
from lockgate.keystore.software import identity_signer
from lockgate.primitives.errors import LockgateError
from tests.unit.envelope.world import HYBRID, LAB, World, causes, content, h, plaintext_of, seal_plaintext, sign_content

SUITES = [LAB, HYBRID, (SEAL_XWING_CHACHA.id, SIGN_P256_MLDSA65.id)]


@pytest.mark.parametrize("suites", SUITES)
def test_what_was_sealed_opens(suites: tuple[int, int]) -> None:
    world = World(suites)
    world.seal()
    opened = world.open()
    assert opened.content == world.content
    assert opened.author == world.author
    assert opened.binding == Binding(world.context, world.choice)
    assert opened.message_id == MessageId(world.context.source_endpoint, fence=3, counter=9)


def test_opened_is_made_by_opening_only() -> None:
    world = World(LAB)
    with pytest.raises(TypeError):
        Opened(Binding(world.context, world.choice), world.author, world.content)


def test_the_outside_can_be_read_and_says_no_more_than_this() -> None:
    world = World(LAB)
    outside = inspect_envelope(world.seal())
    assert (outside.suite, outside.choice, outside.recipient) == (LAB[0], world.choice, world.recipient.key_id)
    for data in (b"", b"\xd8\x60\x80", world.sealed + b"\x00"):
        with pytest.raises(BadEnvelope):
            inspect_envelope(data)


def test_two_seals_of_one_content_share_no_bytes_of_ciphertext() -> None:
    world = World(LAB)
    first, second = (Encrypt.decode(world.seal(), Wire.OURS) for _ in range(2))
    assert first.ciphertext != second.ciphertext
    assert len(first.ciphertext or b"") == len(second.ciphertext or b"")


def test_P4_a_reply_binds_the_commitment_of_its_request() -> None:
    world = World(LAB)
    world.context = replace(world.context, role=Role.REPLY, request=h("packet 1"))
    world.seal()
    assert world.open().binding.context.request == h("packet 1")
    world.context = replace(world.context, request=h("packet 2"))
    with pytest.raises(BadEnvelope):
        world.open()


def test_P20_the_author_says_how_both_ledgers_looked() -> None:
    world = World(HYBRID)
    world.seal()
    seen = world.open().content
    assert (seen.source_seen.height.height, seen.source_seen.header_hash) == (42, h("header a"))
    assert (seen.destination_seen.height.height, seen.destination_seen.header_hash) == (17, h("header b"))
    assert h("header a") not in world.sealed  # it stands inside the encryption
    assert h("header b") not in world.sealed


def test_P6_the_halves_of_a_signature_are_refused_alone() -> None:
    world = World(HYBRID)
    world.seal()
    signed = Sign.decode(plaintext_of(world), Wire.OURS)
    first, second = signed.signatures
    for signatures in ((first,), (second,), (second, first), (first, first), (first, second, second)):
        forged = replace(signed, signatures=signatures).encode()
        world.sealed = seal_plaintext(world, world.context, forged, world.recipient)
        with pytest.raises(BadEnvelope) as caught:
            world.open()
        assert isinstance(caught.value.__cause__, SignersWrong)


def test_P6_a_half_of_another_pair_is_refused() -> None:
    """Mallory owns an Ed25519 key; beside Alice's ML-DSA signature it makes no pair."""
    world, mallory = World(HYBRID), identity_signer(HYBRID[1], b"\x07" * 32, KeyRole.IDENTITY)
    world.seal()
    mixed = IdentityKey(HYBRID[1], (mallory.key.parts[0], world.author.parts[1]))
    with pytest.raises(BadEnvelope):
        open_envelope(world.context, world.sealed, world.bob, mixed)


def test_P6_only_an_identity_seals() -> None:
    world = World(LAB)
    world.alice = identity_signer(LAB[1], bytes(32), KeyRole.ACCOUNT)
    with pytest.raises(WrongPurpose):
        world.seal()


def test_P6_a_signature_for_another_purpose_is_none() -> None:
    world = World(LAB)
    world.seal()
    aad = Binding(world.context, world.choice).encode()
    external = world.alice.signing_bytes(Purpose.HANDSHAKE, world.context.source_domain, 1, aad)
    signed = Sign(Headers.build(), world.content.encode(), ())
    signer = world.alice.signers[0]
    headers = Headers.build({1: SIGNER_NUMBERS[signer.algorithm], -70001: LAB[1]})
    forged = signed.signed_by(signer, headers, external).encode()
    world.sealed = seal_plaintext(world, world.context, forged, world.recipient)
    with pytest.raises(BadEnvelope):
        world.open()


def _flip_ciphertext(world: World) -> None:
    world.sealed = world.sealed[:-1] + bytes([world.sealed[-1] ^ 1])


def _wrong_author(world: World) -> None:
    world.author = identity_signer(world.suites[1], b"\x05" * 32, KeyRole.IDENTITY).key


def _wrong_key(world: World) -> None:
    world.bob = seal_suite(world.suites[0]).kem.derive_key(b"\x05" * 32)


def _wrong_place(world: World) -> None:
    world.context = replace(world.context, payload_count=3)


def _bad_padding(world: World) -> None:
    payload = cbor.decode(world.content.encode())
    signed = sign_content(world, cbor.encode([*payload[:-1], payload[-1] + b"\x00"]))
    world.sealed = seal_plaintext(world, world.context, signed, world.recipient)


def _not_cbor(world: World) -> None:
    world.sealed = b"\xff" * 40


def _too_long(world: World) -> None:
    world.sealed = bytes(MAX_ENVELOPE + 1)


def _empty(world: World) -> None:
    world.sealed = b""


def _not_signed(world: World) -> None:
    world.sealed = seal_plaintext(world, world.context, world.content.encode(), world.recipient)


SPOILERS: list[Callable[[World], None]] = [
    _flip_ciphertext,
    _wrong_author,
    _wrong_key,
    _wrong_place,
    _bad_padding,
    _not_cbor,
    _too_long,
    _empty,
    _not_signed,
]


@pytest.mark.parametrize("spoil", SPOILERS)
def test_P3_one_public_code_for_every_failure(spoil: Callable[[World], None]) -> None:
    world = World(LAB)
    world.seal()
    spoil(world)
    with pytest.raises(BadEnvelope) as caught:
        world.open()
    public = caught.value
    assert (public.code, public.detail, public.fields) == ("envelope.rejected", "", {})
    assert str(public) == str(BadEnvelope())
    assert isinstance(public.__cause__, LockgateError)  # the reason stays in the local chain
    assert public.__cause__.code != public.code


def test_P3_the_local_chain_tells_the_cases_apart() -> None:
    reasons = {}
    for spoil in SPOILERS:
        world = World(LAB)
        world.seal()
        spoil(world)
        with pytest.raises(BadEnvelope) as caught:
            world.open()
        reasons[spoil.__name__] = {type(cause) for cause in causes(caught.value)}
    assert DecryptionRefused in reasons["_wrong_place"] or NoRecipient in reasons["_wrong_place"]
    assert KeyNotForUse in reasons["_wrong_key"]
    assert SignersWrong in reasons["_wrong_author"]


def test_lengths_fall_into_buckets() -> None:
    """Bodies of neighbouring sizes make envelopes of one size."""
    world = World(LAB)
    sizes = set()
    for size in range(0, 200, 20):
        world.content = content(bytes(size))
        sizes.add(len(world.seal()))
    assert len(sizes) == 1


def test_the_longest_body_fits_into_a_packet() -> None:
    world = World(HYBRID)
    world.content = content(bytes(MAX_BODY))
    assert len(world.seal()) < MAX_ENVELOPE
    assert world.open().content.body == bytes(MAX_BODY)
    world.content = content(bytes(MAX_BODY + 1))
    with pytest.raises(BodyTooLarge):
        world.seal()


def test_sealing_to_a_key_of_another_suite_is_misuse() -> None:
    world = World(LAB)
    world.recipient = World(HYBRID).recipient
    with pytest.raises(BadBinding):
        world.seal()


def test_sealing_what_is_not_this_format_is_misuse() -> None:
    world = World(LAB)
    world.context = replace(world.context, version="other-1")
    with pytest.raises(BadBinding):
        world.seal()


@pytest.mark.parametrize(
    ("outer", "unprotected"),
    [
        ({"x": 1}, {}),  # a label that is not ours
        ({}, {4: b"kid"}),
        ({-70001: 99}, {}),
        ({1: 1}, {}),
        ({-70003: b"short"}, {}),
        ({-70002: 5}, {}),
        ({-70002: (None, 0, b"", "3", 9)}, {}),
        ({5: bytes(12)}, {}),
    ],
)
def test_other_headers_are_refused(outer: dict[Any, Any], unprotected: dict[Any, Any]) -> None:
    world = World(LAB)
    message = Encrypt.decode(world.seal(), Wire.OURS)
    headers = Headers.build({**message.headers.protected, **outer}, unprotected)
    world.sealed = replace(message, headers=headers).encode()
    with pytest.raises(BadEnvelope):
        world.open()


def test_an_untagged_envelope_or_one_with_more_recipients_is_refused() -> None:
    world = World(LAB)
    message = Encrypt.decode(world.seal(), Wire.OURS)
    for data in (message.encode(tagged=False), replace(message, recipients=message.recipients * 2).encode()):
        world.sealed = data
        with pytest.raises(BadEnvelope):
            world.open()


def test_the_helper_seals_as_the_code_does() -> None:
    world = World(HYBRID)
    world.seal()
    world.sealed = seal_plaintext(world, world.context, plaintext_of(world), world.recipient)
    assert world.open().content == world.content


@pytest.mark.parametrize("change", [{"iv": bytes(12)}, {"suite": SEAL_XWING_CHACHA.id}])
def test_an_author_who_breaks_the_header_rules_is_refused(change: dict[str, Any]) -> None:
    """Everything authenticates; the envelope still is not the one form of its message id and suite."""
    world = World(LAB)
    signed = sign_content(world, world.content.encode())
    world.sealed = seal_plaintext(world, world.context, signed, world.recipient)
    assert world.open().content == world.content
    world.sealed = seal_plaintext(world, world.context, signed, world.recipient, **change)
    with pytest.raises(BadEnvelope) as caught:
        world.open()
    assert isinstance(caught.value.__cause__, BindingMismatch)


def test_a_signed_part_with_headers_of_its_own_is_refused() -> None:
    world = World(LAB)
    signed = sign_content(world, world.content.encode(), Headers.build({3: 0}))
    world.sealed = seal_plaintext(world, world.context, signed, world.recipient)
    with pytest.raises(BadEnvelope) as caught:
        world.open()
    assert isinstance(caught.value.__cause__, SignersWrong)


@pytest.mark.parametrize(
    "change", [{"version": "lockgate-2"}, {"encoding": "application/cbor"}, {"schema": "envelope/content/2"}]
)
def test_a_place_of_another_format_is_refused_though_both_sides_name_it(change: dict[str, str]) -> None:
    world = World(LAB)
    world.context = replace(world.context, **change)
    signed = sign_content(world, world.content.encode())
    world.sealed = seal_plaintext(world, world.context, signed, world.recipient)
    with pytest.raises(BadEnvelope) as caught:
        world.open()
    assert isinstance(caught.value.__cause__, BindingMismatch)
