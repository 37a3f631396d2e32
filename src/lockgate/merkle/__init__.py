"""Authenticated data structures.

- `tree`: RFC 6962 / 9162 trees and their proofs
- `iavl`, `multistore`: the ledger's state; `proving` writes ICS-23 proofs out of it
- `specs`, `ics23`, `ics23_fast`: ICS-23 verification
- `ports`: `NodeStore`
"""
