"""Drives one endpoint: what `host` decides, over a ledger's RPC, a store and a guest.

- `host`: the life of a host: recover, take the fence, work in batches
- `queue`: what waits, found on the ledger or asked by the operator
- `arrivals`, `endings`, `asked`: what to do about a message that came, one of ours that ended, what the operator asks
- `steps`: run the guest, seal what follows, stage it
- `posting`: post what was staged, and find out what became of it
- `fencing`, `rotation`: which saved state stands, the next fence, the next keys
- `reader`: a ledger read through its own light client
- `traffic`: packets and the proofs they came with, out of the own ledger's transactions
- `peers`, `opening`: key records of peers, proven on their ledgers; opening what they sealed
- `rules`: the rules of each ledger that its operator accepted
- `views`, `forks`: what authors saw of the ledgers, and ledgers that signed two histories
- `bulk`: bodies too large for a packet: offered, and fetched beside the steps
- `attestor`, `attestor_server`: signs what was verified of a ledger, for clients that rest on a quorum
- `config`, `work`: what a host is told, and the pieces of its work

The real world (`node`) and the simulated one (`lab`) assemble the same driver.
"""

from lockgate.hosting.config import HostConfig, LedgerRef, PeerRef
from lockgate.hosting.host import Host
from lockgate.hosting.reader import ProvenReader

__all__ = ("Host", "HostConfig", "LedgerRef", "PeerRef", "ProvenReader")
