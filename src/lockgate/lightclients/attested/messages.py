"""What signers sign and relayers bring: attestations, rotations, and evidence of two attestations.

Signed bytes are those of every signature of ours (P6), under a purpose of their own, for the attested
ledger's domain and revision; the message names what it is, the chain, and the hash of the signer set,
which holds its epoch. So no signature serves another ledger, a fork under another genesis or revision,
another epoch, or another kind of statement (C1, C3).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.crypto.keys import IdentityKey, IdentitySigner
from lockgate.lightclients.attested.signers import MAX_SIGNERS, SignerSet, read_set
from lockgate.lightclients.attested.states import ClientState, ConsensusState
from lockgate.lightclients.forms import decoded, items
from lockgate.lightclients.standing import MalformedState
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos

ATTESTATION: Final = "/lockgate.lightclients.attested.v1.Attestation"
ROTATION: Final = "/lockgate.lightclients.attested.v1.Rotation"
MISBEHAVIOUR: Final = "/lockgate.lightclients.attested.v1.Misbehaviour"
Signatures = tuple[tuple[bytes, bytes], ...]  # (key hash, signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """One height of the attested ledger: when it was, and the root of its state."""

    epoch: int
    height: Height
    timestamp: UnixNanos
    root: bytes
    signatures: Signatures = ()

    @property
    def consensus_state(self) -> ConsensusState:
        return ConsensusState(self.timestamp, self.root)

    def message(self, chain_id: str, signers: SignerSet) -> bytes:
        """What each signer signs, inside `signed`."""
        height = [self.height.revision, self.height.height]
        return cbor.encode(["attestation", chain_id, signers.hash, height, int(self.timestamp), self.root])

    def to_value(self) -> list[Any]:
        height = [self.height.revision, self.height.height]
        return [self.epoch, height, int(self.timestamp), self.root, [list(pair) for pair in self.signatures]]

    def digest(self, chain_id: str, signers: SignerSet) -> bytes:
        """SHA-256 of what was attested: what a settlement record names."""
        return hashlib.sha256(self.message(chain_id, signers)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """The next signer set, signed by a quorum of the present one."""

    following: SignerSet
    signatures: Signatures = ()

    def message(self, chain_id: str, signers: SignerSet) -> bytes:
        return cbor.encode(["rotation", chain_id, signers.hash, self.following.hash])


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """Two attestations; `first` is not lower than `second`."""

    first: Attestation
    second: Attestation

    @property
    def is_contradiction(self) -> bool:
        """One height with unlike content, or a later height that is not later in time."""
        one, other = self.first, self.second
        if one.height == other.height:
            return one.consensus_state != other.consensus_state
        return one.height > other.height and one.timestamp <= other.timestamp


def signed(key: IdentityKey, state: ClientState, message: bytes) -> bytes:
    """The bytes that a signer's key covers for `message` on the attested ledger."""
    revision = state.latest_height.revision
    return signing_bytes(Purpose.ATTESTATION, key.suite, key.hash, state.domain, revision, message)


def sign(signer: IdentitySigner, state: ClientState, message: bytes) -> tuple[bytes, bytes]:
    """Return (key hash, signature) of an attester. Raises WrongPurpose when the key is another role's."""
    revision = state.latest_height.revision
    return signer.key.hash, signer.sign_for(Purpose.ATTESTATION, state.domain, revision, message)


def encode_attestation(attestation: Attestation) -> bytes:
    return cbor.encode(attestation.to_value())


def decode_attestation(raw: bytes) -> Attestation:
    """Raises MalformedState."""
    return _read_attestation(decoded(raw))


def encode_rotation(rotation: Rotation) -> bytes:
    return cbor.encode([rotation.following.to_value(), [list(pair) for pair in rotation.signatures]])


def decode_rotation(raw: bytes) -> Rotation:
    """Raises MalformedState, SignersRefused for keys of no suite."""
    following, signatures = items(decoded(raw), tuple, tuple)
    return Rotation(following=read_set(following), signatures=_read_signatures(signatures))


def encode_misbehaviour(evidence: Misbehaviour) -> bytes:
    return cbor.encode([evidence.first.to_value(), evidence.second.to_value()])


def decode_misbehaviour(raw: bytes) -> Misbehaviour:
    """Raises MalformedState."""
    first, second = items(decoded(raw), tuple, tuple)
    return Misbehaviour(_read_attestation(first), _read_attestation(second))


def _read_attestation(value: Any) -> Attestation:
    epoch, height, timestamp, root, signatures = items(value, int, tuple, int, bytes, tuple)
    return Attestation(
        epoch=epoch,
        height=Height(*items(height, int, int)),
        timestamp=UnixNanos(timestamp),
        root=root,
        signatures=_read_signatures(signatures),
    )


def _read_signatures(value: tuple[Any, ...]) -> Signatures:
    if len(value) > MAX_SIGNERS:
        raise MalformedState("too many signatures", count=len(value), most=MAX_SIGNERS)
    return tuple((name, signature) for name, signature in (items(pair, bytes, bytes) for pair in value))


__all__ = (
    "ATTESTATION",
    "MISBEHAVIOUR",
    "ROTATION",
    "Attestation",
    "Misbehaviour",
    "Rotation",
    "decode_attestation",
    "decode_misbehaviour",
    "decode_rotation",
    "encode_attestation",
    "encode_misbehaviour",
    "encode_rotation",
    "sign",
    "signed",
)
