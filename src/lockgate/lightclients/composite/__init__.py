"""The composite light client: a written rule over clients of unlike kinds on the same ledger (P21).

- `client`: `CompositeClient`, which meets the `LightClient` port of `ibc`
- `rule`: the rule's grammar, verdicts and minimal sets
- `members`: what is asked of members, which rules are refused, and how one is explained
- `states`: what is stored and brought; `schemas`: their CDDL
- `errors`: every refusal with its wire code
"""

from lockgate.lightclients.composite.client import CompositeClient
from lockgate.lightclients.composite.rule import Joined, MemberTerm, minimal_sets, parse
from lockgate.lightclients.composite.states import ClientState, ConsensusState, encode_agreement

__all__ = (
    "ClientState",
    "CompositeClient",
    "ConsensusState",
    "Joined",
    "MemberTerm",
    "encode_agreement",
    "minimal_sets",
    "parse",
)
