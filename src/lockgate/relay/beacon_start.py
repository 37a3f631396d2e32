"""Where an ethereum client starts: a beacon block that its creator trusts by its root, and no word of a node beside it.

The chain (its genesis, its clock, its forks) and the block's root come from their publishers (P11). A beacon node then
shows the block and its committees, which the root proves.
"""

from __future__ import annotations

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.protobuf import serialize
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.lightclients.ethereum import ClientState, ConsensusState, Network, sync
from lockgate.lightclients.ethereum.states import (
    MAX_TRUSTING_PERIOD,
    check_client_state,
    encode_client_state,
    encode_consensus_state,
)
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import Height, revision_number
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos, UnixNanos
from lockgate.relay.chains.beacon import BeaconApi
from lockgate.relay.rpc import BadAnswer


async def first_states(
    beacon: BeaconApi,
    network: Network,
    trusted_root: bytes,
    now: UnixNanos,
    *,
    chain_id: str,
    host: bytes,
    commitments: bytes,
    trusting: DurationNanos = MAX_TRUSTING_PERIOD,
) -> tuple[ClientState, ConsensusState]:
    """A client that starts at the block with this root. `commitments`: the storage slot of the host's mapping.

    Raises what a light client refuses of a bootstrap or an update, InvalidClientState, ChainUnavailable, BadAnswer.
    """
    bootstrap = await beacon.bootstrap(trusted_root)
    store = sync.start(network, bootstrap, trusted_root)
    header = bootstrap.header
    # The committee of the next period is proven by a header of this one, signed by the committee that is trusted.
    for update in await beacon.updates(network.period(header.beacon.slot)):
        store = sync.process_update(network, store, update, network.slot_at(now))
    if store.next_sync_committee is None:
        raise BadAnswer("the beacon node shows no committee of the next period", slot=header.beacon.slot)
    state = ClientState(
        chain_id=chain_id,
        network=network,
        host=host,
        commitments=commitments,
        trusting_period=trusting,
        latest_height=Height(revision_number(chain_id), header.beacon.slot),
    )
    check_client_state(state)
    consensus = ConsensusState(
        timestamp=UnixNanos(header.execution.timestamp * NANOS_PER_SECOND),
        number=header.execution.block_number,
        root=header.execution.state_root,
        block_root=trusted_root,
        committee=bootstrap.current_sync_committee.root,
        next_committee=store.next_sync_committee.root,
    )
    return state, consensus


def create_message(state: ClientState, consensus: ConsensusState, signer: str) -> Message:
    """MsgCreateClient of these first states."""
    message = client_wire.MsgCreateClient(
        client_state=AnyMessage.FromString(encode_client_state(state)),
        consensus_state=AnyMessage.FromString(encode_consensus_state(consensus)),
        signer=signer,
    )
    return urls.MSG_CREATE_CLIENT, serialize(message)


__all__ = ("create_message", "first_states")
