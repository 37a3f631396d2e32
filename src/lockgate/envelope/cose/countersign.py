"""Countersignatures: a second party signs a message, a signature or a recipient as it stands.

Version 2 (RFC 9338) is what we write. Version 1 (RFC 8152 §4.5) covers neither the signature nor the
tag of its target, so it can be moved to another message with the same payload; it is verified for
foreign messages only, and never written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, TypeVar

from lockgate.crypto.ports import Signer
from lockgate.envelope.cose.algorithms import signature_algorithm
from lockgate.envelope.cose.encrypt import Encrypt, Encrypt0
from lockgate.envelope.cose.headers import Acceptance, Headers
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import (
    ALG,
    COUNTERSIGNATURE,
    COUNTERSIGNATURE0,
    COUNTERSIGNATURE0_V1,
    COUNTERSIGNATURE_V1,
    Label,
    MessageTag,
)
from lockgate.envelope.cose.mac import Mac, Mac0
from lockgate.envelope.cose.recipients import Recipient
from lockgate.envelope.cose.sign import (
    MAX_SIGNERS,
    Sign,
    Sign1,
    Signature,
    check_signature,
    content,
    sign_with,
)
from lockgate.envelope.cose.structures import countersign_structure, countersign_structure_v1
from lockgate.envelope.cose.wire import Wire, encode_message, open_array
from lockgate.envelope.errors import BadHeader, SignatureRefused

Target: TypeAlias = Sign1 | Sign | Signature | Mac0 | Mac | Encrypt0 | Encrypt | Recipient
T = TypeVar("T", Sign1, Sign, Signature, Mac0, Mac, Encrypt0, Encrypt, Recipient)
_ONE: Final = 3  # elements of a COSE_Countersignature; a list of them has arrays for elements


@dataclass(frozen=True, slots=True)
class Covered:
    """The byte strings of a target that a countersignature covers."""

    body: bytes
    payload: bytes
    other_fields: tuple[bytes, ...]


def covered(target: Target, detached: bytes | None = None) -> Covered:
    """What stands to be countersigned. Raises DetachedContent."""
    body = target.headers.covered
    match target:
        case Sign1():
            return Covered(body, content(target.payload, detached), (target.signature,))
        case Sign():
            return Covered(body, content(target.payload, detached), ())
        case Mac0() | Mac():
            return Covered(body, content(target.payload, detached), (target.tag,))
        case Signature():
            return Covered(body, target.signature, ())
        case Recipient():
            return Covered(body, target.ciphertext or b"", ())
        case Encrypt0() | Encrypt():
            return Covered(body, content(target.ciphertext, detached), ())


def countersign(
    target: T,
    signer: Signer,
    alg: int,
    *,
    protected: Mapping[Label, Any],
    unprotected: Mapping[Label, Any],
    external_aad: bytes,
    detached: bytes | None = None,
) -> T:
    """Return the target with a full countersignature in its unprotected header. Raises KeyNotForUse."""
    signature = countersignature(
        target,
        signer,
        alg,
        protected=protected,
        unprotected=unprotected,
        external_aad=external_aad,
        detached=detached,
    )
    headers = target.headers.with_unprotected(COUNTERSIGNATURE, tuple(signature.to_list()))
    return replace(target, headers=headers)


def countersignature(
    target: Target,
    signer: Signer,
    alg: int,
    *,
    protected: Mapping[Label, Any],
    unprotected: Mapping[Label, Any],
    external_aad: bytes,
    detached: bytes | None = None,
) -> Signature:
    """Make a countersignature to be kept beside its target."""
    headers = Headers.build({ALG: alg, **protected}, unprotected)
    parts = covered(target, detached)
    message = countersign_structure(parts.body, headers.covered, external_aad, parts.payload, parts.other_fields)
    return Signature(headers, sign_with(signer, alg, message))


def countersign0(target: T, signer: Signer, alg: int, *, external_aad: bytes, detached: bytes | None = None) -> T:
    """Return the target with an abbreviated countersignature: algorithm and key are agreed elsewhere."""
    parts = covered(target, detached)
    message = countersign_structure(parts.body, None, external_aad, parts.payload, parts.other_fields)
    signature = sign_with(signer, alg, message)
    return replace(target, headers=target.headers.with_unprotected(COUNTERSIGNATURE0, signature))


def countersignatures(target: Target, wire: Wire, *, v1: bool = False) -> tuple[Signature, ...]:
    """Read the full countersignatures of a target: one, a list of them, or none. Raises BadHeader."""
    value = target.headers.unprotected.get(COUNTERSIGNATURE_V1 if v1 else COUNTERSIGNATURE)
    if value is None:
        return ()
    if type(value) is not tuple or not value or len(value) > MAX_SIGNERS:
        raise BadHeader("a countersignature is an array")
    items = (value,) if len(value) == _ONE and type(value[0]) is bytes else value
    return tuple(Signature.parse(item, wire) for item in items)


def verify(
    target: Target,
    signature: Signature,
    key: CoseKey,
    accept: Acceptance,
    *,
    external_aad: bytes,
    detached: bytes | None = None,
) -> None:
    """Verify a full countersignature. Raises SignatureRefused, AlgorithmNotAllowed, KeyNotForUse."""
    parts = covered(target, detached)
    message = countersign_structure(
        parts.body, signature.headers.covered, external_aad, parts.payload, parts.other_fields
    )
    check_signature(key, accept, signature.headers, signature.signature, message)


def verify0(
    target: Target,
    key: CoseKey,
    accept: Acceptance,
    *,
    external_aad: bytes,
    detached: bytes | None = None,
) -> None:
    """Verify the abbreviated countersignature in the target's header. Raises as `verify`, BadHeader."""
    parts = covered(target, detached)
    message = countersign_structure(parts.body, None, external_aad, parts.payload, parts.other_fields)
    _check_abbreviated(target, COUNTERSIGNATURE0, key, accept, message)


def verify_v1(
    target: Target,
    signature: Signature,
    key: CoseKey,
    accept: Acceptance,
    *,
    external_aad: bytes,
    detached: bytes | None = None,
) -> None:
    """Verify a deprecated full countersignature. Raises as `verify` does."""
    message = to_be_signed_v1(target, signature.headers, external_aad, detached)
    check_signature(key, accept, signature.headers, signature.signature, message)


def verify0_v1(
    target: Target,
    key: CoseKey,
    accept: Acceptance,
    *,
    external_aad: bytes,
    detached: bytes | None = None,
) -> None:
    """Verify the deprecated abbreviated countersignature in the target's header."""
    message = to_be_signed_v1(target, None, external_aad, detached)
    _check_abbreviated(target, COUNTERSIGNATURE0_V1, key, accept, message)


def to_be_signed_v1(
    target: Target, signer: Headers | None, external_aad: bytes, detached: bytes | None = None
) -> bytes:
    parts = covered(target, detached)
    sign_protected = b"" if signer is None else signer.covered
    return countersign_structure_v1(parts.body, sign_protected, external_aad, parts.payload, full=signer is not None)


def encode_standalone(signature: Signature) -> bytes:
    """A countersignature as a message of its own, CBOR tag 19 (RFC 9338 §3.1)."""
    return encode_message(MessageTag.COUNTERSIGNATURE, signature.to_list(), tagged=True)


def decode_standalone(data: bytes, wire: Wire) -> Signature:
    return Signature.parse(open_array(data, MessageTag.COUNTERSIGNATURE, _ONE, wire), wire)


def _check_abbreviated(target: Target, label: int, key: CoseKey, accept: Acceptance, message: bytes) -> None:
    signature = target.headers.unprotected.get(label)
    if type(signature) is not bytes:
        raise BadHeader("no abbreviated countersignature", label=label)
    algorithm = signature_algorithm(key.alg)
    # Its algorithm is in no header at all: the key's is the agreed one.
    accept.allow(algorithm.id)
    if not algorithm.verify(key, signature, message):
        raise SignatureRefused(algorithm=algorithm.name)


__all__ = (
    "Covered",
    "countersign",
    "countersign0",
    "countersignature",
    "countersignatures",
    "covered",
    "decode_standalone",
    "encode_standalone",
    "to_be_signed_v1",
    "verify",
    "verify0",
    "verify0_v1",
    "verify_v1",
)
