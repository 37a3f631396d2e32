"""Authenticated data structures: logs, the ledger's state, and proofs of both.

- `tree`: RFC 6962 / 9162 trees, their proofs, an appender; also CometBFT's simple trees
- `iavl`: the versioned AVL+ tree, worked on; `snapshot`: one saved version of it, read and proven from
- `node`: one tree node, in memory and stored; `ports`: `NodeStore`; `audit`: a whole store checked
- `multistore`: named trees under one root; `version`, `roots`, `store_map`: the parts of that
- `specs`, `operations`, `digests`: the ICS-23 specs and the hashing they name
- `ics23`, `absence`, `batches`: the plain, complete ICS-23 verifier
- `ics23_fast`: the same verdicts for many proofs under one root, the shared part checked once
- `patricia`, `ethereum`: Ethereum's state tries, accounts and words proven; `patricia_tree`: a trie made whole
- `ssz`: hash tree roots and branches of Ethereum's consensus
- `framing`, `varint`: canonical bytes; `errors`: what is refused
"""

__all__ = (
    "errors",
    "ethereum",
    "ics23",
    "ics23_fast",
    "multistore",
    "patricia",
    "patricia_tree",
    "ports",
    "specs",
    "ssz",
    "tree",
)
