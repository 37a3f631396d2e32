"""Answers to ibc-go's query services, as pure functions over a view: request bytes in, response out.

Heights in responses are the height of the state that was read, as in ibc-go; proofs are not in them:
readers take proofs from `store/ibc/key`. Requests keep protobuf semantics, since foreign tools write
them. Source: ibc.core.{client.v1, client.v2, channel.v2} Query services, I10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from lockgate.codec import type_urls as urls
from lockgate.ibc import client_queries, packet_queries
from lockgate.ibc.errors import UnknownQuery
from lockgate.ibc.modules import ClientModules
from lockgate.primitives.state import Block, View

Query = Callable[[ClientModules, View, Block, bytes], bytes]

QUERIES: Final[Mapping[str, Query]] = {
    urls.QUERY_CLIENT_STATE: client_queries.client_state,
    urls.QUERY_CLIENT_STATES: client_queries.client_states,
    urls.QUERY_CONSENSUS_STATE: client_queries.consensus_state,
    urls.QUERY_CONSENSUS_STATES: client_queries.consensus_states,
    urls.QUERY_CONSENSUS_STATE_HEIGHTS: client_queries.consensus_state_heights,
    urls.QUERY_CLIENT_STATUS: client_queries.client_status,
    urls.QUERY_CLIENT_PARAMS: client_queries.client_params,
    urls.QUERY_CLIENT_CREATOR: client_queries.client_creator,
    urls.QUERY_COUNTERPARTY_INFO: client_queries.counterparty_info,
    urls.QUERY_CONFIG: client_queries.config,
    urls.QUERY_NEXT_SEQUENCE_SEND: packet_queries.next_sequence_send,
    urls.QUERY_PACKET_COMMITMENT: packet_queries.packet_commitment,
    urls.QUERY_PACKET_COMMITMENTS: packet_queries.packet_commitments,
    urls.QUERY_PACKET_RECEIPT: packet_queries.packet_receipt,
    urls.QUERY_PACKET_ACKNOWLEDGEMENT: packet_queries.packet_acknowledgement,
    urls.QUERY_PACKET_ACKNOWLEDGEMENTS: packet_queries.packet_acknowledgements,
    urls.QUERY_UNRECEIVED_PACKETS: packet_queries.unreceived_packets,
    urls.QUERY_UNRECEIVED_ACKS: packet_queries.unreceived_acks,
}


def answer(clients: ClientModules, view: View, block: Block, path: str, request: bytes) -> bytes:
    """Answer the query of that path. `block` is the one whose state `view` shows.

    Raises UnknownQuery, BadQuery, NothingFound, CommitmentNotFound, AcknowledgementNotFound,
    SendSequenceMissing, BadHostIdentifier, or codec.Malformed.
    """
    run = QUERIES.get(path)
    if run is None:
        raise UnknownQuery("no such query", path=path)
    return run(clients, view, block, request)
