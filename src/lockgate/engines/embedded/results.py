"""Stored form of a block's results: deterministic CBOR, one array per block.

Events are most of it, and most attributes stand in several events of a block. So they are framed here,
each pair once, byte for byte what `cbor.encode` writes of `plain()`: a property test says so.
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


_name: Final = lru_cache(512)(cbor.encode)  # attribute names: dozens


@lru_cache(512)
def _event_head(kind: str, attributes: int) -> bytes:
    return b"\x82" + cbor.encode(kind) + cbor.head(0x80, attributes)


def _frame_events(parts: list[bytes], events: tuple[Event, ...], rows: list[IndexRow], place: tuple[int, int]) -> None:
    """Append the encoding of `_events(events)`, and the index rows of attributes not seen here before."""
    height, number = place
    parts.append(cbor.head(0x80, len(events)))
    pairs: dict[tuple[str, str], bytes] = {}  # attribute -> its encoding
    seen: dict[str, dict[tuple[str, str], bytes]] = {}  # the same by event type
    for kind, attributes in events:
        known = seen.get(kind)
        if known is None:
            known = seen[kind] = {}
        parts.append(_event_head(kind, len(attributes)))
        for pair in attributes:
            framed = known.get(pair)
            if framed is None:
                name, value = pair
                framed = pairs.get(pair)
                if framed is None:
                    framed = pairs[pair] = _frame_pair(name, value)
                known[pair] = framed
                if len(value) <= MAX_INDEXED_VALUE:
                    rows.append((f"{kind}.{name}", value, height, number))
            parts.append(framed)


def _frame_pair(name: str, value: str) -> bytes:
    text = cbor.head(0x60, len(value)) + value.encode() if value.isascii() else cbor.encode(value)
    return b"\x82" + _name(name) + text


def _events(events: tuple[Event, ...]) -> list[Any]:
    return [[event.type, [list(pair) for pair in event.attributes]] for event in events]


def _read_events(values: Any) -> tuple[Event, ...]:
    return tuple(Event(kind, tuple((k, v) for k, v in attributes)) for kind, attributes in values)
