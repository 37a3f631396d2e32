"""Key commitment: 32 bytes that only one key can have (P17).

The AEADs we use do not commit: a sender can craft one ciphertext that opens to two bodies under two
keys, and so tell two receivers two stories, or test many keys with one message. The commitment is
HMAC-SHA256 under the key itself. Keys have exactly 32 bytes, so two keys with one commitment are a
collision of SHA-256. The context is hashed in with a label; the same key committed elsewhere differs.
"""

from __future__ import annotations

from typing import Final

from lockgate.crypto.errors import KeyCommitmentMismatch, WrongLength
from lockgate.crypto.hashes import SHA256, equal
from lockgate.crypto.mac import hmac

KEY_BYTES: Final = 32
COMMITMENT_BYTES: Final = 32
_LABEL: Final = b"lockgate/key-commitment/1"


def key_commitment(key: bytes, context: bytes = b"") -> bytes:
    """Return the 32-byte commitment to a 32-byte key.

    `key` should be the secret from which the cipher's own key is expanded, or that key itself; it
    stays pseudorandom to whoever sees the commitment, because HMAC is a PRF. The label is never the
    input of another HMAC under the same key.
    """
    if len(key) != KEY_BYTES:
        raise WrongLength("only 32-byte keys are committed to", got=len(key))
    return hmac(SHA256, key, _LABEL + context)


def require_key_commitment(commitment: bytes, key: bytes, context: bytes = b"") -> None:
    """Raise KeyCommitmentMismatch unless `commitment` is that of `key`. Call before decrypting."""
    if not equal(key_commitment(key, context), commitment):
        raise KeyCommitmentMismatch


__all__ = ("COMMITMENT_BYTES", "KEY_BYTES", "key_commitment", "require_key_commitment")
