"""Own headers of a ledger whose blocks CometBFT keeps: what `lane.open` compares of each, and no more (P9).

As many are kept as the ledger's memory covers. Where the ledger binds them (`history`), each stands with its link.
"""

from __future__ import annotations

from typing import Any, Final

from lockgate.codec import cbor
from lockgate.engines.shared.ports import AppStore
from lockgate.machine import history
from lockgate.machine.context import OwnHeader
from lockgate.machine.genesis import Genesis
from lockgate.primitives.time import UnixNanos

BEFORE: Final = "headers/before"  # [height, link]: the last header that was let go


class KeptHeaders:
    """Rows of an application's store. Writes stand inside the caller's transaction."""

    def __init__(self, genesis: Genesis, store: AppStore) -> None:
        self._store = store
        self._memory = genesis.parameters.header_memory
        self.bound: Final = genesis.parameters.header_trail

    def read(self, height: int, /) -> OwnHeader | None:
        row = self._row(height)
        return None if row is None else OwnHeader(UnixNanos(row[0]), row[1], row[2])

    def link(self, height: int) -> bytes:
        """The link after the header of a height that is kept, or just before the first of those."""
        if not height:
            return history.START
        row = self._row(height)
        if row is not None:
            return bytes(row[3])
        before: Any = cbor.decode(self._store.meta(BEFORE) or b"\x80")
        assert before[:1] == (height,), "links are asked for where headers are kept"
        return bytes(before[1])

    def follow(self, height: int, header: OwnHeader) -> bytes:
        """The link over one more header; empty where the ledger does not bind them."""
        return history.follow(self.link(height - 1), height, header) if self.bound else b""

    def keep(self, height: int, header: OwnHeader, link: bytes) -> None:
        row = [header.time, header.app_hash, header.next_validators_hash]
        self._store.set_meta(_name(height), cbor.encode([*row, link] if self.bound else row))

    def begin(self, height: int, link: bytes) -> None:
        """Headers that were taken in begin after this one."""
        self._store.set_meta(BEFORE, cbor.encode([height, link]))

    def let_go(self, height: int) -> None:
        """After block `height`: forget the header that no opening can ask for any more."""
        gone = height - self._memory
        row = self._row(gone) if gone > 0 else None
        if row is None:
            return
        if self.bound:
            self.begin(gone, row[3])
        self._store.remove_meta(_name(gone))

    def first(self, height: int) -> int:
        """The oldest header that is kept after a block."""
        return max(1, height - self._memory + 1)

    def _row(self, height: int) -> Any:
        data = self._store.meta(_name(height))
        return None if data is None else cbor.decode(data)


def _name(height: int) -> str:
    return f"header/{height}"


__all__ = ("KeptHeaders",)
