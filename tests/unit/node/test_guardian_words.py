"""A guardian's words to a contract: what is none is refused, and a relayer says what commands left, in order."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lockgate.courier.ports import ChainUnavailable
from lockgate.node.folder import Folder
from lockgate.node.foreign import rules
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.refusals import Reverted
from lockgate.relay.chains.evm.rules import BadRule, Said

CLIENT = ClientId("client-0")
PAUSE = {"function": "pause", "arguments": []}
PORT = "0x" + "5f" * 20
ADMIT = {"function": "admit", "arguments": [PORT, True]}


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("addClient", ()),
        ("pause", (1,)),
        ("announce", (1, 2)),
        ("announce", (0, 1, 1)),
        ("announce", (1, 1, 1 << 32)),
        ("announce", (1, True, 1)),
        ("announce", ("1", 1, 1)),
        ("admit", ("quotes", True)),
        ("admit", (PORT.upper(), True)),
        ("admit", (PORT + "\n", True)),
        ("admit", (PORT[:-1], True)),
        ("admit", (PORT, 1)),
    ],
)
def test_what_is_no_word_of_a_guardians_is_refused(function: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(BadRule):
        Said(function, arguments)
    with pytest.raises(BadRule):
        Said.read({"function": function, "arguments": list(arguments)})


@pytest.mark.parametrize("value", [None, [], {}, {"function": "pause"}, {"function": [], "arguments": []}, "pause"])
def test_a_file_that_holds_no_word_is_refused(value: Any) -> None:
    with pytest.raises(BadRule):
        Said.read(value)


def test_a_word_is_read_as_it_was_written_and_called_as_the_contract_has_it() -> None:
    for said in (Said("pause"), Said("announce", (1, 2, 3)), Said("admit", (PORT, False)), Said("enact")):
        assert Said.read(json.loads(json.dumps(said.to_json()))) == said
        called = interface("host").called(said.call(CLIENT))
        assert called is not None
        arguments = [one if type(one) is str else int(one) for one in said.arguments]
        arguments = [one if type(one) is str else int(one) for one in said.arguments]
        assert called == (said.function, (CLIENT, *arguments))


class Relaying:
    """A relayer's step over a folder; the account's outcomes are this test's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *outcomes: Exception | None) -> None:
        self.words = folder / "chains" / "anvil" / "words"
        self.words.mkdir(parents=True)
        self.outcomes = list(outcomes)
        self.called: list[str] = []
        monkeypatch.setattr(rules, "PAUSE_S", 0.0)
        account: Any = SimpleNamespace(
            execute=self.execute, chain=SimpleNamespace(host=b"\x0a" * 20, chain_id="eip155:1")
        )
        spec: Any = SimpleNamespace(name="anvil")
        self.step = rules.saying(Folder(folder), spec, account, CLIENT, lambda *_: None)

    async def execute(self, _: bytes, data: bytes) -> Any:
        called = interface("host").called(data)
        assert called is not None
        self.called.append(called[0])
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        return SimpleNamespace(block=9, logs=())

    def leave(self, name: str, value: Any) -> None:
        (self.words / f"{name}.json").write_text(json.dumps(value))

    def done(self, name: str) -> Any:
        return json.loads((self.words / f"{name}.done").read_text())


def test_words_are_said_once_in_their_order_and_what_became_of_each_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    r = Relaying(tmp_path, monkeypatch, None, Reverted("lane.guardian"))
    r.leave("2", ADMIT)
    r.leave("1", PAUSE)
    r.leave("0", {"function": "selfdestruct", "arguments": []})
    (r.words / "00.json").write_text("{")
    for _ in range(2):
        asyncio.run(r.step())
    assert r.called == ["pause", "admit"]
    assert r.done("1") == {"block": 9, "lawful_from": 0}
    assert r.done("2") == {"refused": "evm.reverted: lane.guardian"}
    assert "evm.bad_rule" in r.done("0")["refused"]
    assert "refused" in r.done("00")
    old = time.time() - 2 * rules.KEPT_S
    os.utime(r.words / "1.done", (old, old))
    asyncio.run(r.step())
    assert sorted(path.name for path in r.words.iterdir()) == ["0.done", "00.done", "2.done"]


def test_a_word_that_the_chain_did_not_hear_is_said_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    r = Relaying(tmp_path, monkeypatch, ChainUnavailable("no node answers"))
    r.leave("1", PAUSE)
    with pytest.raises(ChainUnavailable):
        asyncio.run(r.step())
    assert not list(r.words.glob("*.done"))
    asyncio.run(r.step())
    assert (r.called, r.done("1")["block"]) == (["pause", "pause"], 9)


def test_a_command_waits_for_the_relayer_and_gives_up_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    r = Relaying(tmp_path, monkeypatch, None, Reverted("lane.too_early"))

    async def both() -> Any:
        asking = asyncio.create_task(rules._through(r.words, Said("pause")))
        while not asking.done():
            await r.step()
        return asking.result()

    assert asyncio.run(both())["block"] == 9
    with pytest.raises(rules.SaidAndRefused, match=r"lane\.too_early"):
        asyncio.run(both())
    assert list(r.words.iterdir()) == []
    monkeypatch.setattr(rules, "WAIT_S", 0.1)
    with pytest.raises(rules.NotSaidYet):
        asyncio.run(rules._through(r.words, Said("enact")))
    assert len(list(r.words.glob("*.json"))) == 1
