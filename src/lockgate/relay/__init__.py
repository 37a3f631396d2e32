"""Drives relayers: what `courier` decides, over the RPC of two ledgers.

- `driver`: one pair of clients; reads, plans, moves, for ever
- `watch`, `scan`, `search`, `events`: what is in flight, from events and from state
- `direction`, `mover`, `messages`: one way of a pair, and a packet's next step, proven
- `pairing`, `pairing_kinds`: two ledgers made clients of each other, by headers, a quorum's word, or both
- `kinds`, `updaters`: each kind of light client, and what brings it forward
- `attestors`, `rotation`: whose word that takes, and handing over to others
- `beacon_start`: where a client of a beacon chain starts
- `submitter`: transactions of one account, on nonce lanes of its own
- `care`, `guard`, `quorum_guard`: clients kept fresh, finished packets pruned; ledgers that signed two histories
- `endpoint`, `status`: one ledger of a pair, and what people are shown
- `sources`, `sources_headers`, `sources_chain`, `sources_calls`: several nodes of a ledger, of which some must agree
- `rpc`, `http`, `pages`: calls to one node, and how far it is followed; `chains`: how each kind of ledger is read
"""

__all__ = ("chains", "driver", "rpc", "search", "submitter")
