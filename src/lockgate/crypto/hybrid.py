"""What a signature says (P6), and hybrid signatures: two algorithms, both of which must hold.

Every signature of ours covers `signing_bytes`: label, purpose, suite id, hash of all public keys of
the identity, domain id with revision, then the message. So it means nothing for another purpose,
under another suite, beside another partner key, on another ledger or on a fork of the same one.
Validators' votes are the exception: those are CometBFT's own bytes, under keys that sign nothing else.

A hybrid signature is the concatenation of its halves, each of fixed length. A half does not cover the
message alone but a label, the suite and the hash of the pair in front of it: cut out, it verifies
under no other suite, and beside another partner it does not verify at all. A suite of a single
algorithm signs the message as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Final

from lockgate.crypto.errors import BadKey, WrongLength
from lockgate.crypto.ports import Signer
from lockgate.crypto.suites import SignatureSuite

_SIGNED_LABEL: Final = b"lockgate/signed/1\x00"
_HALF_LABEL: Final = b"lockgate/hybrid-half/1\x00"
_IDENTITY_LABEL: Final = b"lockgate/identity/1\x00"
_HASH_BYTES: Final = 32
_REMEMBERED: Final = 64  # identities, some 2 KB each: asked for several times in one signature or check


class Purpose(IntEnum):
    """What a signature is for. Numbers are on the wire and never reused."""

    TRANSACTION = 1
    KEY_RECORD = 2
    ENVELOPE = 3
    HANDSHAKE = 4
    GOVERNANCE = 5
    TOKEN = 6
    ATTESTATION = 7
    CALL = 8


def signing_bytes(
    purpose: Purpose, suite_id: int, identity_hash: bytes, domain: bytes, revision: int, message: bytes
) -> bytes:
    """Return the bytes to sign; different arguments give different bytes.

    label ‖ u8 purpose ‖ u16 suite ‖ identity hash (32) ‖ u8 n ‖ domain (n = 32, or 0 for what belongs
    to no single ledger) ‖ u64 revision ‖ message. With an empty message it is the context that a COSE
    Sig_structure carries as external_aad. Raises WrongLength.
    """
    if len(identity_hash) != _HASH_BYTES or len(domain) not in (0, _HASH_BYTES):
        raise WrongLength("hashes have 32 bytes", identity=len(identity_hash), domain=len(domain))
    if not 0 <= suite_id < 1 << 16 or not 0 <= revision < 1 << 64:
        raise WrongLength("suite ids have 16 bits, revisions 64", suite=suite_id, revision=revision)
    return b"".join(
        (
            _SIGNED_LABEL,
            bytes((Purpose(purpose),)),
            suite_id.to_bytes(2),
            identity_hash,
            bytes((len(domain),)),
            domain,
            revision.to_bytes(8),
            message,
        )
    )


def identity_hash(suite_id: int, parts: Sequence[bytes]) -> bytes:
    """Hash all public keys of an identity, with their suite and lengths. 32 bytes, SHA-256."""
    return _identity_hash(suite_id, tuple(parts))


@lru_cache(maxsize=_REMEMBERED)
def _identity_hash(suite_id: int, parts: tuple[bytes, ...]) -> bytes:
    digest = hashlib.sha256(_IDENTITY_LABEL + suite_id.to_bytes(2))
    for part in parts:
        digest.update(len(part).to_bytes(4))
        digest.update(part)
    return digest.digest()


def half_bytes(suite: SignatureSuite, pair_hash: bytes, message: bytes) -> bytes:
    """What each algorithm of the suite signs for `message`; `pair_hash` is the `identity_hash`."""
    if len(suite.algorithms) == 1:
        return message
    return _HALF_LABEL + suite.id.to_bytes(2) + pair_hash + message


def verify(suite: SignatureSuite, parts: Sequence[bytes], message: bytes, signature: bytes) -> bool:
    """Whether every algorithm of the suite accepts its part. Never raises, whatever the bytes.

    All are asked, so that the time of a refusal does not say which half is wrong first.
    """
    if len(parts) != len(suite.algorithms) or len(signature) != suite.signature_bytes:
        return False
    covered = half_bytes(suite, identity_hash(suite.id, parts), message)
    start, good = 0, True
    for algorithm, part in zip(suite.algorithms, parts, strict=True):
        end = start + algorithm.signature_bytes
        good &= algorithm.verify(part, signature[start:end], covered)
        start = end
    return good


def sign(suite: SignatureSuite, signers: Sequence[Signer], message: bytes) -> bytes:
    """Sign with one signer for each algorithm of the suite, in its order. Raises BadKey."""
    names = tuple(algorithm.name for algorithm in suite.algorithms)
    if tuple(signer.algorithm for signer in signers) != names:
        raise BadKey("the signers are not those of the suite", suite=suite.id, expected=names)
    covered = half_bytes(suite, identity_hash(suite.id, [s.public_key for s in signers]), message)
    return b"".join(signer.sign(covered) for signer in signers)


__all__ = ("Purpose", "half_bytes", "identity_hash", "sign", "signing_bytes", "verify")
