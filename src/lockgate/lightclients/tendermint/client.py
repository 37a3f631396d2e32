"""The 07-tendermint client module: meets the `LightClient` port of `lockgate.ibc`.

Stateless: every answer is a function of the view and the arguments. Refusals are raised, decisions
returned as outcomes. Source: ICS-07; ibc-go v11 modules/light-clients/07-tendermint.
"""

from __future__ import annotations

from typing import Final

from lockgate.codec.type_urls import (
    TENDERMINT_CLIENT_STATE,
    TENDERMINT_CONSENSUS_STATE,
    TENDERMINT_HEADER,
    TENDERMINT_MISBEHAVIOUR,
)
from lockgate.lightclients.standing import (
    ACTIVE,
    EXPIRED,
    FROZEN,
    UNKNOWN,
    Affords,
    ClientUpdate,
    require_active,
    require_readable,
    standing,
    whatever_it_takes,
)
from lockgate.lightclients.stored import StoredClient
from lockgate.lightclients.subject import Subject
from lockgate.lightclients.tendermint import recovery, update
from lockgate.lightclients.tendermint.errors import (
    MalformedState,
    RootUnset,
)
from lockgate.lightclients.tendermint.memo import ClientMemo
from lockgate.lightclients.tendermint.states import (
    ClientState,
    ConsensusState,
    check_client_state,
    check_consensus_state,
    decode_client_state,
    decode_committed_client_state,
    decode_consensus_state,
    encode_consensus_state,
)
from lockgate.lightclients.tendermint.store import ClientStore, processed_now
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import UnixNanos

CLIENT_TYPE: Final = "07-tendermint"


class TendermintClient(StoredClient[ClientState, ConsensusState, ProofMemo]):
    """Light clients of CometBFT ledgers, embedded ones among them."""

    __slots__ = ("_memo",)
    client_type: Final = CLIENT_TYPE
    client_state_url: Final = TENDERMINT_CLIENT_STATE
    consensus_state_url: Final = TENDERMINT_CONSENSUS_STATE

    def __init__(self) -> None:
        self._memo: Final = ClientMemo()

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
        """Store a new client's first states, both given as Any bytes."""
        state = decode_client_state(client_state)
        check_client_state(state)
        first = decode_consensus_state(consensus_state)
        check_consensus_state(first)
        store = self._store(view, client_id)
        outcome = Outcome()
        store.put_client_state(outcome, state)
        store.put_consensus_state(outcome, state.latest_height, first, processed_now(now, own_height))
        return outcome

    def update(
        self,
        view: View,
        client_id: ClientId,
        message: tuple[str, bytes],
        now: UnixNanos,
        own_height: Height,
        /,
    ) -> ClientUpdate:
        """Verify a Header or Misbehaviour message, given as (type URL, value), and decide.

        A header that contradicts what is stored freezes the client, as a Misbehaviour message does;
        that outcome must be applied like any other.
        """
        store = self._store(view, client_id)
        state = self._active_state(store, now)
        kind, value = message
        if kind == TENDERMINT_HEADER:
            header = self._memo.header(value)
            update.check_header(store, state, header, now)
            if not update.contradicts(store, state, header):
                return update.advance(store, state, header, now, own_height)
        elif kind == TENDERMINT_MISBEHAVIOUR:
            evidence = self._memo.misbehaviour(value)
            update.check_misbehaviour(store, state, evidence, now)
        else:
            raise MalformedState("not a client message", type_url=kind)
        return ClientUpdate(store.freeze(state), misbehaviour=True)

    def convict(
        self,
        view: View,
        client_id: ClientId,
        message: tuple[str, bytes],
        now: UnixNanos,
        affords: Affords = whatever_it_takes,
    ) -> Outcome | None:
        """Freeze another client on what has frozen one already (P20); None when it proves nothing to this one.

        The evidence must convince this client by the states it holds itself: whoever makes a client of
        his own and lets it freeze stops no other.
        """
        store = self._store(view, client_id)
        state = store.find_client_state()
        if state is None or standing(store, state, now) != ACTIVE:
            return None
        kind, value = message
        if kind == TENDERMINT_HEADER:
            header = self._memo.header(value)
            # What contradicts nothing held is not verified: anybody makes clients, and each would cost every validator.
            proven = update.contradicts(store, state, header, store.oldest_height()) and update.convinces(
                store, state, header, now, affords
            )
        elif kind != TENDERMINT_MISBEHAVIOUR:
            return None
        else:
            evidence = self._memo.misbehaviour(value)
            proven = evidence.is_contradiction and all(
                update.convinces(store, state, header, now, affords) for header in (evidence.first, evidence.second)
            )
        return store.freeze(state) if proven else None

    def equivocation(self, view: View, client_id: ClientId, misbehaviour: bytes) -> tuple[bytes, bytes] | None:
        """Return the hashes of two contradicting headers that this client's ledger signed, or None.

        Asked of a client that is frozen already, so neither its status nor the age of its states counts.
        """
        store = self._store(view, client_id)
        state = store.client_state()
        evidence = self._memo.misbehaviour(misbehaviour)
        both = (evidence.first, evidence.second)
        if not evidence.is_contradiction or not all(update.convinces(store, state, header, None) for header in both):
            return None
        return evidence.first.block.commit.block_id.hash, evidence.second.block.commit.block_id.hash

    def recover(
        self, view: View, subject: ClientId, substitute: ClientId, now: UnixNanos, own_height: Height, /
    ) -> Outcome:
        """Revive an expired or frozen client from an active one of the same chain."""
        found = self._recovery(view, subject, substitute, now)
        return recovery.recover(found.old, found.new)

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
        """Move a client to the chain its own chain committed to become, at its latest height."""
        store = self._store(view, client_id)
        state = self._active_state(store, now)
        upgraded = decode_committed_client_state(client_state)
        consensus = decode_consensus_state(consensus_state)
        parts = recovery.upgrade_proof_parts(state, upgraded, consensus)
        proofs = self._memo.proofs(state, _with_root(store, state.latest_height))
        for (path, value), proof in zip(parts, (proof_client, proof_consensus_state), strict=True):
            proofs.membership(proof, path, value)
        return recovery.upgrade(store, state, upgraded, consensus, now, own_height)

    # What lanes need of a ledger's own state as another ledger's client of this kind holds it (P9).

    def follows(self, client_state: bytes, chain_id: str, domain: bytes) -> Height | None:
        """The latest height of a client state that follows this chain; None when it does not.

        The kind knows no domain: the consensus state that a lane's opening compares makes up for that.
        """
        state = decode_client_state(client_state)
        return state.latest_height if state.chain_id == chain_id else None

    def content(self, consensus_state: bytes) -> tuple[UnixNanos, bytes]:
        """Time and root in a stored consensus state. Raises `MalformedState`."""
        found = decode_consensus_state(consensus_state)
        return found.timestamp, found.root

    def own_consensus(self, timestamp: UnixNanos, root: bytes, next_validators_hash: bytes) -> bytes:
        """The consensus state that such a client holds of a header of this ledger."""
        return encode_consensus_state(ConsensusState(timestamp, root, next_validators_hash))

    # What a composite client and a reader need (P21).

    def subject(self, view: View, client_id: ClientId) -> Subject:
        """Whom the client follows, on whose word. Raises `ClientUnknown`."""
        state = self._store(view, client_id).client_state()
        level = state.trust_level
        validators = frozenset({f"validators of {state.chain_id}"})
        return Subject(
            kind=CLIENT_TYPE,
            chain_id=state.chain_id,
            trusting_period=state.trusting_period,
            sources=validators,
            parties=None,
            alone=validators,
            above_two_thirds=True,
            needs=f"a commit by more than 2/3 of the validators of {state.chain_id}, with {level.numerator}/"
            f"{level.denominator} of the power that is trusted",
            forged_by=f"more than 2/3 of the validators of {state.chain_id} together",
        )

    def _store(self, view: View, client_id: ClientId) -> ClientStore:
        return ClientStore(view, client_id, self._memo)

    def _active_state(self, store: ClientStore, now: UnixNanos) -> ClientState:
        state = store.client_state()
        require_active(store, state, now)
        return state

    def _proofs(self, view: View, client_id: ClientId, height: Height) -> ProofMemo:
        store = self._store(view, client_id)
        state = store.client_state()
        require_readable(client_id, state, height)
        return self._memo.proofs(state, _with_root(store, height))


def _with_root(store: ClientStore, height: Height) -> ConsensusState:
    consensus = store.consensus_state(height)
    if not consensus.has_root:
        raise RootUnset(client_id=store.client_id, height=height, root=consensus.root)
    return consensus


__all__ = ("ACTIVE", "CLIENT_TYPE", "EXPIRED", "FROZEN", "UNKNOWN", "TendermintClient")
