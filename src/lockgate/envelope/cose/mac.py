"""COSE_Mac0 and COSE_Mac: a tag under a key both sides hold, or one that recipients are given.

Source: RFC 9052 §6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from lockgate.crypto.hashes import equal
from lockgate.envelope.cose.algorithms import MacAlgorithm, mac_algorithm
from lockgate.envelope.cose.headers import Acceptance, Headers, safe_parse
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import ALG, KeyOp, KeyType, Label, MessageTag
from lockgate.envelope.cose.recipients import (
    Receiver,
    Recipient,
    parse_recipients,
    recover_key,
    target_of,
)
from lockgate.envelope.cose.sign import content
from lockgate.envelope.cose.structures import mac_structure
from lockgate.envelope.cose.wire import Wire, bytes_of, bytes_or_nil, encode_message, open_array
from lockgate.envelope.errors import TagRefused


@dataclass(frozen=True, slots=True)
class Mac0:
    """`payload` None: it travels elsewhere."""

    headers: Headers
    payload: bytes | None
    tag: bytes

    @classmethod
    def decode(cls, data: bytes, wire: Wire) -> Self:
        protected, unprotected, payload, tag = open_array(data, MessageTag.MAC0, 4, wire)
        headers = safe_parse(protected, unprotected, wire)
        return cls(headers, bytes_or_nil(payload, "payload"), bytes_of(tag, "tag"))

    def encode(self, *, tagged: bool = True) -> bytes:
        elements = [self.headers.raw, self.headers.unprotected, self.payload, self.tag]
        return encode_message(MessageTag.MAC0, elements, tagged=tagged)

    def to_be_maced(self, external_aad: bytes, detached: bytes | None = None) -> bytes:
        return mac_structure("MAC0", self.headers.covered, external_aad, content(self.payload, detached))

    def verify(self, key: CoseKey, accept: Acceptance, *, external_aad: bytes, detached: bytes | None = None) -> bytes:
        """Return the payload. Raises AlgorithmNotAllowed, CriticalHeader, KeyNotForUse or TagRefused."""
        algorithm = mac_algorithm(key.alg)
        accept.check(self.headers, algorithm.id)
        key.require(algorithm.id, KeyOp.MAC_VERIFY, KeyType.SYMMETRIC)
        _check(algorithm, key.secret, self.to_be_maced(external_aad, detached), self.tag)
        return content(self.payload, detached)


def mac0(
    payload: bytes,
    key: CoseKey,
    *,
    protected: Mapping[Label, Any],
    unprotected: Mapping[Label, Any],
    external_aad: bytes,
    detached: bool = False,
) -> Mac0:
    """Authenticate under a key bound to its algorithm, which goes into the protected header."""
    algorithm = mac_algorithm(key.alg)
    key.require(algorithm.id, KeyOp.MAC_CREATE, KeyType.SYMMETRIC)
    headers = Headers.build({ALG: algorithm.id, **protected}, unprotected)
    algorithm.check_key(key.secret)
    tag = algorithm.tag(key.secret, Mac0(headers, payload, b"").to_be_maced(external_aad))
    return Mac0(headers, None if detached else payload, tag)


@dataclass(frozen=True, slots=True)
class Mac:
    """`payload` None: it travels elsewhere."""

    headers: Headers
    payload: bytes | None
    tag: bytes
    recipients: tuple[Recipient, ...]

    @classmethod
    def decode(cls, data: bytes, wire: Wire) -> Self:
        protected, unprotected, payload, tag, recipients = open_array(data, MessageTag.MAC, 5, wire)
        headers = safe_parse(protected, unprotected, wire)
        return cls(
            headers,
            bytes_or_nil(payload, "payload"),
            bytes_of(tag, "tag"),
            parse_recipients(recipients, wire),
        )

    def encode(self, *, tagged: bool = True) -> bytes:
        recipients = [recipient.to_list() for recipient in self.recipients]
        elements = [self.headers.raw, self.headers.unprotected, self.payload, self.tag, recipients]
        return encode_message(MessageTag.MAC, elements, tagged=tagged)

    def to_be_maced(self, external_aad: bytes, detached: bytes | None = None) -> bytes:
        return mac_structure("MAC", self.headers.covered, external_aad, content(self.payload, detached))

    def verify(
        self, receiver: Receiver, accept: Acceptance, *, external_aad: bytes, detached: bytes | None = None
    ) -> bytes:
        """Return the payload. Raises AlgorithmNotAllowed, CriticalHeader, NoRecipient or TagRefused."""
        key = self.recover_key(receiver, accept)
        algorithm = mac_algorithm(self.headers.alg)
        _check(algorithm, key, self.to_be_maced(external_aad, detached), self.tag)
        return content(self.payload, detached)

    def recover_key(self, receiver: Receiver, accept: Acceptance) -> bytes:
        algorithm = mac_algorithm(self.headers.alg)
        accept.check(self.headers, algorithm.id)
        return recover_key(self.recipients, receiver, target_of(algorithm.id), accept)


def mac(
    payload: bytes,
    key: bytes,
    alg: int,
    recipients: tuple[Recipient, ...],
    *,
    protected: Mapping[Label, Any],
    unprotected: Mapping[Label, Any],
    external_aad: bytes,
    detached: bool = False,
) -> Mac:
    """Authenticate under a key that `recipients` carry (`cose.distribution` makes both)."""
    algorithm = mac_algorithm(alg)
    headers = Headers.build({ALG: alg, **protected}, unprotected)
    algorithm.check_key(key)
    tag = algorithm.tag(key, Mac(headers, payload, b"", recipients).to_be_maced(external_aad))
    return Mac(headers, None if detached else payload, tag, recipients)


def _check(algorithm: MacAlgorithm, key: bytes, message: bytes, tag: bytes) -> None:
    algorithm.check_key(key)
    if not equal(algorithm.tag(key, message), tag):
        raise TagRefused(algorithm=algorithm.name)


__all__ = ("Mac", "Mac0", "mac", "mac0")
