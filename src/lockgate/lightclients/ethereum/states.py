"""Client and consensus states of an ethereum client: values, validity and stored bytes.

Each is an Any, as IBC stores keep states, around deterministic CBOR under `cddl/ethereum.1.0.cddl`. A height is
the chain id's revision and the slot of a finalized beacon header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.lightclients.ethereum.errors import InvalidClientState
from lockgate.lightclients.ethereum.network import MAX_UINT64, VERSION_BYTES, Fork, Network, Scheduled
from lockgate.lightclients.ethereum.ssz_form import MAX_COMMITTEE
from lockgate.lightclients.ethereum.verification import Known
from lockgate.lightclients.forms import HASH_BYTES, decoded, is_root, items, unwrap_any, wrap_any
from lockgate.lightclients.standing import MalformedState
from lockgate.merkle.ethereum import ADDRESS_BYTES
from lockgate.primitives.ids import MAX_CHAIN_ID, Height, revision_number
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos, UnixNanos, seconds

CLIENT_TYPE: Final = "ethereum"
CLIENT_STATE: Final = "/lockgate.lightclients.ethereum.v1.ClientState"
CONSENSUS_STATE: Final = "/lockgate.lightclients.ethereum.v1.ConsensusState"
FORMAT: Final = 1
_READ: Final = 256  # states remembered by their bytes: each packet reads two
# Nobody loses a deposit by what a sync committee's key signs later, so time alone ends the belief in an old one.
MAX_TRUSTING_PERIOD: Final[DurationNanos] = seconds(14 * 86_400)
MAX_SECONDS_PER_SLOT: Final = 3_600
MAX_SLOTS_PER_EPOCH: Final = 1_024
MAX_EPOCHS_PER_PERIOD: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientState:
    """Which beacon chain is followed, and which contract's commitments are read under it."""

    chain_id: str
    network: Network
    host: bytes  # 20 bytes: the contract that keeps packet commitments
    commitments: bytes  # 32 bytes: the storage slot of its mapping from path hash to commitment
    trusting_period: DurationNanos
    latest_height: Height
    is_frozen: bool = False

    def frozen(self) -> ClientState:
        return replace(self, is_frozen=True)

    def moved_to(self, height: Height) -> ClientState:
        return replace(self, latest_height=height)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusState:
    """What one finalized header says. Two are of one history when all but the committees known beside it is equal."""

    timestamp: UnixNanos  # of the execution block
    number: int  # of the execution block: at which an EVM's node is asked for proofs under the root
    root: bytes  # state root of the execution block
    block_root: bytes  # of the beacon header
    committee: bytes = field(compare=False)  # root of the slot's sync committee
    next_committee: bytes | None = field(compare=False)  # of the period after; an update may come without it

    def known(self, height: Height) -> Known:
        return Known(height.height, self.committee, self.next_committee)


def check_client_state(state: ClientState) -> None:
    """Refuse a client state no client may start from. Raises InvalidClientState."""
    check_network(state.network)
    height = state.latest_height
    if not state.chain_id.strip() or len(state.chain_id.encode()) > MAX_CHAIN_ID:
        raise InvalidClientState("chain id", chain_id=state.chain_id)
    if len(state.host) != ADDRESS_BYTES or not any(state.host) or len(state.commitments) != HASH_BYTES:
        raise InvalidClientState("host contract", host=state.host, commitments=state.commitments)
    if not 0 < state.trusting_period <= MAX_TRUSTING_PERIOD:
        raise InvalidClientState("trusting period", trusting=state.trusting_period, most=MAX_TRUSTING_PERIOD)
    if height.revision != revision_number(state.chain_id):
        raise InvalidClientState("latest height", latest_height=height, chain_id=state.chain_id)
    if height.height == 0 or state.network.fork(height.height) < Fork.CAPELLA:
        raise InvalidClientState("no execution state is shown at that slot", latest_height=height)
    if state.is_frozen:
        raise InvalidClientState("a client does not start frozen")


def check_network(network: Network) -> None:
    """Refuse a chain that none can be. Raises InvalidClientState."""
    if not is_root(network.genesis_validators_root) or not 0 < network.genesis_time < MAX_UINT64 // NANOS_PER_SECOND:
        raise InvalidClientState("genesis", root=network.genesis_validators_root, time=network.genesis_time)
    for name, value, most in (
        ("seconds per slot", network.seconds_per_slot, MAX_SECONDS_PER_SLOT),
        ("slots per epoch", network.slots_per_epoch, MAX_SLOTS_PER_EPOCH),
        ("epochs per period", network.epochs_per_period, MAX_EPOCHS_PER_PERIOD),
        ("committee size", network.committee_size, MAX_COMMITTEE),
    ):
        if not 0 < value <= most:
            raise InvalidClientState(name, value=value, most=most)
    if network.committee_size % 8:
        raise InvalidClientState("committee size", value=network.committee_size)
    forks = network.forks
    if not Fork.CAPELLA < len(forks) <= len(Fork) or forks[0].epoch != 0:
        raise InvalidClientState("forks: genesis to Capella at least", count=len(forks))
    if any(late.epoch < early.epoch for early, late in pairwise(forks)):
        raise InvalidClientState("forks out of order")
    if any(len(each.version) != VERSION_BYTES for each in forks):
        raise InvalidClientState("a fork version has 4 bytes")


def check_consensus_state(state: ConsensusState) -> None:
    """Refuse what proves nothing: nothing in it may be unset (A1). Raises InvalidClientState."""
    roots = [state.root, state.block_root, state.committee]
    roots += [] if state.next_committee is None else [state.next_committee]
    if state.timestamp < NANOS_PER_SECOND or not all(map(is_root, roots)):
        raise InvalidClientState("consensus state", timestamp=state.timestamp, root=state.root)


def encode_client_state(state: ClientState) -> bytes:
    network, height = state.network, state.latest_height
    chain = [
        network.genesis_validators_root,
        network.genesis_time,
        network.seconds_per_slot,
        network.slots_per_epoch,
        network.epochs_per_period,
        network.committee_size,
        [[each.epoch, each.version] for each in network.forks],
    ]
    value = [
        FORMAT,
        state.chain_id,
        chain,
        state.host,
        state.commitments,
        int(state.trusting_period),
        [height.revision, height.height],
        state.is_frozen,
    ]
    return wrap_any(CLIENT_STATE, cbor.encode(value))


def decode_client_state(raw: bytes) -> ClientState:
    """Read a client state from its Any; `check_client_state` judges it. Raises MalformedState."""
    value = decoded(unwrap_any(raw, CLIENT_STATE))
    form, chain_id, chain, host, commitments, trusting, height, frozen = items(
        value, int, str, tuple, bytes, bytes, int, tuple, bool
    )
    if form != FORMAT:
        raise MalformedState("format", format=form)
    return ClientState(
        chain_id=chain_id,
        network=_read_network(chain),
        host=host,
        commitments=commitments,
        trusting_period=DurationNanos(trusting),
        latest_height=Height(*items(height, int, int)),
        is_frozen=frozen,
    )


def encode_consensus_state(state: ConsensusState) -> bytes:
    roots = [state.root, state.block_root, state.committee, state.next_committee]
    value = [FORMAT, int(state.timestamp), state.number, *roots]
    return wrap_any(CONSENSUS_STATE, cbor.encode(value))


def decode_consensus_state(raw: bytes) -> ConsensusState:
    """Read a consensus state from its Any; `check_consensus_state` judges it. Raises MalformedState."""
    value = decoded(unwrap_any(raw, CONSENSUS_STATE))
    last = type(None) if type(value) is tuple and value[-1:] == (None,) else bytes
    form, timestamp, number, *roots = items(value, int, int, int, bytes, bytes, bytes, last)
    if form != FORMAT:
        raise MalformedState("format", format=form)
    root, block_root, committee, next_committee = roots
    return ConsensusState(
        timestamp=UnixNanos(timestamp),
        number=number,
        root=root,
        block_root=block_root,
        committee=committee,
        next_committee=next_committee,
    )


def _read_network(value: Sequence[Any]) -> Network:
    root, genesis, slot, epoch, period, size, forks = items(value, bytes, int, int, int, int, int, tuple)
    if len(forks) > len(Fork):
        raise MalformedState("more forks than are known", count=len(forks), most=len(Fork))
    return Network(
        genesis_validators_root=root,
        genesis_time=genesis,
        seconds_per_slot=slot,
        slots_per_epoch=epoch,
        epochs_per_period=period,
        committee_size=size,
        forks=tuple(Scheduled(*items(each, int, bytes)) for each in forks),
    )


class EthereumForms:
    """Meets `lightclients.store.Forms`."""

    client_state = staticmethod(lru_cache(_READ)(decode_client_state))
    consensus_state = staticmethod(lru_cache(_READ)(decode_consensus_state))
    encode_client_state = staticmethod(encode_client_state)
    encode_consensus_state = staticmethod(encode_consensus_state)


__all__ = (
    "CLIENT_STATE",
    "CLIENT_TYPE",
    "CONSENSUS_STATE",
    "MAX_TRUSTING_PERIOD",
    "ClientState",
    "ConsensusState",
    "EthereumForms",
    "check_client_state",
    "check_consensus_state",
    "check_network",
    "decode_client_state",
    "decode_consensus_state",
    "encode_client_state",
    "encode_consensus_state",
)
