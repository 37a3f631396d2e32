"""Named IAVL stores under a simple-Merkle map: the state of a ledger, and its one root.

Reads of the newest state come from plain maps. Writes are handed over for a whole block, go into the
trees in key order, and become a version at `commit`. A write of the value that stands there already
changes nothing, so that a block without effect keeps the app hash (I5): IAVL itself would give the leaf
a new version. Source: digest ICS-23 §7, I4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Final

from lockgate.merkle import store_map, tree
from lockgate.merkle.errors import NodeDamaged, NotAvailable, UnknownStore
from lockgate.merkle.iavl import Tree, TreeMisused
from lockgate.merkle.node import EMPTY_ROOT, Fill, reader, unread
from lockgate.merkle.ports import Batch, NodeStore
from lockgate.merkle.roots import Roots, decode_roots, encode_roots
from lockgate.merkle.snapshot import Snapshot
from lockgate.merkle.transfer import Arrival, Part, parts
from lockgate.merkle.version import StoreProof, Version

VERSIONS_OPEN: Final = 16  # versions held in memory beside a node store: a relayer's batch asks for one or two
_key: Final = itemgetter(0)


class MultiStore:
    """The stores of one ledger. Meets `primitives.state.View` for the newest state.

    With `nodes` every version is written there, and the newest one in it is resumed; the caller's
    transaction makes it durable. Without, versions live in memory until they are pruned.
    """

    def __init__(self, names: Sequence[str], nodes: NodeStore | None = None) -> None:
        self._names = tuple(sorted(names))
        self._nodes = nodes
        self._fill: Fill = reader(nodes)
        self._trees = {name: Tree(self._fill) for name in self._names}
        self._values: dict[str, dict[bytes, bytes]] = {name: {} for name in self._names}
        self._complete = True  # a key missing in `_values` is absent; else its tree must be asked
        self._undo: list[tuple[str, bytes, bytes | None]] = []
        self._latest = Version.empty(self._names, self._fill)
        self._open: dict[int, Version] = {}
        newest = nodes.versions()[1] if nodes is not None else 0
        if newest:
            self._go_to(newest)

    @property
    def version(self) -> int:
        """Newest committed version; 0 before the first."""
        return self._latest.version

    @property
    def oldest(self) -> int:
        """Oldest version that is kept; 0 before the first."""
        return self._nodes.versions()[0] if self._nodes is not None else next(iter(self._open), 0)

    @property
    def app_hash(self) -> bytes:
        """Root of the newest version; SHA-256 of nothing before the first."""
        return self._latest.app_hash if self._latest.version else EMPTY_ROOT

    def get(self, store: str, key: bytes, /) -> bytes | None:
        """Return a value of the newest state, applied writes included. Raises UnknownStore."""
        try:
            values = self._values[store]
        except KeyError:
            raise UnknownStore(store=store) from None
        value = values.get(key)
        if value is None and not self._complete:
            value = self._trees[store].get(key)
            if value is not None:
                values[key] = value
        return value

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start <= key < end, ascending by key. Raises UnknownStore."""
        if store not in self._trees:
            raise UnknownStore(store=store)
        return self._trees[store].scan(start, end)

    def apply(self, writes: Mapping[tuple[str, bytes], bytes | None]) -> None:
        """Take a block's writes, in key order per store; None deletes. `rollback` undoes them.

        Raises UnknownStore or TreeMisused before anything has changed.
        """
        changes: dict[str, list[tuple[bytes, bytes | None, bytes | None]]] = {}  # store -> key, value, value before
        complete, last = self._complete, None
        for (store, key), value in writes.items():
            if store != last:
                values = self._values.get(store)
                if values is None:
                    raise UnknownStore(store=store)
                last, known, changed = store, values.get, changes.setdefault(store, [])
            before = known(key)
            if before is None and not complete:
                before = self.get(store, key)
            if value != before:
                if not key or value == b"":
                    raise TreeMisused("empty key or value", store=store, key=key)
                changed.append((key, value, before))
        for store, changed in changes.items():
            changed.sort(key=_key)
            self._undo += [(store, key, before) for key, _, before in changed]
            values = self._values[store]
            for key, value, _ in changed:
                if value is None:
                    del values[key]
                else:
                    values[key] = value
            self._trees[store].take(changed)

    def commit(self, version: int) -> bytes:
        """Save every changed tree as `version`, write what is new, return the root over all stores."""
        if version <= self.version:
            raise TreeMisused("versions rise", version=version, newest=self.version)
        batch = None if self._nodes is None else Batch(version)
        snapshots = dict(self._latest.snapshots)
        for name, tree_ in self._trees.items():
            if tree_.changed:
                snapshots[name] = tree_.save(batch, version)
        latest = Version.of(version, snapshots, self._latest)
        if self._nodes is not None and batch is not None:
            batch.roots = encode_roots(snapshots.items())
            self._nodes.write(batch)
        self._undo.clear()
        self._keep(latest)
        self._latest = latest
        return latest.app_hash

    def rollback(self, version: int | None = None) -> None:
        """Forget applied writes, and every version above `version`.

        The default is the newest version that the node store has: a transaction that failed took back
        what `commit` wrote. Raises NotAvailable when `version` is not kept.
        """
        for store, key, before in reversed(self._undo):
            if before is None:
                self._values[store].pop(key, None)  # not there when a node could not be read half-way
            else:
                self._values[store][key] = before
        self._undo.clear()
        for name, tree_ in self._trees.items():
            tree_.become(self._latest.snapshots[name])  # not its own `saved`: a commit may have failed half-way
        if self._nodes is None:
            target = self.version if version is None else version
        elif version is None:
            target = self._nodes.versions()[1]
        else:
            target = version
            self._nodes.discard_after(version)
        if target != self.version:
            self._go_to(target)

    def prove(self, store: str, key: bytes, version: int) -> StoreProof:
        """Prove presence or absence of `key` in `version`. Raises UnknownStore, NotAvailable, EmptyTree."""
        return self.view(version).prove(store, key)

    def view(self, version: int) -> Version:
        """Return the read-only state of a kept version. Raises NotAvailable."""
        if version == self._latest.version:
            return self._latest
        found = self._open.get(version)
        if found is None:
            found = self._read(version)
            self._keep(found)
        return found

    def hash_at(self, version: int) -> bytes:
        """Root over all stores at a kept version, from its root record alone. Raises NotAvailable."""
        if self._nodes is None:
            return self.view(version).app_hash
        roots = self._roots(version)
        return tree.root_of_hashes([store_map.leaf_hash(name, roots[name][1]) for name in self._names])

    def roots(self, version: int) -> dict[str, bytes]:
        """Root hash of each store at a kept version, ascending by name. Raises NotAvailable."""
        return {name: digest for name, (_, digest) in self._roots(version).items()}

    def parts(self, version: int, store: str) -> Iterator[Part]:
        """The nodes of a store's tree at a kept version, to be built elsewhere. Raises NotAvailable, NodeDamaged."""
        return parts(*self._roots(version)[store], self._fill)

    def arrival(self, version: int) -> Arrival:
        """Take in a version from elsewhere, before the first one. `rollback` goes to it, when it is complete."""
        if self._nodes is None or self.version:
            raise TreeMisused("only an empty store takes in a version", newest=self.version)
        return Arrival(self._nodes, self._names, version)

    def prune(self, oldest_kept: int) -> int:
        """Drop versions before `oldest_kept` and the nodes only they have; returns how many nodes.

        The newest version always stays. Without a node store the nodes go with the last reference.
        """
        oldest_kept = min(oldest_kept, self.version)
        self._open = {version: state for version, state in self._open.items() if version >= oldest_kept}
        return self._nodes.prune(oldest_kept) if self._nodes is not None else 0

    def _keep(self, state: Version) -> None:
        self._open[state.version] = state
        if self._nodes is not None and len(self._open) > VERSIONS_OPEN:
            del self._open[next(iter(self._open))]

    def _go_to(self, version: int) -> None:
        """Make `version` the newest; values are looked up in the trees as they are asked for."""
        self._open = {number: state for number, state in self._open.items() if number <= version}
        self._latest = self.view(version) if version else Version.empty(self._names, self._fill)
        for name, tree_ in self._trees.items():
            tree_.become(self._latest.snapshots[name])
            self._values[name].clear()
        self._complete = not version

    def _read(self, version: int) -> Version:
        roots = self._roots(version)
        snapshots = {
            name: Snapshot(unread(*roots[name]) if roots[name][0] else None, self._fill) for name in self._names
        }
        return Version.of(version, snapshots, None)

    def _roots(self, version: int) -> Roots:
        record = None if self._nodes is None else self._nodes.roots(version)
        if record is None:
            raise NotAvailable(version=version, newest=self.version)
        roots = decode_roots(record, version)
        if tuple(roots) != self._names:
            raise NodeDamaged("the root record names other stores", version=version)
        return roots


__all__ = ("MultiStore", "StoreProof", "Version")
