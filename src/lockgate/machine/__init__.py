"""The deterministic state machine: a block's transactions in, writes and events out. Pure.

- `machine`: a block from its transactions; `context`, `gas`: what a handler is given, what it costs
- `transaction`, `schemas`: the bytes of transactions, and the schema ids of all that stands here
- `wording`: what a signed header proves, in words (P10)
- `genesis`: parameters, validators, class of ledger (P10)
- `accounts`, `identity`, `endpoints`: who signs, key records of endpoints, their fences and roots (P5, P8)
- `lanes`, `packets`, `inbox`, `answers`, `gate`: lanes, and a packet's way through grant and answer (P1, P9, P15)
- `governance`, `authority`, `succession`: the authority's actions, and who follows it
- `settlement`, `equivocation`: what follows two histories
- `validators`, `handover`, `offences`: who signs blocks, by height, how that changes, and who was caught
- `history`: own headers, bound under the root
- `pruning`: finished packets, forgotten provably (I15)
- `keys`, `records`, `errors`: where state stands, its values, what is refused
"""

__all__ = (
    "accounts",
    "authority",
    "context",
    "endpoints",
    "errors",
    "gas",
    "gate",
    "genesis",
    "governance",
    "handover",
    "history",
    "identity",
    "inbox",
    "keys",
    "lanes",
    "machine",
    "offences",
    "pruning",
    "records",
    "succession",
    "transaction",
    "validators",
    "wording",
)
