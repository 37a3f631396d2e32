"""The ledger's machine as an ABCI 2.0 application: CometBFT orders and signs, the machine decides.

- `application`: each request answered from a store, without I/O of its own
- `headers`: own headers that openings are compared with
- `statesync`, `sending`, `receiving`, `snapshot`: the state for nodes that have nothing
- `retention`: what a node may let go of its blocks
- `server`, `framing`: the socket protocol
"""

__all__ = ("application", "server")
