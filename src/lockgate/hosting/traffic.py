"""Packets as the host's own ledger carries them: out of transactions, with the proofs they came with (I9).

A node serves the bytes; nothing here believes it. A packet counts once its commitment is proven on its
sender's ledger, an end once the receiver's ledger proves the acknowledgement or the missing receipt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from lockgate.codec.type_urls import MSG_ACKNOWLEDGEMENT, MSG_RECV_PACKET, MSG_TIMEOUT
from lockgate.hosting.reader import SPECS, ProvenReader
from lockgate.ibc import host, wire
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.machine.ordering import RECEIVE
from lockgate.machine.transaction import Transaction, read_sign1
from lockgate.merkle import ics23
from lockgate.primitives.errors import LockgateError, PeerFault
from lockgate.primitives.ids import Height
from lockgate.primitives.time import floor_seconds
from lockgate.relay.chains.cometbft import CometBftChain

MAX_MESSAGES: Final = 1 << 16  # the ledger has bounded it already
BLOCKS_KEPT: Final = 64  # a batch looks into a few blocks, again and again


class NotProven(PeerFault):
    code = "host.not_proven"
    summary = "The ledger shows a packet without a proof that this host can check itself."
    untouched = "The guest did not run."
    next_step = "The operator of the node may be lying about the packet; the host keeps it and asks again."


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
    commitment: bytes
    acknowledgement: Acknowledgement
    proof: bytes
    proof_height: Height


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A timeout and the proof that the packet was not received."""

    packet: Packet
    commitment: bytes
    proof: bytes
    proof_height: Height


@dataclass(frozen=True, slots=True)
class BlockTraffic:
    """Packets received in a block, by (destination client, sequence), and those it ended, by source client."""

    received: dict[tuple[str, int], Arrived] = field(default_factory=dict)
    ended: dict[tuple[str, int], Returned | TimedOut] = field(default_factory=dict)


class Traffic:
    """The packets in a ledger's blocks; each block is fetched and read once."""

    def __init__(self, chain: CometBftChain) -> None:
        self._chain = chain
        self._blocks: OrderedDict[int, BlockTraffic] = OrderedDict()

    async def block(self, height: int) -> BlockTraffic:
        known = self._blocks.get(height)
        if known is None:
            known = self._blocks[height] = _read(await self._chain.transactions(height))
            if len(self._blocks) > BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        return known

    def forget(self, height: int) -> None:
        """What the node served of a block did not hold; ask it again."""
        self._blocks.pop(height, None)

    @contextmanager
    def doubted(self, height: int) -> Iterator[None]:
        """What was read off a block is verified in here; where that fails, the block is asked for again."""
        try:
            yield
        except PeerFault:
            self.forget(height)
            raise


def messages_of(data: bytes) -> tuple[tuple[str, object], ...]:
    """Messages of a transaction of ours; none for bytes that are not one."""
    try:
        return Transaction.from_body(read_sign1(data)[2], MAX_MESSAGES).messages
    except (LockgateError, AttributeError, LookupError, TypeError):
        return ()


def _read(transactions: tuple[bytes, ...]) -> BlockTraffic:
    found = BlockTraffic()
    for data in transactions:
        for name, content in messages_of(data):
            if name == RECEIVE and isinstance(content, Mapping):
                name, content = MSG_RECV_PACKET, content.get("packet")  # the message inside
            if not isinstance(content, bytes):
                continue
            if name == MSG_RECV_PACKET:
                received = wire.read_receive(content)
                packet = received.packet
                found.received.setdefault(
                    (packet.destination_client, packet.sequence),
                    Arrived(packet, commit_packet(packet), received.proof, received.proof_height),
                )
            elif name == MSG_ACKNOWLEDGEMENT:
                answer = wire.read_acknowledge(content)
                packet = answer.packet
                found.ended.setdefault(
                    (packet.source_client, packet.sequence),
                    Returned(packet, commit_packet(packet), answer.acknowledgement, answer.proof, answer.proof_height),
                )
            elif name == MSG_TIMEOUT:
                late = wire.read_timeout(content)
                packet = late.packet
                found.ended.setdefault(
                    (packet.source_client, packet.sequence),
                    TimedOut(packet, commit_packet(packet), late.proof, late.proof_height),
                )
    return found


async def check_arrived(remote: ProvenReader, arrived: Arrived) -> None:
    """Verify the sender's commitment under a header of its ledger that this host follows itself."""
    key = host.packet_commitment(arrived.packet.source_client, arrived.packet.sequence)
    root = await _root(remote, arrived.proof_height)
    ics23.verify_membership(SPECS, root, (b"ibc", key), arrived.commitment, arrived.proof)


async def check_returned(remote: ProvenReader, returned: Returned) -> None:
    """Verify the acknowledgement under a header of the receiver's ledger."""
    packet = returned.packet
    key = host.packet_acknowledgement(packet.destination_client, packet.sequence)
    root = await _root(remote, returned.proof_height)
    value = commit_acknowledgement(returned.acknowledgement)
    ics23.verify_membership(SPECS, root, (b"ibc", key), value, returned.proof)


async def check_timed_out(remote: ProvenReader, late: TimedOut) -> None:
    """Verify that the receiver's ledger had reached the timeout, and held no receipt.

    The header of the proof is not earlier than the timeout, in whole seconds as the ledgers compare
    them (P13), and the state it carries has no receipt: the packet can never act there.
    """
    packet = late.packet
    root = await _root(remote, late.proof_height)
    block = remote.follower.trusted(late.proof_height.height)
    assert block is not None, "its root was just read"
    if floor_seconds(block.header.time) < packet.timeout:
        raise NotProven("the header of the proof is earlier than the timeout", sequence=packet.sequence)
    key = host.packet_receipt(packet.destination_client, packet.sequence)
    ics23.verify_non_membership(SPECS, root, (b"ibc", key), late.proof)


async def _root(remote: ProvenReader, height: Height) -> bytes:
    await remote.reach(height.height)
    root = remote.follower.root(height.height)
    if root is None or height.revision != remote.chain.revision:
        raise NotProven("the header of the proof is not held", height=height)
    return root
