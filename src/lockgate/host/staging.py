"""Tentative execution: the guest's state as versions, of which only proven ones last (P1).

State lives in one IAVL tree. A step applies a guest's writes and the host's own (replay windows, the
messages it waits for) as the next version, and posts its salted root. When the ledger proves the step,
the version stays; when it refuses, the version is discarded and the state is what it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.ports import NodeStore

STORE: Final = "guest"
GUEST: Final = b"g/"
HOST: Final = b"h/"
ROOT_LABEL: Final = b"lockgate/guest-root/1"
EMPTY: Final = bytes(32)  # stands for the tree of version 0
SEED: Final = b"s"  # the one key outside both spaces: an empty tree has no root of its own


@dataclass(frozen=True, slots=True)
class Tentative:
    """One staged version and the root that goes on the ledger."""

    version: int
    root: bytes
    salt: bytes


def salted_root(salt: bytes, tree_root: bytes) -> bytes:
    """The root the ledger keeps: salted, so that equal states do not show as equal."""
    return hashlib.sha256(ROOT_LABEL + salt + tree_root).digest()


class GuestTree:
    """Versions of one endpoint's state over a node store."""

    def __init__(self, nodes: NodeStore) -> None:
        self._nodes = nodes
        self._state = MultiStore((STORE,), nodes)

    @property
    def version(self) -> int:
        return self._state.version

    def get(self, key: bytes, /) -> bytes | None:
        """A guest key; meets `host.ports.GuestState`."""
        return self._state.get(STORE, GUEST + key)

    def scan(self, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        stop = GUEST + end if end else b"g0"
        for key, value in self._state.scan(STORE, GUEST + start, stop):
            yield key[len(GUEST) :], value

    def host_get(self, key: bytes) -> bytes | None:
        return self._state.get(STORE, HOST + key)

    def host_scan(self, prefix: bytes, end: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """The host's own keys, and their values: under a prefix that ends in a slash, or from a key to before `end`."""
        for key, value in self._state.scan(STORE, HOST + prefix, HOST + (end or prefix[:-1] + b"0")):
            yield key[len(HOST) :], value

    def stage(
        self,
        guest: Iterable[tuple[bytes, bytes | None]],
        host: Iterable[tuple[bytes, bytes | None]],
        salt: bytes,
    ) -> Tentative:
        """Apply writes as the next version. The caller's transaction makes it durable."""
        writes = {(STORE, GUEST + key): value for key, value in guest}
        writes |= {(STORE, HOST + key): value for key, value in host}
        if not self._state.version:
            writes[STORE, SEED] = b"\x01"
        self._state.apply(writes)
        version = self._state.version + 1
        root = self._state.commit(version)
        return Tentative(version, salted_root(salt, root), salt)

    def renewed(self, version: int, salt: bytes) -> bytes:
        """The root of a version that is there, under another salt."""
        return salted_root(salt, self._state.hash_at(version) if version else EMPTY)

    def keep(self, version: int) -> None:
        """Forget versions below a proven one."""
        self._state.prune(version)

    def discard_after(self, version: int) -> None:
        """Go back to a proven version; what was staged above it is gone."""
        self._nodes.discard_after(version)
        self._state = MultiStore((STORE,), self._nodes)

    def state_bytes(self) -> int:
        """Keys and values of the guest, for its quota."""
        return sum(len(key) + len(value) for key, value in self.scan(b"", b""))
