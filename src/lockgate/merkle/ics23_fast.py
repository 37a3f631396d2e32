"""The same verdicts for many proofs under one root, the shared part checked once.

Theory of operation. A batch of packets is proven against one consensus state: its proofs end in the
same store-layer proof, and share the upper nodes of the store's tree. `ProofMemo` accepts a membership
proof straight from its bytes when it has the one canonical form honest provers write for the two
standard specs, checking every rule of the plain verifier on the way, and remembers of what it accepted
1. store-layer proofs, by their bytes: which store name and sub-root they bind to the root;
2. nodes, by their hash: the bytes of the steps that remain, the sub-root they lead to, and the greatest
   layer these steps may begin at, for the height of a step must not be below its layer. Of the two hashes
   that a step joins the other one is bound as well, and kept with the steps that lead from there: proofs of
   a batch mostly come in the order of their keys;
3. the frame of the last one, for the next proof of a batch differs in little but key, value and first steps.
A later proof that reaches a remembered hash with exactly the remembered bytes left needs no more.
Whatever is not accepted so goes to the plain verifier: errors, odd forms and absence are decided there
alone. A memo lives and dies with one root and one list of specs; it changes cost, never a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from lockgate.merkle import ics23
from lockgate.merkle.framing import LEAF_OP, STEP, field
from lockgate.merkle.specs import IAVL_SPEC, TENDERMINT_SPEC, ProofSpec
from lockgate.merkle.varint import ONE_BYTE, uvarint
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.quick import short_sha256

MAX_STORE_PROOFS: Final = 64  # a ledger has 15 stores, and one proof of each under a root
MAX_NODES: Final = 2_048  # eight batches of 250; about 1 KiB each
MAX_HEADERS: Final = 4_096  # distinct (height, size, version, side); tens of bytes each
_STANDARD: Final = (IAVL_SPEC, TENDERMINT_SPEC)
_MAX_PREFIX: Final = 45  # IAVL: 12 and one child of 33
_MAX_HEIGHT: Final = 63  # of a one-byte zigzag varint; no layer goes past it, nor past the depth bound of 128
_LEAF_START: Final = LEAF_OP + b"\x2a"
_STORE_LEAF: Final = field(b"\x1a", LEAF_OP + field(b"\x2a", b"\x00"))
_FROM_RIGHT: Final = b"\x22\x25" + STEP + b"\x21\x01"  # a step of the store layer; the sibling on the left follows
_FROM_LEFT: Final = b"\x22\x27" + STEP + b"\x01\x01\x1a\x20"  # the sibling on the right follows
_LEFT_CHILD: Final = b"\x1a\x21"  # a suffix of 33 bytes follows: the child is on the left
# What a step from the right child begins with, by the length of the prefix in the one from the left child.
_TO_RIGHT: Final = tuple(b"".join((b"\x22", ONE_BYTE[n + 37], STEP, ONE_BYTE[n + 33])) for n in range(_MAX_PREFIX - 32))

# Headers of IAVL prefixes: zigzag varints of at most nine bytes, not negative (the first byte is even).
_EVEN_LAST: Final = b"".join(b"\\x%02x" % byte for byte in range(0, 0x80, 2))
_EVEN_MORE: Final = b"".join(b"\\x%02x" % byte for byte in range(0x80, 0x100, 2))
_NUMBER: Final = rb"(?:[" + _EVEN_LAST + rb"]|[" + _EVEN_MORE + rb"][\x80-\xff]{0,7}[\x00-\x7f])"
_LEAF_HEADER: Final = re.compile(rb"\x00" + _NUMBER * 2)
_INNER_HEADER: Final = re.compile(rb"[" + _EVEN_LAST + rb"]" + _NUMBER * 2)

# Hash of a node; where the prefix of the step above it begins and ends, and where that step ends; its height.
_Passed = tuple[bytes, int, int, int, int]
_Usual = tuple[bytes, bytes, bytes, bytes, bytes]  # second field of a proof, LeafOp, its header, store, sub-root


class ProofMemo:
    """Verifies proofs under one root and one list of specs; remembers accepted parts."""

    __slots__ = ("_hashed", "_headers", "_leaves", "_nodes", "_outer", "_root", "_specs", "_standard", "_usual")

    def __init__(self, root: bytes, specs: Sequence[ProofSpec] = _STANDARD) -> None:
        self._root = root
        self._specs = tuple(specs)
        self._standard = self._specs == _STANDARD
        self._outer: dict[bytes, tuple[bytes, bytes]] = {}  # proof -> store, sub-root
        self._nodes: dict[bytes, tuple[bytes, bytes, int]] = {}  # hash -> steps left, sub-root, greatest layer
        self._headers: dict[bytes, int] = {}  # a step up to the first hash in it -> height
        self._leaves: set[bytes] = set()  # headers of leaf prefixes
        self._usual: _Usual | None = None  # of the proof accepted last: what the next one is expected to share
        self._hashed: tuple[bytes, bytes] = b"", b""  # the last value and its hash

    def membership(self, proof: bytes, path: Sequence[bytes], value: bytes) -> None:
        """As `ics23.verify_membership`, for this root and these specs."""
        if not (self._standard and len(path) == 2 and self._accepts(proof, path[0], path[1], value)):
            ics23.verify_membership(self._specs, self._root, path, value, proof)

    def non_membership(self, proof: bytes, path: Sequence[bytes]) -> None:
        """As `ics23.verify_non_membership`, for this root and these specs."""
        ics23.verify_non_membership(self._specs, self._root, path, proof)

    def _accepts(self, proof: bytes, store: bytes, key: bytes, value: bytes) -> bool:
        """Is this the canonical form of a valid proof? False leaves the verdict to the plain verifier."""
        length, of_value = len(key), len(value)
        if not 0 < length < 0x80 or not 0 < of_value < 0x80:
            return False  # no key or value that is proven in a packet's life is longer
        size = ONE_BYTE[length]
        try:
            at, usual = 0, self._usual
            if usual is not None and proof.endswith(usual[0]):
                tail, leaf, header, bound, expected = usual
                end = len(proof) - len(tail)
                front = b"".join((_opening(end), b"\x0a", size, key, b"\x12", ONE_BYTE[of_value], value, leaf))
                if proof.startswith(front) and len(front) <= end:
                    at = len(front)
            fresh = not at
            if fresh:
                begin, end = _framed(proof)
                pair = b"".join((b"\x0a", size, key, b"\x12", ONE_BYTE[of_value], value))
                if not proof.startswith(pair + b"\x1a", begin):
                    return False
                begin += len(pair)
                at = begin + 2 + proof[begin + 1]
                leaf, header = proof[begin:at], proof[begin + 10 : at]
                if leaf[2:9] != _LEAF_START or len(header) != leaf[9] or at > end:
                    return False
                if header not in self._leaves and not self._knows_leaf(header):
                    return False
            known, hashed = self._hashed
            if known != value:
                hashed = short_sha256(value).digest()
                self._hashed = value, hashed
            current = short_sha256(b"".join((header, size, key, b"\x20", hashed))).digest()
            passed: list[_Passed] = []
            found = self._climb(proof, at, end, current, passed)
            if found is None:
                return False
            if fresh:
                if not self._binds(proof[_field(proof, end)[0] :], store, found[0]):
                    return False
                self._usual = proof[end:], leaf, header, store, found[0]
            elif bound != store or expected != found[0]:
                return False  # the same store-layer proof binds another store or sub-root
        except (IndexError, _Unusual):
            return False
        if passed:
            self._remember(proof, end, passed, *found)
        return True

    def _climb(
        self, proof: bytes, at: int, end: int, current: bytes, passed: list[_Passed]
    ) -> tuple[bytes, int, bytes] | None:
        """Follow the steps in proof[at:end] from a leaf hash, noting those that were not remembered.

        Returns the sub-root, the greatest layer at which the first step not noted may stand, and the steps from
        there; None when a step is not as it should be.
        """
        nodes, headers = self._nodes, self._headers
        layer = 1
        while at < end:
            known = nodes.get(current)
            if known is not None:
                steps, subroot, most = known
                if layer <= most and end - at == len(steps) and proof.startswith(steps, at):
                    return subroot, most, steps
            stop, split = at + 2 + proof[at + 1], at + 6 + proof[at + 5]
            if split == stop:
                head = proof[at : split - 33]
                following = short_sha256(proof[at + 6 : split] + current).digest()
            elif split + 35 == stop:
                head = proof[at : split + 2]
                following = short_sha256(b"".join((proof[at + 6 : split], current, proof[split + 2 : stop]))).digest()
            else:
                return None
            height = headers.get(head) or self._height(head)
            if height < layer or stop > end:
                return None
            passed.append((current, at + 6, split, stop, height))
            current, at, layer = following, stop, layer + 1
        return current, _MAX_HEIGHT + 1, b""

    def _remember(
        self, proof: bytes, end: int, passed: list[_Passed], subroot: bytes, greatest: int, rest: bytes
    ) -> None:
        """Keep the points at which a later proof can come upon the way of an accepted one, each by its hash.

        It comes from the other side: where the way went up from the left, the hash on the right is bound by what
        is accepted, and from it the same steps remain but for the first; else it is the node above.
        """
        nodes = self._nodes
        if len(nodes) + len(passed) > MAX_NODES:
            nodes.clear()
        above = b""  # the first is remembered already, or the root
        for node, begin, split, stop, height in reversed(passed):
            size = split - begin
            if above:
                rest = proof[stop:end]
            if split == stop or size > _MAX_PREFIX - 33:
                if above:
                    nodes[above] = rest, subroot, greatest
                greatest = height if height < greatest else greatest - 1
            else:
                greatest = height if height < greatest else greatest - 1
                step = (_TO_RIGHT[size], proof[begin:split], node, proof[split + 2 : split + 3], rest)
                nodes[proof[split + 3 : stop]] = b"".join(step), subroot, greatest
            above = node

    def _binds(self, outer: bytes, store: bytes, subroot: bytes) -> bool:
        """Does the store-layer proof bind the sub-root to the root, under this store's name?"""
        bound = self._outer.get(outer)
        if bound is not None:
            return bound == (store, subroot)
        if not self._leads_to_root(outer, store, subroot):
            try:
                ics23.verify_layer(ics23.parse_proof(outer), TENDERMINT_SPEC, self._root, store, subroot)
            except PeerFault:
                return False
        if len(self._outer) >= MAX_STORE_PROOFS:
            self._outer.clear()
        self._outer[outer] = (store, subroot)
        return True

    def _leads_to_root(self, outer: bytes, store: bytes, subroot: bytes) -> bool:
        """Is this the canonical form of a valid store-layer proof? False leaves it to the plain verifier."""
        size = len(store)
        if not 0 < size < 0x80 or len(subroot) != 32:
            return False
        head = b"".join((b"\x0a", ONE_BYTE[size], store, b"\x12\x20", subroot, _STORE_LEAF))
        try:
            at, end = _field(outer, 0)
        except (IndexError, _Unusual):
            return False
        if end != len(outer) or not outer.startswith(head, at):
            return False
        at += len(head)
        leaf = b"".join((b"\x00", ONE_BYTE[size], store, b"\x20", short_sha256(subroot).digest()))
        current, depth = short_sha256(leaf).digest(), 0
        while at < end:
            if outer.startswith(_FROM_RIGHT, at):
                start, before, after = at + len(_FROM_RIGHT), True, at + len(_FROM_RIGHT) + 32
            elif outer.startswith(_FROM_LEFT, at):
                start, before, after = at + len(_FROM_LEFT), False, at + len(_FROM_LEFT) + 32
            else:
                return False
            sibling = outer[start:after]
            pair = b"\x01" + sibling + current if before else b"\x01" + current + sibling
            current, at, depth = short_sha256(pair).digest(), after, depth + 1
        return at == end and depth <= _MAX_HEIGHT and current == self._root

    def _knows_leaf(self, header: bytes) -> bool:
        """Is this the header of an IAVL leaf prefix: height 0, size, version?"""
        if not _LEAF_HEADER.fullmatch(header):
            return False
        if len(self._leaves) >= MAX_HEADERS:
            self._leaves.clear()
        self._leaves.add(header)
        return True

    def _height(self, head: bytes) -> int:
        """Height in a step that begins so; 0, which no inner node has, when it is not as it should be.

        Tag, length, hash, length of the prefix, header, length of a child: for the node on the right that is
        all, and on the left come tag and length of the suffix.
        """
        header = head[6:-3] if head[1] - head[5] > 4 else head[6:-1]
        if head[0] != 0x22 or head[2:5] != STEP or head[5] > _MAX_PREFIX or not _INNER_HEADER.fullmatch(header):
            return 0
        if len(header) + 7 != len(head) and not head.endswith(_LEFT_CHILD):
            return 0
        if len(self._headers) >= MAX_HEADERS:
            self._headers.clear()
        self._headers[head] = header[0] >> 1
        return header[0] >> 1


class _Unusual(Exception):
    """Bytes are not in the canonical form; they may be valid all the same."""


@lru_cache(2_048)
def _opening(end: int) -> bytes:
    """What a proof begins with whose first field ends there, up to the tag of the key. Raises _Unusual if none does.

    MerkleProof{1: CommitmentProof{1: ExistenceProof{1: key, 2: value, 3: leaf, 4: path}}, 1: outer}
    """
    for first in (2, 3):
        for second in (2, 3):
            size = end - first
            lengths = uvarint(max(size, 0)), uvarint(max(size - second, 0))
            if (len(lengths[0]), len(lengths[1])) == (first - 1, second - 1):
                return b"".join((b"\x0a", lengths[0], b"\x0a", lengths[1]))
    raise _Unusual


def _framed(proof: bytes) -> tuple[int, int]:
    """Where the ExistenceProof begins and ends that is the first of two fields, the other to the end of the proof."""
    inner_at, end = _field(proof, 0)
    begin, existence_end = _field(proof, inner_at)
    if existence_end != end or _field(proof, end)[1] != len(proof):
        raise _Unusual
    return begin, end


def _field(data: bytes, at: int) -> tuple[int, int]:
    """Start and end of the content of a field 1 with a length of one or two bytes at `at`."""
    length = data[at + 1]
    start = at + 2
    if length >= 0x80:
        if data[start] >= 0x80:
            raise _Unusual
        length, start = length & 0x7F | data[start] << 7, start + 1
    if data[at] != 0x0A or start + length > len(data):
        raise _Unusual
    return start, start + length


__all__ = ("MAX_HEADERS", "MAX_NODES", "MAX_STORE_PROOFS", "ProofMemo")
