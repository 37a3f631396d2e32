"""ibc-go's query services over a view: values, pages, and refusals."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from lockgate.codec import type_urls as urls
from lockgate.codec.errors import Malformed
from lockgate.codec.wire import ibc_client_pb2 as client
from lockgate.codec.wire import ibc_query_pb2 as q
from lockgate.ibc import host, outstanding, queries
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.errors import (
    AcknowledgementNotFound,
    BadHostIdentifier,
    BadQuery,
    CommitmentNotFound,
    NothingFound,
    SendSequenceMissing,
    UnknownQuery,
)
from lockgate.primitives.errors import LockgateError
from tests.support.ibc_fakes import SENDER, client_state
from tests.support.ibc_world import Pair, World


def ask(world: World, path: str, request: Message) -> bytes:
    before = world.state.snapshot()
    found = queries.answer(world.wiring.clients, world.state, world.block, path, request.SerializeToString())
    assert world.state.snapshot() == before
    return found


@pytest.fixture
def pair() -> Pair:
    """Two worlds with one packet acknowledged but not settled, and one only sent."""
    pair = Pair.connected()
    pair.delivered()
    pair.send()
    return pair


def test_packet_queries(pair: Pair) -> None:
    a, b = pair.a, pair.b
    height = client.Height(revision_number=1, revision_height=a.block.height.height)
    commitment = a.state.get("ibc", host.packet_commitment(a.client, 2))
    request = q.QueryPacketCommitmentRequest(client_id=a.client, sequence=2)
    data = ask(a, urls.QUERY_PACKET_COMMITMENT, request)
    assert q.QueryPacketCommitmentResponse.FromString(data) == q.QueryPacketCommitmentResponse(
        commitment=commitment, proof_height=height
    )
    data = ask(a, urls.QUERY_NEXT_SEQUENCE_SEND, q.QueryNextSequenceSendRequest(client_id=a.client))
    assert q.QueryNextSequenceSendResponse.FromString(data).next_sequence_send == 3
    data = ask(a, urls.QUERY_PACKET_COMMITMENTS, q.QueryPacketCommitmentsRequest(client_id=a.client))
    listed = q.QueryPacketCommitmentsResponse.FromString(data)
    assert [(one.client_id, one.sequence, len(one.data)) for one in listed.commitments] == [
        (a.client, 1, 32), (a.client, 2, 32),
    ]  # fmt: skip
    assert listed.pagination.total == 2
    data = ask(b, urls.QUERY_PACKET_RECEIPT, q.QueryPacketReceiptRequest(client_id=b.client, sequence=1))
    assert q.QueryPacketReceiptResponse.FromString(data).received
    data = ask(b, urls.QUERY_PACKET_RECEIPT, q.QueryPacketReceiptRequest(client_id=b.client, sequence=2))
    assert not q.QueryPacketReceiptResponse.FromString(data).received
    written = commit_acknowledgement(pair.written_acknowledgement())
    asked = q.QueryPacketAcknowledgementRequest(client_id=b.client, sequence=1)
    data = ask(b, urls.QUERY_PACKET_ACKNOWLEDGEMENT, asked)
    assert q.QueryPacketAcknowledgementResponse.FromString(data).acknowledgement == written


def test_what_is_still_to_be_relayed(pair: Pair) -> None:
    a, b = pair.a, pair.b
    data = ask(b, urls.QUERY_UNRECEIVED_PACKETS, q.QueryUnreceivedPacketsRequest(client_id=b.client, sequences=[1, 2]))
    assert list(q.QueryUnreceivedPacketsResponse.FromString(data).sequences) == [2]
    unreceived = q.QueryUnreceivedAcksRequest(client_id=a.client, packet_ack_sequences=[1, 7])
    assert list(q.QueryUnreceivedAcksResponse.FromString(ask(a, urls.QUERY_UNRECEIVED_ACKS, unreceived)).sequences) == [
        1
    ]
    everything = q.QueryPacketAcknowledgementsRequest(client_id=b.client)
    data = ask(b, urls.QUERY_PACKET_ACKNOWLEDGEMENTS, everything)
    listed = q.QueryPacketAcknowledgementsResponse.FromString(data)
    assert [one.sequence for one in listed.acknowledgements] == [1]
    assert listed.HasField("pagination")
    some = q.QueryPacketAcknowledgementsRequest(client_id=b.client, packet_commitment_sequences=[2, 1])
    data = ask(b, urls.QUERY_PACKET_ACKNOWLEDGEMENTS, some)
    listed = q.QueryPacketAcknowledgementsResponse.FromString(data)
    assert [one.sequence for one in listed.acknowledgements] == [1]
    assert not listed.HasField("pagination")


def test_heights_that_a_client_has_forgotten_are_not_shown(pair: Pair) -> None:
    a = pair.a
    ibc = a.state.stores["ibc"]
    shown = q.QueryConsensusStateHeightsRequest(client_id=a.client)
    every = q.QueryConsensusStatesRequest(client_id=a.client)
    one = q.QueryConsensusStateRequest(client_id=a.client, revision_number=1, revision_height=2)
    assert ask(a, urls.QUERY_CONSENSUS_STATE, one)
    ibc[host.forgotten(a.client)] = (1).to_bytes(8, "big") + (2).to_bytes(8, "big")
    data = ask(a, urls.QUERY_CONSENSUS_STATE_HEIGHTS, shown)
    found = q.QueryConsensusStateHeightsResponse.FromString(data).consensus_state_heights
    assert [height.revision_height for height in found] == [3, 4]
    data = ask(a, urls.QUERY_CONSENSUS_STATES, every)
    states = q.QueryConsensusStatesResponse.FromString(data).consensus_states
    assert [state.height.revision_height for state in states] == [3, 4]
    with pytest.raises(NothingFound):
        ask(a, urls.QUERY_CONSENSUS_STATE, one)


def test_client_queries(pair: Pair) -> None:
    a = pair.a
    latest = a.light.latest_height(a.state, a.client)
    data = ask(a, urls.QUERY_CLIENT_STATE, q.QueryClientStateRequest(client_id=a.client))
    assert q.QueryClientStateResponse.FromString(data).client_state == client_state(latest)
    data = ask(pair.b, urls.QUERY_CLIENT_STATES, q.QueryClientStatesRequest())
    states = q.QueryClientStatesResponse.FromString(data)
    assert [one.client_id for one in states.client_states] == ["99-fake-0", "99-fake-1"]
    data = ask(a, urls.QUERY_CONSENSUS_STATE, q.QueryConsensusStateRequest(client_id=a.client, latest_height=True))
    newest = q.QueryConsensusStateResponse.FromString(data).consensus_state
    request = q.QueryConsensusStateRequest(client_id=a.client, revision_number=1, revision_height=latest.height)
    data = ask(a, urls.QUERY_CONSENSUS_STATE, request)
    assert q.QueryConsensusStateResponse.FromString(data).consensus_state == newest
    a.state.stores["ibc"][host.consensus_state(a.client, latest) + b"/processedTime"] = bytes(8)
    data = ask(a, urls.QUERY_CONSENSUS_STATE_HEIGHTS, q.QueryConsensusStateHeightsRequest(client_id=a.client))
    heights = [
        one.revision_height for one in q.QueryConsensusStateHeightsResponse.FromString(data).consensus_state_heights
    ]
    assert heights == [1, 2, 3, 4]
    data = ask(a, urls.QUERY_CONSENSUS_STATES, q.QueryConsensusStatesRequest(client_id=a.client))
    assert q.QueryConsensusStatesResponse.FromString(data).consensus_states[-1].consensus_state == newest
    data = ask(a, urls.QUERY_CLIENT_STATUS, q.QueryClientStatusRequest(client_id=a.client))
    assert q.QueryClientStatusResponse.FromString(data).status == "Active"
    for name, status in (("99-fake-77", "Unknown"), ("98-none-0", "Unauthorized"), ("client", "Unauthorized")):
        data = ask(a, urls.QUERY_CLIENT_STATUS, q.QueryClientStatusRequest(client_id=name))
        assert q.QueryClientStatusResponse.FromString(data).status == status
    data = ask(a, urls.QUERY_CLIENT_PARAMS, q.QueryClientParamsRequest())
    assert list(q.QueryClientParamsResponse.FromString(data).params.allowed_clients) == ["*"]
    data = ask(a, urls.QUERY_CLIENT_CREATOR, q.QueryClientCreatorRequest(client_id=a.client))
    assert q.QueryClientCreatorResponse.FromString(data).creator == SENDER
    data = ask(a, urls.QUERY_COUNTERPARTY_INFO, q.QueryCounterpartyInfoRequest(client_id=a.client))
    info = q.QueryCounterpartyInfoResponse.FromString(data).counterparty_info
    assert (info.client_id, list(info.merkle_prefix)) == (pair.b.client, [b"ibc", b""])
    data = ask(a, urls.QUERY_CONFIG, q.QueryConfigRequest(client_id=a.client))
    assert list(q.QueryConfigResponse.FromString(data).config.allowed_relayers) == []


NOWHERE = "99-fake-9"


@pytest.mark.parametrize(
    ("path", "request_message", "refusal"),
    [
        (urls.QUERY_CLIENT_STATE, q.QueryClientStateRequest(client_id=NOWHERE), NothingFound),
        (urls.QUERY_CLIENT_STATE, q.QueryClientStateRequest(client_id="a/b"), BadHostIdentifier),
        (urls.QUERY_CONSENSUS_STATE, q.QueryConsensusStateRequest(client_id=NOWHERE, revision_height=1), NothingFound),
        (urls.QUERY_CONSENSUS_STATE, q.QueryConsensusStateRequest(client_id=NOWHERE), BadQuery),
        (urls.QUERY_COUNTERPARTY_INFO, q.QueryCounterpartyInfoRequest(client_id=NOWHERE), NothingFound),
        (urls.QUERY_NEXT_SEQUENCE_SEND, q.QueryNextSequenceSendRequest(client_id=NOWHERE), SendSequenceMissing),
        (
            urls.QUERY_PACKET_COMMITMENT,
            q.QueryPacketCommitmentRequest(client_id=NOWHERE, sequence=1),
            CommitmentNotFound,
        ),
        (urls.QUERY_PACKET_COMMITMENT, q.QueryPacketCommitmentRequest(client_id=NOWHERE), BadQuery),
        (
            urls.QUERY_PACKET_ACKNOWLEDGEMENT,
            q.QueryPacketAcknowledgementRequest(client_id=NOWHERE, sequence=1),
            AcknowledgementNotFound,
        ),
        (urls.QUERY_UNRECEIVED_PACKETS, q.QueryUnreceivedPacketsRequest(client_id=NOWHERE, sequences=[0]), BadQuery),
        (
            urls.QUERY_UNRECEIVED_PACKETS,
            q.QueryUnreceivedPacketsRequest(client_id=NOWHERE, sequences=[1] * 10_001),
            BadQuery,
        ),
        ("/ibc.core.client.v1.Query/None", q.QueryClientParamsRequest(), UnknownQuery),
    ],
)
def test_refusals(pair: Pair, path: str, request_message: Message, refusal: type[LockgateError]) -> None:
    with pytest.raises(refusal):
        ask(pair.a, path, request_message)


@pytest.mark.parametrize("path", sorted(queries.QUERIES))
def test_every_path_refuses_garbage_with_a_typed_error(pair: Pair, path: str) -> None:
    for data in (b"\x0a\xff", b"\xff" * 9, b"\x0a\x02\xff\xfe", b""):
        try:
            queries.answer(pair.a.wiring.clients, pair.a.state, pair.a.block, path, data)
        except Malformed:
            assert data
        except LockgateError:
            assert not data


def test_pages() -> None:
    pair = Pair.connected()
    for _ in range(7):
        pair.send()

    def page(**fields: object) -> tuple[list[int], bytes, int]:
        request = q.QueryPacketCommitmentsRequest(
            client_id=pair.a.client,
            pagination=q.PageRequest(**fields),  # type: ignore[arg-type]
        )
        found = q.QueryPacketCommitmentsResponse.FromString(ask(pair.a, urls.QUERY_PACKET_COMMITMENTS, request))
        return [one.sequence for one in found.commitments], found.pagination.next_key, found.pagination.total

    sequences, following, total = page(limit=3)
    assert (sequences, total) == ([1, 2, 3], 0)
    sequences, following, total = page(limit=3, key=following)
    assert (sequences, total) == ([4, 5, 6], 0)
    assert page(limit=3, key=following) == ([7], b"", 0)
    assert page(limit=2, offset=4, count_total=True) == ([5, 6], bytes(7) + b"\x07", 7)
    assert page(offset=9) == ([], b"", 7)
    assert page() == ([1, 2, 3, 4, 5, 6, 7], b"", 7)
    sequences, following, _ = page(limit=3, reverse=True)
    assert sequences == [7, 6, 5]
    assert page(limit=9, reverse=True, key=following) == ([4, 3, 2, 1], b"", 0)
    with pytest.raises(BadQuery):
        page(offset=1, key=b"x")


def test_a_page_of_one_client_has_no_keys_of_another() -> None:
    world = World("ledger-1")
    for client_id in ("07-tendermint-1", "07-tendermint-10", "07-tendermint-2"):
        for sequence in (1, 2):
            world.state.stores["ibc"][host.packet_commitment(client_id, sequence)] = client_id.encode()
            world.state.stores["ibc"][host.packet_receipt(client_id, sequence)] = b"\x02"
            world.state.stores["ibc"][host.async_packet(client_id, sequence)] = b"held"
    keys = outstanding.commitments_of("07-tendermint-1")
    assert list(outstanding.entries(world.state, keys)) == [(1, b"07-tendermint-1"), (2, b"07-tendermint-1")]
    assert list(outstanding.entries(world.state, outstanding.receipts_of("07-tendermint-10", 2))) == [(2, b"\x02")]
    assert list(outstanding.entries(world.state, outstanding.held_of("07-tendermint-2", 2))) == [(2, b"held")]
    assert list(outstanding.entries(world.state, outstanding.acknowledgements_of("07-tendermint-2"))) == []


def test_outstanding_commitments_shrink_as_packets_end(pair: Pair) -> None:
    a = pair.a
    keys = outstanding.commitments_of(a.client)
    assert [sequence for sequence, _ in outstanding.entries(a.state, keys)] == [1, 2]
    packet = pair.send()
    assert dict(outstanding.entries(a.state, keys))[3] == commit_packet(packet)
