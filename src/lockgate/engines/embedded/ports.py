"""What the embedded engine needs of a disk: a block store and a signing state (met by `storage`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class BlockRow(Protocol):
    """A committed block: block and signed header as protobuf, results as CBOR, state root after it."""

    @property
    def height(self) -> int: ...
    @property
    def hash(self) -> bytes: ...
    @property
    def block(self) -> bytes: ...
    @property
    def signed(self) -> bytes: ...
    @property
    def results(self) -> bytes: ...
    @property
    def app_hash(self) -> bytes: ...
    @property
    def time(self) -> int: ...


class BlockStore(Protocol):
    """Blocks by height. Writes happen inside `commit()`, which is one atomic transaction."""

    def commit(self) -> AbstractContextManager[None]: ...

    def add_block(
        self,
        *,
        height: int,
        hash: bytes,  # the field's own name in every CometBFT structure
        block: bytes,
        signed: bytes,
        results: bytes,
        app_hash: bytes,
        time: int,
    ) -> None: ...

    def add_transactions(self, height: int, hashes: list[bytes], /) -> None: ...

    def add_events(self, rows: list[tuple[str, str, int, int]], /) -> None: ...

    def add_bodies(self, bodies: Mapping[bytes, bytes | None], /) -> None:
        """Put packets that wait into their table; None takes one out."""
        ...

    def body(self, key: bytes, /) -> bytes | None: ...

    def remove_block(self, height: int, hashes: list[bytes], rows: list[tuple[str, str, int, int]], /) -> None:
        """Take a block out, with the index of its transactions and events."""
        ...

    def block(self, height: int, /) -> BlockRow | None: ...

    def tip(self) -> BlockRow | None: ...

    def base_height(self) -> int: ...

    def height_of_hash(self, digest: bytes, /) -> int | None: ...

    def transaction(self, digest: bytes, /) -> tuple[int, int] | None: ...

    def search(self, terms: Sequence[tuple[str, str]], low: int = ..., high: int = ..., /) -> list[tuple[int, int]]: ...

    def meta(self, name: str, /) -> bytes | None: ...

    def set_meta(self, name: str, value: bytes, /) -> None: ...


class SigningState(Protocol):
    """What a validator key has signed, durable before it is published (P12)."""

    @property
    def height(self) -> int:
        """Newest signed height; 0 when nothing was signed."""
        ...

    @property
    def sign_bytes(self) -> bytes: ...

    def permit(self, height: int, sign_bytes: bytes, /) -> None: ...

    def record(self, height: int, sign_bytes: bytes, signature: bytes, /) -> None: ...
