"""What a composite client refuses beside what all clients do (`lightclients.standing`)."""

from __future__ import annotations

from typing import Final

from lockgate.lightclients.standing import CLIENT
from lockgate.primitives.errors import Refused

CODESPACE: Final = "lockgate"


class RuleRefused(Refused):
    code = "composite.rule_refused"
    summary = "The rule is not in its one written form, or one operator or one data source could satisfy it."
    next_step = "Join clients of unlike kinds, which share nobody, by AND and OR; see docs/spec/clients.md."
    wire = (CODESPACE, 89)


class RuleUnsatisfied(Refused):
    code = "composite.rule_unsatisfied"
    summary = "The members that agree on this height do not satisfy the rule."
    next_step = "Update the missing members to exactly this height, then bring the agreement again."
    wire = (CLIENT, 12)


class MembersDisagree(Refused):
    code = "composite.members_disagree"
    summary = "Two members hold different times or roots of one height: nothing is read from it."
    next_step = "Bring the agreement of that height: it freezes the client, and its lane closes."
    wire = (CLIENT, 29)


class InvalidClientState(Refused):
    code = "composite.client_state_invalid"
    summary = "A field of the composite client or consensus state has no usable value, or is not what its members hold."
    next_step = "Create the client again, at a height that the members of a satisfying set hold."
    wire = (CLIENT, 3)


class UpgradeUnknown(Refused):
    code = "composite.no_upgrade"
    summary = "A composite client follows one domain and is never moved to another."
    next_step = "Create a new client for the new domain."
    wire = (CLIENT, 25)


__all__ = ("InvalidClientState", "MembersDisagree", "RuleRefused", "RuleUnsatisfied", "UpgradeUnknown")
