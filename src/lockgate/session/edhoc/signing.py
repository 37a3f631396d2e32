"""How a party signs its handshake: one algorithm of COSE, or the pair of the hybrid suites.

The bytes signed are COSE's Sig_structure (RFC 9528 §5.3.2). In the hybrid suites each half covers the pair and the
purpose as well (P6): a signature made for a handshake means nothing anywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from lockgate.crypto import ecdsa, hybrid
from lockgate.crypto.ec import P256, P384, Curve
from lockgate.crypto.ed25519 import verify_strict
from lockgate.crypto.hashes import SHA256, SHA384, Hash
from lockgate.crypto.ports import Signer
from lockgate.crypto.suites import SIGN_ED25519_MLDSA65, SIGN_P256_MLDSA65, SignatureSuite
from lockgate.session.edhoc.errors import CredentialUnusable

Keys = Sequence[bytes]  # raw public keys, one for each algorithm, in the suite's order


class SignatureScheme(Protocol):
    """`algorithms` are the names that `Signer`s must have, in order."""

    @property
    def algorithms(self) -> tuple[str, ...]: ...

    def sign(self, signers: Sequence[Signer], message: bytes, /) -> bytes:
        """Raises CredentialUnusable unless the signers are those of the scheme."""
        ...

    def verify(self, keys: Keys, signature: bytes, message: bytes, /) -> bool:
        """Never raises, whatever the bytes."""
        ...


def _check(scheme: SignatureScheme, signers: Sequence[Signer]) -> None:
    if tuple(signer.algorithm for signer in signers) != scheme.algorithms:
        raise CredentialUnusable("the signers are not those of the cipher suite", expected=scheme.algorithms)


@dataclass(frozen=True, slots=True)
class EdDsa:
    """Ed25519 with the strict acceptance set (P7): the keys are parties' own, not validators'."""

    algorithms: tuple[str, ...] = ("Ed25519",)

    def sign(self, signers: Sequence[Signer], message: bytes, /) -> bytes:
        _check(self, signers)
        return signers[0].sign(message)

    def verify(self, keys: Keys, signature: bytes, message: bytes, /) -> bool:
        return len(keys) == 1 and verify_strict(keys[0], signature, message)


@dataclass(frozen=True, slots=True)
class EcDsa:
    """ES256 or ES384, raw r ‖ s. Both twins of a signature are taken: RFC 9053 §2.1 asks for no low s."""

    algorithms: tuple[str, ...]
    curve: Curve
    hash: Hash

    def sign(self, signers: Sequence[Signer], message: bytes, /) -> bytes:
        _check(self, signers)
        return signers[0].sign(message)

    def verify(self, keys: Keys, signature: bytes, message: bytes, /) -> bool:
        return len(keys) == 1 and ecdsa.verify(self.curve, self.hash, keys[0], signature, message)


@dataclass(frozen=True, slots=True)
class HybridSignature:
    """Every algorithm of a signature suite, all required, in one concatenation of fixed lengths.

    The suite is that of the signer's key record, one of `suites`: lengths of their keys tell them apart, and a
    signature covers the suite's id.
    """

    suites: tuple[SignatureSuite, ...]

    @property
    def algorithms(self) -> tuple[str, ...]:
        return _names(self.suites[0])

    def sign(self, signers: Sequence[Signer], message: bytes, /) -> bytes:
        suite = next((s for s in self.suites if _names(s) == tuple(signer.algorithm for signer in signers)), None)
        if suite is None:
            raise CredentialUnusable("the signers are not those of the cipher suite", expected=self.algorithms)
        return hybrid.sign(suite, signers, _covered(suite, [one.public_key for one in signers], message))

    def verify(self, keys: Keys, signature: bytes, message: bytes, /) -> bool:
        lengths = [len(key) for key in keys]
        suite = next((s for s in self.suites if [a.public_bytes for a in s.algorithms] == lengths), None)
        return suite is not None and hybrid.verify(suite, keys, _covered(suite, keys, message), signature)


def _names(suite: SignatureSuite) -> tuple[str, ...]:
    return tuple(algorithm.name for algorithm in suite.algorithms)


def _covered(suite: SignatureSuite, keys: Keys, message: bytes) -> bytes:
    # No domain: a handshake may join two ledgers, and the credentials in its transcript name both.
    identity = hybrid.identity_hash(suite.id, keys)
    return hybrid.signing_bytes(hybrid.Purpose.HANDSHAKE, suite.id, identity, b"", 0, message)


EDDSA: Final = EdDsa()
ES256: Final = EcDsa(("ES256",), P256, SHA256)
ES384: Final = EcDsa(("ES384",), P384, SHA384)
IDENTITIES: Final = HybridSignature((SIGN_ED25519_MLDSA65, SIGN_P256_MLDSA65))

__all__ = ("EDDSA", "ES256", "ES384", "IDENTITIES", "EcDsa", "EdDsa", "HybridSignature", "SignatureScheme")
