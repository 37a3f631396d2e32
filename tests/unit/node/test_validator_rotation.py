"""A validator's node takes its next key up: it is waited for as long as blocks come, and no longer (S11)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from lockgate.machine.genesis import LedgerClass
from lockgate.node import validator_keys, validator_rotation
from lockgate.node.cometbft import Node
from lockgate.node.validator_rotation import ValidatorAway
from lockgate.node.wallet import NotRotated
from lockgate.relay.rpc import RpcError

SINCE = 8
BLOCK_S = 0.1
PATIENCE_S = 0.3  # less than the blocks up to SINCE take


class Slow:
    """A node that makes a block now and then, up to `last`, and has its next key in place from SINCE on."""

    def __init__(self, home: Path, last: int) -> None:
        self.home, self.last, self.began = home, last, 0.0

    def __call__(self, address: str) -> Self:
        self.began = asyncio.get_running_loop().time()
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def call(self, method: str) -> dict[str, Any]:
        height = min(self.last, 1 + int((asyncio.get_running_loop().time() - self.began) / BLOCK_S))
        if height >= SINCE and validator_keys.following(self.home) is not None:
            validator_keys.follow(self.home)
        return {"sync_info": {"latest_block_height": str(height)}}


@pytest.mark.parametrize("last", [100, SINCE - 1])
def test_a_key_is_waited_for_while_blocks_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    (tmp_path / "config").mkdir()
    validator_keys.prepare(tmp_path)
    validator_keys.follow(tmp_path)
    key = validator_keys.prepare(tmp_path).public_key
    monkeypatch.setattr(validator_rotation, "Rpc", Slow(tmp_path, last))
    monkeypatch.setattr(validator_rotation, "TAKES_S", PATIENCE_S)
    monkeypatch.setattr(validator_rotation, "POLL_S", 0.01)
    taken = validator_rotation._taken(Node(0, tmp_path, 1, 2), key, SINCE)
    if last >= SINCE:
        asyncio.run(taken)
    else:
        with pytest.raises(NotRotated, match="did not take"):
            asyncio.run(taken)
    assert (validator_keys.public_key(tmp_path) == key) is (last >= SINCE)


class Answers:
    """The nodes of a cluster, by address: what `status` says of each."""

    def __init__(self, said: dict[str, bool | Exception], address: str = "") -> None:
        self.said, self.address = said, address

    def __call__(self, address: str) -> Answers:
        return Answers(self.said, address)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def call(self, method: str) -> dict[str, Any]:
        said = self.said[self.address]
        if isinstance(said, Exception):
            raise said
        return {"sync_info": {"catching_up": said}}


class Announced(Exception):
    """A change was announced."""


@pytest.mark.parametrize("other", [False, True, RpcError("away")])
@pytest.mark.parametrize("away", [0, 1])
def test_nothing_is_announced_while_a_validator_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: bool | Exception, away: int
) -> None:
    nodes = [Node(index, tmp_path / str(index), 1 + index, 9) for index in range(2)]
    for node in nodes:
        (node.home / "config").mkdir(parents=True)
        validator_keys.prepare(node.home)
        validator_keys.follow(node.home)
    said = {node.address: other if node.index == away else False for node in nodes}
    powers = {validator_keys.public_key(node.home): 10 for node in nodes}

    async def of(by: object) -> dict[bytes, int]:
        return powers

    async def announced(*_: object) -> None:
        raise Announced

    monkeypatch.setattr(validator_rotation, "Rpc", Answers(said))
    monkeypatch.setattr(validator_rotation, "SERVING_S", 0.1)
    monkeypatch.setattr(validator_rotation, "POLL_S", 0.01)
    monkeypatch.setattr(validator_rotation, "_powers", of)
    monkeypatch.setattr(validator_rotation, "carried_out", announced)
    by: Any = SimpleNamespace(access=SimpleNamespace(genesis=SimpleNamespace(ledger_class=LedgerClass.BFT)))
    follow = validator_rotation._follow(by, nodes[0], nodes)
    if other is False:
        with pytest.raises(Announced):
            asyncio.run(follow)
    else:
        with pytest.raises(ValidatorAway) as refused:
            asyncio.run(follow)
        assert refused.value.fields["validator"] == away
