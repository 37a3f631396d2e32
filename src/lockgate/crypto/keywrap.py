"""AES key wrap: RFC 3394 (whole 8-byte blocks) and RFC 5649 (with padding)."""

from __future__ import annotations

from cryptography.hazmat.primitives import keywrap as _keywrap

from lockgate.crypto.errors import UnwrapFailed, WrongLength

_AES_KEYS = (16, 24, 32)


def wrap(wrapping_key: bytes, key: bytes) -> bytes:
    """Wrap a key of 16 bytes or more, a multiple of 8 (RFC 3394)."""
    _check(wrapping_key)
    if len(key) < 16 or len(key) % 8:
        raise WrongLength("AES-KW wraps whole blocks of 8 bytes, at least two", size=len(key))
    return _keywrap.aes_key_wrap(wrapping_key, key)


def unwrap(wrapping_key: bytes, wrapped: bytes) -> bytes:
    """Return the key, or raise UnwrapFailed on any other bytes (RFC 3394)."""
    _check(wrapping_key)
    try:
        return _keywrap.aes_key_unwrap(wrapping_key, wrapped)
    except (_keywrap.InvalidUnwrap, ValueError) as error:
        raise UnwrapFailed from error


def wrap_padded(wrapping_key: bytes, key: bytes) -> bytes:
    """Wrap a key of any length from 1 byte (RFC 5649)."""
    _check(wrapping_key)
    if not key:
        raise WrongLength("there is nothing to wrap", size=0)
    return _keywrap.aes_key_wrap_with_padding(wrapping_key, key)


def unwrap_padded(wrapping_key: bytes, wrapped: bytes) -> bytes:
    """Return the key, or raise UnwrapFailed on any other bytes (RFC 5649)."""
    _check(wrapping_key)
    try:
        return _keywrap.aes_key_unwrap_with_padding(wrapping_key, wrapped)
    except (_keywrap.InvalidUnwrap, ValueError) as error:
        raise UnwrapFailed from error


def _check(wrapping_key: bytes) -> None:
    if len(wrapping_key) not in _AES_KEYS:
        raise WrongLength("an AES key has 16, 24 or 32 bytes", got=len(wrapping_key))


__all__ = ("unwrap", "unwrap_padded", "wrap", "wrap_padded")
