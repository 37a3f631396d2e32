"""Named profiles: what each really changes, and that what a file says wins (S75)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from lockgate.cli.main import app
from lockgate.courier.batches import BATCH_MOST
from lockgate.engines.embedded.results import BlockResults
from lockgate.engines.embedded.retention import Retention
from lockgate.hosting.config import BULK_BYTES
from lockgate.lab.entropy import SeededEntropy
from lockgate.machine.genesis import Genesis, Parameters
from lockgate.machine.records import LaneOrder
from lockgate.node import relay, up
from lockgate.node.folder import Folder, NotInitialised
from lockgate.node.profiles import PROFILES, NoSuchProfile
from lockgate.node.spec import BadConfig, RelaySpec, Spec, default_of, read_spec
from lockgate.primitives.time import seconds
from lockgate.relay.driver import Relayer
from tests.support.relays import Pair, relaying


def from_file(tmp_path: Path, text: str, profile: str | None = None) -> Spec:
    path = tmp_path / "deployment.toml"
    path.write_text(text)
    return read_spec(path, profile)


@pytest.mark.parametrize("name", PROFILES)
def test_every_setting_of_a_profile_arrives_and_is_not_the_default(name: str, tmp_path: Path) -> None:
    spec = from_file(tmp_path, f'profile = "{name}"\n')
    profile = PROFILES[name]
    assert spec == read_spec(None, name)
    assert [each.name for each in spec.ledgers] == ["alpha", "beta"]
    for table, key, value in profile.rows():
        assert default_of(table, key) != value, f"{table}.{key} is the default anyway" if table else key
        for ledger in spec.ledgers:
            if table == "ledger":
                assert getattr(ledger, key) == value
            if table == "ledger.parameters":
                assert getattr(ledger.parameters, key) == value
        for host in spec.hosts if table == "host" else ():
            assert getattr(host, key) == value
        if table == "relay":
            assert getattr(spec.relay, key) == value
    assert spec.order.name.lower() == profile.deployment.get("order", "unordered")


def test_balanced_is_what_runs_without_a_profile() -> None:
    assert read_spec(None) == read_spec(None, "balanced") == Spec()


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_makes_ledgers_of_its_kind(name: str, tmp_path: Path) -> None:
    """Its retention is one that a ledger takes, its genesis one that a ledger starts from."""
    spec, folder = read_spec(None, name), Folder(tmp_path)
    up.create_ledger(folder, spec.ledgers[0])
    genesis = Genesis.from_bytes((folder.ledger("alpha") / "genesis.cbor").read_bytes())
    assert genesis.parameters == (spec.ledgers[0].parameters or Parameters())
    Retention(spec.ledgers[0].keep_versions, spec.ledgers[0].keep_blocks).check(genesis.parameters)


def test_what_a_file_says_wins(tmp_path: Path) -> None:
    text = """
profile = "regulated"
order = "gaps"

[relay]
batch_most = 7

[[ledger]]
name = "a"
chain_id = "a-1"
durable = false
parameters = { authority_delay_blocks = 5 }

[[ledger]]
name = "b"
chain_id = "b-1"
profile = "small"

[[host]]
name = "x"
ledger = "a"
guest = "echo"
"""
    spec = from_file(tmp_path, text, "bulk")
    first, second = spec.ledgers
    assert (spec.order, spec.relay) == (LaneOrder.GAPS, RelaySpec(7))
    assert (first.durable, first.keep_versions) == (False, 100_000)
    assert first.parameters is not None
    assert (first.parameters.authority_delay_blocks, first.parameters.deviation_freeze_at) == (5, 1)
    assert (second.keep_versions, second.durable) == (1_000, False)
    assert spec.hosts[0].bulk_bytes == BULK_BYTES


@pytest.mark.parametrize(
    "text", ['profile = "fast"\n', "profile = 3\n", '[[ledger]]\nname = "a"\nchain_id = "a-1"\nprofile = "fast"\n']
)
def test_an_unknown_profile_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(NoSuchProfile):
        from_file(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "[relay]\nbatch_most = 0\n",
        f"[relay]\nbatch_most = {BATCH_MOST + 1}\n",
        '[relay]\nbatch_most = "7"\n',
        "[relay]\ncolour = 1\n",
        '[[host]]\nname = "x"\nledger = "alpha"\nguest = "echo"\nbulk_bytes = 0\n',
        '[[host]]\nname = "x"\nledger = "alpha"\nguest = "echo"\nsessions = "no"\n',
        '[[host]]\nname = "x"\nledger = "alpha"\nguest = "echo"\nblobs = ["link+folder:/x"]\n',
        '[[host]]\nname = "x"\nledger = "alpha"\nguest = "echo"\nblobs = ["link+tcp:127.0.0.1:0"]\n',
        '[[host]]\nname = "x"\nledger = "alpha"\nguest = "echo"\nepochs = { messages = 0 }\n',
        '[[host]]\nname = "x"\nledger = "alpha"\nguest = "echo"\nepochs = { age_s = 7201 }\n',
        '[[host]]\nname = "x"\nledger = "alpha"\nguest = "echo"\nepochs = { colour = 1 }\n',
        '[[host]]\nname = "x"\nledger = "alpha"\nguest = "echo"\narchive = -1\n',
        '[[host]]\nname = "x"\nledger = "alpha"\nguest = "echo"\narchive = true\n',
        '[[host]]\nname = "x"\nledger = "alpha"\nguest = "echo"\narchive = "for ever"\n',
    ],
)
def test_settings_that_no_process_takes_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfig):
        from_file(tmp_path, text)


def test_the_ledgers_process_is_started_with_them() -> None:
    started: dict[str, tuple[Any, ...]] = {}

    class Processes:
        async def start(self, name: str, *arguments: str, once: tuple[str, ...] = ()) -> None:
            started[name] = arguments

    async def work() -> None:
        for name in ("small", "regulated"):
            ledger = read_spec(None, name).ledgers[0]
            running = cast(Any, SimpleNamespace(folder=Folder(Path("/nonexistent")), processes=Processes()))
            await up.start_ledger(running, replace(ledger, name=name), False, lambda _: None)

    asyncio.run(work())
    small, regulated = started["ledger small"], started["ledger regulated"]
    assert [small[small.index(f"--{key}") + 1] for key in ("heartbeat", "keep-versions", "keep-blocks")] == [
        "15.0", "1000", "20000",
    ]  # fmt: skip
    assert "--durable" in regulated
    assert "--durable" not in small


def test_the_relayer_makes_batches_no_longer_than_told() -> None:
    async def longest(most: int) -> int:
        pair = Pair.make()
        async with pair.running():
            pair.send(40)
            await pair.until(lambda: len(pair.open_packets()) == 40)
            ends = pair.relayer().ends
            relayer = Relayer(*ends, lambda *_: None, SeededEntropy(b"batches"), batch_most=most)
            async with relaying(relayer):
                await pair.ended(40)
        sizes = [len(block) for block in received_by_block(pair)]
        return max(sizes)

    assert asyncio.run(longest(5)) <= 5
    assert asyncio.run(longest(BATCH_MOST)) > 5


def received_by_block(pair: Pair) -> list[list[int]]:
    """Sequences received by each transaction of the destination."""
    store = pair.b.ledger.chain.store
    rows = [row for height in range(1, pair.b.ledger.height + 1) if (row := store.block(height)) is not None]
    results = [result for row in rows for result in BlockResults.from_bytes(row.results).transactions]
    return [[int(e.get("packet_sequence") or 0) for e in r.events if e.type == "recv_packet"] for r in results]


def test_the_relayers_record_says_it_and_nothing_else_is_taken() -> None:
    assert up._relay(read_spec(None, "low-latency"), {})["batch_most"] == 16
    assert "batch_most" not in up._relay(Spec(), {})
    assert relay.batch_most({}) == BATCH_MOST
    for bad in (0, BATCH_MOST + 1, "7", True):
        with pytest.raises(NotInitialised):
            relay.batch_most({"batch_most": bad})


def test_the_tool_lists_and_shows_them() -> None:
    def lockgate(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["--json", *arguments])

    assert [row["profile"] for row in json.loads(lockgate("profile", "list").stdout)] == list(PROFILES)
    shown = json.loads(lockgate("profile", "show", "low-latency").stdout)
    assert {"table": "ledger", "setting": "heartbeat", "value": 1.0, "default": 5.0} in shown["settings"]
    assert {
        "table": "ledger.parameters",
        "setting": "default_grace_ns",
        "value": seconds(20),
        "default": seconds(60),
    } in (shown["settings"])
    refused = lockgate("profile", "show", "fast")
    assert refused.exit_code == 3
    assert "node.no_such_profile" in refused.stdout


@pytest.mark.parametrize(("text", "kept"), [("", 3_600), ("archive = 0\n", 0), ('archive = "keep"\n', "keep")])
def test_how_long_a_host_keeps_bodies(text: str, kept: int | str, tmp_path: Path) -> None:
    spec = from_file(tmp_path, f'[[host]]\nname = "x"\nledger = "alpha"\nguest = "echo"\n{text}')
    assert spec.hosts[0].archive == kept
