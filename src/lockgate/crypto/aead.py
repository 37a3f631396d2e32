"""Authenticated encryption as values: AES-GCM, AES-CCM, ChaCha20-Poly1305.

None of these commits to its key: one ciphertext can open under two keys. Whoever tries several keys,
or lets a peer influence the key, checks a key commitment first (`commitment`, P17).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from lockgate.crypto.errors import OpenFailed, WrongLength


class _Cipher(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes | bytearray, associated_data: bytes | None, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Aead:
    """One cipher with its lengths in bytes. Ciphertexts are body ‖ tag, the body `max_bytes` at most."""

    name: str
    key_bytes: int
    nonce_bytes: int
    tag_bytes: int
    _make: Callable[[bytes], _Cipher] = field(repr=False)
    max_bytes: int = (1 << 31) - 1 - 16  # the library's own bound; the ciphers' are above it

    def keyed(self, key: bytes) -> KeyedAead:
        """Run the key schedule once, for callers that seal many messages under one key."""
        if len(key) != self.key_bytes:
            raise WrongLength("wrong key length", aead=self.name, expected=self.key_bytes, got=len(key))
        return KeyedAead(self, self._make(key))

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        return self.keyed(key).seal(nonce, plaintext, aad)

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        return self.keyed(key).open(nonce, ciphertext, aad)


class KeyedAead:
    """An AEAD with its key inside. Never repeats a nonce by itself: nonces are the caller's."""

    __slots__ = ("_cipher", "aead")

    def __init__(self, aead: Aead, cipher: _Cipher) -> None:
        self.aead = aead
        self._cipher = cipher

    def __repr__(self) -> str:
        return f"KeyedAead({self.aead.name}, key=…)"

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Encrypt. Raises WrongLength on a nonce of another length or an oversized message."""
        self._check_nonce(nonce)
        if len(plaintext) > self.aead.max_bytes:
            raise WrongLength("the message is too long", aead=self.aead.name, most=self.aead.max_bytes)
        return self._cipher.encrypt(nonce, plaintext, aad)

    def open(self, nonce: bytes, ciphertext: bytes | bytearray, aad: bytes) -> bytes:
        """Decrypt. Raises OpenFailed, whatever is wrong with the ciphertext."""
        self._check_nonce(nonce)
        if len(ciphertext) > self.aead.max_bytes + self.aead.tag_bytes:
            raise OpenFailed(aead=self.aead.name)
        try:
            return self._cipher.decrypt(nonce, ciphertext, aad)
        except InvalidTag as error:
            raise OpenFailed(aead=self.aead.name) from error

    def _check_nonce(self, nonce: bytes) -> None:
        if len(nonce) != self.aead.nonce_bytes:
            raise WrongLength("wrong nonce length", aead=self.aead.name, expected=self.aead.nonce_bytes, got=len(nonce))


def aes_gcm(key_bytes: int, nonce_bytes: int = 12) -> Aead:
    """AES-GCM (SP 800-38D). Nonces other than 12 bytes are hashed first: only to read foreign data."""
    if key_bytes not in (16, 24, 32) or not 8 <= nonce_bytes <= 128:
        raise WrongLength("AES-GCM lengths", key_bytes=key_bytes, nonce_bytes=nonce_bytes)
    return Aead(f"AES-{key_bytes * 8}-GCM", key_bytes, nonce_bytes, 16, AESGCM)


def aes_ccm(key_bytes: int, nonce_bytes: int, tag_bytes: int) -> Aead:
    """AES-CCM (RFC 3610, SP 800-38C); COSE uses 13- and 7-byte nonces, 8- and 16-byte tags."""
    if key_bytes not in (16, 24, 32) or not 7 <= nonce_bytes <= 13 or tag_bytes not in range(4, 17, 2):
        raise WrongLength("AES-CCM lengths", key_bytes=key_bytes, nonce_bytes=nonce_bytes, tag_bytes=tag_bytes)
    name = f"AES-{key_bytes * 8}-CCM-{tag_bytes * 8}"
    length_bytes = 15 - nonce_bytes  # CCM counts the message in what the nonce leaves
    return Aead(
        name,
        key_bytes,
        nonce_bytes,
        tag_bytes,
        lambda key: AESCCM(key, tag_length=tag_bytes),
        min((1 << 8 * length_bytes) - 1, (1 << 31) - 1 - 16),
    )


AES_128_GCM: Final = aes_gcm(16)
AES_192_GCM: Final = aes_gcm(24)
AES_256_GCM: Final = aes_gcm(32)
CHACHA20_POLY1305: Final = Aead("ChaCha20-Poly1305", 32, 12, 16, ChaCha20Poly1305)

__all__ = (
    "AES_128_GCM",
    "AES_192_GCM",
    "AES_256_GCM",
    "CHACHA20_POLY1305",
    "Aead",
    "KeyedAead",
    "aes_ccm",
    "aes_gcm",
)
