"""COSE receipts: a log's signature under a root, with the proof that leads to it from an entry.

The root is not sent: it is computed from the entry and the proof, and the signature is over it. Two profiles are read,
RFC 9162 with SHA-256, and the ledgers of CCF, whose leaf is sha256(transaction ‖ sha256(evidence) ‖ sha256(entry)).
Source: draft-ietf-cose-merkle-tree-proofs; draft-ietf-scitt-receipts-ccf-profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lockgate.attest.certificates import public_key
from lockgate.attest.errors import EvidenceMalformed, ReceiptRefused
from lockgate.codec import cbor_modes
from lockgate.crypto.hashes import SHA256
from lockgate.envelope.cose.algorithms import SIGNATURES
from lockgate.envelope.cose.headers import Acceptance
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import ALG, TREE_PROFILE, TREE_PROOFS
from lockgate.envelope.cose.sign import Sign1
from lockgate.envelope.cose.wire import LIMITS, Wire
from lockgate.merkle import tree
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.sealed import Sealed

RFC9162_SHA256: Final = 1
CCF: Final = 2
MAX_PATH: Final = 64  # siblings: a log has below 2^64 entries
MAX_PROOFS: Final = 8  # of one receipt; those seen have one
INCLUSION: Final = -1
CONSISTENCY: Final = -2
_HASH_BYTES: Final = 32
_MAX_EVIDENCE: Final = 1024  # characters of a transaction's commit evidence; those seen have below 100


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as it came, not yet believed."""

    sign1: Sign1

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises CoseMalformed, BadHeader."""
        return cls(Sign1.decode(data, Wire.FOREIGN))

    @property
    def profile(self) -> int:
        """Raises ReceiptRefused for a tree nobody reads here."""
        profile = self.sign1.headers.protected.get(TREE_PROFILE)
        if type(profile) is not int or profile not in (RFC9162_SHA256, CCF):
            raise ReceiptRefused("a receipt of an unknown kind of tree", profile=profile)
        return profile

    def proofs(self, kind: int) -> tuple[Any, ...]:
        """The decoded proofs of one kind, at least one. Raises EvidenceMalformed."""
        found = self.sign1.headers.unprotected.get(TREE_PROOFS)
        proofs = found.get(kind) if isinstance(found, Mapping) else None
        if type(proofs) is not tuple or not 0 < len(proofs) <= MAX_PROOFS:
            raise EvidenceMalformed("a receipt has one to eight proofs of the kind asked for", kind=kind)
        if not all(type(proof) is bytes for proof in proofs):
            raise EvidenceMalformed("a proof is CBOR in a byte string")
        try:
            return tuple(cbor_modes.decode(proof, limits=LIMITS) for proof in proofs)
        except LockgateError as error:
            raise EvidenceMalformed("a proof is CBOR in a byte string") from error


@final
@dataclass(frozen=True, slots=True)
class Included(metaclass=Sealed):
    """An entry that a service's signed root covers. Only `verify_inclusion` makes one."""

    entry: bytes
    root: bytes
    kid: bytes


@final
@dataclass(frozen=True, slots=True)
class Extended(metaclass=Sealed):
    """A signed root of a log that begins with an older one's entries. Only `verify_consistency` makes one."""

    old_root: bytes
    root: bytes
    kid: bytes


def verify_inclusion(receipt: Receipt, entry: bytes, keys: Mapping[bytes, CoseKey]) -> Included:
    """Check that the log holds `entry`: for a statement, its `bare` bytes. `keys` are the service's, by key id.

    Raises ReceiptRefused, EvidenceMalformed, BadTreeIndex, or what `Sign1.verify` raises.
    """
    root = root_of(receipt, entry)
    return Sealed.make(Included, entry, root, _check_signature(receipt, root, keys))


def verify_consistency(receipt: Receipt, old_root: bytes, keys: Mapping[bytes, CoseKey]) -> Extended:
    """Check that the log whose root was `old_root` has only grown. Raises as `verify_inclusion`, ProofMismatch."""
    if receipt.profile != RFC9162_SHA256:
        raise ReceiptRefused("this kind of tree has no proofs of consistency", profile=receipt.profile)
    roots = {_extended(proof, old_root) for proof in receipt.proofs(CONSISTENCY)}
    root = _one(roots)
    return Sealed.make(Extended, old_root, root, _check_signature(receipt, root, keys))


def root_of(receipt: Receipt, entry: bytes) -> bytes:
    """The root that the receipt's proofs lead to from `entry`, whoever signed it."""
    lead = _ccf_root if receipt.profile == CCF else _rfc9162_root
    return _one({lead(proof, entry) for proof in receipt.proofs(INCLUSION)})


def ccf_key(certificate: x509.Certificate, alg: int) -> tuple[bytes, CoseKey]:
    """(key id, key) of a CCF service: the id is the SHA-256 of its SubjectPublicKeyInfo in hexadecimal."""
    info = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return SHA256.digest(info).hex().encode(), public_key(certificate, alg)


def _rfc9162_root(proof: Any, entry: bytes) -> bytes:
    size, index, path = _numbers_and_path(proof)
    return tree.inclusion_root(tree.leaf_hash(entry), index, size, path)


def _extended(proof: Any, old_root: bytes) -> bytes:
    old, new, path = _numbers_and_path(proof)
    return tree.consistency_root(0, old, new, path, old_root)


def _numbers_and_path(proof: Any) -> tuple[int, int, tuple[bytes, ...]]:
    match proof:
        case (int(first), int(second), tuple(path)) if type(first) is type(second) is int:
            return first, second, tuple(_hash(one) for one in _short(path))
        case _:
            raise EvidenceMalformed("a proof is two sizes and a path")


def _ccf_root(proof: Any, entry: bytes) -> bytes:
    leaf, path = (proof.get(1), proof.get(2)) if isinstance(proof, Mapping) else (None, None)
    if type(leaf) is not tuple or len(leaf) != 3 or type(path) is not tuple:
        raise EvidenceMalformed("a proof of a CCF ledger is a leaf of three parts and a path")
    transaction, evidence, data_hash = leaf
    if type(evidence) is not str or len(evidence) > _MAX_EVIDENCE:
        raise EvidenceMalformed("commit evidence is text")
    if _hash(data_hash) != SHA256.digest(entry):
        raise ReceiptRefused("the receipt is of another entry", held=data_hash)
    current = SHA256.digest(_hash(transaction) + SHA256.digest(evidence.encode()) + data_hash)
    for step in _short(path):
        if type(step) is not tuple or len(step) != 2 or type(step[0]) is not bool:
            raise EvidenceMalformed("a step of a path is a side and a hash")
        left, sibling = step[0], _hash(step[1])
        current = SHA256.digest(sibling + current if left else current + sibling)
    return current


def _short(path: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(path) > MAX_PATH:
        raise EvidenceMalformed("a path is too long", length=len(path), limit=MAX_PATH)
    return path


def _hash(item: Any) -> bytes:
    if type(item) is not bytes or len(item) != _HASH_BYTES:
        raise EvidenceMalformed("a hash has 32 bytes")
    return item


def _one(roots: set[bytes]) -> bytes:
    if len(roots) != 1:
        raise ReceiptRefused("the proofs of one receipt lead to unlike roots", roots=len(roots))
    return roots.pop()


def _check_signature(receipt: Receipt, root: bytes, keys: Mapping[bytes, CoseKey]) -> bytes:
    """The id of the key that signed `root`. A receipt that names none of `keys` is refused."""
    headers = receipt.sign1.headers
    kid, alg = headers.kid, headers.protected.get(ALG)
    if kid is None or kid not in keys:
        raise ReceiptRefused("the receipt is signed by a key that is not the service's", kid=kid)
    if receipt.sign1.payload is not None or type(alg) is not int:
        raise EvidenceMalformed("a receipt names its algorithm and carries no root")
    accept = Acceptance(algorithms=frozenset(SIGNATURES), understood=frozenset({TREE_PROFILE}), bare_alg=False)
    receipt.sign1.verify(keys[kid].bound_to(alg), accept, external_aad=b"", detached=root)
    return kid


__all__ = (
    "CCF",
    "CONSISTENCY",
    "INCLUSION",
    "RFC9162_SHA256",
    "Extended",
    "Included",
    "Receipt",
    "ccf_key",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
)
