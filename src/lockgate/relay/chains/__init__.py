"""How each kind of ledger is read.

- `beacon`: the light client API of beacon nodes
- `cometbft`, `cometbft_state`: CometBFT's JSON-RPC, which embedded ledgers speak as well
- `evm`: Ethereum-compatible nodes, through our contracts
"""

__all__ = ("beacon", "cometbft", "evm")
