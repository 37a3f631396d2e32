"""Light clients: believing a ledger's headers without believing anyone who serves them.

- `cometbft`: headers, commits and validator sets; hashing, sign bytes, verification, bisection.
  Verifies the embedded engine, CometBFT clusters and Cosmos chains, and helps the engine build blocks
- `tendermint`: the 07-tendermint client module that meets the `LightClient` port of `ibc`
- `attested`: the attested client module: a rotating quorum of accountable signers
- `ethereum`: the ethereum client module: two thirds of a beacon chain's sync committee, and storage proofs
- `composite`: the composite client module: a written rule over clients of unlike kinds
- `stored`, `standing`, `store`, `forms`, `heights`, `subject`: what all client modules share: what they answer alike,
  status and refusals, place in the store, encodings, growing by a height, what a client says about itself
- `follower`: a host's own client of a ledger, from a pinned header
"""

__all__ = (
    "attested",
    "cometbft",
    "composite",
    "ethereum",
    "follower",
    "forms",
    "heights",
    "standing",
    "store",
    "stored",
    "subject",
    "tendermint",
)
