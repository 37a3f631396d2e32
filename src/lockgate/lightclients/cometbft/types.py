"""CometBFT chain data as immutable values. Source: tendermint.types, v0.38; digest §2.

The values hold what the wire may hold. What must be true of them is checked where it matters:
`ValidatorSet` refuses to exist when it is not one, and `soundness` checks headers and commits.
Times are nanoseconds since 1970 and may be negative: Go's zero time is the first of January of
year 1, and an absent signature carries exactly that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from typing import Final, Self

from lockgate.lightclients.cometbft.errors import InvalidValidatorSet, UnsupportedKey
from lockgate.lightclients.cometbft.framing import simple_validator
from lockgate.merkle.tree import root as merkle_root
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos

BLOCK_PROTOCOL: Final = 11  # version.BlockProtocol of every CometBFT line from 0.34 to 1.0
ADDRESS_BYTES: Final = 20  # crypto.AddressSize: a truncated SHA-256
HASH_BYTES: Final = 32  # tmhash.Size
KEY_BYTES: Final = 32  # an Ed25519 public key
MAX_SIGNATURE_BYTES: Final = 64  # types.MaxSignatureSize
MAX_VALIDATORS: Final = 10_000  # types.MaxVotesCount; CometBFT itself cannot count more votes
MAX_TOTAL_POWER: Final = (2**63 - 1) // 8  # types.MaxTotalVotingPower: priorities must fit int64
MAX_INT64: Final = 2**63 - 1
MAX_INT32: Final = 2**31 - 1

GO_ZERO_TIME: Final = UnixNanos(-62_135_596_800 * NANOS_PER_SECOND)  # 0001-01-01, "no time"
END_OF_TIME: Final = UnixNanos(253_402_300_800 * NANOS_PER_SECOND)  # year 10000, first refused


def address_of(public_key: bytes) -> bytes:
    """Return the validator address of an Ed25519 key: the first 20 bytes of its SHA-256."""
    return sha256(public_key).digest()[:ADDRESS_BYTES]


class BlockIdFlag(IntEnum):
    """What one validator did in the commit round."""

    ABSENT = 1
    COMMIT = 2
    NIL = 3


class VoteType(IntEnum):
    """The kinds of signed consensus message."""

    UNKNOWN = 0
    PREVOTE = 1
    PRECOMMIT = 2
    PROPOSAL = 32


@dataclass(frozen=True, slots=True)
class PartSetHeader:
    """How many parts an encoded block was cut into, and their Merkle root."""

    total: int = 0
    hash: bytes = b""


@dataclass(frozen=True, slots=True)
class BlockID:
    """Header hash and part set of a block; all empty before the first block and in nil votes."""

    hash: bytes = b""
    parts: PartSetHeader = PartSetHeader()

    @property
    def is_zero(self) -> bool:
        return not self.hash and not self.parts.hash and self.parts.total == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A block header: fourteen fields, each a leaf of the block hash."""

    chain_id: str
    height: int  # >= 1 in a real header
    time: UnixNanos
    validators_hash: bytes
    next_validators_hash: bytes
    proposer_address: bytes
    app_hash: bytes = b""  # state after the block before; any length, 32 bytes on IBC chains
    version_block: int = BLOCK_PROTOCOL
    version_app: int = 0
    last_block_id: BlockID = BlockID()
    last_commit_hash: bytes = b""
    data_hash: bytes = b""
    consensus_hash: bytes = b""
    last_results_hash: bytes = b""
    evidence_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class CommitSig:
    """One validator's part in a commit, at the validator's place in the set."""

    flag: BlockIdFlag
    validator_address: bytes = b""
    timestamp: UnixNanos = GO_ZERO_TIME
    signature: bytes = b""


ABSENT_SIG: Final = CommitSig(BlockIdFlag.ABSENT)


@dataclass(frozen=True, slots=True)
class Commit:
    """The precommits that decided a block. Empty for the block before the first."""

    height: int = 0
    round: int = 0
    block_id: BlockID = BlockID()
    signatures: tuple[CommitSig, ...] = ()


@dataclass(frozen=True, slots=True)
class Validator:
    """A consensus key with its power. The address follows from the key."""

    address: bytes
    public_key: bytes  # Ed25519, 32 bytes
    voting_power: int
    proposer_priority: int = 0  # not hashed, not signed

    @classmethod
    def from_key(cls, public_key: bytes, voting_power: int) -> Self:
        return cls(address_of(public_key), public_key, voting_power)


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """Validators in canonical order: power descending, then address. Source: digest §4, §8.

    Raises `InvalidValidatorSet` for an empty set, more than MAX_VALIDATORS, a negative power, a
    total of zero or above MAX_TOTAL_POWER, an address that is not its key's, a doubled validator,
    another order, or a proposer that is not a member; `UnsupportedKey` for a key of another size.
    """

    validators: tuple[Validator, ...]
    proposer: Validator
    total_power: int = field(init=False, compare=False)
    _hash: bytes = field(init=False, compare=False, repr=False, default=b"")
    _places: dict[bytes, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total_power", _checked_power(self.validators))
        places = {validator.address: place for place, validator in enumerate(self.validators)}
        if len(places) != len(self.validators):
            raise InvalidValidatorSet("a validator is there twice")
        if self.proposer.address not in places:
            raise InvalidValidatorSet("the proposer is not a member", proposer=self.proposer.address)
        _check_validator(self.proposer)
        object.__setattr__(self, "_places", places)

    @classmethod
    def of(cls, validators: tuple[Validator, ...], proposer_address: bytes = b"") -> Self:
        """Put `validators` into canonical order. The proposer is the first unless named."""
        ordered = tuple(sorted(validators, key=_rank))
        if not ordered:
            raise InvalidValidatorSet("no validators")
        if not proposer_address:
            return cls(ordered, ordered[0])
        for validator in ordered:
            if validator.address == proposer_address:
                return cls(ordered, validator)
        raise InvalidValidatorSet("the proposer is not a member", proposer=proposer_address)

    @property
    def hash(self) -> bytes:
        """The 32 bytes a header's `validators_hash` holds; computed once."""
        if not self._hash:
            root = merkle_root([simple_validator(v.public_key, v.voting_power) for v in self.validators])
            object.__setattr__(self, "_hash", root)
        return self._hash

    def place(self, address: bytes) -> int | None:
        """Return the index of the validator with this address, or None."""
        return self._places.get(address)

    def __len__(self) -> int:
        return len(self.validators)


def _rank(validator: Validator) -> tuple[int, bytes]:
    return (-validator.voting_power, validator.address)


def _checked_power(validators: tuple[Validator, ...]) -> int:
    if not 0 < len(validators) <= MAX_VALIDATORS:
        raise InvalidValidatorSet("empty, or too many validators", count=len(validators), most=MAX_VALIDATORS)
    total = 0
    above = (-MAX_INT64, b"")
    for validator in validators:
        _check_validator(validator)
        rank = (-validator.voting_power, validator.address)
        if rank < above:
            raise InvalidValidatorSet("not ordered by power, then address", address=validator.address)
        above = rank
        total += validator.voting_power
    if not 0 < total <= MAX_TOTAL_POWER:
        raise InvalidValidatorSet("no power in total, or too much", total=total, most=MAX_TOTAL_POWER)
    return total


def _check_validator(validator: Validator) -> None:
    if len(validator.public_key) != KEY_BYTES:
        raise UnsupportedKey(length=len(validator.public_key))
    if validator.voting_power < 0:
        raise InvalidValidatorSet("negative power", address=validator.address, power=validator.voting_power)
    if validator.address != address_of(validator.public_key):
        raise InvalidValidatorSet("an address is not its key's", address=validator.address)


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A header and the commit that decided it."""

    header: Header
    commit: Commit


@dataclass(frozen=True, slots=True)
class LightBlock:
    """What a full light client fetches for one height: header, commit, both validator sets.

    `next_validators` are those of height + 1. A later header can be skipped to only when enough of
    *them* signed it, and a 07-tendermint header names them as `trusted_validators`.
    """

    signed_header: SignedHeader
    validators: ValidatorSet
    next_validators: ValidatorSet

    @property
    def header(self) -> Header:
        return self.signed_header.header

    @property
    def height(self) -> int:
        return self.signed_header.header.height


__all__ = (
    "ABSENT_SIG",
    "ADDRESS_BYTES",
    "BLOCK_PROTOCOL",
    "END_OF_TIME",
    "GO_ZERO_TIME",
    "HASH_BYTES",
    "KEY_BYTES",
    "MAX_INT32",
    "MAX_INT64",
    "MAX_SIGNATURE_BYTES",
    "MAX_TOTAL_POWER",
    "MAX_VALIDATORS",
    "BlockID",
    "BlockIdFlag",
    "Commit",
    "CommitSig",
    "Header",
    "LightBlock",
    "PartSetHeader",
    "SignedHeader",
    "Validator",
    "ValidatorSet",
    "VoteType",
    "address_of",
)
