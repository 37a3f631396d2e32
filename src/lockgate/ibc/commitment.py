"""Commitments: what a sender stores and a receiver proves, and the same for acknowledgements.

Every field is hashed before it is joined, so the preimage has one shape and no relayer can move
bytes between fields and keep the hash. Source client and sequence are not inside: the key under
which a commitment is stored binds them. Source: ICS-04 v2, specs/ibc-v2.md §4. [P4]
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from functools import lru_cache
from hashlib import sha256
from typing import Final

from lockgate.ibc.packet import SENTINEL, Acknowledgement, Packet, Payload
from lockgate.primitives.ids import Hash32

VERSION: Final = b"\x02"  # first byte of both preimages: IBC v2
MAX_MEMO_TEXT: Final = 128  # characters; names longer than a port may be are hashed, not remembered
_MEMO: Final = 4_096  # names in use are dozens; at 128 bytes each the memo stays below a megabyte


def commit_packet(packet: Packet) -> Hash32:
    """Return the 32 bytes the source ledger stores for `packet`."""
    payloads = b"".join([payload_hash(payload) for payload in packet.payloads])
    return Hash32(
        sha256(
            VERSION
            + _text_hash(packet.destination_client)
            + sha256(packet.timeout.to_bytes(8, "big")).digest()
            + sha256(payloads).digest()
        ).digest()
    )


def payload_hash(payload: Payload) -> bytes:
    """Return the 32-byte hash of one payload, all five fields bound."""
    return sha256(
        _text_hash(payload.source_port)
        + _text_hash(payload.destination_port)
        + _text_hash(payload.version)
        + _text_hash(payload.encoding)
        + sha256(payload.value).digest()
    ).digest()


def commit_acknowledgement(acknowledgement: Acknowledgement | Items[bytes]) -> Hash32:
    """Return the 32 bytes the destination ledger stores for an acknowledgement list."""
    elements = acknowledgement.elements if isinstance(acknowledgement, Acknowledgement) else acknowledgement
    return Hash32(sha256(VERSION + b"".join([sha256(one).digest() for one in elements])).digest())


def _text_hash(text: str) -> bytes:
    return _short_hash(text) if len(text) <= MAX_MEMO_TEXT else sha256(text.encode()).digest()


@lru_cache(_MEMO)
def _short_hash(text: str) -> bytes:
    return sha256(text.encode()).digest()


SENTINEL_COMMITMENT: Final = commit_acknowledgement((SENTINEL,))
