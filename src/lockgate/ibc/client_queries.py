"""What ibc-go's client query services answer (client v1 and v2), as functions over a view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec.protobuf import parse
from lockgate.codec.wire import ibc_client_pb2 as client
from lockgate.codec.wire import ibc_query_pb2 as q
from lockgate.ibc import host
from lockgate.ibc.client import find_creator
from lockgate.ibc.counterparty import allowed_relayers, find_counterparty
from lockgate.ibc.errors import BadQuery, NothingFound
from lockgate.ibc.modules import ALL_CLIENTS, ClientModules
from lockgate.ibc.paging import page
from lockgate.ibc.wire import wire_height
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Block, View

_CLIENT_STATE_KEY: Final = b"/clientState"


def client_state(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    name = host.check_named_client(parse(q.QueryClientStateRequest, data).client_id)
    stored = _stored(view, host.client_state(name), client=name)
    return q.QueryClientStateResponse(
        client_state=AnyMessage.FromString(stored), proof_height=wire_height(block.height)
    ).SerializeToString()


def client_states(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    request = parse(q.QueryClientStatesRequest, data)
    pairs, following = page(view, host.CLIENTS_PREFIX, request.pagination, _names_client_state)
    states = [
        client.IdentifiedClientState(
            client_id=key.partition(b"/")[0].decode(), client_state=AnyMessage.FromString(value)
        )
        for key, value in pairs
    ]
    return q.QueryClientStatesResponse(client_states=states, pagination=following).SerializeToString()


def consensus_state(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    request = parse(q.QueryConsensusStateRequest, data)
    name = host.check_named_client(request.client_id)
    if request.latest_height:
        height = clients.latest_height(view, name)
    elif request.revision_height == 0:
        raise BadQuery("the height is zero", client=name)
    else:
        height = Height(request.revision_number, request.revision_height)
    if not _counts(view, name)(str(height).encode()):
        raise NothingFound("forgotten", client=name, height=height)
    stored = _stored(view, host.consensus_state(name, height), client=name, height=height)
    return q.QueryConsensusStateResponse(
        consensus_state=AnyMessage.FromString(stored), proof_height=wire_height(block.height)
    ).SerializeToString()


def consensus_states(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    request = parse(q.QueryConsensusStatesRequest, data)
    name = host.check_named_client(request.client_id)
    pairs, following = page(view, _consensus_prefix(name), request.pagination, _counts(view, name))
    states = [
        client.ConsensusStateWithHeight(
            height=wire_height(Height.parse(key.decode())), consensus_state=AnyMessage.FromString(value)
        )
        for key, value in pairs
    ]
    return q.QueryConsensusStatesResponse(consensus_states=states, pagination=following).SerializeToString()


def consensus_state_heights(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    request = parse(q.QueryConsensusStateHeightsRequest, data)
    name = host.check_named_client(request.client_id)
    pairs, following = page(view, _consensus_prefix(name), request.pagination, _counts(view, name))
    heights = [wire_height(Height.parse(key.decode())) for key, _ in pairs]
    return q.QueryConsensusStateHeightsResponse(
        consensus_state_heights=heights, pagination=following
    ).SerializeToString()


def client_status(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    name = host.check_named_client(parse(q.QueryClientStatusRequest, data).client_id)
    return q.QueryClientStatusResponse(status=clients.status(view, name, block.time)).SerializeToString()


def client_params(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    parse(q.QueryClientParamsRequest, data)
    params = client.Params(allowed_clients=ALL_CLIENTS)
    return q.QueryClientParamsResponse(params=params).SerializeToString()


def client_creator(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    name = host.check_named_client(parse(q.QueryClientCreatorRequest, data).client_id)
    return q.QueryClientCreatorResponse(creator=find_creator(view, name) or "").SerializeToString()


def counterparty_info(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    name = host.check_named_client(parse(q.QueryCounterpartyInfoRequest, data).client_id)
    record = find_counterparty(view, name)
    if record is None:
        raise NothingFound("no counterparty", client=name)
    info = client.CounterpartyInfo(merkle_prefix=record.merkle_prefix, client_id=record.client_id)
    return q.QueryCounterpartyInfoResponse(counterparty_info=info).SerializeToString()


def config(clients: ClientModules, view: View, block: Block, data: bytes) -> bytes:
    name = host.check_named_client(parse(q.QueryConfigRequest, data).client_id)
    config = client.Config(allowed_relayers=allowed_relayers(view, name))
    return q.QueryConfigResponse(config=config).SerializeToString()


def _stored(view: View, key: bytes, **what: object) -> bytes:
    stored = view.get(host.STORE, key)
    if stored is None:
        raise NothingFound("no such record", **what)
    return stored


def _names_client_state(key: bytes) -> bool:
    return key.endswith(_CLIENT_STATE_KEY) and key.count(b"/") == 1


def _consensus_prefix(name: str) -> bytes:
    return host.client_key(name, b"consensusStates/")


def _counts(view: View, name: str) -> Callable[[bytes], bool]:
    """Tells of a key under the prefix whether it is that of a consensus state which the client goes by."""
    raw = view.get(host.STORE, host.forgotten(name))
    bound = None if raw is None else Height(int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big"))
    # A client keeps its own records about a height below the height's key.
    return lambda key: b"/" not in key and (bound is None or Height.parse(key.decode()) > bound)
