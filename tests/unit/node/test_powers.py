"""Whether blocks can be made depends on power, not on how many nodes there are."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lockgate.crypto import ed25519
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.lightclients.cometbft.types import address_of
from lockgate.machine.genesis import Genesis
from lockgate.node.cometbft import Node
from lockgate.node.powers import powers_of
from lockgate.relay.rpc import BadAnswer
from tests.support.lab import START


class Said:
    """A node that says who votes, or something else."""

    def __init__(self, *powers: tuple[bytes, int], answer: Any = None) -> None:
        rows = [{"address": address_of(key).hex().upper(), "voting_power": str(power)} for key, power in powers]
        self.answer = {"validators": rows} if answer is None else answer

    async def call(self, method: str, **params: Any) -> Any:
        assert method == "validators"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None: ...


@pytest.fixture
def genesis() -> Genesis:
    return LabLedger("net-1", SimulatedClock(START), validators=4).genesis


@pytest.fixture
def nodes(tmp_path: Path, genesis: Genesis) -> tuple[Node, ...]:
    """The four of the genesis, one that joined, and one without a key."""
    keys = [each.public_key for each in genesis.validators] + [ed25519.SigningKey(bytes(32)).public_key]
    for index, key in enumerate(keys):
        config = tmp_path / str(index) / "config"
        config.mkdir(parents=True)
        record = {"pub_key": {"value": base64.b64encode(key).decode()}}
        (config / "priv_validator_key.json").write_text(json.dumps(record))
    return tuple(Node(index, tmp_path / str(index), 1, 2) for index in range(len(keys) + 1))


def test_a_node_that_joined_and_does_not_vote_counts_for_nothing(nodes: tuple[Node, ...], genesis: Genesis) -> None:
    own, total = asyncio.run(powers_of(nodes, genesis, ()))
    assert own == {**{index: genesis.validators[index].power for index in range(4)}, 4: 0, 5: 0}
    assert total == sum(each.power for each in genesis.validators)


def test_the_powers_are_those_that_a_node_tells(nodes: tuple[Node, ...], genesis: Genesis) -> None:
    keys = [each.public_key for each in genesis.validators]
    silent = [Said(answer=BadAnswer("none")), Said(answer={}), Said(answer={"validators": [{"address": "x"}]})]
    answers = [*silent, Said((keys[0], 70), (keys[1], 10), (bytes(32), 20)), Said((keys[2], 1))]
    own, total = asyncio.run(powers_of(nodes, genesis, answers))
    assert own == {0: 70, 1: 10, 2: 0, 3: 0, 4: 0, 5: 0}
    assert total == 100
