"""Message authentication: HMAC (RFC 2104) and AES-CBC-MAC as COSE names it (RFC 9053 §3.2)."""

from __future__ import annotations

from cryptography.hazmat.primitives import hmac as _hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from lockgate.crypto.errors import WrongLength
from lockgate.crypto.hashes import Hash, equal

_AES_BLOCK = 16
_AES_KEYS = (16, 32)


def hmac(hash_: Hash, key: bytes, data: bytes, tag_bytes: int | None = None) -> bytes:
    """Return the HMAC of `data`, cut to its first `tag_bytes` bytes when that is given."""
    if tag_bytes is not None and not 8 <= tag_bytes <= hash_.digest_bytes:
        raise WrongLength("an HMAC tag has 8 bytes to the length of the hash", tag_bytes=tag_bytes)
    context = _hmac.HMAC(key, hash_.algorithm)
    context.update(data)
    return context.finalize()[:tag_bytes]


def hmac_verify(hash_: Hash, key: bytes, data: bytes, tag: bytes, tag_bytes: int | None = None) -> bool:
    """Whether `tag` is the HMAC of `data`. The expected length is the caller's, never the tag's own."""
    return equal(hmac(hash_, key, data, tag_bytes), tag)


def aes_cbc_mac(key: bytes, data: bytes, tag_bytes: int) -> bytes:
    """Return the AES-CBC-MAC of `data` with zero IV and zero padding, cut to `tag_bytes`.

    CBC-MAC is sound only where one key sees messages of one length, or prefix-free ones; COSE's
    MAC_structure is. Nothing of ours uses it: it is here to read other people's messages.
    """
    if len(key) not in _AES_KEYS or not 8 <= tag_bytes <= _AES_BLOCK:
        raise WrongLength("AES-MAC takes a 16 or 32 byte key and an 8 to 16 byte tag", tag_bytes=tag_bytes)
    padded = data + bytes(-len(data) % _AES_BLOCK) or bytes(_AES_BLOCK)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(_AES_BLOCK))).encryptor()
    return (encryptor.update(padded) + encryptor.finalize())[-_AES_BLOCK:][:tag_bytes]


def aes_cbc_mac_verify(key: bytes, data: bytes, tag: bytes, tag_bytes: int) -> bool:
    return equal(aes_cbc_mac(key, data, tag_bytes), tag)


__all__ = ("aes_cbc_mac", "aes_cbc_mac_verify", "hmac", "hmac_verify")
