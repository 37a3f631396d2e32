"""Lanes from a ledger of this folder to chains that are not ours.

- `spec`: a chain as the deployment file and the data folder name it; `keys`: the relayer's account there
- `evm`: an EVM opened; `deploy`: our contracts on it; `status`: what stands there
- `sets`, `attestors`: signing sets, and the attestors of such a lane
- `lane`: opens one; `relay`: the relayer of one
"""

__all__ = ("attestors", "deploy", "evm", "keys", "lane", "relay", "sets", "spec", "status")
