"""The ethereum client module: meets the `LightClient` port of `lockgate.ibc`.

Two thirds of a sync committee sign a beacon header, whose state names a finalized header and through it the state
root of an EVM block; packets are proven by account and storage proofs under that. Stateless but for memos: every
answer is a function of the view and the arguments.
"""

from __future__ import annotations

from typing import Final

from lockgate.lightclients.ethereum import messages, update
from lockgate.lightclients.ethereum.errors import NotOurs, UpgradeUnknown
from lockgate.lightclients.ethereum.messages import HEADER, MISBEHAVIOUR
from lockgate.lightclients.ethereum.proofs import AccountProofs
from lockgate.lightclients.ethereum.states import (
    CLIENT_STATE,
    CLIENT_TYPE,
    CONSENSUS_STATE,
    ClientState,
    ConsensusState,
    EthereumForms,
    check_client_state,
    check_consensus_state,
    decode_client_state,
    decode_consensus_state,
)
from lockgate.lightclients.ethereum.update import EthereumStore
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
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import UnixNanos

PROOFS: Final = "ethereum"  # account and storage proofs
PROOF_MEMOS: Final = 16  # roots in use at one time; each remembers a few account proofs


class EthereumClient(StoredClient[ClientState, ConsensusState, AccountProofs]):
    """Light clients that believe two thirds of a beacon chain's sync committee."""

    __slots__ = ("_proofs_by_root",)
    client_type: Final = CLIENT_TYPE
    client_state_url: Final = CLIENT_STATE
    consensus_state_url: Final = CONSENSUS_STATE

    def __init__(self) -> None:
        self._proofs_by_root: dict[tuple[bytes, bytes, bytes], AccountProofs] = {}

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
        """Verify a Header or Misbehaviour, given as (type URL, value), and decide.

        A header that contradicts what is stored freezes the client, as Misbehaviour does; that outcome must be
        applied like any other.
        """
        store = self._store(view, client_id)
        state = store.client_state()
        require_active(store, state, now)
        kind, value = message
        if kind == HEADER:
            header = messages.decode_header(value, state.network)
            fresh = update.check_header(store, state, header, now)
            if not update.contradicts(store, state, update.height_of(state, header.update), fresh):
                return update.advance(store, state, header, fresh, now, own_height)
        elif kind == MISBEHAVIOUR:
            update.check_misbehaviour(store, state, messages.decode_misbehaviour(value, state.network), now)
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
            if kind == HEADER:
                proven = update.convicts(store, state, messages.decode_header(value, state.network), now, affords)
            elif kind == MISBEHAVIOUR:
                evidence = messages.decode_misbehaviour(value, state.network)
                proven = bool(update.check_misbehaviour(store, state, evidence, now, affords))
            else:
                return None
        except (PeerFault, Refused):
            return None
        return store.freeze(state) if proven else None

    def equivocation(self, view: View, client_id: ClientId, misbehaviour: bytes) -> tuple[bytes, bytes] | None:
        """Return the roots of two contradicting blocks that this client's chain signed, or None."""
        store = self._store(view, client_id)
        state = store.client_state()
        evidence = messages.decode_misbehaviour(misbehaviour, state.network)
        try:
            return update.check_misbehaviour(store, state, evidence, None)
        except (PeerFault, Refused):
            return None

    def recover(
        self, view: View, subject: ClientId, substitute: ClientId, now: UnixNanos, own_height: Height, /
    ) -> Outcome:
        """Revive an expired or frozen client from an active, newer one of the same chain and contract.

        The substitute may know forks that came after the subject's, and another trusting period.
        """
        found = self._recovery(view, subject, substitute, now)
        if not _same_chain(found.state, found.other):
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
        """Refuse: what a beacon chain announces of its next fork is nothing that a client could prove."""
        raise UpgradeUnknown(client_id=client_id)

    # What lanes need of a ledger's own state as another ledger's client of this kind holds it (P9).

    def follows(self, client_state: bytes, chain_id: str, domain: bytes) -> Height | None:
        """None: no client of this kind follows a ledger of ours, which has no sync committee."""
        decode_client_state(client_state)
        return None

    def content(self, consensus_state: bytes) -> tuple[UnixNanos, bytes]:
        """Time and root in a stored consensus state. Raises `MalformedState`."""
        found = decode_consensus_state(consensus_state)
        return found.timestamp, found.root

    def own_consensus(self, timestamp: UnixNanos, root: bytes, next_validators_hash: bytes) -> bytes:
        """Refuse: no sync committee signs a header of ours. Raises NotOurs."""
        raise NotOurs

    # What a composite client and a reader need (P21).

    def subject(self, view: View, client_id: ClientId) -> Subject:
        """Whom the client follows, on whose word. Raises `ClientUnknown`."""
        state = self._store(view, client_id).client_state()
        committees = frozenset({f"sync committees of {state.chain_id}"})
        size = state.network.committee_size
        needed = -(-2 * size // 3)
        return Subject(
            kind=CLIENT_TYPE,
            chain_id=state.chain_id,
            trusting_period=state.trusting_period,
            domain=state.network.genesis_validators_root,
            sources=committees,
            parties=None,
            alone=committees,
            proofs=PROOFS,
            above_two_thirds=3 * needed > 2 * size,
            needs=f"signatures of {needed} of the {size} keys in the sync committee of {state.chain_id}",
            forged_by=f"{needed} of the {size} keys in one sync committee of {state.chain_id} together",
        )

    def _store(self, view: View, client_id: ClientId) -> EthereumStore:
        return ClientStore(view, client_id, _FORMS)

    def _proofs(self, view: View, client_id: ClientId, height: Height) -> AccountProofs:
        store = self._store(view, client_id)
        state = store.client_state()
        require_readable(client_id, state, height)
        key = store.consensus_state(height).root, state.host, state.commitments
        found = self._proofs_by_root.get(key)
        if found is None:
            if len(self._proofs_by_root) >= PROOF_MEMOS:
                self._proofs_by_root.clear()
            found = self._proofs_by_root[key] = AccountProofs(*key)
        return found


def _same_chain(state: ClientState, other: ClientState) -> bool:
    known = state.network.forks
    return other.network.forks[: len(known)] == known and _fixed(state) == _fixed(other)


def _fixed(state: ClientState) -> tuple[object, ...]:
    network = state.network
    clock = network.genesis_time, network.seconds_per_slot, network.slots_per_epoch, network.epochs_per_period
    chain = state.chain_id, network.genesis_validators_root, network.committee_size
    return *chain, *clock, state.host, state.commitments


_FORMS: Final = EthereumForms()

__all__ = ("EthereumClient",)
