"""What ibc-go's packet query service answers (channel v2), as functions over a view."""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import Final

from lockgate.codec.protobuf import parse
from lockgate.codec.wire import ibc_channel_pb2 as channel
from lockgate.codec.wire import ibc_query_pb2 as q
from lockgate.ibc import host
from lockgate.ibc.errors import AcknowledgementNotFound, BadQuery, CommitmentNotFound, SendSequenceMissing
from lockgate.ibc.modules import ClientModules
from lockgate.ibc.outstanding import sequence_of
from lockgate.ibc.paging import page
from lockgate.ibc.wire import wire_height
from lockgate.primitives.state import Block, View

MAX_SEQUENCES: Final = 10_000  # sequences one request may ask about; ibc-go leaves it open


def next_sequence_send(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    name = host.check_named_client(parse(q.QueryNextSequenceSendRequest, data).client_id)
    stored = view.get(host.STORE, host.next_sequence_send(name))
    if stored is None:
        raise SendSequenceMissing("no next sequence", client=name)
    return q.QueryNextSequenceSendResponse(
        next_sequence_send=int.from_bytes(stored, "big"), proof_height=wire_height(block.height)
    ).SerializeToString()


def packet_commitment(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    request = parse(q.QueryPacketCommitmentRequest, data)
    name, sequence = host.check_named_client(request.client_id), _sequence(request.sequence)
    stored = view.get(host.STORE, host.packet_commitment(name, sequence))
    if stored is None:
        raise CommitmentNotFound("none", client=name, sequence=sequence)
    return q.QueryPacketCommitmentResponse(
        commitment=stored, proof_height=wire_height(block.height)
    ).SerializeToString()


def packet_commitments(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    request = parse(q.QueryPacketCommitmentsRequest, data)
    name = host.check_named_client(request.client_id)
    pairs, following = page(view, name.encode() + host.COMMITMENT_MARK, request.pagination)
    return q.QueryPacketCommitmentsResponse(
        commitments=[_packet_state(name, sequence_of(key), value) for key, value in pairs],
        pagination=following,
        height=wire_height(block.height),
    ).SerializeToString()


def packet_receipt(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    request = parse(q.QueryPacketReceiptRequest, data)
    name, sequence = host.check_named_client(request.client_id), _sequence(request.sequence)
    received = view.get(host.STORE, host.packet_receipt(name, sequence)) is not None
    return q.QueryPacketReceiptResponse(received=received, proof_height=wire_height(block.height)).SerializeToString()


def packet_acknowledgement(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    request = parse(q.QueryPacketAcknowledgementRequest, data)
    name, sequence = host.check_named_client(request.client_id), _sequence(request.sequence)
    stored = view.get(host.STORE, host.packet_acknowledgement(name, sequence))
    if stored is None:
        raise AcknowledgementNotFound("none", client=name, sequence=sequence)
    return q.QueryPacketAcknowledgementResponse(
        acknowledgement=stored, proof_height=wire_height(block.height)
    ).SerializeToString()


def packet_acknowledgements(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    request = parse(q.QueryPacketAcknowledgementsRequest, data)
    name = host.check_named_client(request.client_id)
    asked = _sequences(request.packet_commitment_sequences)
    response = q.QueryPacketAcknowledgementsResponse(height=wire_height(block.height))
    if asked:
        for sequence in asked:
            stored = view.get(host.STORE, host.packet_acknowledgement(name, sequence))
            if stored is not None:
                response.acknowledgements.append(_packet_state(name, sequence, stored))
    else:
        pairs, following = page(view, name.encode() + host.ACKNOWLEDGEMENT_MARK, request.pagination)
        response.acknowledgements.extend([_packet_state(name, sequence_of(key), value) for key, value in pairs])
        response.pagination.CopyFrom(following)
    return response.SerializeToString()


def unreceived_packets(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    request = parse(q.QueryUnreceivedPacketsRequest, data)
    name = host.check_named_client(request.client_id)
    missing = [
        sequence
        for sequence in _sequences(request.sequences)
        if view.get(host.STORE, host.packet_receipt(name, sequence)) is None
    ]
    return q.QueryUnreceivedPacketsResponse(sequences=missing, height=wire_height(block.height)).SerializeToString()


def unreceived_acks(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    request = parse(q.QueryUnreceivedAcksRequest, data)
    name = host.check_named_client(request.client_id)
    pending = [
        sequence
        for sequence in _sequences(request.packet_ack_sequences)
        if view.get(host.STORE, host.packet_commitment(name, sequence)) is not None
    ]
    return q.QueryUnreceivedAcksResponse(sequences=pending, height=wire_height(block.height)).SerializeToString()


def _sequence(sequence: int) -> int:
    if sequence == 0:
        raise BadQuery("a packet sequence is at least 1")
    return sequence


def _sequences(sequences: Items[int]) -> list[int]:
    if len(sequences) > MAX_SEQUENCES:
        raise BadQuery("too many sequences", count=len(sequences), most=MAX_SEQUENCES)
    return [_sequence(sequence) for sequence in sequences]


def _packet_state(client: str, sequence: int, data: bytes) -> channel.PacketState:
    return channel.PacketState(client_id=client, sequence=sequence, data=data)
