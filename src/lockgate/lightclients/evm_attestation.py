"""What an attestor signs for a contract on an EVM, and how a batch is shown to lie under its root.

The twin of `contracts/attested.vy`. The signed bytes are an EIP-712 struct: its domain binds the network's chain id,
the contract, and as salt the domain id of the attested ledger (P9); the struct binds client and set epoch beside
height, time and state root (P21). The Merkle root covers the leaves somebody asked for, so that a quorum is verified
once, however many packets it brings. Nothing here signs: the digest is 32 bytes for any secp256k1 key.
Source: EIP-712; EIP-2098 for the form of a signature; docs/spec/evm.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.codec import abi
from lockgate.crypto.keccak import keccak256
from lockgate.primitives.errors import Misuse
from lockgate.primitives.time import UnixSeconds

TYPE_URL: Final = "/lockgate.lightclients.evm_attested.v1.Attestation"  # of a client message: ABI of ATTESTATION
MAX_LEAVES: Final = 256  # under one root: their positions are the bits of one word
ABSENT: Final = bytes(32)  # the value of a path under which nothing is stored
_WORD: Final = abi.UINT256
_ADDRESS: Final = abi.Uint(160)
_SIGNATURE: Final = abi.Tuple((abi.Uint(8), _WORD, _WORD))
ATTESTATION: Final = abi.Tuple((abi.UINT64, abi.UINT64, abi.UINT64, _WORD, _WORD, abi.Array(_SIGNATURE)))
INCLUSION: Final = abi.Tuple((abi.UINT64, _WORD, abi.Array(_WORD)))
SIGNING_SET: Final = abi.Tuple(
    (abi.Array(abi.Tuple((abi.UINT64, _ADDRESS, abi.UINT64))), abi.UINT64, abi.UINT64, abi.UINT64)
)
_DOMAIN: Final = keccak256(
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
)
_NAME: Final = keccak256(b"lockgate.attested")
_VERSION: Final = keccak256(b"1")
_STATEMENT: Final = keccak256(
    b"Attestation(bytes32 client,uint64 epoch,uint64 height,uint64 time,bytes32 stateRoot,bytes32 leavesRoot)"
)
_ROTATION: Final = keccak256(b"Rotation(bytes32 client,uint64 epoch,bytes32 following)")
_LEAF: Final = keccak256(b"lockgate.attested.leaf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Which contract, on which network, for which client and ledger: what keeps a signature from serving elsewhere."""

    chain_id: int
    contract: bytes  # 20 bytes
    client_id: str  # as the host contract knows it
    source: bytes  # 32 bytes: domain id of the attested ledger

    def digest(self, content: bytes) -> bytes:
        """EIP-712 digest of a struct hash under this binding."""
        domain = keccak256(_DOMAIN + _NAME + _VERSION + _word(self.chain_id) + bytes(12) + self.contract + self.source)
        return keccak256(b"\x19\x01" + domain + content)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A path of the attested ledger's `ibc` store, hashed with Keccak-256, and the 32 bytes there; ABSENT for none."""

    path: bytes
    value: bytes

    @property
    def hash(self) -> bytes:
        return keccak256(_LEAF + self.path + self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a quorum says of one height."""

    epoch: int
    height: int
    time: UnixSeconds
    state_root: bytes
    leaves_root: bytes

    def digest(self, binding: Binding) -> bytes:
        """What each signer signs: 32 bytes."""
        fields = _word(self.epoch) + _word(self.height) + _word(self.time) + self.state_root + self.leaves_root
        return binding.digest(keccak256(_STATEMENT + keccak256(binding.client_id.encode()) + fields))


@dataclass(frozen=True, slots=True)
class Signed:
    """One member's signature: its position in the set, r, and s with the parity of y in its top bit (EIP-2098)."""

    position: int
    r: bytes
    vs: bytes


@dataclass(frozen=True, slots=True)
class Member:
    """One operator of a set, with its key's address and its weight (1..65,535)."""

    operator: int
    signer: bytes
    weight: int


@dataclass(frozen=True, slots=True)
class SigningSet:
    """Members by ascending operator; what a quorum needs in weight and in number; when the set lapses."""

    members: tuple[Member, ...]
    threshold: int
    operators: int
    expires: UnixSeconds

    def fields(self) -> tuple[object, ...]:
        """The set as a value of SIGNING_SET."""
        members = tuple((one.operator, int.from_bytes(one.signer), one.weight) for one in self.members)
        return members, self.threshold, self.operators, self.expires

    def rotation_digest(self, binding: Binding, epoch: int) -> bytes:
        """What a quorum of the set of `epoch` signs to hand over to this one."""
        following = keccak256(abi.encode(SIGNING_SET, self.fields()))
        client = keccak256(binding.client_id.encode())
        return binding.digest(keccak256(_ROTATION + client + _word(epoch) + following))


@dataclass(frozen=True, slots=True)
class Inclusion:
    """How some of `size` leaves lead to the root: their positions as bits, and the siblings met, bottom up."""

    size: int
    positions: int
    siblings: tuple[bytes, ...]


def merkle_root(leaves: Sequence[Leaf]) -> bytes:
    """Root over leaves in the order given. A last node without a neighbour goes up as it is. 1..MAX_LEAVES leaves."""
    return prove(leaves, ())[0]


def prove(leaves: Sequence[Leaf], wanted: Sequence[int]) -> tuple[bytes, Inclusion]:
    """Return the root, and how the leaves at the `wanted` positions lead to it. Raises Misuse beyond MAX_LEAVES."""
    if not 1 <= len(leaves) <= MAX_LEAVES:
        raise Misuse("a root covers between 1 and 256 leaves")
    level = [leaf.hash for leaf in leaves]
    known = sorted(set(wanted))
    siblings: list[bytes] = []
    while len(level) > 1:
        siblings += [level[at ^ 1] for at in known if at ^ 1 < len(level) and at ^ 1 not in known]
        level = [
            keccak256(level[at] + level[at + 1]) if at + 1 < len(level) else level[at] for at in range(0, len(level), 2)
        ]
        known = sorted({at >> 1 for at in known})
    return level[0], Inclusion(len(leaves), sum(1 << at for at in set(wanted)), tuple(siblings))


def attestation_fields(statement: Statement, signatures: Sequence[Signed]) -> tuple[object, ...]:
    """The statement and its signatures, in the order given, as a value of ATTESTATION."""
    signed = tuple((one.position, int.from_bytes(one.r), int.from_bytes(one.vs)) for one in signatures)
    roots = int.from_bytes(statement.state_root), int.from_bytes(statement.leaves_root)
    return statement.epoch, statement.height, statement.time, *roots, signed


def encode_attestation(statement: Statement, signatures: Sequence[Signed]) -> bytes:
    """The one argument of `update`."""
    return abi.encode(ATTESTATION, attestation_fields(statement, signatures))


def inclusion_fields(inclusion: Inclusion) -> tuple[object, ...]:
    """An inclusion as a value of INCLUSION."""
    return inclusion.size, inclusion.positions, tuple(int.from_bytes(one) for one in inclusion.siblings)


def encode_proof(statement: Statement, signatures: Sequence[Signed], inclusion: Inclusion) -> bytes:
    """The proof bytes of `recvPacket` and its siblings: abi.encode(Attestation, Inclusion)."""
    both = attestation_fields(statement, signatures), inclusion_fields(inclusion)
    return abi.encode(abi.Tuple((ATTESTATION, INCLUSION)), both)[abi.WORD :]  # two arguments, not one tuple


def ordered(signatures: Mapping[int, Signed], needed: int) -> tuple[Signed, ...]:
    """The first `needed` signatures by position, as the contract wants them."""
    return tuple(signatures[position] for position in sorted(signatures))[:needed]


def _word(number: int) -> bytes:
    return number.to_bytes(abi.WORD)


__all__ = (
    "ABSENT",
    "ATTESTATION",
    "INCLUSION",
    "MAX_LEAVES",
    "SIGNING_SET",
    "TYPE_URL",
    "Binding",
    "Inclusion",
    "Leaf",
    "Member",
    "Signed",
    "SigningSet",
    "Statement",
    "attestation_fields",
    "encode_attestation",
    "encode_proof",
    "inclusion_fields",
    "merkle_root",
    "ordered",
    "prove",
)
