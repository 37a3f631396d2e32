"""Brings clients of each kind forward: a file per kind, which meets `courier.ports.Updater`.

- `tendermint`: headers, verified here first
- `attested`: a quorum's word on a height
- `composite`: members brought to one height, and their agreement on it
- `grounds`: proofs under one root, which all of these end in
"""

__all__ = ("attested", "composite", "grounds", "tendermint")
