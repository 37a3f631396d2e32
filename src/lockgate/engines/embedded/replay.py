"""Running a ledger's blocks again from genesis: the state roots must come out as they were signed."""

from __future__ import annotations

from collections.abc import Mapping

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.engines.embedded.ports import BlockStore
from lockgate.engines.embedded.recovery import check_roots, check_versions
from lockgate.engines.embedded.results import BlockResults
from lockgate.engines.shared.audit import StoreTampered, read_all
from lockgate.engines.shared.bodies import WithBodies
from lockgate.ibc.ports import Application
from lockgate.lightclients.cometbft import decoding
from lockgate.machine import history, keys
from lockgate.machine.context import OwnHeader
from lockgate.machine.genesis import Genesis
from lockgate.machine.machine import BlockInput, Machine
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.ports import NodeStore
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.state import Overlay
from lockgate.primitives.time import UnixNanos


def stored_state(nodes: NodeStore) -> MultiStore:
    """The state as a node store has it. Raises StoreTampered."""
    try:
        return MultiStore(keys.STORES, nodes)
    except LockgateError as error:
        raise StoreTampered("a root record does not read", height=error.fields.get("version", 0)) from error


def audit(store: BlockStore, state: MultiStore) -> None:
    """Read the whole newest state and every kept root. Raises StoreTampered with the height."""
    check_roots(store, state)
    read_all(state, store.body)


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
    """Execute blocks 1 to `height` on an empty state.

    Raises StoreTampered at the first other root, OtherAppVersion where they were made under other rules.
    """
    check_versions(store, (1, height))
    headers = StoredHeaders(store)
    machine = Machine(genesis, headers, applications)
    link = history.START if genesis.parameters.header_trail else b""
    state = MultiStore(keys.STORES, nodes)
    bodies: dict[bytes, bytes] = {}
    view = WithBodies(state, bodies.get)
    for at in range(1, height + 1):
        row = store.block(at)
        if row is None:
            raise StoreTampered("a block is missing", height=at)
        transactions = tuple(decoding.parse(wire.Block, row.block).data.txs)
        initial = machine.initial_state() if at == 1 else {}
        own = headers.own_header(at) if link else None
        link = history.follow(link, at, own) if own is not None else b""
        block = BlockInput(height=at, time=UnixNanos(row.time), transactions=transactions, link=link)
        decided = machine.execute(Overlay(view, initial) if at == 1 else view, block)
        state.apply({**initial, **decided.writes})
        for key, data in decided.bodies.items():
            if data is None:
                bodies.pop(key, None)
            else:
                bodies[key] = data
        if state.commit(at) != row.app_hash:
            raise StoreTampered("the state root is another when the block runs again", height=at)
        if _lasting(BlockResults.of(decided)) != _lasting(BlockResults.from_bytes(row.results)):
            raise StoreTampered("the results are others when the block runs again", height=at)
    return state


def _lasting(results: BlockResults) -> tuple[object, ...]:
    """What a block's results mean: all but the words of refusals, which may read otherwise in a later version."""
    return results.hash, results.events, [transaction.events for transaction in results.transactions]
