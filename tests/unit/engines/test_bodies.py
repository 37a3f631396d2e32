"""Packets that wait lie beside the tree, which holds their hashes and deadlines only (I4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.engines.embedded.replay import replay
from lockgate.ibc import host
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.packet import Packet
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import expect
from lockgate.machine import inbox, keys
from lockgate.machine.records import StateDamaged
from lockgate.primitives.time import seconds
from lockgate.storage.ledger import LedgerStore, StoreBroken
from lockgate.storage.memory import MemoryNodes
from tests.support.lab import World

BODY = b"a sealed body that nobody wants in the tree" * 100


def waiting(world: World) -> Packet:
    packet = world.send(BODY)
    expect(world.deliver(packet))
    return packet


def key_of(world: World, packet: Packet) -> bytes:
    return host.async_packet(world.b.client, packet.sequence)


def tree_bytes(ledger: LabLedger) -> int:
    """Keys and values of the whole newest state."""
    state = ledger.chain.state
    return sum(len(k) + len(v) for store in keys.STORES for k, v in state.scan(store, b"\x00", b"\xff" * 80))


def test_the_tree_holds_a_hash_and_a_deadline_and_the_table_the_packet() -> None:
    world = World.make()
    packet = world.send(BODY)
    before = tree_bytes(world.b.ledger)
    expect(world.deliver(packet))
    assert tree_bytes(world.b.ledger) - before < len(BODY) // 4
    chain = world.b.ledger.chain
    assert chain.store.body(key_of(world, packet)) == ibc_wire.encode_packet(packet)
    assert chain.state.get("ibc", key_of(world, packet)) is None
    entry = inbox.find(chain.view(), world.b.client, packet.sequence)
    assert entry is not None
    assert entry.commitment != b""


@pytest.mark.parametrize("end", ["answer", "deadline"])
def test_the_packet_leaves_the_table_when_it_is_acknowledged(end: str) -> None:
    world = World.make()
    packet = waiting(world)
    if end == "answer":
        expect(world.answer(packet))
    else:
        world.clock.advance(seconds(61))
        world.b.ledger.block()
    assert world.b.ledger.chain.store.body(key_of(world, packet)) is None


@pytest.mark.parametrize("spoil", ["other packet", "other body", "cut short", "gone"])
def test_an_altered_table_stops_the_ledger_and_becomes_no_result(spoil: str) -> None:
    """The table is under no root, so what it says is checked against the commitment in the tree."""
    world = World.make()
    packet = waiting(world)
    other = waiting(world)
    chain, key = world.b.ledger.chain, key_of(world, packet)
    data = chain.store.body(key)
    assert data is not None
    spoiled = {
        "other packet": chain.store.body(key_of(world, other)),
        "other body": data.replace(BODY, BODY.upper()),
        "cut short": data[:-1],
        "gone": None,
    }[spoil]
    with chain.store.commit():
        chain.store.add_bodies({key: spoiled})
    height, root = chain.height, chain.app_hash
    with pytest.raises(StateDamaged):
        world.answer(packet)
    assert (chain.height, chain.app_hash) == (height, root)
    with chain.store.commit():
        chain.store.add_bodies({key: data})
    world.receiver.root = bytes(32)
    world.host_b.sequence -= 1
    expect(world.answer(packet))


def test_the_table_is_in_the_blocks_own_commit_and_survives_a_restart(tmp_path: Path) -> None:
    store = LedgerStore.open(tmp_path / "ledger.sqlite")
    key, body = b"a key", b"a packet"
    with pytest.raises(StoreBroken), store.commit():
        store.add_bodies({key: body, b"no bytes": 1j})  # type: ignore[dict-item]  # the commit fails half-way
    assert store.body(key) is None
    with store.commit():
        store.add_bodies({key: body})
    store.close()
    again = LedgerStore.open(tmp_path / "ledger.sqlite")
    assert again.body(key) == body
    with again.commit():
        again.add_bodies({key: None, b"never there": None})
    assert again.body(key) is None
    again.close()


def test_a_replay_builds_the_table_again() -> None:
    world = World.make()
    for _ in range(3):
        expect(world.answer(waiting(world)))
    waiting(world)
    ledger = world.b.ledger
    state = replay(ledger.genesis, ledger.chain.store, MemoryNodes(), ledger.height)
    assert state.app_hash == ledger.chain.app_hash
