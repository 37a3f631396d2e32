"""COSE_Sign1 and COSE_Sign: one signature, or several that each stand for themselves.

Source: RFC 9052 §4. Whoever verifies a COSE_Sign says which signer; that one signature holds says
nothing of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self, final

from lockgate.crypto.ports import Signer
from lockgate.envelope.cose.algorithms import signature_algorithm
from lockgate.envelope.cose.headers import Acceptance, Headers, safe_parse
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import ALG, Label, MessageTag
from lockgate.envelope.cose.structures import sig_structure, sig_structure1
from lockgate.envelope.cose.wire import (
    Wire,
    array_of,
    bytes_of,
    bytes_or_nil,
    encode_message,
    open_array,
)
from lockgate.envelope.errors import CoseMalformed, DetachedContent, KeyNotForUse, SignatureRefused
from lockgate.primitives.sealed import Sealed

MAX_SIGNERS: Final = 64  # of one COSE_Sign; ours have one or two


@final
@dataclass(frozen=True, slots=True)
class Verified(metaclass=Sealed):
    """A payload whose signature or tag held under a given key. Only verification makes one."""

    payload: bytes
    headers: Headers  # of the layer that was verified: the signer's in a COSE_Sign
    key: CoseKey


@dataclass(frozen=True, slots=True)
class Sign1:
    """`payload` None: it travels elsewhere."""

    headers: Headers
    payload: bytes | None
    signature: bytes

    @classmethod
    def decode(cls, data: bytes, wire: Wire) -> Self:
        protected, unprotected, payload, signature = open_array(data, MessageTag.SIGN1, 4, wire)
        return cls(
            safe_parse(protected, unprotected, wire),
            bytes_or_nil(payload, "payload"),
            bytes_of(signature, "signature"),
        )

    def encode(self, *, tagged: bool = True) -> bytes:
        elements = [self.headers.raw, self.headers.unprotected, self.payload, self.signature]
        return encode_message(MessageTag.SIGN1, elements, tagged=tagged)

    def to_be_signed(self, external_aad: bytes, detached: bytes | None = None) -> bytes:
        return sig_structure1(self.headers.covered, external_aad, content(self.payload, detached))

    def verify(
        self, key: CoseKey, accept: Acceptance, *, external_aad: bytes, detached: bytes | None = None
    ) -> Verified:
        """Verify under a key bound to its algorithm.

        Raises AlgorithmNotAllowed, CriticalHeader, KeyNotForUse, DetachedContent or SignatureRefused.
        """
        check_signature(key, accept, self.headers, self.signature, self.to_be_signed(external_aad, detached))
        return Sealed.make(Verified, content(self.payload, detached), self.headers, key)


def sign1(
    payload: bytes,
    signer: Signer,
    alg: int,
    *,
    protected: Mapping[Label, Any],
    unprotected: Mapping[Label, Any],
    external_aad: bytes,
    detached: bool = False,
) -> Sign1:
    """Sign. `alg` goes into the protected header. Raises KeyNotForUse when it is not the signer's."""
    headers = Headers.build({ALG: alg, **protected}, unprotected)
    unsigned = Sign1(headers, payload, b"")
    signature = sign_with(signer, alg, unsigned.to_be_signed(external_aad))
    return Sign1(headers, None if detached else payload, signature)


@dataclass(frozen=True, slots=True)
class Signature:
    """One COSE_Signature of a COSE_Sign."""

    headers: Headers
    signature: bytes

    @classmethod
    def parse(cls, item: Any, wire: Wire) -> Self:
        protected, unprotected, signature = array_of(item, 3)
        return cls(safe_parse(protected, unprotected, wire), bytes_of(signature, "signature"))

    def to_list(self) -> list[Any]:
        return [self.headers.raw, self.headers.unprotected, self.signature]


@dataclass(frozen=True, slots=True)
class Sign:
    """`payload` None: it travels elsewhere. `signatures` has 1..MAX_SIGNERS."""

    headers: Headers
    payload: bytes | None
    signatures: tuple[Signature, ...]

    @classmethod
    def decode(cls, data: bytes, wire: Wire) -> Self:
        protected, unprotected, payload, signatures = open_array(data, MessageTag.SIGN, 4, wire)
        if type(signatures) is not tuple or not 0 < len(signatures) <= MAX_SIGNERS:
            raise CoseMalformed("signatures are a list of 1 to 64", limit=MAX_SIGNERS)
        return cls(
            safe_parse(protected, unprotected, wire),
            bytes_or_nil(payload, "payload"),
            tuple(Signature.parse(item, wire) for item in signatures),
        )

    def encode(self, *, tagged: bool = True) -> bytes:
        signatures = [signature.to_list() for signature in self.signatures]
        elements = [self.headers.raw, self.headers.unprotected, self.payload, signatures]
        return encode_message(MessageTag.SIGN, elements, tagged=tagged)

    def to_be_signed(self, signer: Headers, external_aad: bytes, detached: bytes | None = None) -> bytes:
        """What the signer with these headers signs."""
        payload = content(self.payload, detached)
        return sig_structure(self.headers.covered, signer.covered, external_aad, payload)

    def verify(
        self,
        index: int,
        key: CoseKey,
        accept: Acceptance,
        *,
        external_aad: bytes,
        detached: bytes | None = None,
    ) -> Verified:
        """Verify the signature at `index`. Raises as Sign1.verify does."""
        accept.check_critical(self.headers)
        signature = self.signatures[index]
        message = self.to_be_signed(signature.headers, external_aad, detached)
        check_signature(key, accept, signature.headers, signature.signature, message)
        return Sealed.make(Verified, content(self.payload, detached), signature.headers, key)

    def signed_by(self, signer: Signer, headers: Headers, external_aad: bytes) -> Sign:
        """The same message with one more signature, its algorithm named by `headers`."""
        alg = headers.alg
        if type(alg) is not int:
            raise KeyNotForUse("the signer's header names no algorithm")
        signature = sign_with(signer, alg, self.to_be_signed(headers, external_aad))
        return replace(self, signatures=(*self.signatures, Signature(headers, signature)))


def content(carried: bytes | None, detached: bytes | None) -> bytes:
    """The payload or ciphertext of a message: carried in it or given beside it, never both."""
    if (carried is None) == (detached is None):
        raise DetachedContent(carried=carried is not None, given=detached is not None)
    found = detached if carried is None else carried
    assert found is not None
    return found


def check_signature(key: CoseKey, accept: Acceptance, headers: Headers, signature: bytes, message: bytes) -> None:
    """Raise unless `signature` holds under `key` and the layer's headers may be accepted."""
    algorithm = signature_algorithm(key.alg)
    accept.check(headers, algorithm.id)
    if not algorithm.verify(key, signature, message):
        raise SignatureRefused(algorithm=algorithm.name)


def sign_with(signer: Signer, alg: int, message: bytes) -> bytes:
    if signature_algorithm(alg).signer != signer.algorithm:
        raise KeyNotForUse("the signer has another algorithm", signer=signer.algorithm, asked=alg)
    return signer.sign(message)


__all__ = ("MAX_SIGNERS", "Sign", "Sign1", "Signature", "Verified", "check_signature", "content", "sign1", "sign_with")
