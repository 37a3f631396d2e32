"""How each kind of ledger is read.

- `cometbft`, `cometbft_state`: CometBFT's JSON-RPC, which embedded ledgers speak as well
- `evm`: Ethereum-compatible nodes, through our contracts
"""

__all__ = ("cometbft", "evm")
