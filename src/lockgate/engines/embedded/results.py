"""Stored form of a block's results: deterministic CBOR, one array per block.

Events are most of it, and the attributes of neighbouring ones are much the same. So they are framed here,
each from what the last of its name came to, byte for byte what `cbor.encode` writes of `plain()`: a
property test says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.lightclients.cometbft import hashing
from lockgate.machine.machine import BlockResult, TxResult
from lockgate.primitives.state import Event

IndexRow = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class BlockResults:
    """Transaction results in order, and the events of the block itself."""

    transactions: tuple[TxResult, ...]
    events: tuple[Event, ...]

    @classmethod
    def of(cls, result: BlockResult) -> BlockResults:
        return cls(result.results, result.events)

    def to_bytes(self) -> bytes:
        return self.stored(0)[0]

    def stored(self, height: int) -> tuple[bytes, list[IndexRow]]:
        """The encoding, and rows for the event index: (type.attribute, value, height, transaction number or -1).

        Each row stands once, short values only. One pass makes both.
        """
        rows: list[IndexRow] = []
        parts = [b"\x82", cbor.head(0x80, len(self.transactions))]
        for number, r in enumerate(self.transactions):
            parts.append(b"\x87")
            parts += map(cbor.encode, (r.code, r.codespace, r.data, r.log, r.gas_wanted, r.gas_used))
            _frame_events(parts, r.events, rows, (height, number))
        _frame_events(parts, self.events, rows, (height, -1))
        return b"".join(parts), rows

    def plain(self) -> list[Any]:
        """The value that `to_bytes` encodes."""
        return [
            [
                [r.code, r.codespace, r.data, r.log, r.gas_wanted, r.gas_used, _events(r.events)]
                for r in self.transactions
            ],
            _events(self.events),
        ]

    @classmethod
    def from_bytes(cls, data: bytes) -> BlockResults:
        decoded: Any = cbor.decode(data, limits=STORED)
        transactions, events = decoded
        return cls(
            tuple(
                TxResult(
                    code=code,
                    codespace=codespace,
                    data=payload,
                    log=log,
                    gas_wanted=wanted,
                    gas_used=used,
                    events=_read_events(own),
                )
                for code, codespace, payload, log, wanted, used, own in transactions
            ),
            _read_events(events),
        )

    @property
    def hash(self) -> bytes:
        """What the next header's `last_results_hash` holds."""
        return hashing.results_hash(
            hashing.TxResult(code=r.code, data=r.data, gas_wanted=r.gas_wanted, gas_used=r.gas_used)
            for r in self.transactions
        )


# A full block: 21 MiB of transactions, each packet in hex in up to four events.
STORED: Final = cbor.Limits(size=1 << 28, items=1 << 22)
MAX_INDEXED_VALUE: Final = 128  # ids, sequences, hashes; encoded packets are found through them


_SHORT: Final = tuple(cbor.head(0x60, size) for size in range(0x400))  # heads of all but the longest texts


@lru_cache(512)
def _event_head(kind: str, attributes: int) -> bytes:
    return b"\x82" + cbor.encode(kind) + cbor.head(0x80, attributes)


@lru_cache(2_048)  # event types and attribute names: dozens of each
def _words(kind: str, name: str) -> tuple[bytes, str]:
    """What the pair of an attribute begins with, and what its index rows are called."""
    return b"\x82" + cbor.encode(name), f"{kind}.{name}"


class _Attribute:
    """What the last attribute of one name says in the events of one type."""

    __slots__ = ("framed", "head", "row", "seen", "value")

    def __init__(self, kind: str, name: str) -> None:
        self.value: str | None = None
        self.framed = b""
        self.head, self.row = _words(kind, name)
        self.seen: set[str] = set()  # values that have a row


class _Kind(dict[str, _Attribute]):
    """The attributes of one event type; how the last event with so many attributes began."""

    __slots__ = ("count", "head")

    def __init__(self) -> None:
        super().__init__()
        self.count, self.head = -1, b""


def _frame_events(parts: list[bytes], events: tuple[Event, ...], rows: list[IndexRow], place: tuple[int, int]) -> None:
    """Append the encoding of `_events(events)`, and the index rows of attributes not seen here before."""
    height, number = place
    append = parts.append
    append(cbor.head(0x80, len(events)))
    kinds: dict[str, _Kind] = {}
    latest: dict[str, tuple[str, bytes]] = {}  # last value of a name and its pair: the events of a packet say the same
    small: dict[int, bytes] = {}  # events of one attribute by identity: some are constants, emitted for every packet
    for event in events:
        framed = small.get(id(event))
        if framed is not None:
            append(framed)
            continue
        kind, attributes = event
        known = kinds.get(kind)
        if known is None:
            known = kinds[kind] = _Kind()
        count = len(attributes)
        if count != known.count:
            known.count, known.head = count, _event_head(kind, count)
        append(known.head)
        for name, value in attributes:
            own = known.get(name)
            if own is None:
                own = known[name] = _Attribute(kind, name)
            if own.value != value:
                last, size = latest.get(name), len(value)
                if last is not None and last[0] == value:
                    framed = last[1]
                else:
                    if size < 0x400 and value.isascii():
                        framed = b"".join((own.head, _SHORT[size], value.encode()))
                    else:
                        framed = own.head + cbor.encode(value)
                    latest[name] = value, framed
                own.value, own.framed = value, framed
                if size <= MAX_INDEXED_VALUE and value not in own.seen:
                    own.seen.add(value)
                    rows.append((own.row, value, height, number))
            append(own.framed)
        if count == 1:
            small[id(event)] = known.head + parts[-1]


def _events(events: tuple[Event, ...]) -> list[Any]:
    return [[event.type, [list(pair) for pair in event.attributes]] for event in events]


def _read_events(values: Any) -> tuple[Event, ...]:
    return tuple(Event(kind, tuple((k, v) for k, v in attributes)) for kind, attributes in values)
