"""Following a beacon chain by its sync committees: Altair to Fulu.

- `network`: genesis, clock and forks of a chain; `indices`: where each fork keeps what is proven
- `containers`: what beacon nodes serve, and its hash tree roots; `ssz_form`, `json_form`: its encodings
- `verification`, `committee`: whether a committee signed an update; `sync`: what a reader of the head keeps
- `errors`: every refusal with its wire code
"""

from lockgate.lightclients.ethereum.containers import (
    BeaconHeader,
    Bootstrap,
    ExecutionHeader,
    LightHeader,
    SyncAggregate,
    SyncCommittee,
    Update,
)
from lockgate.lightclients.ethereum.network import Fork, Network, Scheduled

__all__ = (
    "BeaconHeader",
    "Bootstrap",
    "ExecutionHeader",
    "Fork",
    "LightHeader",
    "Network",
    "Scheduled",
    "SyncAggregate",
    "SyncCommittee",
    "Update",
)
