"""Envelopes outside sessions (I7): signed, sealed to one endpoint, bound to one place (P17, P20).

    COSE_Encrypt(protected: content cipher, IV, suite, sender's choice, key commitment;
                 ciphertext: COSE_Sign(payload: content; one signature per algorithm of the identity);
                 recipient: the content key, HPKE key encryption to the sealing key)

The signatures lie inside the encryption and cover the binding, which names the recipient: nobody can
take a body out, and seal it to another under the same author. The commitment to the content key is
checked before anything is decrypted with it, since neither AEAD commits to its key.

The suite decides everything by value. Suites of one signature algorithm have one signer; the hybrid
ones two, both of which must hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from lockgate.crypto.commitment import COMMITMENT_BYTES, key_commitment, require_key_commitment
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.crypto.keys import IdentityKey, IdentitySigner, SealingKey
from lockgate.crypto.ports import Decapsulator, Encapsulator
from lockgate.crypto.suites import SealSuite, seal_suite
from lockgate.envelope.binding import Binding, Context, MessageId, SenderChoice
from lockgate.envelope.content import Content
from lockgate.envelope.cose import distribution
from lockgate.envelope.cose.agreement import Agreed
from lockgate.envelope.cose.algorithms import SEAL_CONTENT, SEAL_KEY_ENCRYPTION, SIGNER_NUMBERS
from lockgate.envelope.cose.encrypt import Encrypt, encrypt
from lockgate.envelope.cose.headers import Acceptance, Headers
from lockgate.envelope.cose.hpke import HpkeKey
from lockgate.envelope.cose.labels import (
    ALG,
    ENCAPSULATED_KEY,
    IV,
    KEY_COMMITMENT,
    KID,
    SENDER_CHOICE,
    SUITE,
    Label,
)
from lockgate.envelope.cose.recipients import Receiver
from lockgate.envelope.cose.sign import Sign
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import (
    BadBinding,
    BadEnvelope,
    BindingMismatch,
    KeyNotForUse,
    SignersWrong,
)
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.sealed import Sealed

CONTENT_KEY_BYTES: Final = 32
MAX_ENVELOPE: Final = 262_144  # bytes; IBC v2 caps the payloads of a packet there


@final
@dataclass(frozen=True, slots=True)
class Opened(metaclass=Sealed):
    """An envelope that opened at its place under its author's keys. Only `open_envelope` makes one."""

    binding: Binding
    author: IdentityKey
    content: Content

    @property
    def message_id(self) -> MessageId:
        return self.binding.message_id


def seal_envelope(
    binding: Binding,
    content: Content,
    author: IdentitySigner,
    recipient: SealingKey,
    encapsulator: Encapsulator,
) -> bytes:
    """Sign and seal a content; draws the content key, then what the encapsulation needs.

    Raises BadBinding when the binding is not this format's or names another suite than the recipient's
    key, BodyTooLarge, WrongPurpose when the author's key is not an identity.
    """
    context, choice = binding.context, binding.choice
    suite = seal_suite(context.suite)
    if recipient.suite != suite.id or choice.session is not None:
        raise BadBinding("not the recipient's suite, or a session", suite=suite.id, recipient=recipient.suite)
    try:
        context.require_ours()
    except BindingMismatch as error:
        raise BadBinding("not this format's version, encoding and schema") from error
    aad = binding.encode()
    signed = _sign(context, aad, content.encode(), author)
    key = encapsulator.bytes(CONTENT_KEY_BYTES)
    layer = distribution.hpke(
        SEAL_KEY_ENCRYPTION[suite.id],
        recipient.public_key,
        key,
        SEAL_CONTENT[suite.id],
        encapsulator,
        kid=recipient.key_id,
        agreed=Agreed(hpke_info=aad),
    )
    message = encrypt(
        signed.encode(),
        key,
        SEAL_CONTENT[suite.id],
        (layer,),
        protected={
            IV: choice.nonce,
            SUITE: suite.id,
            SENDER_CHOICE: choice.to_value(),
            KEY_COMMITMENT: key_commitment(key, aad),
        },
        unprotected={},
        external_aad=aad,
    )
    return message.encode()


def open_envelope(context: Context, data: bytes, key: Decapsulator, author: IdentityKey) -> Opened:
    """Open an envelope at its place, and verify its author.

    `context` is rebuilt from proven fields; `key` is the private half of the sealing key in
    `context.destination_key_record`, `author` the identity in `context.source_key_record`. Raises
    BadEnvelope, always with the same code; the reason is its cause, for this host alone (P3).
    """
    try:
        return _open(context, data, key, author)
    except LockgateError as error:
        raise BadEnvelope from error


def _sign(context: Context, aad: bytes, payload: bytes, author: IdentitySigner) -> Sign:
    external = author.signing_bytes(Purpose.ENVELOPE, context.source_domain, context.source_revision, aad)
    message = Sign(Headers.build(), payload, ())
    for signer in author.signers:
        message = message.signed_by(signer, _signer_headers(signer.algorithm, author.key.suite), external)
    return message


def _signer_headers(algorithm: str, suite: int) -> Headers:
    return Headers.build({ALG: SIGNER_NUMBERS[algorithm], SUITE: suite})


def _open(context: Context, data: bytes, key: Decapsulator, author: IdentityKey) -> Opened:
    context.require_ours()
    message = parse_sealed(data)
    suite = seal_suite(context.suite)
    _require_suite(message, suite)
    binding = Binding(context, SenderChoice.from_value(message.headers.protected[SENDER_CHOICE]))
    if binding.choice.session is not None:
        raise BindingMismatch("the envelope belongs to a session")
    if message.headers.protected[IV] != binding.choice.nonce:
        raise BindingMismatch("the IV is not that of the message id")
    aad = binding.encode()
    content_key = _recover_key(message, suite, key, aad)
    require_key_commitment(message.headers.protected[KEY_COMMITMENT], content_key, aad)
    plaintext = message.decrypt_with(content_key, None, external_aad=aad)
    payload = _verify(context, aad, Sign.decode(plaintext, Wire.OURS), author)
    return Sealed.make(Opened, binding, author, Content.decode(payload))


def parse_sealed(data: bytes) -> Encrypt:
    """Take the one shape of an envelope: its labels, no others, each in its bucket.

    Raises BindingMismatch and what COSE raises.
    """
    if len(data) > MAX_ENVELOPE:
        raise BindingMismatch("longer than any packet", size=len(data), limit=MAX_ENVELOPE)
    message = Encrypt.decode(data, Wire.OURS)
    if data[:2] != _TAGGED or len(message.recipients) != 1 or message.recipients[0].recipients:
        raise BindingMismatch("an envelope is a tagged COSE_Encrypt with one recipient")
    layer = message.recipients[0].headers
    shape = (_labels(message.headers.protected), _labels(message.headers.unprotected))
    if shape != (_OUTER, frozenset()) or (_labels(layer.protected), _labels(layer.unprotected)) != _RECIPIENT:
        raise BindingMismatch("an envelope has exactly its own header parameters")
    commitment = message.headers.protected[KEY_COMMITMENT]
    if type(commitment) is not bytes or len(commitment) != COMMITMENT_BYTES:
        raise BindingMismatch("a key commitment has 32 bytes")
    return message


def _require_suite(message: Encrypt, suite: SealSuite) -> None:
    headers, layer = message.headers, message.recipients[0].headers
    named = (headers.protected[SUITE], headers.alg, layer.alg)
    if named != (suite.id, SEAL_CONTENT[suite.id], SEAL_KEY_ENCRYPTION[suite.id]):
        raise BindingMismatch("not the suite of the recipient's key record", named=named, expected=suite.id)


def _recover_key(message: Encrypt, suite: SealSuite, key: Decapsulator, aad: bytes) -> bytes:
    layer = message.recipients[0].headers
    expected = SealingKey(suite.id, key.public_key)
    if layer.protected[KID] != expected.key_id:
        raise KeyNotForUse("sealed to another key of this endpoint", kid=layer.protected[KID])
    number = SEAL_KEY_ENCRYPTION[suite.id]
    receiver = Receiver(key=HpkeKey(number, key, expected.key_id), agreed=Agreed(hpke_info=aad))
    accept = Acceptance(algorithms=frozenset({number, SEAL_CONTENT[suite.id]}), understood=frozenset(), bare_alg=False)
    return message.recover_key(receiver, accept)


def _verify(context: Context, aad: bytes, message: Sign, author: IdentityKey) -> bytes:
    """Return the payload if exactly the algorithms of the author's suite have signed it, in order."""
    algorithms = author.signature_suite.algorithms
    expected = [_signer_headers(algorithm.name, author.suite) for algorithm in algorithms]
    if message.headers != Headers.build() or message.payload is None:
        raise SignersWrong("the signed message has headers of its own, or no payload")
    if [signature.headers for signature in message.signatures] != expected:
        raise SignersWrong("not the signers of the author's suite", suite=author.suite)
    external = signing_bytes(
        Purpose.ENVELOPE, author.suite, author.hash, context.source_domain, context.source_revision, aad
    )
    for algorithm, part, signature in zip(algorithms, author.parts, message.signatures, strict=True):
        signed = message.to_be_signed(signature.headers, external)
        if not algorithm.verify(part, signature.signature, signed):
            raise SignersWrong("a signature does not verify", algorithm=algorithm.name)
    return message.payload


def _labels(bucket: Any) -> frozenset[Label]:
    return frozenset(bucket)


_TAGGED: Final = b"\xd8\x60"  # CBOR tag 96
_OUTER: Final[frozenset[Label]] = frozenset({ALG, IV, SUITE, SENDER_CHOICE, KEY_COMMITMENT})
_RECIPIENT: Final[tuple[frozenset[Label], frozenset[Label]]] = (
    frozenset({ALG, KID}),
    frozenset({ENCAPSULATED_KEY}),
)

__all__ = ("MAX_ENVELOPE", "Opened", "open_envelope", "parse_sealed", "seal_envelope")
