"""How many packets go into one transaction: bounded by messages, bytes and gas, the ledger's limits.

Time is a limit of ours (`pace`): a ledger executes one transaction in one go, so a large batch of an old
backlog is what a fresh packet would wait for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.codec import type_urls as urls
from lockgate.courier.plan import Track
from lockgate.machine import gas

RPC_BYTES: Final = 700_000  # of a transaction; base64 makes it the 1 MB that a CometBFT node's RPC takes
PROOF_ROOM: Final = 4_096  # bytes of a proof and the message around it: two paths of 40 levels
ENVELOPE_ROOM: Final = 1_024  # of the transaction around its messages
UPDATE_ROOM: Final = 8_192  # of client updates in front, with a small validator set
BATCH_MOST: Final = 250  # the cost per packet hardly falls beyond it
BATCH_LEAST: Final = 8  # below it a batch mostly pays for itself: a header, a signature, a block


@dataclass(frozen=True, slots=True)
class Limits:
    """What one transaction of a ledger may hold."""

    messages: int = 1_024
    bytes: int = RPC_BYTES
    gas: int = 50_000_000
    gas_price: int = 0  # least fee per unit of gas


def fitting(tracks: Sequence[Track], message: str, limits: Limits, most: int = BATCH_MOST) -> tuple[Track, ...]:
    """The longest beginning of `tracks` that fits into one transaction; at least one packet."""
    room = limits.bytes - ENVELOPE_ROOM - UPDATE_ROOM
    left = limits.gas - gas.estimate([(urls.MSG_UPDATE_CLIENT, b"")], ENVELOPE_ROOM + UPDATE_ROOM)
    count = 0
    for track in tracks[: max(1, min(most, limits.messages - 2))]:
        size = len(track.packet) + len(track.acknowledgement or b"") + PROOF_ROOM
        room -= size
        left -= gas.PER_MESSAGE[message] + gas.PER_BYTE * size
        if count and (room < 0 or left < 0):
            break
        count += 1
    return tuple(tracks[:count])
