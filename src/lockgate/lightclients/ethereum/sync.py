"""Following a beacon chain's head as its light client protocol does: what a reader keeps, and not what a ledger does.

Beside finalized headers it knows the newest header that enough of a committee signed, and when nothing becomes final
for a whole period it may be forced on with the best update seen. A ledger's client never is: a forced header can be
reverted. Source: consensus-specs, Altair sync-protocol.md, LightClientStore and what processes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lockgate.lightclients.ethereum.containers import Bootstrap, LightHeader, SyncCommittee, Update
from lockgate.lightclients.ethereum.errors import PeriodSkipped
from lockgate.lightclients.ethereum.network import Network
from lockgate.lightclients.ethereum.verification import Known, check_bootstrap, check_update


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """LightClientStore. Values: each step gives the next one."""

    finalized_header: LightHeader
    optimistic_header: LightHeader
    current_sync_committee: SyncCommittee
    next_sync_committee: SyncCommittee | None = None
    best_valid_update: Update | None = None
    previous_max_active_participants: int = 0
    current_max_active_participants: int = 0

    @property
    def known(self) -> Known:
        following = self.next_sync_committee
        current = self.current_sync_committee.root
        return Known(self.finalized_header.beacon.slot, current, None if following is None else following.root)


def start(network: Network, bootstrap: Bootstrap, trusted_root: bytes) -> Store:
    """A store at a block that is trusted by its root. Raises what `check_bootstrap` does."""
    check_bootstrap(network, bootstrap, trusted_root)
    header = bootstrap.header
    return Store(
        finalized_header=header,
        optimistic_header=header,
        current_sync_committee=bootstrap.current_sync_committee,
    )


def process_update(network: Network, store: Store, update: Update, now: int) -> Store:
    """The store after an update; `now` is the slot of the clock. Raises what `check_update` does."""
    committee = store.current_sync_committee
    if network.period(update.signature_slot) != network.period(store.finalized_header.beacon.slot):
        committee = store.next_sync_committee or committee  # whether either may sign, the check says
    check_update(network, store.known, update, committee, now)
    participants = update.sync_aggregate.participants
    if store.best_valid_update is None or is_better(network, update, store.best_valid_update):
        store = replace(store, best_valid_update=update)
    store = replace(store, current_max_active_participants=max(store.current_max_active_participants, participants))
    seen = max(store.previous_max_active_participants, store.current_max_active_participants)
    if participants > seen // 2 and update.attested_header.beacon.slot > store.optimistic_header.beacon.slot:
        store = replace(store, optimistic_header=update.attested_header)
    newer = update.finalized_header.beacon.slot > store.finalized_header.beacon.slot
    if network.is_supermajority(participants) and (newer or _teaches(network, store, update)):
        store = replace(_applied(network, store, update), best_valid_update=None)
    return store


def force_update(network: Network, store: Store, now: int) -> Store:
    """The store after a whole period without finality: the best update counts as if its header were final."""
    timeout = network.slots_per_epoch * network.epochs_per_period
    best, slot = store.best_valid_update, store.finalized_header.beacon.slot
    if best is None or now <= slot + timeout:
        return store
    if best.finalized_header.beacon.slot <= slot:
        best = replace(best, finalized_header=best.attested_header)
    return replace(_applied(network, store, best), best_valid_update=None)


def is_better(network: Network, new: Update, old: Update) -> bool:
    """Whether one valid update is to be preferred to another (is_better_update)."""
    return _merit(network, new) > _merit(network, old)


def _merit(network: Network, update: Update) -> tuple[int, ...]:
    """The order of updates as one of tuples: what comes first decides first."""
    participants = update.sync_aggregate.participants
    super_majority = network.is_supermajority(participants)
    attested, finalized = update.attested_header.beacon.slot, update.finalized_header.beacon.slot
    signed_within = network.period(attested) == network.period(update.signature_slot)
    final_within = update.has_finality and network.period(finalized) == network.period(attested)
    return (
        super_majority,
        0 if super_majority else participants,
        update.next_sync_committee is not None and signed_within,
        update.has_finality,
        final_within,
        participants,
        -attested,
        -update.signature_slot,
    )


def _teaches(network: Network, store: Store, update: Update) -> bool:
    """Whether an update brings the next committee that is not known yet, under finality of the same period."""
    if store.next_sync_committee is not None or update.next_sync_committee is None or not update.has_finality:
        return False
    slots = update.finalized_header.beacon.slot, update.attested_header.beacon.slot
    return network.period(slots[0]) == network.period(slots[1])


def _applied(network: Network, store: Store, update: Update) -> Store:
    finalized = update.finalized_header
    period, final = network.period(store.finalized_header.beacon.slot), network.period(finalized.beacon.slot)
    if store.next_sync_committee is None:
        if final != period:
            raise PeriodSkipped(known_to=period, signed=final)
        store = replace(store, next_sync_committee=update.next_sync_committee)
    elif final == period + 1:
        store = replace(
            store,
            current_sync_committee=store.next_sync_committee,
            next_sync_committee=update.next_sync_committee,
            previous_max_active_participants=store.current_max_active_participants,
            current_max_active_participants=0,
        )
    if finalized.beacon.slot > store.finalized_header.beacon.slot:
        store = replace(store, finalized_header=finalized)
        if finalized.beacon.slot > store.optimistic_header.beacon.slot:
            store = replace(store, optimistic_header=finalized)
    return store


__all__ = ("Store", "force_update", "is_better", "process_update", "start")
