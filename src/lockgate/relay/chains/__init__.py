"""How each kind of ledger is read.

- `cometbft`: CometBFT's JSON-RPC, which embedded ledgers speak as well
"""

__all__ = ("cometbft",)
