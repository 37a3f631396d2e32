"""The ethereum light client: two thirds of a beacon chain's sync committee finalize EVM blocks. Altair to Fulu.

- `client`: `EthereumClient`, which meets the `LightClient` port of `ibc`
- `network`: genesis, clock and forks of a chain; `indices`: where each fork keeps what is proven
- `containers`: what beacon nodes serve, and its hash tree roots; `ssz_form`, `json_form`: its encodings
- `verification`, `committee`: whether a committee signed an update; `sync`: what a reader of the head keeps
- `states`, `messages`: what is stored and brought; `update`: what follows; `schemas`: their CDDL
- `proofs`: words of the packet host under a state root
- `errors`: every refusal with its wire code
"""

from lockgate.lightclients.ethereum.client import EthereumClient
from lockgate.lightclients.ethereum.containers import (
    BeaconHeader,
    Bootstrap,
    ExecutionHeader,
    LightHeader,
    SyncAggregate,
    SyncCommittee,
    Update,
)
from lockgate.lightclients.ethereum.messages import Header, Misbehaviour
from lockgate.lightclients.ethereum.network import Fork, Network, Scheduled
from lockgate.lightclients.ethereum.states import ClientState, ConsensusState

__all__ = (
    "BeaconHeader",
    "Bootstrap",
    "ClientState",
    "ConsensusState",
    "EthereumClient",
    "ExecutionHeader",
    "Fork",
    "Header",
    "LightHeader",
    "Misbehaviour",
    "Network",
    "Scheduled",
    "SyncAggregate",
    "SyncCommittee",
    "Update",
)
