"""Where a node that has nothing begins to trust, and that it never votes twice (P11, P12)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from lockgate.node import statesync
from lockgate.node.cometbft import NoCometBft, Node
from lockgate.node.statesync import BadTrustedHeader, NoState, prepare
from lockgate.relay.rpc import RpcError

CONFIG = """[statesync]
enable = false
rpc_servers = ""
trust_height = 0
trust_hash = ""
trust_period = "168h0m0s"
discovery_time = "15s"
"""
HASH = "AB" * 32


class Answers:
    """What each node says, in the place of its RPC: a height and a hash; None for one that is away."""

    said: dict[str, tuple[int, str] | None]

    def __init__(self, address: str) -> None:
        self._said = self.said[address]

    async def __aenter__(self) -> Answers:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def call(self, method: str, **_: Any) -> dict[str, Any]:
        if self._said is None:
            raise RpcError("away")
        height, digest = self._said
        if method == "status":
            return {"sync_info": {"latest_block_height": str(abs(height)), "catching_up": height < 0}}
        return {"signed_header": {"commit": {"block_id": {"hash": digest}}}}


def ready(
    root: Path, monkeypatch: pytest.MonkeyPatch, *said: tuple[int, str] | None, trust: str = ""
) -> tuple[str, Any]:
    """Prepare a node beside others that say this; returns its configuration and what it remembers of its votes."""
    others = tuple(Node(index, root / str(index), 100 + index, 200 + index) for index in range(len(said)))
    monkeypatch.setattr(Answers, "said", {o.address: s for o, s in zip(others, said, strict=True)}, raising=False)
    monkeypatch.setattr(statesync, "Rpc", Answers)
    node = Node(9, root / "9", 1, 2)
    config = node.home / "config" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(CONFIG)
    try:
        asyncio.run(prepare(node, others, trust))
    except BaseException:
        assert config.read_text() == CONFIG, "nothing was written"
        assert not (node.home / "data").exists()
        raise
    votes = node.home / "data" / "priv_validator_state.json"
    return config.read_text(), json.loads(votes.read_text())


def test_two_that_say_the_same_are_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, votes = ready(tmp_path, monkeypatch, (57, HASH), (60, HASH), None)
    assert "enable = true" in config
    assert 'rpc_servers = "127.0.0.1:100,127.0.0.1:101"' in config
    assert "trust_height = 57" in config, "which both have"
    assert f'trust_hash = "{HASH}"' in config
    assert (votes["height"], votes["step"]) == ("61", 3), "no vote of a height that somebody has reached"


def test_the_operators_own_word_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, _ = ready(tmp_path, monkeypatch, (57, HASH), (60, "CD" * 32), trust="40:" + "ef" * 32)
    assert "trust_height = 40" in config
    assert f'trust_hash = "{"EF" * 32}"' in config


@pytest.mark.parametrize(
    "said",
    [
        (),
        ((57, HASH),),
        ((57, HASH), None, None),
        ((57, HASH), (-60, HASH)),
        ((57, HASH), (57, "CD" * 32)),
        ((57, HASH), (57, HASH), (57, "CD" * 32)),
    ],
)
def test_a_header_that_too_few_show_or_some_contradict_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: tuple[tuple[int, str] | None, ...]
) -> None:
    with pytest.raises(NoState):
        ready(tmp_path, monkeypatch, *said)


@pytest.mark.parametrize("trust", ["57", "57:", "0:" + HASH, "57:" + HASH[:-1], "57:" + "G" * 64, "x:" + HASH])
def test_what_names_no_header_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: str) -> None:
    with pytest.raises(BadTrustedHeader):
        ready(tmp_path, monkeypatch, (57, HASH), (57, HASH), trust=trust)


def test_votes_that_are_remembered_are_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "9" / "data" / "priv_validator_state.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"height": "99"}')
    _, votes = ready(tmp_path, monkeypatch, (57, HASH), (57, HASH))
    assert votes == {"height": "99"}


def test_a_configuration_of_another_version_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "CONFIG", "[statesync]\nenable = false\n")
    with pytest.raises(NoCometBft):
        ready(tmp_path, monkeypatch, (57, HASH), (57, HASH))
