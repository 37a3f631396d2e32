"""Named IAVL stores under a simple-Merkle map: the state of a ledger, and its one root.

Reads of the newest state come from plain maps. Writes are handed over for a whole block, go into the
trees in key order, and become a version at `commit`. A write of the value that stands there already
changes nothing, so that a block without effect keeps the app hash (I5). Source: ICS-23 §7, I4.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.merkle import proving, tree
from lockgate.merkle.errors import NodeDamaged, NotAvailable
from lockgate.merkle.iavl import EMPTY_ROOT, Tree
from lockgate.merkle.ports import NodeKey, NodeStore
from lockgate.primitives.errors import Misuse

VIEWS_KEPT: Final = 8  # opened old versions; a relayer batch asks for one or two


class UnknownStore(Misuse):
    code = "merkle.unknown_store"
    summary = "No store of that name: stores are fixed by genesis (I4)."
    next_step = "Use a store of the genesis; new features add keys, not stores."


@dataclass(frozen=True, slots=True)
class StoreProof:
    """A value (None: absent) with its two CommitmentProofs, innermost first."""

    value: bytes | None
    inner: bytes
    outer: bytes

    @property
    def merkle_proof(self) -> bytes:
        """ibc.core.commitment.v1.MerkleProof: both proofs as field 1."""
        return proving.field(b"\x0a", self.inner) + proving.field(b"\x0a", self.outer)


class MultiStore:
    """The stores of one ledger. Meets `primitives.state.View` for the newest state."""

    def __init__(self, names: Sequence[str], nodes: NodeStore) -> None:
        self._names = tuple(sorted(names))
        self._nodes = nodes
        self._trees = {name: Tree(name, nodes) for name in self._names}
        self._values: dict[str, dict[bytes, bytes]] = {name: {} for name in self._names}
        self._keys: dict[str, list[bytes]] = {name: [] for name in self._names}
        self._undo: list[tuple[str, bytes, bytes | None]] = []
        self._views: dict[int, OldVersion] = {}
        self._outer: dict[tuple[int, str], bytes] = {}
        self.version = 0
        self.app_hash = EMPTY_ROOT
        _, newest = nodes.versions()
        if newest:
            self._load(newest)

    def get(self, store: str, key: bytes, /) -> bytes | None:
        return self._values[store].get(key)

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        keys, values = self._keys[store], self._values[store]
        for position in range(bisect_left(keys, start), bisect_left(keys, end)):
            yield keys[position], values[keys[position]]

    def apply(self, writes: Mapping[tuple[str, bytes], bytes | None]) -> None:
        """Take a block's writes, in key order per store. Undone by `rollback` until `commit`."""
        for store, key in sorted(writes):
            value = writes[store, key]
            values = self._values.get(store)
            if values is None:
                raise UnknownStore("no such store", store=store)
            before = values.get(key)
            if value == before:
                continue
            self._undo.append((store, key, before))
            if value is None:
                del values[key]
                keys = self._keys[store]
                del keys[bisect_left(keys, key)]
                self._trees[store].remove(key)
            else:
                values[key] = value
                if before is None:
                    insort(self._keys[store], key)
                self._trees[store].set(key, value)

    def commit(self, version: int) -> bytes:
        """Save every touched tree as `version` and return the root over all stores."""
        if version <= self.version:
            raise Misuse("versions rise", version=version, newest=self.version)
        roots = [self._trees[name].save(version) for name in self._names]
        records = [(name, self._trees[name].root_key, self._trees[name].root_hash) for name in self._names]
        self._nodes.put_roots(version, records)
        self._undo.clear()
        self._outer.clear()
        self.version = version
        self.app_hash = app_hash(self._names, roots)
        return self.app_hash

    def rollback(self) -> None:
        """Return to the newest committed version; also after a failed commit."""
        for store, key, before in reversed(self._undo):
            values, keys = self._values[store], self._keys[store]
            if before is None:
                del values[key]
                del keys[bisect_left(keys, key)]
            else:
                if key not in values:
                    insort(keys, key)
                values[key] = before
        self._undo.clear()
        self._outer.clear()
        _, newest = self._nodes.versions()
        for name, tree_ in self._trees.items():
            if newest:
                root_key, root_hash = self._roots(newest)[name]
                tree_.load(newest, root_key, root_hash)
            else:
                tree_.load(0, None, EMPTY_ROOT)
        self.version = newest
        self.app_hash = EMPTY_ROOT if not newest else self.hash_at(newest)

    def prove(self, store: str, key: bytes, version: int) -> StoreProof:
        """Presence or absence of `key` after `version`. Raises NotAvailable for a version not kept."""
        if store not in self._trees:
            raise NotAvailable("no such store", store=store)
        if version == self.version:
            trees, roots = self._trees, {name: t.root_hash for name, t in self._trees.items()}
        else:
            old = self.view(version)
            trees, roots = old.trees, old.roots
        inner, value = proving.commitment_proof(trees[store], key)
        outer = self._outer.get((version, store))
        if outer is None:
            ordered = [roots[name] for name in self._names]
            outer = proving.store_proof(self._names, ordered, self._names.index(store))
            if len(self._outer) >= 4 * len(self._names):
                self._outer.clear()
            self._outer[version, store] = outer
        return StoreProof(value, inner, outer)

    def view(self, version: int) -> OldVersion:
        """Read-only state at a kept version."""
        found = self._views.get(version)
        if found is None:
            roots = self._roots(version)
            found = OldVersion(self._nodes, version, roots)
            while len(self._views) >= VIEWS_KEPT:
                del self._views[next(iter(self._views))]
            self._views[version] = found
        return found

    def hash_at(self, version: int) -> bytes:
        """Root over all stores at a kept version, from the recorded store roots."""
        roots = self._roots(version)
        return app_hash(self._names, [roots[name][1] for name in self._names])

    def prune(self, oldest_kept: int) -> int:
        """Drop versions before `oldest_kept` and the nodes only they had; returns the number of nodes."""
        self._views = {version: view for version, view in self._views.items() if version >= oldest_kept}
        self._nodes.prune_roots(oldest_kept)
        return sum(self._nodes.prune(name, oldest_kept) for name in self._names)

    def _roots(self, version: int) -> dict[str, tuple[NodeKey | None, bytes]]:
        oldest, newest = self._nodes.versions()
        roots = self._nodes.roots(version)
        if roots is None:
            raise NotAvailable("not kept", version=version, oldest=oldest, newest=newest)
        if set(roots) != set(self._names):
            raise NodeDamaged("the root record names other stores", version=version)
        return roots

    def _load(self, version: int) -> None:
        roots = self._roots(version)
        for name, tree_ in self._trees.items():
            root_key, root_hash = roots[name]
            tree_.load(version, root_key, root_hash)
            pairs = list(tree_.scan(b"", b"\xff" * 512))
            self._values[name] = dict(pairs)
            self._keys[name] = [key for key, _ in pairs]
        self.version = version
        self.app_hash = self.hash_at(version)


class OldVersion:
    """State at one kept version, read through its trees."""

    def __init__(
        self, nodes: NodeStore, version: int, roots: Mapping[str, tuple[NodeKey | None, bytes]]
    ) -> None:
        self.trees: dict[str, Tree] = {}
        self.roots = {name: root_hash for name, (_, root_hash) in roots.items()}
        for name, (root_key, root_hash) in roots.items():
            tree_ = Tree(name, nodes)
            tree_.load(version, root_key, root_hash)
            self.trees[name] = tree_

    def get(self, store: str, key: bytes, /) -> bytes | None:
        return self.trees[store].get(key)

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        return self.trees[store].scan(start, end)


def app_hash(names: Sequence[str], roots: Sequence[bytes]) -> bytes:
    """Root of the map from store name to store root; names sorted. Source: ICS-23 §7."""
    return tree.root([proving.store_leaf(name, root) for name, root in zip(names, roots, strict=True)])


__all__ = ("MultiStore", "OldVersion", "StoreProof", "UnknownStore", "app_hash")
