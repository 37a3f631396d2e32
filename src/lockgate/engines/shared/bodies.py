"""The state as the machine reads it: the tree, and beside it the table of packets that wait (I4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lockgate.machine import keys
from lockgate.primitives.state import View

ReadBody = Callable[[bytes], bytes | None]


class WithBodies:
    """Meets `View`: `keys.BODIES` is answered by the table, every other store by the tree.

    What the table says is believed by nobody: the machine checks it against a commitment in the tree.
    """

    __slots__ = ("_body", "_get", "scan")

    def __init__(self, tree: View, body: ReadBody) -> None:
        self._get = tree.get
        self._body = body
        self.scan: Callable[[str, bytes, bytes], Iterator[tuple[bytes, bytes]]] = tree.scan

    def get(self, store: str, key: bytes, /) -> bytes | None:
        return self._body(key) if store == keys.BODIES else self._get(store, key)


__all__ = ("WithBodies",)
