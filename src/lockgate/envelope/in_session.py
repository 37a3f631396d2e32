"""Envelopes in a session: sealed under a key that one message has to itself, and its reply another (P17, P18).

    COSE_Encrypt0(protected: content cipher, IV, suite, sender's choice, key commitment; ciphertext: content)

The handshake has told each side who the other is, so the content is not signed: who holds the message's key wrote it,
and neither of the two can prove to a third which one it was. The binding is that of other envelopes.
"""

from __future__ import annotations

from typing import Final

from lockgate.crypto.commitment import COMMITMENT_BYTES, key_commitment, require_key_commitment
from lockgate.crypto.keys import IdentityKey
from lockgate.crypto.suites import seal_suite
from lockgate.envelope.binding import Binding, Context, SenderChoice
from lockgate.envelope.content import Content
from lockgate.envelope.cose.algorithms import SEAL_CONTENT, content_algorithm
from lockgate.envelope.cose.encrypt import Encrypt0, open_with, seal_with
from lockgate.envelope.cose.headers import Headers
from lockgate.envelope.cose.labels import ALG, IV, KEY_COMMITMENT, SENDER_CHOICE, SUITE
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import BadBinding, BadEnvelope, BindingMismatch
from lockgate.envelope.seal import MAX_ENVELOPE, Opened
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.sealed import Sealed

TAGGED: Final = b"\xd0"  # CBOR tag 16, in one byte
_LABELS: Final = frozenset({ALG, IV, SUITE, SENDER_CHOICE, KEY_COMMITMENT})


def seal_in_session(binding: Binding, content: Content, key: bytes) -> bytes:
    """Seal a content under a message's key, or a reply's: 32 bytes that seal nothing else.

    Raises BadBinding outside sessions and for another format, BodyTooLarge, WrongLength.
    """
    context, choice = binding.context, binding.choice
    if choice.session is None:
        raise BadBinding("no session")
    try:
        context.require_ours()
    except BindingMismatch as error:
        raise BadBinding("not this format's version, encoding and schema") from error
    suite, aad = seal_suite(context.suite), binding.encode()
    headers = Headers.build(
        {
            ALG: SEAL_CONTENT[suite.id],
            IV: choice.nonce,
            SUITE: suite.id,
            SENDER_CHOICE: choice.to_value(),
            KEY_COMMITMENT: key_commitment(key, aad),
        }
    )
    message = Encrypt0(headers, None)
    cipher = content_algorithm(SEAL_CONTENT[suite.id])
    return Encrypt0(headers, seal_with(cipher, key, choice.nonce, content.encode(), message.aad(aad))).encode()


def open_in_session(context: Context, data: bytes, key: bytes, author: IdentityKey) -> Opened:
    """Open an envelope at its place under the key that its choice names; `author` is whom the handshake proved.

    Raises BadEnvelope, always with the same code; the reason is its cause, for this host alone (P3).
    """
    try:
        context.require_ours()
        message, suite = parse_in_session(data), seal_suite(context.suite)
        protected = message.headers.protected
        if (protected[SUITE], protected[ALG]) != (suite.id, SEAL_CONTENT[suite.id]):
            raise BindingMismatch("not the suite of the recipient's key record", expected=suite.id)
        binding = Binding(context, SenderChoice.from_value(protected[SENDER_CHOICE]))
        if protected[IV] != binding.choice.nonce:
            raise BindingMismatch("the IV is not that of the message id")
        aad = binding.encode()
        require_key_commitment(protected[KEY_COMMITMENT], key, aad)
        cipher = content_algorithm(SEAL_CONTENT[suite.id])
        plaintext = open_with(cipher, key, binding.choice.nonce, message.ciphertext or b"", message.aad(aad))
        return Sealed.make(Opened, binding, author, Content.decode(plaintext))
    except LockgateError as error:
        raise BadEnvelope from error


def parse_in_session(data: bytes) -> Encrypt0:
    """Take the one shape of an envelope in a session. Raises BindingMismatch and what COSE raises."""
    if len(data) > MAX_ENVELOPE:
        raise BindingMismatch("longer than any packet", size=len(data), limit=MAX_ENVELOPE)
    message = Encrypt0.decode(data, Wire.OURS)
    protected, unprotected = message.headers.protected, message.headers.unprotected
    if data[:1] != TAGGED or frozenset(protected) != _LABELS or unprotected:
        raise BindingMismatch("an envelope in a session is a tagged COSE_Encrypt0 with its own header parameters")
    commitment = protected[KEY_COMMITMENT]
    if type(commitment) is not bytes or len(commitment) != COMMITMENT_BYTES:
        raise BindingMismatch("a key commitment has 32 bytes")
    if SenderChoice.from_value(protected[SENDER_CHOICE]).session is None:
        raise BindingMismatch("no session is named")
    return message


__all__ = ("TAGGED", "open_in_session", "parse_in_session", "seal_in_session")
