"""Public keys bound to their suites, who may sign what (I2, P6), and a box for secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, NoReturn

from lockgate.crypto import hybrid
from lockgate.crypto.errors import BadKey, BadSignature, WrongPurpose
from lockgate.crypto.hashes import SHA256, equal
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.crypto.kdf import hkdf_expand
from lockgate.crypto.ports import Decapsulator, Signer
from lockgate.crypto.suites import SealSuite, SignatureSuite, seal_suite, signature_suite
from lockgate.primitives.ids import Hash32

KEY_ID_BYTES: Final = 16  # of 32: enough to name a key, and nothing is decided by a key id alone
SEED_BYTES: Final = 32
_SEED_LABEL: Final = b"lockgate/key-seed/1\x00"
_SEALING_LABEL: Final = b"lockgate/sealing-key/1\x00"


class KeyRole(Enum):
    """What a key is for; one key has one role (I2)."""

    VALIDATOR = "validator"
    ACCOUNT = "account"
    IDENTITY = "identity"
    SEALING = "sealing"
    AUTHORITY = "authority"
    OPERATOR = "operator"
    ATTESTER = "attester"
    HOLDER = "holder"  # of a token: proves its calls, for minutes


PURPOSES: Final[Mapping[KeyRole, frozenset[Purpose]]] = {
    KeyRole.VALIDATOR: frozenset(),  # votes and proposals only: CometBFT's bytes, not ours
    KeyRole.ACCOUNT: frozenset({Purpose.TRANSACTION}),
    KeyRole.IDENTITY: frozenset({Purpose.KEY_RECORD, Purpose.ENVELOPE, Purpose.HANDSHAKE}),
    KeyRole.SEALING: frozenset(),
    KeyRole.AUTHORITY: frozenset({Purpose.GOVERNANCE}),
    KeyRole.OPERATOR: frozenset({Purpose.TOKEN}),
    KeyRole.ATTESTER: frozenset({Purpose.ATTESTATION}),
    KeyRole.HOLDER: frozenset({Purpose.CALL}),
}


@dataclass(frozen=True, slots=True)
class IdentityKey:
    """The public half of an identity: a signature suite and one key for each of its algorithms.

    Raises UnknownSuite or BadKey when built from anything else.
    """

    suite: int
    parts: tuple[bytes, ...]

    def __post_init__(self) -> None:
        algorithms = self.signature_suite.algorithms
        if not isinstance(self.parts, tuple) or len(self.parts) != len(algorithms):
            raise BadKey("an identity has one key for each algorithm of its suite", suite=self.suite)
        for algorithm, part in zip(algorithms, self.parts, strict=True):
            algorithm.check_public_key(part)

    @property
    def signature_suite(self) -> SignatureSuite:
        return signature_suite(self.suite)

    @property
    def hash(self) -> Hash32:
        """Hash of all public keys of the identity, the one P6 puts into every signature."""
        return Hash32(hybrid.identity_hash(self.suite, self.parts))

    @property
    def key_id(self) -> bytes:
        return self.hash[:KEY_ID_BYTES]

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether all halves hold over `message`, which `signing_bytes` made. Never raises."""
        return hybrid.verify(self.signature_suite, self.parts, message, signature)

    def require(self, message: bytes, signature: bytes) -> None:
        """Raise BadSignature unless `verify` holds."""
        if not self.verify(message, signature):
            raise BadSignature(suite=self.suite, key_id=self.key_id)


@dataclass(frozen=True, slots=True)
class SealingKey:
    """The public half of a sealing key: a seal suite and its KEM's key. Raises as IdentityKey does."""

    suite: int
    public_key: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.public_key, bytes):
            raise BadKey("a sealing key is a byte string", suite=self.suite)
        self.seal_suite.kem.check_public_key(self.public_key)

    @property
    def seal_suite(self) -> SealSuite:
        return seal_suite(self.suite)

    @property
    def hash(self) -> Hash32:
        header = _SEALING_LABEL + self.suite.to_bytes(2)
        return Hash32(hashlib.sha256(header + self.public_key).digest())

    @property
    def key_id(self) -> bytes:
        return self.hash[:KEY_ID_BYTES]


class IdentitySigner:
    """The private half of an identity: one `Signer` for each algorithm of the suite, and its role."""

    __slots__ = ("key", "role", "signers")

    def __init__(self, suite_id: int, signers: tuple[Signer, ...], role: KeyRole) -> None:
        names = tuple(algorithm.name for algorithm in signature_suite(suite_id).algorithms)
        if tuple(signer.algorithm for signer in signers) != names:
            raise BadKey("the signers are not those of the suite", suite=suite_id, expected=names)
        self.key: Final = IdentityKey(suite_id, tuple(signer.public_key for signer in signers))
        self.role: Final = role
        self.signers: Final = signers

    def __repr__(self) -> str:
        return f"IdentitySigner({self.role.value}, suite={self.key.suite}, key_id={self.key.key_id.hex()})"

    def context(self, purpose: Purpose, domain: bytes, revision: int) -> bytes:
        """The signing bytes of an empty message: the external_aad of a COSE signature.

        Raises WrongPurpose when the role of the key does not cover it.
        """
        return self.signing_bytes(purpose, domain, revision, b"")

    def signing_bytes(self, purpose: Purpose, domain: bytes, revision: int, message: bytes) -> bytes:
        if purpose not in PURPOSES[self.role]:
            raise WrongPurpose(role=self.role.value, purpose=purpose.name)
        return signing_bytes(purpose, self.key.suite, self.key.hash, domain, revision, message)

    def sign(self, message: bytes, /) -> bytes:
        """Sign bytes that `signing_bytes` made."""
        return hybrid.sign(self.key.signature_suite, self.signers, message)

    def sign_for(self, purpose: Purpose, domain: bytes, revision: int, message: bytes) -> bytes:
        """Sign `message` for a purpose of this key's role. Raises WrongPurpose."""
        return self.sign(self.signing_bytes(purpose, domain, revision, message))


def expand_seed(seed: bytes, role: KeyRole, algorithm: str, length: int = SEED_BYTES) -> bytes:
    """Derive the seed of one algorithm's key from the 32-byte seed of an identity.

    Role and algorithm are in the derivation, so one seed used twice by mistake still gives unrelated
    keys. Raises BadKey unless `seed` has 32 bytes.
    """
    if len(seed) != SEED_BYTES:
        raise BadKey("an identity grows from a seed of 32 bytes", got=len(seed))
    info = _SEED_LABEL + role.value.encode() + b"\x00" + algorithm.encode()
    return hkdf_expand(SHA256, seed, info, length)


def sealing_decapsulator(suite_id: int, seed: bytes) -> Decapsulator:
    """The in-memory private half of a sealing key, from a 32-byte seed. Raises BadKey, UnknownSuite."""
    kem = seal_suite(suite_id).kem
    return kem.derive_key(expand_seed(seed, KeyRole.SEALING, kem.name, kem.private_bytes))


class SecretBytes:
    """A secret that no print, log, comparison or pickle shows, and that can be wiped.

    Wiping overwrites this buffer. Copies that `reveal` has handed out, and those inside a library's
    key object, live until they are collected: Python offers no more.
    """

    __slots__ = ("_buffer",)

    def __init__(self, secret: bytes) -> None:
        self._buffer = bytearray(secret)

    def __repr__(self) -> str:
        return f"SecretBytes({len(self._buffer)} B)"

    def __len__(self) -> int:
        return len(self._buffer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretBytes) and equal(self.reveal(), other.reveal())

    __hash__ = None  # type: ignore[assignment]  # a hash would be a fingerprint of the secret

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled or copied")

    def reveal(self) -> bytes:
        return bytes(self._buffer)

    def wipe(self) -> None:
        """Overwrite with zeros and forget the length."""
        self._buffer[:] = bytes(len(self._buffer))
        self._buffer.clear()


__all__ = (
    "KEY_ID_BYTES",
    "PURPOSES",
    "SEED_BYTES",
    "IdentityKey",
    "IdentitySigner",
    "KeyRole",
    "SealingKey",
    "SecretBytes",
    "expand_seed",
    "sealing_decapsulator",
)
