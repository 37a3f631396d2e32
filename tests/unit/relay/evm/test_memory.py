"""The newest released block is remembered over a restart of the relayer (C6)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import Height
from lockgate.relay.chains.evm.history import MOST_KEPT, ReorganisedAfterRelease
from lockgate.relay.chains.evm.memory import Memory, MemoryDamaged, MemoryOfAnother
from tests.support.evm_node import CLIENT, HOST, NETWORK, FakeNode, chain_of


def kept(folder: Path) -> Memory:
    return Memory(folder / "released.json", NETWORK, HOST)


def released(folder: Path) -> FakeNode:
    """A chain of which a process that has ended released block 7."""
    node = FakeNode()
    node.mine(9)
    chain, _ = chain_of(node, "2", memory=kept(folder))
    assert asyncio.run(chain.tip()).height == Height(0, 7)
    return node


@pytest.mark.parametrize("silence", [0, 3, MOST_KEPT + 10])
def test_c6_a_reorganisation_while_no_relayer_ran_halts_the_next_one(tmp_path: Path, silence: int) -> None:
    node = released(tmp_path)
    node.reorganise(4)
    node.mine(silence)
    before = (tmp_path / "released.json").read_bytes()
    for _ in range(2):  # and the one after that
        chain, told = chain_of(node, "2", memory=kept(tmp_path))
        for call in (chain.tip(), chain.outstanding(CLIENT), chain.heads()):
            with pytest.raises(ReorganisedAfterRelease):
                asyncio.run(call)
        assert [(name, fields["code"]) for name, fields in told] == [("alarm", "evm.reorganised_after_release")]
    assert (tmp_path / "released.json").read_bytes() == before, "nothing of the other branch was taken"


def test_a_chain_that_only_went_on_is_read_on(tmp_path: Path) -> None:
    node = released(tmp_path)
    node.mine(5)
    chain, told = chain_of(node, "2", memory=kept(tmp_path))
    assert asyncio.run(chain.tip()).height == Height(0, 12)
    assert told == []
    block = kept(tmp_path).load()
    assert block is not None
    assert block.hash == node.blocks[12].hash


def test_a_reorganisation_of_what_was_not_released_is_none_of_its_matter(tmp_path: Path) -> None:
    node = released(tmp_path)
    node.reorganise(2)
    node.mine(3)
    chain, _ = chain_of(node, "2", memory=kept(tmp_path))
    assert asyncio.run(chain.tip()).height == Height(0, 10)


def test_it_is_on_disk_before_anybody_is_told(tmp_path: Path) -> None:
    node = FakeNode()
    node.mine(9)
    chain, _ = chain_of(node, "2", memory=Memory(tmp_path / "gone", NETWORK, HOST))
    (tmp_path / "gone").mkdir()  # a folder stands where the file would
    with pytest.raises(MemoryDamaged):
        asyncio.run(chain.tip())
    assert chain.history.released is None


@pytest.mark.parametrize(
    ("spoilt", "error"),
    [
        (b"", MemoryDamaged),
        (b"{}", MemoryDamaged),
        (b"[" * 3_000, MemoryDamaged),
        (b"x" * 5_000, MemoryDamaged),
        (None, MemoryOfAnother),
    ],
)
def test_a_file_that_is_not_as_written_is_no_start(
    tmp_path: Path, spoilt: bytes | None, error: type[LockgateError]
) -> None:
    node = released(tmp_path)
    path = tmp_path / "released.json"
    data = path.read_bytes().replace(HOST.hex().encode(), b"0b" * 20) if spoilt is None else spoilt
    path.write_bytes(data)
    with pytest.raises(error):
        chain_of(node, "2", memory=kept(tmp_path))
    assert path.read_bytes() == data
