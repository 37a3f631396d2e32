"""Running a ledger's blocks again from genesis: the state roots must come out as they were signed."""

from __future__ import annotations

from collections.abc import Mapping

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.engines.embedded.bodies import WithBodies
from lockgate.engines.embedded.ports import BlockStore
from lockgate.engines.embedded.recovery import StoreTampered
from lockgate.engines.embedded.results import BlockResults
from lockgate.ibc.ports import Application
from lockgate.lightclients.cometbft import decoding
from lockgate.machine import keys
from lockgate.machine.context import OwnHeader
from lockgate.machine.genesis import Genesis
from lockgate.machine.machine import BlockInput, Machine
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.ports import NodeStore
from lockgate.primitives.state import Overlay
from lockgate.primitives.time import UnixNanos


class StoredHeaders:
    """Own headers out of a block store."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store

    def own_header(self, height: int, /) -> OwnHeader | None:
        row = self._store.block(height)
        if row is None:
            return None
        header = decoding.signed_header(decoding.parse(wire.SignedHeader, row.signed)).header
        return OwnHeader(header.time, header.app_hash, header.next_validators_hash)


def replay(
    genesis: Genesis,
    store: BlockStore,
    nodes: NodeStore,
    height: int,
    applications: Mapping[str, Application] | None = None,
) -> MultiStore:
    """Execute blocks 1 to `height` on an empty state. Raises StoreTampered at the first other root."""
    machine = Machine(genesis, StoredHeaders(store), applications)
    state = MultiStore(keys.STORES, nodes)
    bodies: dict[bytes, bytes] = {}
    view = WithBodies(state, bodies.get)
    for at in range(1, height + 1):
        row = store.block(at)
        if row is None:
            raise StoreTampered("a block is missing", height=at)
        transactions = tuple(decoding.parse(wire.Block, row.block).data.txs)
        initial = machine.initial_state() if at == 1 else {}
        block = BlockInput(height=at, time=UnixNanos(row.time), transactions=transactions)
        decided = machine.execute(Overlay(view, initial) if at == 1 else view, block)
        state.apply({**initial, **decided.writes})
        for key, data in decided.bodies.items():
            if data is None:
                bodies.pop(key, None)
            else:
                bodies[key] = data
        if state.commit(at) != row.app_hash:
            raise StoreTampered("the state root is another when the block runs again", height=at)
        if BlockResults.of(decided).hash != BlockResults.from_bytes(row.results).hash:
            raise StoreTampered("the results are others when the block runs again", height=at)
    return state
