"""What governance may do with a client: revive it from a substitute, or move it to an upgraded chain.

Source: digest §11; ibc-go proposal_handle.go, upgrade.go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lockgate.lightclients.cometbft.types import HASH_BYTES
from lockgate.lightclients.tendermint.errors import (
    InvalidConsensusState,
    SubstituteMismatch,
    SubstituteUnusable,
    UpgradeHeight,
    UpgradeRefused,
)
from lockgate.lightclients.tendermint.states import (
    NOT_FROZEN,
    SENTINEL_ROOT,
    ClientState,
    ConsensusState,
    check_client_state,
    encode_committed_client_state,
    encode_consensus_state,
)
from lockgate.lightclients.tendermint.store import ClientStore, processed_now
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Outcome
from lockgate.primitives.time import DurationNanos, UnixNanos

UPGRADED_CLIENT: Final = "upgradedClient"
UPGRADED_CONSENSUS_STATE: Final = "upgradedConsState"
_DECIMALS: Final = 10**18  # places of the Cosmos SDK's decimal type


def recover(subject: ClientStore, substitute: ClientStore) -> Outcome:
    """Give `subject` the newest state of `substitute`; the caller has checked who is active.

    Both must agree in everything but chain id, heights and trusting period. ibc-go keeps what a frozen subject had
    stored; here it goes, since headers and proofs of a forged history would be believed by it again.
    """
    state, other = subject.client_state(), substitute.client_state()
    if _fixed(state) != _fixed(other):
        raise SubstituteMismatch(subject=subject.client_id, substitute=substitute.client_id)
    if other.latest_height <= state.latest_height:
        raise SubstituteUnusable("not newer", subject=state.latest_height, substitute=other.latest_height)
    height = other.latest_height
    outcome = Outcome()
    if state.is_frozen:
        subject.forget(outcome, state.latest_height)
    subject.put_consensus_state(outcome, height, substitute.consensus_state(height), substitute.processed(height))
    revived = replace(
        state,
        chain_id=other.chain_id,
        latest_height=height,
        trusting_period=other.trusting_period,
        frozen_height=NOT_FROZEN,
    )
    subject.put_client_state(outcome, revived)
    return outcome


def _fixed(state: ClientState) -> ClientState:
    return replace(
        state,
        chain_id="",
        latest_height=NOT_FROZEN,
        frozen_height=NOT_FROZEN,
        trusting_period=DurationNanos(0),
        allow_update_after_expiry=False,
        allow_update_after_misbehaviour=False,
    )


def upgrade_proof_parts(
    state: ClientState, upgraded: ClientState, consensus: ConsensusState
) -> tuple[tuple[tuple[bytes, ...], bytes], tuple[tuple[bytes, ...], bytes]]:
    """Return (path, value) of what the old chain must have committed to: client, consensus state.

    The last element of the upgrade path is followed by the height of the old chain's last block.
    """
    if not state.upgrade_path:
        raise UpgradeRefused("the client has no upgrade path")
    if upgraded.latest_height <= state.latest_height:
        raise UpgradeHeight(current=state.latest_height, upgraded=upgraded.latest_height)
    *head, last = state.upgrade_path
    stem = [part.encode() for part in head]
    plan = f"{last}/{state.latest_height.height}/"
    return (
        ((*stem, (plan + UPGRADED_CLIENT).encode()), encode_committed_client_state(upgraded)),
        ((*stem, (plan + UPGRADED_CONSENSUS_STATE).encode()), encode_consensus_state(consensus)),
    )


def upgrade(
    store: ClientStore,
    state: ClientState,
    upgraded: ClientState,
    consensus: ConsensusState,
    now: UnixNanos,
    own_height: Height,
) -> Outcome:
    """Move the client to the upgraded chain, both parts proven. What a client chooses it keeps.

    The new consensus state has a placeholder root: nothing can be proven until the next update.
    """
    if consensus.timestamp <= 0 or len(consensus.next_validators_hash) != HASH_BYTES:
        raise InvalidConsensusState(timestamp=consensus.timestamp, hash=consensus.next_validators_hash)
    moved = replace(
        upgraded,
        trust_level=state.trust_level,
        trusting_period=scaled_trusting_period(state, upgraded.unbonding_period),
        max_clock_drift=state.max_clock_drift,
        frozen_height=NOT_FROZEN,
        allow_update_after_expiry=False,
        allow_update_after_misbehaviour=False,
    )
    check_client_state(moved)
    outcome = Outcome()
    store.put_client_state(outcome, moved)
    placeholder = ConsensusState(consensus.timestamp, SENTINEL_ROOT, consensus.next_validators_hash)
    store.put_consensus_state(outcome, moved.latest_height, placeholder, processed_now(now, own_height))
    return outcome


def scaled_trusting_period(state: ClientState, unbonding_period: DurationNanos) -> DurationNanos:
    """Return the trusting period under a new unbonding period: scaled down with it, never up.

    Rounded as ibc-go's decimal arithmetic does: to even at 18 places, then down to nanoseconds.
    """
    if unbonding_period >= state.unbonding_period:
        return state.trusting_period
    scaled = state.trusting_period * unbonding_period * _DECIMALS**2 // state.unbonding_period
    whole, rest = divmod(scaled, _DECIMALS)
    if rest * 2 >= _DECIMALS:  # a tie counts only just below a whole nanosecond, where even is up
        whole += 1
    return DurationNanos(whole // _DECIMALS)


__all__ = (
    "UPGRADED_CLIENT",
    "UPGRADED_CONSENSUS_STATE",
    "recover",
    "scaled_trusting_period",
    "upgrade",
    "upgrade_proof_parts",
)
