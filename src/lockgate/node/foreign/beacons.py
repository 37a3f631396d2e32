"""The beacon nodes of an EVM whose lane rests on its sync committees: opened, compared, and a client's first states.

The publishers of a chain say its genesis and a block's root (P11), and the deployment file repeats them. All else that
is fixed about the chain is what its beacon nodes say alike; what then follows is proven under those two.
"""

from __future__ import annotations

import asyncio

from lockgate.lightclients.ethereum import Network
from lockgate.lightclients.evm_storage import COMMITMENTS_SLOT, chain_name
from lockgate.machine.transaction import Message
from lockgate.node.foreign.spec import EvmSpec
from lockgate.primitives.errors import Refused
from lockgate.primitives.time import UnixNanos
from lockgate.relay.beacon_start import create_message, first_states
from lockgate.relay.chains.beacon import BeaconApi

ANY_SIZE = 1  # of a committee, for a question that shows none


class OtherBeacon(Refused):
    code = "config.other_beacon"
    summary = "The beacon nodes do not describe the chain whose genesis the deployment file names, or not alike."
    untouched = "No client was made."
    next_step = "Compare `genesis` with what the chain's publishers say, and each node of `beacons` with the others."


async def network_of(spec: EvmSpec) -> Network:
    """The beacon chain, as all nodes say it. Raises OtherBeacon, ChainUnavailable, BadAnswer."""
    nodes = [BeaconApi(address, ANY_SIZE) for address in spec.beacons]
    try:
        said = await asyncio.gather(*(node.network() for node in nodes))
    finally:
        await asyncio.gather(*(node.close() for node in nodes))
    if len(set(said)) != 1:
        raise OtherBeacon("the nodes differ", chain=spec.name, nodes=len(said))
    if said[0].genesis_validators_root != bytes.fromhex(spec.genesis[2:]):
        raise OtherBeacon("another genesis", chain=spec.name, said=said[0].genesis_validators_root)
    return said[0]


def open_beacons(spec: EvmSpec, network: Network) -> list[BeaconApi]:
    return [BeaconApi(address, network.committee_size) for address in spec.beacons]


async def client_message(spec: EvmSpec, host: bytes, now: UnixNanos, signer: str) -> Message:
    """MsgCreateClient for a client that starts at the trusted block. Raises as `first_states`, and OtherBeacon."""
    network = await network_of(spec)
    beacon, *others = open_beacons(spec, network)
    try:
        state, consensus = await first_states(
            beacon,
            network,
            bytes.fromhex(spec.trusted_root[2:]),
            now,
            chain_id=chain_name(spec.network),
            host=host,
            commitments=COMMITMENTS_SLOT,
        )
    finally:
        await asyncio.gather(*(each.close() for each in (beacon, *others)))
    return create_message(state, consensus, signer)


__all__ = ("OtherBeacon", "client_message", "network_of", "open_beacons")
