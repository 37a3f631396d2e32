"""What the messages of a run share, and how one of them is read by position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from lockgate.codec.protobuf import DEFAULT_LIMIT
from lockgate.ibc import host, packet_bytes
from lockgate.ibc.commitment import commit_value, name_hashes, route_hashes
from lockgate.ibc.packet import MAX_PAYLOAD_BYTES, Packet, Payload, check_packet
from lockgate.ibc.packet_bytes import Unusual, number_at, size_at
from lockgate.ibc.ports import Application, Proofs, Terms
from lockgate.ibc.wire import AcknowledgeMessage, RelayMessage, proof_at
from lockgate.ibc.wiring import Wiring
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Hash32
from lockgate.primitives.quick import make
from lockgate.primitives.state import Block, Draft, Outcome
from lockgate.primitives.time import UnixSeconds, floor_seconds

# What makes a run leave a message to the plain handler: the same as what a machine takes for a refusal.
LEFT: Final = (Unusual, LockgateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
Messages = Sequence[tuple[str, Any]]  # name and content, of all kinds; a run ends where another kind follows


class Ran(NamedTuple):
    """What a run did: one response for each message it took, in order, and what all of them decided."""

    outcome: Outcome
    responses: list[bytes]


Runner = Callable[[Wiring, Draft, Block, str, Messages, int, int], Ran]


@dataclass(frozen=True, slots=True)
class Way:
    """From which client to which, between which ports, until when: values, their bytes, their hashes."""

    source: ClientId
    destination: ClientId
    timeout: UnixSeconds
    ports: tuple[str, str, str, str]  # both ports, version, encoding
    route: bytes  # fields 2 to 4 of a packet
    names: bytes  # fields 1 to 4 of its payload
    route_hashes: bytes  # what a commitment hashes before the payloads
    name_hashes: bytes  # what a payload's hash covers before the value's

    @classmethod
    def of(cls, packet: Packet, terms: Terms) -> Way:
        """The way of a packet, which must be good. Raises Unusual or what `check_packet` raises."""
        check_packet(packet, terms.max_payloads)
        _, source, destination, timeout, payloads = packet
        ports = payloads[0][:4]
        if len(payloads) != 1:
            raise Unusual
        return cls(
            source,
            destination,
            timeout,
            ports,
            packet_bytes.frame_route(source, destination, timeout),
            packet_bytes.frame_names(*ports),
            route_hashes(destination, timeout),
            name_hashes(ports),
        )

    def value_in(self, data: bytes, at: int, end: int) -> bytes:
        """The value of the payload that data[at:end] must be. Raises Unusual or IndexError."""
        names = self.names
        after = at + len(names)
        if data[after] != 0x2A or not data.startswith(names, at):
            raise Unusual
        size = data[after + 1]
        if size < 0x80:
            start = after + 2
        else:
            size, start = size_at(data, after + 1)
        if start + size != end or not 0 < size <= MAX_PAYLOAD_BYTES:
            raise Unusual
        return data[start:end]

    def packet_in(self, data: bytes) -> tuple[Packet, Hash32, bytes, int]:
        """The packet a relayed message begins with: value, commitment, encoding, and where that ends.

        Raises Unusual or IndexError.
        """
        size = data[1]
        if size < 0x80:
            begin = 2
        else:
            size, begin = size_at(data, 1)
        end = begin + size
        if data[0] != 0x0A or data[begin] != 0x08 or len(data) > DEFAULT_LIMIT:
            raise Unusual
        sequence = data[begin + 1]
        if 0 < sequence < 0x80:
            at = begin + 2
        else:
            sequence, at = number_at(data, begin + 1)
        route = self.route
        if not data.startswith(route, at):
            raise Unusual
        at += len(route)
        if data[at] != 0x2A:
            raise Unusual
        size = data[at + 1]
        if size < 0x80:
            at += 2
        else:
            size, at = size_at(data, at + 1)
        if at + size != end:
            raise Unusual
        value = self.value_in(data, at, end)
        payload = make(Payload, (*self.ports, value))
        packet = make(Packet, (sequence, self.source, self.destination, self.timeout, (payload,)))
        return packet, commit_value(self.route_hashes, self.name_hashes, value), data[begin:end], end


@dataclass(frozen=True, slots=True)
class RelayedWay:
    """A way with what a ledger knows of it: its lane, its application, and what verifies proofs."""

    way: Way
    terms: Terms
    application: Application
    proofs: Proofs
    front: tuple[bytes, ...]  # the path of what is proven on the other ledger, all but its last element,
    remote: bytes  # and that up to where the packet's sequence follows
    tail: bytes  # a message's last two fields: proof height, and as signer the account that signed the transaction

    @classmethod
    def of(
        cls,
        wiring: Wiring,
        view: Draft,
        block: Block,
        account: str,
        message: RelayMessage | AcknowledgeMessage,
        *,
        arriving: bool,
    ) -> RelayedWay:
        """The way of a message that was relayed: a packet that arrives, or the acknowledgement of one.

        Raises Unusual, or any refusal of what all messages of its way share.
        """
        packet = message.packet
        client, other = packet.source_client, packet.destination_client
        if arriving:
            client, other = other, client
        terms = wiring.lanes.terms(view, client)
        way = Way.of(packet, terms)
        counterparty, allowed, module = wiring.route(view, client, block.time)
        if counterparty is None or counterparty.client_id != other or module is None:
            raise Unusual
        if allowed and account not in allowed:
            raise Unusual
        if arriving and floor_seconds(block.time) >= packet.timeout:
            raise Unusual
        key = host.packet_commitment(other, 0) if arriving else host.packet_acknowledgement(other, 0)
        port = packet.payloads[0].destination_port if arriving else packet.payloads[0].source_port
        tags = (b"\x1a", b"\x22") if arriving else (b"\x22", b"\x2a")
        *front, remote = host.proof_path(counterparty.merkle_prefix, key[:-8])
        return cls(
            way,
            terms,
            wiring.router.route(port),
            module.proofs_at(view, client, message.proof_height),
            tuple(front),
            remote,
            packet_bytes.encode_tail((tags[0], message.proof_height), (tags[1], account)),
        )

    def proof_in(self, data: bytes, at: int, tag: int) -> bytes:
        """The proof at data[at:], which the shared tail must follow. Raises Unusual or IndexError."""
        proof, end = proof_at(data, at, tag)
        if data[end:] != self.tail:
            raise Unusual
        return proof


__all__ = ("LEFT", "Messages", "Ran", "RelayedWay", "Runner", "Way")
