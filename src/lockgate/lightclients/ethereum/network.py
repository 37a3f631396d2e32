"""What is fixed about a beacon chain: its genesis, its clock, its sync committees, and when its forks come.

All of it is configuration of a client and never of this program. Source: consensus-specs, phase0 and Altair
presets, and each fork's `*_FORK_VERSION` and `*_FORK_EPOCH`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos

MAX_UINT64: Final = (1 << 64) - 1
VERSION_BYTES: Final = 4


class Fork(IntEnum):
    """The forks whose light client data are known here, in their order."""

    PHASE0 = 0
    ALTAIR = 1
    BELLATRIX = 2
    CAPELLA = 3
    DENEB = 4
    ELECTRA = 5
    FULU = 6


@dataclass(frozen=True, slots=True)
class Scheduled:
    """From which epoch on a fork rules, and the version that signatures of that time cover."""

    epoch: int
    version: bytes  # 4 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One beacon chain.

    `forks` stand at the place of their `Fork`, the genesis version first, and end with the last one scheduled.
    """

    genesis_validators_root: bytes
    genesis_time: int  # seconds
    seconds_per_slot: int
    slots_per_epoch: int
    epochs_per_period: int  # of a sync committee
    committee_size: int
    forks: tuple[Scheduled, ...]

    def epoch(self, slot: int) -> int:
        return slot // self.slots_per_epoch

    def period(self, slot: int) -> int:
        """Which sync committee signs at a slot."""
        return slot // (self.slots_per_epoch * self.epochs_per_period)

    def fork(self, slot: int) -> Fork:
        """The fork that rules at a slot."""
        epoch = self.epoch(slot)
        return Fork(max(place for place, each in enumerate(self.forks) if place == 0 or each.epoch <= epoch))

    def version(self, slot: int) -> bytes:
        """The fork version of a slot's epoch."""
        return self.forks[self.fork(slot)].version

    def slot_at(self, now: UnixNanos) -> int:
        """The slot that a clock stands in; -1 before genesis."""
        elapsed = now - self.genesis_time * NANOS_PER_SECOND
        return -1 if elapsed < 0 else elapsed // (self.seconds_per_slot * NANOS_PER_SECOND)

    def is_supermajority(self, participants: int) -> bool:
        """Whether two thirds of a committee took part: below that, an update moves nothing."""
        return 3 * participants >= 2 * self.committee_size


__all__ = ("MAX_UINT64", "VERSION_BYTES", "Fork", "Network", "Scheduled")
