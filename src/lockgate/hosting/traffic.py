"""Packets as the host's own ledger carries them: out of transactions, with the proofs they came with (I9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.codec.type_urls import MSG_ACKNOWLEDGEMENT, MSG_RECV_PACKET
from lockgate.hosting.reader import SPECS, ProvenReader
from lockgate.ibc import host, wire
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.machine.transaction import Transaction
from lockgate.merkle import ics23
from lockgate.primitives.errors import LockgateError, PeerFault
from lockgate.primitives.ids import Height
from lockgate.relay.chains.cometbft import CometBftChain

_SIGN1: Final = frozenset({18})  # CBOR tag of COSE_Sign1
MAX_MESSAGES: Final = 1 << 16  # the ledger has bounded it already


class NotProven(PeerFault):
    code = "host.not_proven"
    summary = "The ledger shows a packet without a proof that this host can check itself."
    untouched = "The guest did not run."
    next_step = "The operator of the ledger may be lying about the packet; keep the block as evidence."


@dataclass(frozen=True, slots=True)
class Arrived:
    """A packet and the proof with which it was received."""

    packet: Packet
    commitment: bytes
    proof: bytes
    proof_height: Height


@dataclass(frozen=True, slots=True)
class Returned:
    """An acknowledgement and the proof with which it came back."""

    packet: Packet
    acknowledgement: Acknowledgement
    proof: bytes
    proof_height: Height


def messages_of(data: bytes) -> tuple[tuple[str, object], ...]:
    """Messages of a transaction of ours; none for bytes that are not one."""
    try:
        outer: Any = cbor.decode(data, tags=_SIGN1)
        return Transaction.from_body(outer.value[2], MAX_MESSAGES).messages
    except (LockgateError, AttributeError, TypeError, IndexError):
        return ()


async def received_in(chain: CometBftChain, height: int) -> dict[tuple[str, int], Arrived]:
    """Packets received in a block, by (destination client, sequence)."""
    found: dict[tuple[str, int], Arrived] = {}
    for data in await chain.transactions(height):
        for name, content in messages_of(data):
            if name == MSG_RECV_PACKET and isinstance(content, bytes):
                message = wire.read_receive(content)
                packet = message.packet
                found.setdefault(
                    (packet.destination_client, packet.sequence),
                    Arrived(packet, commit_packet(packet), message.proof, message.proof_height),
                )
    return found


async def returned_in(chain: CometBftChain, height: int) -> dict[tuple[str, int], Returned]:
    """Acknowledgements brought in a block, by (source client, sequence)."""
    found: dict[tuple[str, int], Returned] = {}
    for data in await chain.transactions(height):
        for name, content in messages_of(data):
            if name == MSG_ACKNOWLEDGEMENT and isinstance(content, bytes):
                message = wire.read_acknowledge(content)
                packet = message.packet
                found.setdefault(
                    (packet.source_client, packet.sequence),
                    Returned(packet, message.acknowledgement, message.proof, message.proof_height),
                )
    return found


async def check_arrived(remote: ProvenReader, arrived: Arrived) -> None:
    """Verify the sender's commitment under a header of its ledger that this host follows itself."""
    key = host.packet_commitment(arrived.packet.source_client, arrived.packet.sequence)
    await _check(remote, arrived.proof_height, key, arrived.commitment, arrived.proof)


async def check_returned(remote: ProvenReader, returned: Returned) -> None:
    """Verify the acknowledgement under a header of the receiver's ledger."""
    packet = returned.packet
    key = host.packet_acknowledgement(packet.destination_client, packet.sequence)
    await _check(remote, returned.proof_height, key, commit_acknowledgement(returned.acknowledgement), returned.proof)


async def _check(remote: ProvenReader, height: Height, key: bytes, value: bytes, proof: bytes) -> None:
    await remote.reach(height.height)
    root = remote.follower.root(height.height)
    if root is None:
        raise NotProven("the header of the proof is not held", height=height)
    ics23.verify_membership(SPECS, root, (b"ibc", key), value, proof)
