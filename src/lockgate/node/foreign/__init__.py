"""Lanes from a ledger of this folder to chains that are not ours.

- `spec`: a chain as the deployment file and the data folder name it; `keys`: the relayer's account there
- `beacons`: beacon nodes, where the ledger follows an EVM by its sync committees
- `evm`: an EVM opened; `deploy`: our contracts on it; `status`: what stands there
- `rules`: what a lane's guardian says to the contract
- `sets`, `attestors`, `rotation`: signing sets, the attestors of such a lane, and the next set
- `lane`: opens one to an EVM, `cosmos` one to a Cosmos SDK chain; `records`: what of one stands; `relay`: its relayer
- `start`: all lanes of a deployment
"""

__all__ = (
    "attestors",
    "beacons",
    "cosmos",
    "deploy",
    "evm",
    "keys",
    "lane",
    "records",
    "relay",
    "rotation",
    "rules",
    "sets",
    "spec",
    "start",
    "status",
)
