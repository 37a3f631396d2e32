"""`lockgate host accept-rules`: shown and pinned is what the host's own light client proves (P16)."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from lockgate.hosting.rules import RulesNotPinned
from lockgate.node import rules, sources
from lockgate.node.config import load, save
from lockgate.node.desk import Desk
from lockgate.node.folder import Folder, NotRunning
from lockgate.node.host import run
from lockgate.node.rules import NoSuchRules
from lockgate.primitives.errors import PeerFault
from tests.support.hosts import HostWorld, in_world, rules_of
from tests.unit.hosting.test_lying_nodes import Lying
from tests.unit.hosting.test_rules import announce, change, take_effect

AHEAD = "ab" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def laid_out(world: HostWorld, folder: Folder, monkeypatch: pytest.MonkeyPatch, *, running: bool = True) -> Path:
    """Host b as the data folder knows it; its ledgers answer without sockets, and so does the host."""
    nodes: dict[str, Any] = {side.name: side.rpc for side in world.sides}

    async def told(socket: Path, verb: str, **arguments: Any) -> Any:
        if not running:
            raise NotRunning("the host does not answer", socket=str(socket))
        return await Desk(world.b.host).handle(verb, arguments)

    monkeypatch.setattr(Folder, "ledger_address", lambda _, name: name)
    monkeypatch.setattr(sources, "Rpc", lambda locate: nodes[locate()])
    monkeypatch.setattr(rules, "SystemClock", lambda: world.clock)
    monkeypatch.setattr(rules, "call", told)
    path = folder.host("b") / "endpoint.json"
    save(world.config(world.b), path)
    return path


@in_world()
async def test_P16_the_operator_accepts_what_is_proven_and_a_running_host_is_told(
    world: HostWorld, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = laid_out(world, folder, monkeypatch)
    before, old = load(path), rules_of(world.a)
    new = change(world, world.a)
    rows = {row["ledger"]: row for row in await rules.accept(folder, "b")}
    assert (rows["a"]["pinned"], rows["a"]["proven"], rows["a"]["accepted"]) == ([old], new, [new])
    assert rows["a"]["parameters"]["max_messages"] == 64
    assert ["pinned before", old] in rules.lines(rows["a"])
    after = load(path)
    assert after.remotes[0].rules == (new,)
    assert dataclasses.replace(after, remotes=before.remotes) == before, "nothing else changed"
    assert [said["ledger"] for said in world.b.reported("rules_accepted")] == ["a"], "b's rules were accepted already"


@in_world()
async def test_P16_announced_rules_are_accepted_beside_those_in_force(
    world: HostWorld, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = laid_out(world, folder, monkeypatch, running=False)
    announce(world, world.b)
    old = rules_of(world.b)
    await rules.accept(folder, "b", "b", (AHEAD,))
    assert load(path).local.rules == (old, AHEAD)
    new = take_effect(world.b)
    await rules.accept(folder, "b", "b")
    assert load(path).local.rules == (new,), "rules left behind are accepted no more"


@in_world()
async def test_P16_what_another_pinned_while_this_one_proved_stands(
    world: HostWorld, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two operators at once: neither undoes the other's pin, nor a fingerprint that came in between."""
    path = laid_out(world, folder, monkeypatch, running=False)
    old, prove = rules_of(world.b), rules._proven
    new = change(world, world.a)

    async def slowly(*arguments: Any) -> Any:
        found = await prove(*arguments)
        monkeypatch.setattr(rules, "_proven", prove)
        await rules.accept(folder, "b", "b", (AHEAD,))
        save(dataclasses.replace(load(path), max_gas_price=7), path)
        return found

    monkeypatch.setattr(rules, "_proven", slowly)
    await rules.accept(folder, "b")
    found = load(path)
    assert (found.local.rules, found.remotes[0].rules, found.max_gas_price) == ((old, AHEAD), (new,), 7)


@in_world()
async def test_P16_what_a_node_says_without_proof_is_not_accepted(
    world: HostWorld, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = laid_out(world, folder, monkeypatch)
    before = path.read_bytes()

    def spoil(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "abci_query" and params.get("data") == b"digest".hex():
            answer["response"]["value"] = base64.b64encode(b"\xab" * 32).decode()
        return answer

    monkeypatch.setattr(sources, "Rpc", lambda _: Lying(world.b.rpc, spoil))
    with pytest.raises(PeerFault):
        await rules.accept(folder, "b", "b")
    assert path.read_bytes() == before
    assert world.b.reported("rules_accepted") == []


@pytest.mark.parametrize("asked", [("c", ()), ("", (AHEAD,)), ("b", ("not hex",))])
@in_world()
async def test_P16_what_names_no_rules_is_refused_and_nothing_is_pinned(
    world: HostWorld, folder: Folder, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, tuple[str, ...]]
) -> None:
    path = laid_out(world, folder, monkeypatch)
    before = path.read_bytes()
    with pytest.raises(NoSuchRules):
        await rules.accept(folder, "b", *asked)
    assert path.read_bytes() == before


@in_world()
async def test_P16_a_configuration_without_a_pin_is_refused_and_gets_one(
    world: HostWorld, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file written before there were pins: the host says what to run, and that is enough."""
    path = laid_out(world, folder, monkeypatch, running=False)
    old = json.loads(path.read_text())
    for ref in (old["local"], *old["remotes"]):
        del ref["rules"]
    path.write_text(json.dumps(old))
    with pytest.raises(RulesNotPinned, match="ledger=b"):
        await run(folder, "b", lambda kind, said: None)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["endpoint.json"]
    await rules.accept(folder, "b")
    found = load(path)
    assert (found.local.rules, found.remotes[0].rules) == ((rules_of(world.b),), (rules_of(world.a),))
