"""The attested light client: a rotating, accountable quorum attests heights of another ledger (P10, P21).

- `client`: `AttestedClient`, which meets the `LightClient` port of `ibc`
- `signers`: who attests, and which sets a client may rest on
- `states`, `messages`: what is stored, signed and brought; `schemas`: their CDDL
- `quorum`, `update`: what is verified, and what follows
- `errors`: every refusal with its wire code
"""

from lockgate.lightclients.attested.client import AttestedClient
from lockgate.lightclients.attested.messages import Attestation, Misbehaviour, Rotation
from lockgate.lightclients.attested.signers import Signer, SignerSet
from lockgate.lightclients.attested.states import ClientState, ConsensusState

__all__ = (
    "Attestation",
    "AttestedClient",
    "ClientState",
    "ConsensusState",
    "Misbehaviour",
    "Rotation",
    "Signer",
    "SignerSet",
)
