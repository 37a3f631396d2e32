"""Nodes of a ledger as a person configures them, and what is made of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from lockgate.courier.ports import ChainUnavailable
from lockgate.hosting.config import HostConfig, LedgerRef
from lockgate.node.config import load, save
from lockgate.node.doctor import Level, examine
from lockgate.node.folder import Folder, NotInitialised, write_json
from lockgate.node.relay import source_rows
from lockgate.node.sources import BadSources, Nodes, nodes_of, open_ledger, options
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.sources_chain import SourcedChain
from tests.support.proxy import Proxy, served
from tests.support.relays import Pair
from tests.unit.relay.test_sources_chain import another_chain

REF = LedgerRef("alpha", "alpha-1", "00" * 32, 2, "11" * 32, ("22" * 32,), ("http://one", "http://two"), 2)


def silent(kind: str, fields: dict[str, object]) -> None: ...


def test_options_name_nodes_and_how_many_must_agree() -> None:
    found = options(["alpha=http://one", "alpha=https://two/x=y", "beta=http://three"], ["alpha=3"])
    assert found == {"alpha": Nodes(("http://one", "https://two/x=y"), 3), "beta": Nodes(("http://three",))}
    assert Nodes(("a",), 2).with_more(("b",), 0) == Nodes(("a", "b"), 2)
    assert Nodes(("a",), 2).with_more((), 3) == Nodes(("a",), 3)


@pytest.mark.parametrize(
    ("rpc", "required"),
    [
        (["alpha"], []),
        (["=http://x"], []),
        (["alpha=ftp://x"], []),
        ([], ["alpha=0"]),
        ([], ["alpha=two"]),
        ([], ["2"]),
    ],
)
def test_options_that_say_nothing_are_refused(rpc: list[str], required: list[str]) -> None:
    with pytest.raises(BadSources):
        options(rpc, required)


def test_a_relays_record_names_nodes_by_ledger() -> None:
    record = {"sources": {"alpha": ["http://one"]}, "required_sources": {"alpha": 2}}
    assert nodes_of(record, "alpha") == Nodes(("http://one",), 2)
    assert nodes_of({}, "alpha") == Nodes()
    for bad in ({"sources": ["x"]}, {"required_sources": {"alpha": "many"}}):
        with pytest.raises(NotInitialised):
            nodes_of(bad, "alpha")


def test_a_hosts_record_keeps_its_nodes(tmp_path: Path) -> None:
    config = HostConfig("h", "echo", "33" * 32, ("44",), REF, (replace(REF, name="beta", sources=(), required=0),))
    save(config, tmp_path / "endpoint.json")
    assert load(tmp_path / "endpoint.json") == config


def test_one_node_is_read_as_ever_and_several_by_rule(tmp_path: Path) -> None:
    folder = Folder(tmp_path)

    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.05)
        async with pair.running(), served(pair) as address, Proxy(lambda: address) as other:
            write_json(folder.ledger("alpha") / "address.json", {"rpc": address})
            one = await open_ledger(folder, "alpha", Nodes(), silent)
            assert type(one) is CometBftChain
            await one.rpc.close()
            both = await open_ledger(folder, "alpha", Nodes((other.address,)), silent)
            assert isinstance(both, SourcedChain)
            assert ([s.name for s in both.sources.all], both.sources.required) == (["own node", other.address], 2)
            assert (await both.tip()).chain_id == "alpha-1"
            await both.rpc.close()
            elsewhere = await open_ledger(folder, "gamma", Nodes((other.address,)), silent, "alpha-1")
            assert type(elsewhere) is CometBftChain, "the folder has no such ledger, so this is its only node"
            await elsewhere.rpc.close()
            for nodes in (Nodes((other.address,), 3), Nodes((other.address, other.address)), Nodes((), 2)):
                with pytest.raises(BadSources):
                    await open_ledger(folder, "alpha", nodes, silent, "alpha-1")
            other.spoil = another_chain
            with pytest.raises(ChainUnavailable):
                await open_ledger(folder, "alpha", Nodes((other.address,)), silent)

    asyncio.run(work())


def test_the_doctor_says_who_relies_on_one_node(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    save(HostConfig("h", "echo", "33" * 32, ("44",), REF), folder.host("h") / "endpoint.json")
    write_json(folder.ledger("alpha") / "address.json", {"rpc": "http://127.0.0.1:1"})
    write_json(folder.relay("r") / "relay.json", {"between": ["alpha", "beta"], "sources": {"alpha": ["http://one"]}})
    checks = [check for check in asyncio.run(examine(folder)) if check.name.startswith("sources of")]
    assert [(check.name, check.level) for check in checks] == [
        ("sources of host h", Level.OK), ("sources of relay r", Level.OK), ("sources of relay r", Level.NOTE)
    ]  # fmt: skip
    assert checks[0].found == "alpha is read through 3 nodes; 2 must agree."
    assert checks[2].found.startswith("It reads beta through one node")


def test_a_status_shows_each_node() -> None:
    nodes = [{"source": "http://one", "state": "sources.lied", "height": 7, "again_s": 9.5}]
    shown = {"required": 2, "halted": ["sources.too_few"], "alarms": 1, "nodes": nodes}
    assert source_rows("alpha", shown) == [
        ["sources of alpha", "2 of 1 must agree, 1 alarms; HALTED: sources.too_few"],
        ["", "http://one: sources.lied, at 7, asked again in 9.5 s"],
    ]
    assert source_rows("alpha", None) == []
