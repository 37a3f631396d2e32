"""An EVM chain through the contracts of `contracts/`.

- `artefacts`: their interfaces and creation code, as compiled; `interface`: calls, results and events by them
- `node`: a node's JSON-RPC; `nodes`: several that must agree; `answers`: their JSON as values
- `history`: which blocks were shown, which are final, and where the chain departs from them; `memory`: over a restart
- `chain`: reads packets and their ends (`courier.ports.Chain`); `packets`: how the host contract stores and tells them;
  `clients`: its clients; `proofs`: of its storage
- `submitter`: does packet messages (`courier.ports.Submitter`); `calls`: messages as calls of the host
- `account`: one account's transactions, until each is final; `transactions`: their bytes; `fees`: what they may cost;
  `journal`: those on their way, on disk; `files`: how it is written; `refusals`: what a contract or a node says no by
- `deployment`: deploys the contracts and opens a lane; `rules`: what its guardian says of it
"""

__all__ = (
    "account",
    "answers",
    "artefacts",
    "calls",
    "chain",
    "clients",
    "deployment",
    "fees",
    "files",
    "history",
    "interface",
    "journal",
    "memory",
    "node",
    "nodes",
    "packets",
    "proofs",
    "refusals",
    "rules",
    "submitter",
    "transactions",
)
