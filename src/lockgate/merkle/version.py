"""The whole state at one version: reads and both layers of proofs, while later versions are built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

from lockgate.merkle import store_map, tree
from lockgate.merkle.errors import UnknownStore
from lockgate.merkle.framing import field
from lockgate.merkle.node import Fill
from lockgate.merkle.snapshot import Snapshot
from lockgate.merkle.varint import uvarint
from lockgate.primitives.quick import make


class StoreProof(NamedTuple):
    """A value (None: absent) with its two CommitmentProofs, of the key and of its store."""

    value: bytes | None
    inner: bytes
    outer: bytes

    @property
    def merkle_proof(self) -> bytes:
        """ibc.core.commitment.v1.MerkleProof: both proofs as field 1, innermost first."""
        _, inner, outer = self
        return b"".join((b"\x0a", uvarint(len(inner)), inner, b"\x0a", uvarint(len(outer)), outer))


class Version:
    """State after one version. Meets `primitives.state.View`."""

    __slots__ = ("_app_hash", "_leaves", "_outer", "snapshots", "version")

    def __init__(self, version: int, snapshots: Mapping[str, Snapshot], leaves: Sequence[bytes]) -> None:
        self.version = version
        self.snapshots = snapshots
        self._leaves = leaves
        self._outer: dict[str, tuple[bytes, bytes]] = {}  # proof of a store, and the same as field 1 of a MerkleProof
        self._app_hash = b""

    @property
    def app_hash(self) -> bytes:
        """Root over all stores."""
        if not self._app_hash:
            self._app_hash = tree.root_of_hashes(self._leaves)
        return self._app_hash

    @classmethod
    def of(cls, version: int, snapshots: Mapping[str, Snapshot], before: Version | None) -> Self:
        """Build from snapshots in ascending order of names; what `before` shares is not hashed again."""
        if before is None:
            return cls(version, snapshots, [store_map.leaf_hash(name, s.root_hash) for name, s in snapshots.items()])
        if snapshots == before.snapshots:  # a snapshot equals none but itself
            same = cls(version, before.snapshots, before._leaves)
            same._outer, same._app_hash = before._outer, before._app_hash
            return same
        leaves = [
            leaf if before.snapshots[name] is snapshot else store_map.leaf_hash(name, snapshot.root_hash)
            for (name, snapshot), leaf in zip(snapshots.items(), before._leaves, strict=True)
        ]
        return cls(version, snapshots, leaves)

    @classmethod
    def empty(cls, names: Sequence[str], fill: Fill) -> Self:
        """Version 0: every store is empty."""
        return cls.of(0, {name: Snapshot(None, fill) for name in names}, None)

    def get(self, store: str, key: bytes, /) -> bytes | None:
        """Return a value of this version. Raises UnknownStore."""
        return self._snapshot(store).get(key)

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start <= key < end, ascending by key. Raises UnknownStore."""
        return self._snapshot(store).scan(start, end)

    def written(self, store: str, start: bytes, end: bytes, /) -> Iterator[int]:
        """The version that wrote each key with start <= key < end, ascending by key. Raises UnknownStore."""
        return self._snapshot(store).written(start, end)

    def prove(self, store: str, key: bytes) -> StoreProof:
        """Prove presence or absence of `key`. Raises UnknownStore and EmptyTree."""
        value, inner = self._snapshot(store).prove(key)
        outer = self._outer.get(store) or self._prove_store(store)
        return make(StoreProof, (value, inner, outer[0]))

    def merkle_proof(self, store: str, key: bytes) -> bytes:
        """`prove(store, key).merkle_proof`, joined at once."""
        inner = self._snapshot(store).prove(key)[1]
        outer = self._outer.get(store) or self._prove_store(store)
        return b"".join((b"\x0a", uvarint(len(inner)), inner, outer[1]))

    def _prove_store(self, store: str) -> tuple[bytes, bytes]:
        index = tuple(self.snapshots).index(store)
        proof = store_map.prove(store, self.snapshots[store].root_hash, self._leaves, index)
        self._outer[store] = both = (proof, field(b"\x0a", proof))
        return both

    def _snapshot(self, store: str) -> Snapshot:
        try:
            return self.snapshots[store]
        except KeyError:
            raise UnknownStore(store=store) from None


__all__ = ("StoreProof", "Version")
