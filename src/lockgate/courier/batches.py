"""How many packets go into one transaction: bounded by messages, bytes and gas, and by time.

The first three are the ledger's limits. Time is ours: a ledger executes one transaction in one go, so
a large batch of an old backlog is what a fresh packet would wait for. `Pace` keeps such batches short
while there is fresh traffic, and large while there is none.
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
BATCH_LEAST: Final = 4
IDLE_TARGET_S: Final = 0.5  # a batch of a backlog while nothing fresh is about
BUSY_SHARE: Final = 0.125  # of a fresh packet's life, which passes through several places where it may wait
BUSY_LEAST_S: Final = 0.004
SMOOTHING: Final = 0.3  # weight of the newest measurement


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


class Pace:
    """Chooses the size of a backlog's next batch from how long the ones before took."""

    def __init__(self) -> None:
        self._per_packet_s: float | None = None
        self._life_s = 0.1  # of a fresh packet, from seen to ended

    def took(self, packets: int, seconds: float) -> None:
        """A batch was on its way for this long."""
        self._per_packet_s = _smoothed(self._per_packet_s, seconds / max(packets, 1))

    def lived(self, seconds: float) -> None:
        """A fresh packet ended this long after it was first seen."""
        self._life_s = _smoothed(self._life_s, seconds)

    def size(self, *, busy: bool) -> int:
        """Packets for the next batch; `busy` says that fresh packets are about."""
        target = max(BUSY_LEAST_S, BUSY_SHARE * self._life_s) if busy else IDLE_TARGET_S
        if self._per_packet_s is None:
            return BATCH_LEAST
        return max(BATCH_LEAST, min(BATCH_MOST, int(target / max(self._per_packet_s, 1e-6))))


def _smoothed(old: float | None, new: float) -> float:
    return new if old is None else (1 - SMOOTHING) * old + SMOOTHING * new
