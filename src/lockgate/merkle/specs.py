"""ICS-23 proof specifications as values. Source: cosmos.ics23.v1.ProofSpec; digest §2."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from google.protobuf.message import DecodeError

from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle.errors import ProofMalformed

DEFAULT_MAX_DEPTH: Final = 128  # the reference verifier's default where a spec says 0
MAX_CHILDREN: Final = 16  # no deployed tree branches wider; bounds the order lists
MAX_SPEC_BYTES: Final = 1_024  # the standard ones are below 40


class HashOp(enum.IntEnum):
    NO_HASH = 0
    SHA256 = 1
    SHA512 = 2
    KECCAK256 = 3
    RIPEMD160 = 4
    BITCOIN = 5
    SHA512_256 = 6
    BLAKE2B_512 = 7
    BLAKE2S_256 = 8
    BLAKE3 = 9


class LengthOp(enum.IntEnum):
    NO_PREFIX = 0
    VAR_PROTO = 1
    VAR_RLP = 2
    FIXED32_BIG = 3
    FIXED32_LITTLE = 4
    FIXED64_BIG = 5
    FIXED64_LITTLE = 6
    REQUIRE_32_BYTES = 7
    REQUIRE_64_BYTES = 8


class Form(enum.Enum):
    """Trees whose steps have rules beyond their spec's numbers."""

    GENERIC = "generic"
    IAVL = "iavl"  # a prefix is three numbers and at most one child
    SIMPLE = "simple"  # a prefix is 01, or 01 and the left child


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafSpec:
    """How leaves are hashed."""

    hash: int
    prehash_key: int
    prehash_value: int
    length: int
    prefix: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerSpec:
    """How inner nodes are laid out. `child_order` is a permutation; sizes are bytes, and not negative."""

    child_order: tuple[int, ...]
    child_size: int
    min_prefix: int
    max_prefix: int
    empty_child: bytes
    hash: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofSpec:
    """One kind of tree. `max_depth` 0 means the default; `min_depth` 0 means no bound.

    `form` follows from the rest, as the reference verifier decides it: by the hashes, lengths and sizes
    of a well-known spec, whatever depth or leaf prefix stands beside them.
    """

    leaf: LeafSpec
    inner: InnerSpec
    max_depth: int = 0
    min_depth: int = 0
    prehash_key_before_comparison: bool = False
    form: Form = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "form", _FORMS.get(_characteristics(self.leaf, self.inner), Form.GENERIC))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a serialised ProofSpec. Raises ProofMalformed for one that fits no tree."""
        if len(data) > MAX_SPEC_BYTES:
            raise ProofMalformed("a proof spec is too long", size=len(data))
        try:
            return cls.from_wire(wire.ProofSpec.FromString(data))
        except DecodeError as error:
            raise ProofMalformed("not a ProofSpec") from error

    @classmethod
    def from_wire(cls, message: wire.ProofSpec) -> Self:
        """Take the values of a parsed ProofSpec. Raises ProofMalformed."""
        if not message.HasField("leaf_spec") or not message.HasField("inner_spec"):
            raise ProofMalformed("a proof spec needs a leaf and an inner spec")
        leaf, inner = message.leaf_spec, message.inner_spec
        if len(inner.child_order) > MAX_CHILDREN:
            raise ProofMalformed("too many children", count=len(inner.child_order))
        if sorted(inner.child_order) != list(range(len(inner.child_order))):
            raise ProofMalformed("the order of children is no permutation")
        sizes = (inner.child_size, inner.min_prefix_length, inner.max_prefix_length)
        if min(*sizes, message.max_depth, message.min_depth) < 0:
            raise ProofMalformed("a negative size or depth")
        return cls(
            leaf=LeafSpec(
                hash=leaf.hash,
                prehash_key=leaf.prehash_key,
                prehash_value=leaf.prehash_value,
                length=leaf.length,
                prefix=leaf.prefix,
            ),
            inner=InnerSpec(
                child_order=tuple(inner.child_order),
                child_size=inner.child_size,
                min_prefix=inner.min_prefix_length,
                max_prefix=inner.max_prefix_length,
                empty_child=inner.empty_child,
                hash=inner.hash,
            ),
            max_depth=message.max_depth,
            min_depth=message.min_depth,
            prehash_key_before_comparison=message.prehash_key_before_comparison,
        )


def _characteristics(leaf: LeafSpec, inner: InnerSpec) -> tuple[int, ...]:
    # The fields that cosmos/ics23 `ProofSpec.SpecEquals` compares.
    return (
        *(leaf.hash, leaf.prehash_key, leaf.prehash_value, leaf.length),
        *(inner.hash, inner.min_prefix, inner.max_prefix, inner.child_size, len(inner.child_order)),
    )


_SHA_LEAF: Final = (HashOp.SHA256, HashOp.NO_HASH, HashOp.SHA256, LengthOp.VAR_PROTO)
_FORMS: Final[Mapping[tuple[int, ...], Form]] = {
    (*_SHA_LEAF, HashOp.SHA256, 4, 12, 33, 2): Form.IAVL,
    (*_SHA_LEAF, HashOp.SHA256, 1, 1, 32, 2): Form.SIMPLE,
}


def _standard(child_size: int, min_prefix: int, max_prefix: int) -> ProofSpec:
    return ProofSpec(
        leaf=LeafSpec(
            hash=HashOp.SHA256,
            prehash_key=HashOp.NO_HASH,
            prehash_value=HashOp.SHA256,
            length=LengthOp.VAR_PROTO,
            prefix=b"\x00",
        ),
        inner=InnerSpec(
            child_order=(0, 1),
            child_size=child_size,
            min_prefix=min_prefix,
            max_prefix=max_prefix,
            empty_child=b"",
            hash=HashOp.SHA256,
        ),
    )


IAVL_SPEC: Final = _standard(33, 4, 12)
TENDERMINT_SPEC: Final = _standard(32, 1, 1)
SMT_SPEC: Final = ProofSpec(
    leaf=LeafSpec(
        hash=HashOp.SHA256,
        prehash_key=HashOp.SHA256,
        prehash_value=HashOp.SHA256,
        length=LengthOp.NO_PREFIX,
        prefix=b"\x00",
    ),
    inner=InnerSpec(
        child_order=(0, 1),
        child_size=32,
        min_prefix=1,
        max_prefix=1,
        empty_child=bytes(32),
        hash=HashOp.SHA256,
    ),
    max_depth=256,
    prehash_key_before_comparison=True,
)
JMT_SPEC: Final = ProofSpec(
    leaf=LeafSpec(
        hash=HashOp.SHA256,
        prehash_key=HashOp.SHA256,
        prehash_value=HashOp.SHA256,
        length=LengthOp.NO_PREFIX,
        prefix=b"JMT::LeafNode",
    ),
    inner=InnerSpec(
        child_order=(0, 1),
        child_size=32,
        min_prefix=16,
        max_prefix=16,
        empty_child=b"SPARSE_MERKLE_PLACEHOLDER_HASH__",
        hash=HashOp.SHA256,
    ),
    max_depth=64,
    prehash_key_before_comparison=True,
)
IAVL_SPEC_BYTES: Final = bytes.fromhex("0a090801180120012a0100120c0a02000110211804200c3001")
TENDERMINT_SPEC_BYTES: Final = bytes.fromhex("0a090801180120012a0100120c0a0200011020180120013001")

__all__ = (
    "DEFAULT_MAX_DEPTH",
    "IAVL_SPEC",
    "IAVL_SPEC_BYTES",
    "JMT_SPEC",
    "SMT_SPEC",
    "TENDERMINT_SPEC",
    "TENDERMINT_SPEC_BYTES",
    "Form",
    "HashOp",
    "InnerSpec",
    "LeafSpec",
    "LengthOp",
    "ProofSpec",
)
