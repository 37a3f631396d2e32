"""A lane's packets are read once each, over restarts too, and again only while they are open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lockgate.courier.ports import NotYet
from lockgate.ibc import commitment, host
from lockgate.lightclients.evm_storage import slot_of
from lockgate.relay.chains.evm import sent
from lockgate.relay.chains.evm.chain import EvmChain
from lockgate.relay.chains.evm.memory import Memory, MemoryDamaged
from lockgate.relay.chains.evm.sent import SentPackets
from tests.support.evm_node import CLIENT, HOST, NETWORK, FakeNode, chain_of


class Slots:
    """What a contract holds of a lane's packets, and what was asked for."""

    def __init__(self, *open_: int) -> None:
        self.open, self.asked = set(open_), list[int]()

    async def __call__(self, numbers: Sequence[int]) -> dict[int, bytes]:
        self.asked += numbers
        return {at: at.to_bytes(32) for at in numbers if at in self.open}


def look(packets: SentPackets, slots: Slots, last: int) -> list[int]:
    """Which are outstanding; what was asked for is in `slots`."""
    slots.asked.clear()
    return sorted(asyncio.run(packets.outstanding(CLIENT, last, slots)))


def new(path: Path | None = None, **more: bool) -> SentPackets:
    return SentPackets(path, NETWORK, HOST, **more)


def test_one_old_packet_that_stays_open_has_no_other_read_again() -> None:
    packets, slots = new(), Slots(3)
    assert look(packets, slots, 5_000) == [3]
    assert len(slots.asked) == 5_000
    slots.open.add(5_001)
    assert look(packets, slots, 5_001) == [3, 5_001]
    assert sorted(slots.asked) == [3, 5_001]
    slots.open.clear()
    assert look(packets, slots, 5_001) == []
    assert look(packets, slots, 5_001) == slots.asked == []


def test_a_lane_is_read_in_bounded_pieces_and_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent, "MOST_READ", 100)
    packets, slots = new(), Slots(7, 230)
    for _ in range(2):
        with pytest.raises(NotYet):
            look(packets, slots, 240)
        assert len([at for at in slots.asked if at != 7]) <= 100
    assert look(packets, slots, 240) == [7, 230]


def test_where_many_stay_open_a_part_of_them_is_read_again_and_each_in_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sent, "MOST_AGAIN", 4)
    packets, slots = new(), Slots(*range(1, 11))
    look(packets, slots, 10)
    slots.open = {5}
    seen = []
    for _ in range(3):
        look(packets, slots, 10)
        assert len(slots.asked) <= 4
        seen += slots.asked
    assert set(seen) == set(range(1, 11))
    assert look(packets, slots, 10) == [5]


def test_more_packets_than_were_sent_hide_none_that_is() -> None:
    packets, slots = new(), Slots()
    assert look(packets, slots, 500) == []
    slots.open = {12, 400}
    assert look(packets, slots, 20) == [12], "so many were never sent"
    assert look(packets, slots, 400) == [12, 400]


def test_what_was_read_is_known_after_a_restart(tmp_path: Path) -> None:
    path, slots = tmp_path / "sent.json", Slots(3, 40)
    look(new(path), slots, 50)
    slots.open = {40, 51}
    assert look(new(path), slots, 51) == [40, 51]
    assert sorted(slots.asked) == [3, 40, 51]
    assert look(new(path, anew=True), slots, 51) == [40, 51]
    assert sorted(slots.asked) == list(range(1, 52))


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda _: b"[" * 5_000,
        lambda value: json.dumps({**value, "network": 1}).encode(),
        lambda value: json.dumps({**value, "host": "00"}).encode(),
        lambda value: json.dumps({**value, "lanes": [1]}).encode(),
        lambda value: json.dumps({**value, "lanes": {CLIENT: {"below": "9", "open": {}}}}).encode(),
        lambda value: json.dumps({**value, "lanes": {CLIENT: {"below": 9, "open": {"9": "00" * 32}}}}).encode(),
        lambda value: json.dumps({**value, "lanes": {CLIENT: {"below": 9, "open": {"1": "00"}}}}).encode(),
    ],
    ids=["empty", "deep", "another chain", "another host", "a list", "text", "above", "short"],
)
def test_a_file_that_was_not_written_so_costs_a_scan_and_no_packet(tmp_path: Path, change: object) -> None:
    path, slots = tmp_path / "sent.json", Slots(3, 40)
    look(new(path), slots, 50)
    assert callable(change)
    path.write_bytes(change(json.loads(path.read_text())))
    assert look(new(path), slots, 50) == [3, 40]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MemoryDamaged):
        look(new(tmp_path / "file" / "sent.json"), Slots(), 5)


def reader(node: FakeNode, folder: Path) -> EvmChain:
    return chain_of(node, "1", memory=Memory(folder / "released.json", NETWORK, HOST))[0]


def test_a_lane_that_sent_more_than_a_million_packets_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent, "MOST_READ", 500)
    node = FakeNode()
    node.spoil = lambda method, _params, answer: (
        {**answer, "gasLimit": "0xffffffffff"} if method == "eth_getBlockByNumber" and answer else answer
    )
    node.mine(3)
    asyncio.run(reader(node, tmp_path).tip())
    packet = node.send()
    node.state.next_sequence = 1_100_000
    late = node.send()
    node.mine(3)
    who = {"format": 1, "network": NETWORK, "host": HOST.hex()}
    opened = {"1": commitment.commit_packet(packet).hex()}
    lanes = {CLIENT: {"below": 1_099_990, "open": opened}}
    (tmp_path / "sent.json").write_text(json.dumps({**who, "lanes": lanes}))
    assert set(asyncio.run(reader(node, tmp_path).outstanding(CLIENT))) == {1, late.sequence}
    node.state.storage.pop(slot_of(host.packet_commitment(CLIENT, 1)))
    node.mine(3)
    assert set(asyncio.run(reader(node, tmp_path).outstanding(CLIENT))) == {late.sequence}
    (tmp_path / "released.json").unlink()  # an operator has looked at a failed finality
    with pytest.raises(NotYet):
        asyncio.run(reader(node, tmp_path).outstanding(CLIENT))
