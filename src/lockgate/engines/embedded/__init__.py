"""One process that orders and persists: blocks on demand, real v0.38 headers, CometBFT's JSON-RPC.

- `service`: when blocks are made; `chain`: how one is; `roster`, `assembly`, `results`, `bodies`: its parts
- `timekeeping`: header time (P13); `recovery`, `replay`: what is checked at a start and by `verify` (P12, I14)
- `retention`: blocks and versions that are let go
- `rpc_server`, `rpc_methods`, `rpc_values`, `queries`: what is served
- `ports`: `BlockStore`, `SigningState`
"""

__all__ = (
    "chain",
    "ports",
    "recovery",
    "replay",
    "results",
    "retention",
    "rpc_methods",
    "rpc_server",
    "rpc_values",
    "service",
)
