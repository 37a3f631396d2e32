"""What every engine needs around the machine.

- `bodies`: the state as the machine reads it; `queries`: abci_query; `document`: genesis.json
- `ports`: `AppStore`
"""

__all__ = ("bodies", "document", "ports", "queries")
