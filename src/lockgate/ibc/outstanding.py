"""Which packets still wait: the key ranges a relayer or host reads, and the sequences in them.

The three provable kinds of one client are three ranges of the `ibc` store. No other client's keys
fall into them: a longer client id continues with a digit where these keys have their mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from lockgate.ibc import host
from lockgate.primitives.state import View

_SEQUENCE_BYTES: Final = 8


class KeyRange(NamedTuple):
    """Keys of the `ibc` store with start <= key < end."""

    start: bytes
    end: bytes


def commitments_of(client: str, first: int = 0) -> KeyRange:
    """Packets sent over `client`, from sequence `first` on, that are neither acknowledged nor timed out."""
    return _range(client, host.COMMITMENT_MARK, first)


def receipts_of(client: str, first: int = 0) -> KeyRange:
    """Packets received over `client`, from sequence `first` on."""
    return _range(client, host.RECEIPT_MARK, first)


def acknowledgements_of(client: str, first: int = 0) -> KeyRange:
    """Acknowledgements written for packets received over `client`, from sequence `first` on."""
    return _range(client, host.ACKNOWLEDGEMENT_MARK, first)


def held_of(client: str, first: int = 0) -> KeyRange:
    """Packets received over `client` that wait for their acknowledgement. Unproven, local."""
    return _range(client, host.ASYNC_MARK, first)


def sequence_of(key: bytes) -> int:
    """Return the sequence a key of these ranges ends in."""
    return int.from_bytes(key[-_SEQUENCE_BYTES:], "big")


def entries(view: View, keys: KeyRange, store: str = host.STORE) -> Iterator[tuple[int, bytes]]:
    """Yield (sequence, value) of a range, ascending by sequence."""
    for key, value in view.scan(store, *keys):
        yield sequence_of(key), value


def _range(client: str, mark: bytes, first: int) -> KeyRange:
    prefix = client.encode() + mark
    return KeyRange(prefix + first.to_bytes(_SEQUENCE_BYTES, "big"), prefix[:-1] + bytes((prefix[-1] + 1,)))
