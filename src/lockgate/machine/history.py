"""The ledger's own headers, bound under its own root (P9).

`lane.open` compares a remote client's consensus state with this ledger's own header of that height. Every node has
those headers, and a node that was given a copy of the state must judge alike: so what is compared of each header
(time, root, next validators) goes into a chain of hashes, and the state holds the newest link. A copy of the
headers is right when its links end there.

A block that changes nothing else does not write the link: it would change the root of every block (I5). The next one
that changes something writes its own, which covers the quiet ones.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from lockgate.machine.context import OwnHeader
from lockgate.machine.records import Record

LABEL: Final = b"lockgate/headers/1"
START: Final = hashlib.sha256(LABEL).digest()  # before the first header


@dataclass(frozen=True, slots=True)
class TrailRecord(Record):
    """The link after the header of `height`. It stands in the state after that block."""

    height: int
    link: bytes


def follow(link: bytes, height: int, header: OwnHeader) -> bytes:
    """The link after one more header: 32 bytes, over the one before, height, time, root and next validators."""
    head = LABEL + link + height.to_bytes(8, "big") + header.time.to_bytes(8, "big")
    return hashlib.sha256(head + header.app_hash + header.next_validators_hash).digest()


__all__ = ("LABEL", "START", "TrailRecord", "follow")
