"""What a ledger that answers the CometBFT RPC says of its state: the queries of IBC, and those of our own ledgers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message

from lockgate.codec import cbor
from lockgate.codec.wire import ibc_query_pb2
from lockgate.courier.ports import TrackedClient
from lockgate.lightclients.tendermint import CLIENT_TYPE, states
from lockgate.machine import keys
from lockgate.machine.pruning import watermark_key
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height
from lockgate.relay.kinds import kind_of
from lockgate.relay.one_source import OneSource
from lockgate.relay.pages import Walk
from lockgate.relay.rpc import BadAnswer, Calls, RpcError, array, b64, number

STATES_PER_PAGE: Final = 10_000  # the most one query service answers; half a megabyte
CLIENTS_PER_PAGE: Final = 200  # a client state is half a kilobyte
M = TypeVar("M", bound=Message)


class CometBftState(OneSource):
    """Asks one node."""

    def __init__(self, rpc: Calls) -> None:
        self.rpc = rpc

    async def query(self, path: str, data: bytes, *, height: int = 0, prove: bool = False) -> dict[str, Any]:
        """abci_query; the `response` object, or RpcError with the ledger's own words."""
        answer = await self.rpc.call("abci_query", path=path, data=data.hex(), height=str(height), prove=prove)
        return response_of(answer, path)

    async def last_sent(self, client_id: ClientId) -> int:
        """The newest sequence that was sent over a client; 0 before the first."""
        request = ibc_query_pb2.QueryNextSequenceSendRequest(client_id=client_id)
        answer = await self._ask("channel.v2", "NextSequenceSend", request)
        return int(self._parsed(ibc_query_pb2.QueryNextSequenceSendResponse, answer).next_sequence_send) - 1

    async def pruned(self, client_id: ClientId, /) -> int:
        answer = await self.query(f"store/{keys.LANE}/key", watermark_key(client_id))
        return int.from_bytes(b64(answer.get("value")), "big")

    async def next_in_order(self, client_id: ClientId, sender: bytes, /) -> int:
        answer = await self.query(f"/store/{keys.LANE}/key", keys.order_next(client_id, sender))
        return int.from_bytes(b64(answer.get("value")) or b"\x01", "big")

    async def keys(self, store: str, start: bytes, end: bytes, /) -> tuple[bytes, ...]:
        """Keys of a range, ascending; ledgers of ours only, and at most 10,000 of them."""
        return array(await self.query("/lockgate/range", cbor.encode([store, start, end])), bytes)

    async def outstanding(self, client_id: ClientId, /) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        walk = Walk("packet commitments")
        while not walk.done:
            page = ibc_query_pb2.PageRequest(key=walk.key, limit=STATES_PER_PAGE)
            request = ibc_query_pb2.QueryPacketCommitmentsRequest(client_id=client_id, pagination=page)
            answer = self._parsed(
                ibc_query_pb2.QueryPacketCommitmentsResponse,
                await self._ask("channel.v2", "PacketCommitments", request),
            )
            walk.took(len(answer.commitments), answer.pagination.next_key)
            found |= {state.sequence: state.data for state in answer.commitments}
        return found

    async def received(self, client_id: ClientId, sequences: Collection[int], /) -> set[int]:
        missing: set[int] = set()
        for chunk in _chunks(sorted(sequences)):
            request = ibc_query_pb2.QueryUnreceivedPacketsRequest(client_id=client_id, sequences=chunk)
            answer = await self._ask("channel.v2", "UnreceivedPackets", request)
            missing |= set(self._parsed(ibc_query_pb2.QueryUnreceivedPacketsResponse, answer).sequences)
        return set(sequences) - missing

    async def still_open(self, client_id: ClientId, sequences: Collection[int], /) -> set[int]:
        found: set[int] = set()
        for chunk in _chunks(sorted(sequences)):
            request = ibc_query_pb2.QueryUnreceivedAcksRequest(client_id=client_id, packet_ack_sequences=chunk)
            answer = await self._ask("channel.v2", "UnreceivedAcks", request)
            found |= set(self._parsed(ibc_query_pb2.QueryUnreceivedAcksResponse, answer).sequences)
        return found

    async def acknowledged(self, client_id: ClientId, sequences: Collection[int], /) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for chunk in _chunks(sorted(sequences)):
            request = ibc_query_pb2.QueryPacketAcknowledgementsRequest(
                client_id=client_id, packet_commitment_sequences=chunk
            )
            answer = await self._ask("channel.v2", "PacketAcknowledgements", request)
            states = self._parsed(ibc_query_pb2.QueryPacketAcknowledgementsResponse, answer).acknowledgements
            found |= {state.sequence: state.data for state in states}
        return found

    async def client(self, client_id: ClientId, /) -> TrackedClient:
        kind = kind_of(client_id)
        raw, status = await asyncio.gather(
            self._ask("client.v1", "ClientState", ibc_query_pb2.QueryClientStateRequest(client_id=client_id)),
            self._ask("client.v1", "ClientStatus", ibc_query_pb2.QueryClientStatusRequest(client_id=client_id)),
        )
        wrapped = self._parsed(ibc_query_pb2.QueryClientStateResponse, raw).client_state
        state = kind.client_state(wrapped.SerializeToString())
        standing = self._parsed(ibc_query_pb2.QueryClientStatusResponse, status).status
        consensus = await self._consensus(client_id, state.latest_height)
        members = await asyncio.gather(*map(self.client, kind.members(state)))
        return kind.tracked(client_id, standing, state, consensus, members)

    async def consensus(self, client_id: ClientId, height: Height) -> states.ConsensusState:
        """What a client of headers keeps of one height. Raises RpcError where it keeps nothing."""
        return states.decode_consensus_state(await self._consensus(client_id, height))

    async def _consensus(self, client_id: ClientId, height: Height) -> bytes:
        request = ibc_query_pb2.QueryConsensusStateRequest(
            client_id=client_id, revision_number=height.revision, revision_height=height.height
        )
        raw = await self._ask("client.v1", "ConsensusState", request)
        wrapped = self._parsed(ibc_query_pb2.QueryConsensusStateResponse, raw).consensus_state
        return bytes(wrapped.SerializeToString())

    async def consensus_heights(self, client_id: ClientId) -> list[Height]:
        """Every height a client keeps, ascending."""
        found: list[Height] = []
        walk = Walk("heights of a client")
        while not walk.done:
            page = ibc_query_pb2.PageRequest(key=walk.key, limit=STATES_PER_PAGE)
            request = ibc_query_pb2.QueryConsensusStateHeightsRequest(client_id=client_id, pagination=page)
            raw = await self._ask("client.v1", "ConsensusStateHeights", request)
            answer = self._parsed(ibc_query_pb2.QueryConsensusStateHeightsResponse, raw)
            walk.took(len(answer.consensus_state_heights), answer.pagination.next_key)
            found += [Height(h.revision_number, h.revision_height) for h in answer.consensus_state_heights]
        return sorted(found)

    async def clients_of(self, chain_id: str, kind: str = CLIENT_TYPE) -> list[ClientId]:
        """Clients of one kind on this ledger that track `chain_id`."""
        read = kind_of(f"{kind}-0").client_state
        found: list[ClientId] = []
        walk = Walk("clients")
        while not walk.done:
            page = ibc_query_pb2.PageRequest(key=walk.key, limit=CLIENTS_PER_PAGE)
            raw = await self._ask("client.v1", "ClientStates", ibc_query_pb2.QueryClientStatesRequest(pagination=page))
            answer = self._parsed(ibc_query_pb2.QueryClientStatesResponse, raw)
            walk.took(len(answer.client_states), answer.pagination.next_key)
            for item in answer.client_states:
                with contextlib.suppress(LockgateError):  # another kind of client
                    if read(item.client_state.SerializeToString()).chain_id == chain_id:
                        found.append(ClientId(item.client_id))
        return found

    async def _ask(self, service: str, method: str, request: Any) -> bytes:
        path = f"/ibc.core.{service}.Query/{method}"
        return b64((await self.query(path, request.SerializeToString())).get("value"))

    @staticmethod
    def _parsed(kind: type[M], data: bytes) -> M:
        try:
            return kind.FromString(data)
        except DecodeError as error:
            raise BadAnswer("not the message the query promises", message=kind.DESCRIPTOR.name) from error


def response_of(answer: dict[str, Any], path: str) -> dict[str, Any]:
    response = answer.get("response")
    if not isinstance(response, dict):
        raise BadAnswer("abci_query without a response")
    if number(response.get("code", 0)) != 0:
        raise RpcError(str(response.get("log", "")), path=path)
    return response


def _chunks(sequences: list[int]) -> list[list[int]]:
    return [sequences[i : i + STATES_PER_PAGE] for i in range(0, len(sequences), STATES_PER_PAGE)]


__all__ = ("CometBftState", "response_of")
