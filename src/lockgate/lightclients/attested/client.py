"""The attested client module: meets the `LightClient` port of `lockgate.ibc`.

A quorum of named signers attests (height, time, root of the state); proofs are against that root, as
for any ledger of ours, or, where the ledger is an EVM, those of its host contract's storage.
Stateless: every answer is a function of the view and the arguments.
"""

from __future__ import annotations

from typing import Final

from lockgate.lightclients import heights
from lockgate.lightclients.attested import messages, update
from lockgate.lightclients.attested.errors import UpgradeUnknown
from lockgate.lightclients.attested.messages import ATTESTATION, MISBEHAVIOUR, ROTATION
from lockgate.lightclients.attested.signers import check_not_lower
from lockgate.lightclients.attested.states import (
    CLIENT_STATE,
    CLIENT_TYPE,
    CONSENSUS_STATE,
    AttestedForms,
    ClientState,
    ConsensusState,
    check_client_state,
    check_consensus_state,
    decode_client_state,
    decode_consensus_state,
    encode_consensus_state,
)
from lockgate.lightclients.attested.update import AttestedStore
from lockgate.lightclients.evm_storage import StorageProofs, is_evm
from lockgate.lightclients.standing import (
    ACTIVE,
    Affords,
    ClientUpdate,
    MalformedState,
    SubstituteMismatch,
    require_active,
    require_readable,
    standing,
    whatever_it_takes,
)
from lockgate.lightclients.store import ClientStore, processed_now
from lockgate.lightclients.stored import StoredClient
from lockgate.lightclients.subject import Subject
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import UnixNanos

PROOF_MEMOS: Final = 16  # roots in use at one time; ProofMemo bounds itself


class AttestedClient(StoredClient[ClientState, ConsensusState, ProofMemo | StorageProofs]):
    """Light clients that believe a quorum of accountable signers."""

    __slots__ = ("_proofs_by_root",)
    client_type: Final = CLIENT_TYPE
    client_state_url: Final = CLIENT_STATE
    consensus_state_url: Final = CONSENSUS_STATE

    def __init__(self) -> None:
        self._proofs_by_root: dict[bytes, ProofMemo] = {}  # of ledgers whose proofs are ICS-23

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
        check_client_state(state, now)
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
        """Verify an Attestation, Rotation or Misbehaviour, given as (type URL, value), and decide.

        An attestation that contradicts what is stored freezes the client, as Misbehaviour does; that
        outcome must be applied like any other.
        """
        store = self._store(view, client_id)
        state = store.client_state()
        require_active(store, state, now)
        kind, value = message
        if kind == ATTESTATION:
            attestation = messages.decode_attestation(value)
            update.check_attestation(state, attestation, now)
            if not update.contradicts(store, state, attestation):
                return heights.advance(store, state, attestation.height, attestation.consensus_state, now, own_height)
        elif kind == ROTATION:
            return update.rotate(store, state, messages.decode_rotation(value), now)
        elif kind == MISBEHAVIOUR:
            update.check_misbehaviour(store, state, messages.decode_misbehaviour(value), now)
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
        """Freeze another client on what has frozen one already (P20); None when it proves nothing to this one."""
        store = self._store(view, client_id)
        state = store.find_client_state()
        if state is None or standing(store, state, now) != ACTIVE:
            return None
        kind, value = message
        try:
            if kind == ATTESTATION:
                proven = update.convicts(store, state, messages.decode_attestation(value), now, affords)
            elif kind == MISBEHAVIOUR:
                proven = update.misbehaved(store, state, messages.decode_misbehaviour(value), now, affords)
            else:
                return None
        except (PeerFault, Refused):
            return None
        return store.freeze(state) if proven else None

    def equivocation(self, view: View, client_id: ClientId, misbehaviour: bytes) -> tuple[bytes, bytes] | None:
        """Return the digests of two contradicting attestations of this client's signers, or None."""
        store = self._store(view, client_id)
        state = store.client_state()
        evidence = messages.decode_misbehaviour(misbehaviour)
        try:
            update.check_misbehaviour(store, state, evidence, None)
        except (PeerFault, Refused):
            return None
        first, second = (
            each.digest(state.chain_id, update.signers_of(store, state, each.epoch, None))
            for each in (evidence.first, evidence.second)
        )
        return first, second

    def recover(
        self, view: View, subject: ClientId, substitute: ClientId, now: UnixNanos, own_height: Height, /
    ) -> Outcome:
        """Revive an expired or frozen client from an active, newer one of the same ledger that asks no less."""
        found = self._recovery(view, subject, substitute, now)
        if _fixed(found.state) != _fixed(found.other):
            raise SubstituteMismatch(subject=subject, substitute=substitute)
        outcome = found.take_over()
        if found.caught:
            update.forget_retired(found.old, outcome, now)
        check_not_lower(found.state.signers, found.other.signers)
        return outcome

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
        """Refuse: the signers speak for one domain."""
        raise UpgradeUnknown(client_id=client_id)

    # What lanes need of a ledger's own state as another ledger's client of this kind holds it (P9).

    def follows(self, client_state: bytes, chain_id: str, domain: bytes) -> Height | None:
        """The latest height of a client state that follows this chain of this domain; None when it does not."""
        state = decode_client_state(client_state)
        return state.latest_height if (state.chain_id, state.domain) == (chain_id, domain) else None

    def content(self, consensus_state: bytes) -> tuple[UnixNanos, bytes]:
        """Time and root in a stored consensus state. Raises `MalformedState`."""
        found = decode_consensus_state(consensus_state)
        return found.timestamp, found.root

    def own_consensus(self, timestamp: UnixNanos, root: bytes, next_validators_hash: bytes) -> bytes:
        """The consensus state that such a client holds of a header of this ledger."""
        return encode_consensus_state(ConsensusState(timestamp, root))

    # What a composite client and a reader need (P21).

    def subject(self, view: View, client_id: ClientId) -> Subject:
        """Whom the client follows, on whose word. Raises `ClientUnknown`."""
        state = self._store(view, client_id).client_state()
        signers = state.signers
        return Subject(
            kind=CLIENT_TYPE,
            chain_id=state.chain_id,
            trusting_period=state.trusting_period,
            domain=state.domain,
            operators=frozenset(signers.operators),
            sources=frozenset(signers.sources),
            keys=frozenset(part for signer in signers.signers for part in signer.key.parts),
            parties=(signers.operators_needed, len(signers.operators)),
            alone=frozenset(),  # no set that one of them satisfies was ever stored
            above_two_thirds=3 * signers.threshold > 2 * signers.total,
            needs=f"signatures of weight {signers.threshold} of {signers.total}, from "
            f"{signers.operators_needed} or more of {len(signers.operators)} operators",
            forged_by=f"{signers.operators_needed} of the operators {', '.join(sorted(signers.operators))} together",
        )

    def _store(self, view: View, client_id: ClientId) -> AttestedStore:
        return ClientStore(view, client_id, _FORMS)

    def _proofs(self, view: View, client_id: ClientId, height: Height) -> ProofMemo | StorageProofs:
        store = self._store(view, client_id)
        state = store.client_state()
        require_readable(client_id, state, height)
        root = store.consensus_state(height).root
        if is_evm(state.chain_id):
            return StorageProofs(root)
        found = self._proofs_by_root.get(root)
        if found is None:
            if len(self._proofs_by_root) >= PROOF_MEMOS:
                self._proofs_by_root.clear()
            found = self._proofs_by_root[root] = ProofMemo(root)
        return found


def _fixed(state: ClientState) -> tuple[object, ...]:
    return state.domain, state.chain_id, state.max_clock_drift


_FORMS: Final = AttestedForms()

__all__ = ("AttestedClient", "ClientState", "ConsensusState")
