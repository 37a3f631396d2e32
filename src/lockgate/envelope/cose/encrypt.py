"""COSE_Encrypt0 and COSE_Encrypt: content under a key both sides hold, or one that recipients are given.

Source: RFC 9052 §5; integrated HPKE: draft-ietf-cose-hpke-24. `frame` writes and reads the commonest
form of COSE_Encrypt0 faster; a property test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from lockgate.crypto.errors import OpenFailed
from lockgate.crypto.ports import Encapsulator
from lockgate.envelope.cose.agreement import NOTHING_AGREED, Agreed
from lockgate.envelope.cose.algorithms import ContentAlgorithm, content_algorithm
from lockgate.envelope.cose.headers import Acceptance, Headers, safe_parse
from lockgate.envelope.cose.hpke import HpkeKey, open_content, seal_content
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import (
    ALG,
    ENCAPSULATED_KEY,
    IV,
    KID,
    PARTIAL_IV,
    PSK_ID,
    KeyOp,
    KeyType,
    Label,
    MessageTag,
)
from lockgate.envelope.cose.recipients import (
    Receiver,
    Recipient,
    parse_recipients,
    recover_key,
    target_of,
)
from lockgate.envelope.cose.sign import content
from lockgate.envelope.cose.structures import ENCRYPT, ENCRYPT0, enc_structure
from lockgate.envelope.cose.wire import Wire, bytes_or_nil, encode_message, open_array
from lockgate.envelope.errors import BadHeader, DecryptionRefused, KeyNotForUse, MessageMisuse
from lockgate.primitives.errors import LockgateError


@dataclass(frozen=True, slots=True)
class Encrypt0:
    """`ciphertext` None: it travels elsewhere."""

    headers: Headers
    ciphertext: bytes | None

    @classmethod
    def decode(cls, data: bytes, wire: Wire) -> Self:
        protected, unprotected, ciphertext = open_array(data, MessageTag.ENCRYPT0, 3, wire)
        headers = safe_parse(protected, unprotected, wire)
        return cls(headers, bytes_or_nil(ciphertext, "ciphertext"))

    def encode(self, *, tagged: bool = True) -> bytes:
        elements = [self.headers.raw, self.headers.unprotected, self.ciphertext]
        return encode_message(MessageTag.ENCRYPT0, elements, tagged=tagged)

    def aad(self, external_aad: bytes) -> bytes:
        return enc_structure(ENCRYPT0, self.headers.covered, external_aad)

    def decrypt(self, key: CoseKey, accept: Acceptance, *, external_aad: bytes, detached: bytes | None = None) -> bytes:
        """Return the content.

        Raises AlgorithmNotAllowed, CriticalHeader, KeyNotForUse, BadHeader or DecryptionRefused.
        """
        algorithm = content_algorithm(key.alg)
        accept.check(self.headers, algorithm.id)
        key.require(algorithm.id, KeyOp.DECRYPT, KeyType.SYMMETRIC)
        ciphertext = content(self.ciphertext, detached)
        nonce = nonce_of(algorithm, self.headers, key.base_iv)
        return open_with(algorithm, key.secret, nonce, ciphertext, self.aad(external_aad))

    def decrypt_hpke(
        self,
        key: HpkeKey,
        accept: Acceptance,
        *,
        external_aad: bytes,
        agreed: Agreed = NOTHING_AGREED,
        detached: bytes | None = None,
    ) -> bytes:
        """Return content sealed to a KEM key by integrated encryption. Raises as `decrypt` does."""
        accept.check(self.headers, key.alg)
        ciphertext = content(self.ciphertext, detached)
        try:
            return open_content(key, self.headers, agreed, self.aad(external_aad), ciphertext)
        except OpenFailed as error:
            raise DecryptionRefused(algorithm=key.alg) from error


def encrypt0(
    plaintext: bytes,
    key: CoseKey,
    iv: bytes,
    *,
    protected: Mapping[Label, Any],
    unprotected: Mapping[Label, Any],
    external_aad: bytes,
    detached: bool = False,
) -> tuple[Encrypt0, bytes]:
    """Encrypt under a key bound to its algorithm; return the message and its ciphertext.

    `iv` goes into the unprotected header and must never repeat under the key. Raises KeyNotForUse,
    MessageMisuse.
    """
    algorithm = content_algorithm(key.alg)
    key.require(algorithm.id, KeyOp.ENCRYPT, KeyType.SYMMETRIC)
    headers = Headers.build({ALG: algorithm.id, **protected}, {**unprotected, IV: iv})
    message = Encrypt0(headers, None)
    ciphertext = seal_with(algorithm, key.secret, iv, plaintext, message.aad(external_aad))
    return Encrypt0(headers, None if detached else ciphertext), ciphertext


def encrypt0_hpke(
    plaintext: bytes,
    alg: int,
    public_key: bytes,
    encapsulator: Encapsulator,
    *,
    kid: bytes | None,
    external_aad: bytes,
    agreed: Agreed = NOTHING_AGREED,
) -> Encrypt0:
    """Integrated encryption to a KEM key. Raises AlgorithmNotAllowed, BadKey."""
    protected: dict[Label, Any] = {ALG: alg} if kid is None else {ALG: alg, KID: kid}
    headers = Headers.build(protected, psk_id(agreed))
    aad = enc_structure(ENCRYPT0, headers.covered, external_aad)
    enc, ciphertext = seal_content(alg, public_key, agreed, encapsulator, aad=aad, plaintext=plaintext)
    return Encrypt0(headers.with_unprotected(ENCAPSULATED_KEY, enc), ciphertext)


@dataclass(frozen=True, slots=True)
class Encrypt:
    """`ciphertext` None: it travels elsewhere."""

    headers: Headers
    ciphertext: bytes | None
    recipients: tuple[Recipient, ...]

    @classmethod
    def decode(cls, data: bytes, wire: Wire) -> Self:
        protected, unprotected, ciphertext, recipients = open_array(data, MessageTag.ENCRYPT, 4, wire)
        headers = safe_parse(protected, unprotected, wire)
        return cls(headers, bytes_or_nil(ciphertext, "ciphertext"), parse_recipients(recipients, wire))

    def encode(self, *, tagged: bool = True) -> bytes:
        recipients = [recipient.to_list() for recipient in self.recipients]
        elements = [self.headers.raw, self.headers.unprotected, self.ciphertext, recipients]
        return encode_message(MessageTag.ENCRYPT, elements, tagged=tagged)

    def aad(self, external_aad: bytes) -> bytes:
        return enc_structure(ENCRYPT, self.headers.covered, external_aad)

    def recover_key(self, receiver: Receiver, accept: Acceptance) -> bytes:
        """Return the content key. Raises AlgorithmNotAllowed, CriticalHeader or NoRecipient."""
        algorithm = content_algorithm(self.headers.alg)
        accept.check(self.headers, algorithm.id)
        return recover_key(self.recipients, receiver, target_of(algorithm.id), accept)

    def decrypt(
        self, receiver: Receiver, accept: Acceptance, *, external_aad: bytes, detached: bytes | None = None
    ) -> bytes:
        """Return the content. Raises as `recover_key` does, BadHeader or DecryptionRefused."""
        key = self.recover_key(receiver, accept)
        base_iv = receiver.key.base_iv if isinstance(receiver.key, CoseKey) else None
        return self.decrypt_with(key, base_iv, external_aad=external_aad, detached=detached)

    def decrypt_with(
        self, key: bytes, base_iv: bytes | None, *, external_aad: bytes, detached: bytes | None = None
    ) -> bytes:
        """Decrypt under a content key that `recover_key` returned, once more was checked about it."""
        algorithm = content_algorithm(self.headers.alg)
        ciphertext = content(self.ciphertext, detached)
        nonce = nonce_of(algorithm, self.headers, base_iv)
        return open_with(algorithm, key, nonce, ciphertext, self.aad(external_aad))


def encrypt(
    plaintext: bytes,
    key: bytes,
    alg: int,
    recipients: tuple[Recipient, ...],
    *,
    protected: Mapping[Label, Any],
    unprotected: Mapping[Label, Any],
    external_aad: bytes,
) -> Encrypt:
    """Encrypt under a content key that `recipients` carry (`cose.distribution` makes both).

    The caller puts the IV into one of the buckets. Raises BadHeader, MessageMisuse.
    """
    algorithm = content_algorithm(alg)
    headers = Headers.build({ALG: alg, **protected}, unprotected)
    message = Encrypt(headers, None, recipients)
    nonce = nonce_of(algorithm, headers, None)
    ciphertext = seal_with(algorithm, key, nonce, plaintext, message.aad(external_aad))
    return Encrypt(headers, ciphertext, recipients)


def psk_id(agreed: Agreed) -> dict[Label, Any]:
    """The unprotected parameter of an HPKE layer in PSK mode; its absence means base mode."""
    return {} if agreed.psk is None else {PSK_ID: agreed.psk.id}


def nonce_of(algorithm: ContentAlgorithm, headers: Headers, base_iv: bytes | None) -> bytes:
    """The nonce: IV as sent, or Base IV xor Partial IV (RFC 9052 §3.1). Raises BadHeader."""
    size = algorithm.aead.nonce_bytes
    iv, partial = headers.byte_string(IV), headers.byte_string(PARTIAL_IV)
    if iv is None and partial is not None and base_iv is not None:
        if len(base_iv) > size or len(partial) > size:
            raise BadHeader("an IV is longer than the nonce", algorithm=algorithm.name)
        # The base is padded on the right, the partial on the left.
        padded = int.from_bytes(base_iv.ljust(size, b"\x00"))
        return (padded ^ int.from_bytes(partial)).to_bytes(size)
    if iv is None or len(iv) != size:
        raise BadHeader("no IV of the algorithm's length", algorithm=algorithm.name, expected=size)
    return iv


def open_with(algorithm: ContentAlgorithm, key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    if len(key) != algorithm.key_bytes:
        raise KeyNotForUse("a key has the wrong length", expected=algorithm.key_bytes, got=len(key))
    try:
        return algorithm.aead.open(key, nonce, ciphertext, aad)
    except OpenFailed as error:
        raise DecryptionRefused(algorithm=algorithm.name) from error


def seal_with(algorithm: ContentAlgorithm, key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    try:
        return algorithm.aead.seal(key, nonce, plaintext, aad)
    except LockgateError as error:
        raise MessageMisuse("key, nonce or message has the wrong length", algorithm=algorithm.name) from error


__all__ = (
    "Encrypt",
    "Encrypt0",
    "encrypt",
    "encrypt0",
    "encrypt0_hpke",
    "nonce_of",
    "open_with",
    "psk_id",
    "seal_with",
)
