"""The 07-tendermint light client module: headers in, consensus states and proofs out. Source: ICS-07.

- `client`: `TendermintClient`, which meets the `LightClient` port of `ibc`
- `states`: client and consensus states, their validity and their stored bytes
- `messages`: Header and Misbehaviour messages, read and written
- `store`: keys of ibc-go; `memo`: pure memos of decoded bytes
- `update`: advancing and freezing; `recovery`: substitutes and upgrades
- `errors`: every refusal with its wire code
"""

from lockgate.lightclients.standing import ClientUpdate
from lockgate.lightclients.tendermint.client import CLIENT_TYPE, TendermintClient
from lockgate.lightclients.tendermint.messages import (
    ClientHeader,
    ClientMisbehaviour,
    decode_header,
    decode_misbehaviour,
    encode_header,
    encode_misbehaviour,
)
from lockgate.lightclients.tendermint.states import (
    ClientState,
    ConsensusState,
    decode_client_state,
    decode_consensus_state,
    encode_client_state,
    encode_consensus_state,
)

__all__ = (
    "CLIENT_TYPE",
    "ClientHeader",
    "ClientMisbehaviour",
    "ClientState",
    "ClientUpdate",
    "ConsensusState",
    "TendermintClient",
    "decode_client_state",
    "decode_consensus_state",
    "decode_header",
    "decode_misbehaviour",
    "encode_client_state",
    "encode_consensus_state",
    "encode_header",
    "encode_misbehaviour",
)
