"""The bytes of a key file: seeds under a passphrase. No I/O here.

magic (16) ‖ SHA-256 of the rest (32) ‖ deterministic CBOR
    [memory KiB, iterations, lanes, salt (16), file salt (32), commitment (32), ciphertext]

An entry of the ciphertext is name → [role, suite, seed], and a fourth field where a device holds halves of
the key: {algorithm: [label, public key]}. A half that is said to lie elsewhere is never made from the seed.

The passphrase goes through Argon2id (RFC 9106) into a root, which files of one deployment share with
their salt; the file's own key is expanded from it under the file salt, which is drawn anew whenever a
file is written, so no key seals twice and the nonce is zero. A key commitment to the file's key is
checked first, and tells a wrong passphrase from an altered body; AES-256-GCM under a key expanded from
it protects the entries, with everything in front of them as associated data. The SHA-256 is no
protection: it tells a torn or bit-rotten file from a wrong passphrase. Source: P17 (commitment).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.crypto.aead import AES_256_GCM
from lockgate.crypto.commitment import key_commitment, require_key_commitment
from lockgate.crypto.errors import KeyCommitmentMismatch, OpenFailed, UnknownSuite
from lockgate.crypto.hashes import SHA256
from lockgate.crypto.kdf import hkdf_expand
from lockgate.crypto.keys import SEED_BYTES, KeyRole, SecretBytes
from lockgate.crypto.suites import seal_suite, signature_suite
from lockgate.keystore.errors import KeyFileDamaged, WeakPassphrase, WrongPassphrase
from lockgate.keystore.stretch import DEFAULT_COST, SALT_BYTES, Cost, Passphrase
from lockgate.primitives.errors import LockgateError, Misuse
from lockgate.primitives.ports import Rng

MAGIC: Final = b"lockgate-keys\x00\x00\x02"
MIN_PASSPHRASE: Final = 8  # characters; NIST SP 800-63B §5.1.1
MAX_FILE_BYTES: Final = 65_536  # a few hundred entries; a host has five
_FILE_SALT_BYTES: Final = 32
_FILE_KEY_BYTES: Final = 32
_FILE_LABEL: Final = b"lockgate/key-file/2\x00"
_CIPHER_LABEL: Final = b"lockgate/key-file/2/cipher\x00"
_NONCE: Final = bytes(AES_256_GCM.nonce_bytes)
_CHECKSUM_END: Final = len(MAGIC) + 32


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The half of a key that a device holds: its label there, and its public key, so that no other passes for it."""

    label: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One seed with the role and suite its keys are made for, and the halves that a device holds, by algorithm."""

    role: KeyRole
    suite: int
    seed: SecretBytes
    elsewhere: Mapping[str, Elsewhere] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise Misuse("a stored key is a seed of 32 bytes", got=len(self.seed))
        if self.role is KeyRole.SEALING:
            seal_suite(self.suite)
        else:
            signature_suite(self.suite)


def seal_keys(keys: Mapping[str, StoredKey], passphrase: Passphrase, rng: Rng, cost: Cost = DEFAULT_COST) -> bytes:
    """Return the bytes of a key file. Raises WeakPassphrase, Misuse when it would be too long."""
    if len(passphrase.text) < MIN_PASSPHRASE:
        raise WeakPassphrase(least=MIN_PASSPHRASE)
    salt, file_salt = passphrase.salt(cost, rng), rng.bytes(_FILE_SALT_BYTES)
    header = [cost.memory_kib, cost.iterations, cost.lanes, salt, file_salt]
    key = _file_key(passphrase, salt, cost, file_salt)
    entries = {name: _entry(key) for name, key in keys.items()}
    commitment = key_commitment(key)
    ciphertext = AES_256_GCM.seal(_cipher_key(key), _NONCE, cbor.encode(entries), _associated(header, commitment))
    body = cbor.encode([*header, commitment, ciphertext])
    data = MAGIC + hashlib.sha256(body).digest() + body
    if len(data) > MAX_FILE_BYTES:
        raise Misuse("too many keys for one file", size=len(data), most=MAX_FILE_BYTES)
    return data


def open_keys(data: bytes, passphrase: Passphrase) -> dict[str, StoredKey]:
    """Return the keys. Raises KeyFileDamaged or WrongPassphrase, whatever the bytes."""
    header, commitment, ciphertext = _parse(data)
    memory_kib, iterations, lanes, salt, file_salt = header
    try:
        cost = Cost(memory_kib=memory_kib, iterations=iterations, lanes=lanes)
    except Misuse as error:
        raise KeyFileDamaged("the cost in the header is out of range") from error
    key = _file_key(passphrase, salt, cost, file_salt)
    try:
        require_key_commitment(commitment, key)
    except KeyCommitmentMismatch as error:
        raise WrongPassphrase from error
    try:
        plain = AES_256_GCM.open(_cipher_key(key), _NONCE, ciphertext, _associated(header, commitment))
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
    if len(header[3]) != SALT_BYTES or len(header[4]) != _FILE_SALT_BYTES:
        raise KeyFileDamaged("the salts have the wrong length")
    return header, commitment, ciphertext


def _entry(key: StoredKey) -> list[Any]:
    entry: list[Any] = [key.role.value, key.suite, key.seed.reveal()]
    if key.elsewhere:
        entry.append({algorithm: [half.label, half.public_key] for algorithm, half in key.elsewhere.items()})
    return entry


def _entries(plain: bytes) -> dict[str, StoredKey]:
    # Authenticated, so only another version of this program can have written what fails here.
    try:
        return {
            name: StoredKey(
                KeyRole(role),
                suite,
                SecretBytes(seed),
                {algorithm: Elsewhere(*place) for algorithm, place in (rest[0] if rest else {}).items()},
            )
            for name, (role, suite, seed, *rest) in cbor.decode(plain).items()
        }
    except UnknownSuite:
        raise
    except (LockgateError, AttributeError, TypeError, ValueError) as error:
        raise KeyFileDamaged("the entries are of another version") from error


def _file_key(passphrase: Passphrase, salt: bytes, cost: Cost, file_salt: bytes) -> bytes:
    return hkdf_expand(SHA256, passphrase.root(salt, cost), _FILE_LABEL + file_salt, _FILE_KEY_BYTES)


def _cipher_key(key: bytes) -> bytes:
    return hkdf_expand(SHA256, key, _CIPHER_LABEL, AES_256_GCM.key_bytes)


def _associated(header: list[Any], commitment: bytes) -> bytes:
    return MAGIC + cbor.encode([*header, commitment])


__all__ = (
    "MAGIC",
    "MAX_FILE_BYTES",
    "MIN_PASSPHRASE",
    "Elsewhere",
    "StoredKey",
    "open_keys",
    "seal_keys",
)
