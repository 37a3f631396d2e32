"""Brings clients of each kind forward: a file per kind, which meets `courier.ports.Updater`.

- `tendermint`: headers, verified here first
- `attested`: a quorum's word on a height
- `attested_evm`: the same of a host contract on an EVM, with proofs of its storage
- `evm_attested`: contracts on an EVM that believe a quorum about a ledger of ours
- `composite`: members brought to one height, and their agreement on it
- `ethereum`: what sync committees signed, and storage proofs under it
- `grounds`: proofs under one root, which the first three end in
"""

__all__ = ("attested", "attested_evm", "composite", "ethereum", "evm_attested", "grounds", "tendermint")
