"""The composite client module: a written rule over clients of unlike kinds on the same ledger (P21).

Theory of operation. A composite believes nobody; it compares. Whoever brings an `Agreement` names a
height, and the module looks at what every member holds of it. Where two differ, or one differs from
what was agreed before, the client freezes, whichever branch of the rule the second one stands in. Where
all that hold it agree, and they satisfy the rule, (height, time, root) is stored. Proofs and times are
read from stored heights only, and the members are asked again each time: one that froze since stops all.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import Final, TypeAlias

from lockgate.lightclients import heights, store
from lockgate.lightclients.composite.errors import (
    InvalidClientState,
    MembersDisagree,
    RuleUnsatisfied,
    UpgradeUnknown,
)
from lockgate.lightclients.composite.members import (
    JointProofs,
    Modules,
    check_ledger,
    check_parties,
    check_rule,
    explain,
    holders_of,
    module_of,
    subjects_of,
)
from lockgate.lightclients.composite.states import (
    AGREEMENT,
    CLIENT_STATE,
    CLIENT_TYPE,
    CONSENSUS_STATE,
    ClientState,
    CompositeForms,
    ConsensusState,
    check_client_state,
    check_consensus_state,
    decode_agreement,
    decode_client_state,
    decode_consensus_state,
    encode_consensus_state,
)
from lockgate.lightclients.standing import (
    ACTIVE,
    EXPIRED,
    FROZEN,
    Affords,
    ClientExpired,
    ClientFrozen,
    ClientUpdate,
    MalformedState,
    SubstituteMismatch,
    require_readable,
    standing,
    whatever_it_takes,
)
from lockgate.lightclients.store import ClientStore, processed_now
from lockgate.lightclients.stored import StoredClient
from lockgate.lightclients.subject import Subject
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import UnixNanos

CompositeStore: TypeAlias = store.ClientStore[ClientState, ConsensusState]


class CompositeClient(StoredClient[ClientState, ConsensusState, JointProofs]):
    """Light clients that believe what a rule over other clients says."""

    __slots__ = ("_modules",)
    client_type: Final = CLIENT_TYPE
    client_state_url: Final = CLIENT_STATE
    consensus_state_url: Final = CONSENSUS_STATE

    def __init__(self, modules: Modules) -> None:
        """`modules` are the kinds that members may be of, by client type."""
        self._modules: Final = modules

    def initialise(
        self,
        view: View,
        client_id: ClientId,
        client_state: bytes,
        consensus_state: bytes,
        now: UnixNanos,
        own_height: Height,
        /,
    ) -> Outcome:
        """Store a new client's first states, both given as Any bytes; members must agree on them."""
        state = decode_client_state(client_state)
        check_client_state(state)
        first = decode_consensus_state(consensus_state)
        check_consensus_state(first)
        check_rule(self._modules, view, state.rule, state.chain_id, state.domain, now)
        if self._agreed(view, state, state.latest_height, now) != first:
            raise InvalidClientState("the first consensus state is not what the members hold")
        kept = self._store(view, client_id)
        outcome = Outcome()
        kept.put_client_state(outcome, state)
        kept.put_consensus_state(outcome, state.latest_height, first, processed_now(now, own_height))
        return outcome

    def timestamp_at(self, view: View, client_id: ClientId, height: Height, /) -> UnixNanos:
        """Return the agreed time of `height`. Raises `ConsensusStateMissing`, `MembersDisagree`."""
        kept = self._store(view, client_id)
        agreed = kept.consensus_state(height)
        self._require_like(view, kept.client_state(), height, agreed)
        return agreed.timestamp

    def update(
        self,
        view: View,
        client_id: ClientId,
        message: tuple[str, bytes],
        now: UnixNanos,
        own_height: Height,
        /,
    ) -> ClientUpdate:
        """Look at the height that an Agreement names: store it, or freeze where there are two histories."""
        kept = self._store(view, client_id)
        state = kept.client_state()
        status = self._standing(view, kept, state, now)
        if status == FROZEN:
            raise ClientFrozen(client_id=client_id)
        if status == EXPIRED:
            raise ClientExpired(client_id=client_id, latest_height=state.latest_height)
        kind, value = message
        if kind != AGREEMENT:
            raise MalformedState("not a client message", type_url=kind)
        height = decode_agreement(value)
        subjects = subjects_of(self._modules, view, state.rule)
        check_ledger(subjects, state.chain_id, state.domain)  # first: two ledgers at odds are no equivocation
        if self._disputed(view, kept, state, height):
            return ClientUpdate(kept.freeze(state), misbehaviour=True)
        check_parties(subjects, state.rule)
        fresh = self._agreed(view, state, height, now)
        oldest = kept.oldest_height()
        floor = oldest if oldest is not None and oldest < height else None
        if heights.contradicts(kept, state, height, fresh, floor):
            return ClientUpdate(kept.freeze(state), misbehaviour=True)
        return heights.advance(kept, state, height, fresh, now, own_height)

    def convict(
        self,
        view: View,
        client_id: ClientId,
        message: tuple[str, bytes],
        now: UnixNanos,
        affords: Affords = whatever_it_takes,
    ) -> Outcome | None:
        """Freeze the client for good when a member of it is frozen, which is proof enough, or when its own members
        differ about the height whose Agreement froze another composite. No signature is verified for that.
        """
        kept = self._store(view, client_id)
        state = kept.find_client_state()
        if state is None or state.is_frozen:
            return None
        if self._caught(view, state, now):
            return kept.freeze(state)
        if message[0] != AGREEMENT:
            return None
        check_ledger(subjects_of(self._modules, view, state.rule), state.chain_id, state.domain)
        return kept.freeze(state) if self._disputed(view, kept, state, decode_agreement(message[1])) else None

    def rests_on(self, view: View, client_id: ClientId, /) -> tuple[ClientId, ...]:
        """The members of its rule. Raises `ClientUnknown`."""
        state = self._store(view, client_id).client_state()
        return tuple(each.client for each in state.rule.members())

    def equivocation(self, view: View, client_id: ClientId, misbehaviour: bytes) -> tuple[bytes, bytes] | None:
        """Return the hashes of two histories, or None: what a member's ledger or signers signed both, or, where
        `misbehaviour` is an Agreement's value, what two members hold of one height.
        """
        kept = self._store(view, client_id)
        state = kept.client_state()
        with contextlib.suppress(MalformedState):
            contents = sorted(self._contents(view, kept, state, decode_agreement(misbehaviour)))
            if len(contents) > 1:
                return contents[0], contents[1]
        for each in state.rule.members():
            try:
                found = module_of(self._modules, each.client).equivocation(view, each.client, misbehaviour)
            except (PeerFault, Refused):
                continue
            if found is not None:
                return found
        return None

    def recover(
        self, view: View, subject: ClientId, substitute: ClientId, now: UnixNanos, own_height: Height, /
    ) -> Outcome:
        """Revive a client from an active, newer one of the same ledger under the same rule."""
        found = self._recovery(view, subject, substitute, now)
        state, other = found.state, found.other
        if (state.domain, state.chain_id, state.rule) != (other.domain, other.chain_id, other.rule):
            raise SubstituteMismatch(subject=subject, substitute=substitute)
        return found.take_over()

    def upgrade(
        self,
        view: View,
        client_id: ClientId,
        client_state: bytes,
        consensus_state: bytes,
        proof_client: bytes,
        proof_consensus_state: bytes,
        now: UnixNanos,
        own_height: Height,
        /,
    ) -> Outcome:
        """Refuse: the rule is about one domain."""
        raise UpgradeUnknown(client_id=client_id)

    def follows(self, client_state: bytes, chain_id: str, domain: bytes) -> Height | None:
        """The latest height of a client state that follows this chain of this domain; None when it does not (P9)."""
        state = decode_client_state(client_state)
        return state.latest_height if (state.chain_id, state.domain) == (chain_id, domain) else None

    def content(self, consensus_state: bytes) -> tuple[UnixNanos, bytes]:
        """Time and root in a stored consensus state. Raises `MalformedState`."""
        found = decode_consensus_state(consensus_state)
        return found.timestamp, found.root

    def own_consensus(self, timestamp: UnixNanos, root: bytes, next_validators_hash: bytes) -> bytes:
        """The consensus state that such a client holds of a header of this ledger (P9)."""
        return encode_consensus_state(ConsensusState(timestamp, root))

    def subject(self, view: View, client_id: ClientId) -> Subject:
        """Whom the client follows: all of its members. Raises `ClientUnknown`."""
        state = self._store(view, client_id).client_state()
        members = subjects_of(self._modules, view, state.rule)
        low = [client for client, each in members.items() if not each.above_two_thirds]
        ways = explain(members, state.rule)
        return Subject(
            kind=CLIENT_TYPE,
            chain_id=state.chain_id,
            trusting_period=state.trusting_period,
            domain=state.domain,
            operators=frozenset[str]().union(*(each.operators for each in members.values())),
            sources=frozenset[str]().union(*(each.sources for each in members.values())),
            keys=frozenset[bytes]().union(*(each.keys for each in members.values())),
            parties=None,
            alone=frozenset(),
            above_two_thirds=not state.rule.holds(low),
            needs=f"{state.rule}: " + "; or ".join(needs for needs, _ in ways),
            forged_by="; or ".join(forged for _, forged in ways),
        )

    def _standing(self, view: View, kept: CompositeStore, state: ClientState, now: UnixNanos, /) -> str:
        """Frozen beats OR: one member that was caught freezes the composite, whether or not the rule needs it."""
        if self._caught(view, state, now):
            return FROZEN
        own = standing(kept, state, now)
        if own != ACTIVE:
            return own
        active = [each.client for each in state.rule.members() if self._status_of(view, each.client, now) == ACTIVE]
        return ACTIVE if state.rule.holds(active) else EXPIRED

    def _caught(self, view: View, state: ClientState, now: UnixNanos) -> bool:
        return any(self._status_of(view, each.client, now) == FROZEN for each in state.rule.members())

    def _status_of(self, view: View, member: ClientId, now: UnixNanos) -> str:
        return module_of(self._modules, member).status(view, member, now)

    def _agreed(self, view: View, state: ClientState, height: Height, now: UnixNanos) -> ConsensusState:
        """What the active members of a satisfying set hold of a height. Raises MembersDisagree, RuleUnsatisfied."""
        held = holders_of(self._modules, view, state.rule, height)
        contents = {(each.timestamp, each.root) for each in held.values()}
        if len(contents) > 1:
            raise MembersDisagree(height=height, members=", ".join(held))
        agreeing = [client for client in held if self._status_of(view, client, now) == ACTIVE]
        if not state.rule.holds(agreeing):
            raise RuleUnsatisfied(height=height, agreeing=", ".join(agreeing), rule=str(state.rule))
        return ConsensusState(*contents.pop())

    def _disputed(self, view: View, kept: CompositeStore, state: ClientState, height: Height) -> bool:
        """Whether members differ about a height, or one differs from what was agreed there before."""
        return len(self._contents(view, kept, state, height)) > 1

    def _contents(self, view: View, kept: CompositeStore, state: ClientState, height: Height) -> set[bytes]:
        """The hash of each unlike (time, root) that members hold of a height, or that was agreed there."""
        held = holders_of(self._modules, view, state.rule, height).values()
        found = {ConsensusState(each.timestamp, each.root) for each in held}
        stored = kept.find_consensus_state(height)
        if stored is not None:
            found.add(stored)
        return {hashlib.sha256(encode_consensus_state(each)).digest() for each in found}

    def _unlike(self, view: View, state: ClientState, height: Height, agreed: ConsensusState) -> bool:
        held = holders_of(self._modules, view, state.rule, height)
        return any(ConsensusState(each.timestamp, each.root) != agreed for each in held.values())

    def _require_like(self, view: View, state: ClientState, height: Height, agreed: ConsensusState) -> None:
        if self._unlike(view, state, height, agreed):
            raise MembersDisagree(height=height)

    def _store(self, view: View, client_id: ClientId) -> CompositeStore:
        return ClientStore(view, client_id, _FORMS)

    def _proofs(self, view: View, client_id: ClientId, height: Height) -> JointProofs:
        kept = self._store(view, client_id)
        state = kept.client_state()
        require_readable(client_id, state, height)
        self._require_like(view, state, height, kept.consensus_state(height))
        held = holders_of(self._modules, view, state.rule, height)
        # A frozen member raises here: what it was caught at stops the whole client.
        members = {client: module_of(self._modules, client).proofs_at(view, client, height) for client in held}
        if not state.rule.holds(members):
            raise RuleUnsatisfied(height=height, agreeing=", ".join(members), rule=str(state.rule))
        forms = {client: module_of(self._modules, client).subject(view, client).proofs for client in held}
        return JointProofs(state.rule, members, forms)


_FORMS: Final = CompositeForms()

__all__ = ("CompositeClient",)
