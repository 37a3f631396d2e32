"""Disks: what the engines and hosts keep, in SQLite files and in memory.

- `ledger`: blocks, results and indices of an embedded ledger, and the folder's lock
- `signstate`: what a validator has signed, outside the database (P12)
- `attested`: what an attestor has signed, outside the database too
- `host`: a host's staged steps, sent and seen messages
- `blocks`: the same as `ledger`, in memory, for the lab
- `nodes`, `memory`: tree nodes, meeting `merkle.ports.NodeStore`
"""

__all__ = ("attested", "blocks", "evidence", "feed", "host", "ledger", "memory", "nodes", "signstate")
