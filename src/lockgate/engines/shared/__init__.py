"""What every engine needs around the machine.

- `bodies`: the state as the machine reads it; `queries`: abci_query; `document`: genesis.json
- `audit`: a stored state read back; `validators`: validator sets by height; `ports`: `AppStore`, `SnapshotStore`
- `openness`: what is still open, by block: what retention goes by
"""

__all__ = ("bodies", "document", "openness", "ports", "queries", "validators")
