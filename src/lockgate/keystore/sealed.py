"""The bytes of a key file: seeds under a passphrase. No I/O here.

magic (16) ‖ SHA-256 of the rest (32) ‖ deterministic CBOR
    [memory KiB, iterations, lanes, salt (16), nonce (12), commitment (32), ciphertext]

The passphrase goes through Argon2id (RFC 9106) into a root; a key commitment to the root is checked
first, and tells a wrong passphrase from an altered body; AES-256-GCM under a key expanded from the
root protects the entries, with everything in front of them as associated data. The SHA-256 is no
protection: it tells a torn or bit-rotten file from a wrong passphrase. Source: P17 (commitment).
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from lockgate.codec import cbor
from lockgate.crypto.aead import AES_256_GCM
from lockgate.crypto.commitment import key_commitment, require_key_commitment
from lockgate.crypto.errors import KeyCommitmentMismatch, OpenFailed, UnknownSuite
from lockgate.crypto.hashes import SHA256
from lockgate.crypto.kdf import hkdf_expand
from lockgate.crypto.keys import SEED_BYTES, KeyRole, SecretBytes
from lockgate.crypto.suites import seal_suite, signature_suite
from lockgate.keystore.errors import KeyFileDamaged, WeakPassphrase, WrongPassphrase
from lockgate.primitives.errors import LockgateError, Misuse
from lockgate.primitives.ports import Rng

MAGIC: Final = b"lockgate-keys\x00\x00\x01"
MIN_PASSPHRASE: Final = 8  # characters; NIST SP 800-63B §5.1.1
MAX_FILE_BYTES: Final = 65_536  # a few hundred entries; a host has five
MAX_MEMORY_KIB: Final = 1 << 20  # 1 GiB: a hostile file must not exhaust the machine that reads it
MAX_ITERATIONS: Final = 64
MAX_LANES: Final = 64
_SALT_BYTES: Final = 16  # RFC 9106 §3.1
_ROOT_BYTES: Final = 32
_CIPHER_LABEL: Final = b"lockgate/key-file/1\x00"
_CHECKSUM_END: Final = len(MAGIC) + 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one guess at the passphrase costs: Argon2id's memory in KiB, passes and lanes."""

    memory_kib: int = 65_536  # RFC 9106 §4, the option for memory-constrained hosts: 64 MiB, t=3, p=4
    iterations: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        if not (
            0 < self.lanes <= MAX_LANES
            and 0 < self.iterations <= MAX_ITERATIONS
            and 8 * self.lanes <= self.memory_kib <= MAX_MEMORY_KIB
        ):
            raise Misuse("the cost of a key file is out of range", cost=self)


DEFAULT_COST: Final = Cost()


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One seed with the role and suite its keys are made for."""

    role: KeyRole
    suite: int
    seed: SecretBytes

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise Misuse("a stored key is a seed of 32 bytes", got=len(self.seed))
        if self.role is KeyRole.SEALING:
            seal_suite(self.suite)
        else:
            signature_suite(self.suite)


def seal_keys(keys: Mapping[str, StoredKey], passphrase: str, rng: Rng, cost: Cost = DEFAULT_COST) -> bytes:
    """Return the bytes of a key file. Raises WeakPassphrase, Misuse when it would be too long."""
    if len(passphrase) < MIN_PASSPHRASE:
        raise WeakPassphrase(least=MIN_PASSPHRASE)
    salt, nonce = rng.bytes(_SALT_BYTES), rng.bytes(AES_256_GCM.nonce_bytes)
    header = [cost.memory_kib, cost.iterations, cost.lanes, salt, nonce]
    root = _root(passphrase, salt, cost)
    entries = {name: [k.role.value, k.suite, k.seed.reveal()] for name, k in keys.items()}
    commitment = key_commitment(root)
    ciphertext = AES_256_GCM.seal(_cipher_key(root), nonce, cbor.encode(entries), _associated(header, commitment))
    body = cbor.encode([*header, commitment, ciphertext])
    data = MAGIC + hashlib.sha256(body).digest() + body
    if len(data) > MAX_FILE_BYTES:
        raise Misuse("too many keys for one file", size=len(data), most=MAX_FILE_BYTES)
    return data


def open_keys(data: bytes, passphrase: str) -> dict[str, StoredKey]:
    """Return the keys. Raises KeyFileDamaged or WrongPassphrase, whatever the bytes."""
    header, commitment, ciphertext = _parse(data)
    memory_kib, iterations, lanes, salt, nonce = header
    try:
        cost = Cost(memory_kib=memory_kib, iterations=iterations, lanes=lanes)
    except Misuse as error:
        raise KeyFileDamaged("the cost in the header is out of range") from error
    root = _root(passphrase, salt, cost)
    try:
        require_key_commitment(commitment, root)
    except KeyCommitmentMismatch as error:
        raise WrongPassphrase from error
    try:
        plain = AES_256_GCM.open(_cipher_key(root), nonce, ciphertext, _associated(header, commitment))
    except OpenFailed as error:
        raise KeyFileDamaged("the keys do not authenticate") from error
    return _entries(plain)


def _parse(data: bytes) -> tuple[list[Any], bytes, bytes]:
    # Any: the types of the header are checked right below, field by field.
    if len(data) > MAX_FILE_BYTES or not data.startswith(MAGIC):
        raise KeyFileDamaged("not a key file of this format", size=len(data))
    body = data[_CHECKSUM_END:]
    if hashlib.sha256(body).digest() != data[len(MAGIC) : _CHECKSUM_END]:
        raise KeyFileDamaged("the checksum does not match", size=len(data))
    try:
        fields = cbor.decode(body)
    except LockgateError as error:
        raise KeyFileDamaged("the body is not deterministic CBOR") from error
    if type(fields) is not tuple or [type(f) for f in fields] != [int] * 3 + [bytes] * 4:
        raise KeyFileDamaged("the body does not have the shape of a key file")
    *header, commitment, ciphertext = fields
    if len(header[3]) != _SALT_BYTES or len(header[4]) != AES_256_GCM.nonce_bytes:
        raise KeyFileDamaged("salt or nonce have the wrong length")
    return header, commitment, ciphertext


def _entries(plain: bytes) -> dict[str, StoredKey]:
    # Authenticated, so only another version of this program can have written what fails here.
    try:
        return {
            name: StoredKey(KeyRole(role), suite, SecretBytes(seed))
            for name, (role, suite, seed) in cbor.decode(plain).items()
        }
    except UnknownSuite:
        raise
    except (LockgateError, AttributeError, TypeError, ValueError) as error:
        raise KeyFileDamaged("the entries are of another version") from error


def _root(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    derivation = Argon2id(
        salt=salt,
        length=_ROOT_BYTES,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    )
    # NFC, so that the same characters typed on another system are the same passphrase.
    return derivation.derive(unicodedata.normalize("NFC", passphrase).encode())


def _cipher_key(root: bytes) -> bytes:
    return hkdf_expand(SHA256, root, _CIPHER_LABEL, AES_256_GCM.key_bytes)


def _associated(header: list[Any], commitment: bytes) -> bytes:
    return MAGIC + cbor.encode([*header, commitment])


__all__ = (
    "DEFAULT_COST",
    "MAGIC",
    "MAX_FILE_BYTES",
    "MIN_PASSPHRASE",
    "Cost",
    "StoredKey",
    "open_keys",
    "seal_keys",
)
