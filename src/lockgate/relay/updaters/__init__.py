"""Brings clients of each kind forward: a file per kind, which meets `courier.ports.Updater`.

- `tendermint`: headers, verified here first, and ICS-23 proofs under them
"""

__all__ = ("tendermint",)
