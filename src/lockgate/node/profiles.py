"""Named profiles: settings that belong together for one kind of workload, hardware or duty (S75).

A profile sets nothing that cannot be set by itself: it is a list of values, and what a deployment file says wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lockgate.primitives.errors import Refused
from lockgate.primitives.time import seconds

MIB: Final = 1 << 20


class NoSuchProfile(Refused):
    code = "node.no_such_profile"
    summary = "There is no profile of this name."
    untouched = "Nothing was started or written."
    next_step = "`lockgate profile list` shows the profiles."


@dataclass(frozen=True, slots=True)
class Profile:
    """Values that differ from the defaults, by where they stand in a deployment file."""

    name: str
    purpose: str
    costs: str
    deployment: Mapping[str, Any] = field(default_factory=dict)  # beside the tables
    ledger: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)  # of each ledger's genesis
    host: Mapping[str, Any] = field(default_factory=dict)
    relay: Mapping[str, Any] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str, Any]]:
        """(table, name, value) of everything it sets."""
        tables = {
            "": self.deployment,
            "ledger": self.ledger,
            "ledger.parameters": self.parameters,
            "host": self.host,
            "relay": self.relay,
        }
        return [(table, name, value) for table, values in tables.items() for name, value in values.items()]


PROFILES: Final = {
    profile.name: profile
    for profile in (
        Profile("balanced", "the defaults: one machine, any traffic", "nothing"),
        Profile(
            "low-latency",
            "single messages that somebody waits for: quotes, margin calls",
            "more empty blocks, and more transactions for the same number of packets",
            ledger={"heartbeat": 1.0},
            parameters={"default_grace_ns": seconds(20)},
            relay={"batch_most": 16},
        ),
        Profile(
            "bulk",
            "many packets at once, and large bodies; nobody waits for one of them",
            "memory for what waits, and longer to scan after a restart",
            parameters={
                "default_grace_ns": seconds(600),
                "inbox_per_grant": 4_096,
                "inbox_per_lane": 16_384,
                "inbox_total": 65_536,
                "sweep_per_block": 1_024,
                "lane_max_packets": 16_384,
                "lane_max_bytes": 1_024 * MIB,
            },
        ),
        Profile(
            "small",
            "a small machine: little disk and memory, few cores",
            "less history: older states prove nothing, older blocks are gone, bodies are at most 256 MiB",
            ledger={"heartbeat": 15.0, "keep_versions": 1_000, "keep_blocks": 20_000},
            parameters={"header_memory": 10_000, "inbox_total": 4_096, "lane_max_bytes": 32 * MIB},
            host={"bulk_bytes": 256 * MIB, "bulk_total": 1_024 * MIB},
            relay={"batch_most": 50},
        ),
        Profile(
            "regulated",
            "records that are kept whole, on disk before anything is published, in order, with time to object",
            "a disk sync at every block, a disk that grows, and a lane that waits for what comes first",
            deployment={"order": "ordered"},
            ledger={"durable": True, "keep_versions": 100_000},
            parameters={
                "authority_delay_blocks": 60,
                "deviation_slow_at": 1,
                "deviation_quarantine_at": 4,
                "deviation_freeze_at": 1,
            },
        ),
    )
}


def named(name: object) -> Profile:
    """A profile by its name. Raises NoSuchProfile."""
    found = PROFILES.get(name) if isinstance(name, str) else None
    if found is None:
        raise NoSuchProfile("unknown", profile=str(name)[:100], known=", ".join(PROFILES))
    return found


__all__ = ("PROFILES", "NoSuchProfile", "Profile", "named")
