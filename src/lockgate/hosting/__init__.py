"""Drives one endpoint: what `host` decides, over a ledger's RPC, a store and a guest.

- `host`: the life of a host: recover, take the fence, work in batches
- `steps`: one step: verify, open, run the guest, stage what follows
- `reader`: a ledger read through its own light client
- `traffic`: packets and the proofs they came with, out of the own ledger's transactions
- `peers`: key records of peers, proven on their ledgers
- `bulk`: bodies too large for a packet: offered, and fetched beside the steps
- `config`, `work`: what a host is told, and the pieces of its work

The real world (`node`) and the simulated one (`lab`) assemble the same driver.
"""

from lockgate.hosting.config import HostConfig, LedgerRef, PeerRef
from lockgate.hosting.host import Host
from lockgate.hosting.reader import ProvenReader

__all__ = ("Host", "HostConfig", "LedgerRef", "PeerRef", "ProvenReader")
