"""What a cluster of four CometBFT validators survives, one fault after the other, with messages under way.

One cluster and one deployment serve all of them. After each fault: every message answered once, every validator level,
and the same state root at every height on all of them.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from lockgate.machine.genesis import Genesis, LedgerClass
from lockgate.node.findings import verify
from lockgate.node.folder import read_json, write_json
from lockgate.node.quotes import computed_chain
from lockgate.relay.rpc import Rpc
from lockgate.runtime.wasm import shipped
from tests.interop.test_cometbft_light import cometbft  # noqa: F401  # a fixture
from tests.support.net_cluster import Clustered, lockgate

pytestmark = pytest.mark.interop

QUIET_S: Final = 7.0  # past the heartbeat of five seconds, which would have made a block
FEW: Final = 3  # messages acknowledged while the fault lasts
MOST_OPEN: Final = 12
WHOLE: Final = " messages, each answered once, one state root at every height"
Fault = Callable[[Clustered], Awaitable[None]]
Proved = Callable[[str], None]


@pytest.fixture(scope="module")
def world(cometbft: str) -> Iterator[Clustered]:  # noqa: F811
    """A running cluster with hosts and relayer, in a folder with a short path: sockets lie in it."""
    if not (shipped.build_folder() / "echo.wasm").exists():
        pytest.skip("the shipped guests are not built; `make install` builds them")
    before = dict(os.environ)
    os.environ["PATH"] = f"{Path(cometbft).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="lg-") as root:
        deployment = Clustered(Path(root))
        status = lockgate(deployment.folder.root, "net", "up", "--ledger", "alpha", "--validators", "4")
        assert [row["state"] for row in status["nodes"]] == ["up"] * 4
        try:
            asyncio.run(deployment.set_up())
            deployment.start()
            asyncio.run(deployment.ready())
            yield deployment
        finally:
            deployment.stop()
            lockgate(deployment.folder.root, "net", "down")
            os.environ.clear()
            os.environ.update(before)


def during(world: Clustered, fault: Fault) -> int:
    """Messages before, while and after; returns how many there were in the deployment's life."""

    async def work() -> int:
        async with world.load(MOST_OPEN) as known:
            await world.acknowledged(FEW)
            await fault(world)
            await world.acknowledged(FEW)
        world.remember(known)
        return await world.whole()

    return asyncio.run(work())


@pytest.mark.parametrize(("half", "index"), [("application", 0), ("node", 1), ("both", 2)])
def test_S65_a_killed_validator_stops_nothing_and_comes_back(
    world: Clustered, proved: Proved, half: str, index: int
) -> None:
    async def fault(world: Clustered) -> None:
        assert (await world.net("kill", validator=index, half=half))["up"] == 3
        await world.acknowledged(FEW)
        assert (await world.net("restart", validator=index))["caught_up"]

    proved(f"killed {half} of validator {index}: {during(world, fault)}{WHOLE}")


def test_S65_a_rolling_restart_under_load_loses_nothing(world: Clustered, proved: Proved) -> None:
    async def fault(world: Clustered) -> None:
        for index in range(4):
            assert (await world.net("restart", validator=index))["caught_up"], index

    proved(f"rolling restart: {during(world, fault)}{WHOLE}")


def test_S65_three_of_four_go_on_and_the_one_that_was_cut_off_catches_up(world: Clustered, proved: Proved) -> None:
    async def fault(world: Clustered) -> None:
        assert (await world.net("partition", validators=[3]))["groups"] == [[0, 1, 2], [3]]
        await asyncio.sleep(1.0)  # what was decided before the cut arrives
        before = await world.heights()
        await world.acknowledged(FEW)
        cut = await world.heights()
        assert cut[3] <= before[3] + 1, "the one that is cut off makes no block and gets none"
        assert min(cut[:3]) > max(before), "the three go on"
        status = await world.net("status")
        assert status["quorum"]
        assert [row["power"] for row in status["nodes"]] == [10] * 4
        await world.net("heal")
        await world.level()

    proved(f"partition 1 | 3: {during(world, fault)}{WHOLE}")


def test_S65_two_and_two_make_no_block_and_go_on_when_the_network_heals(world: Clustered, proved: Proved) -> None:
    async def fault(world: Clustered) -> None:
        status = await world.net("partition", validators=[0, 1])
        assert status["groups"] == [[0, 1], [2, 3]]
        assert not (await world.net("status"))["quorum"]
        await asyncio.sleep(1.0)
        before = await world.heights()
        await asyncio.sleep(QUIET_S)
        assert await world.heights() == before, "a block was made by two of four"
        await world.net("heal")

    proved(f"partition 2 | 2: {during(world, fault)}{WHOLE}")


def test_S65_an_emptied_validator_gets_every_block_from_the_others(world: Clustered, proved: Proved) -> None:
    home = world.folder.ledger("alpha") / "validators" / "1"
    signed = home / "data" / "priv_validator_state.json"

    async def fault(world: Clustered) -> None:
        await world.net("kill", validator=1)
        before = signed.read_bytes()
        found = await world.net("restart", validator=1, empty=True)
        assert (found["caught_up"], found["from"]) == (True, "blocks")
        assert before
        assert signed.exists()

    proved(f"an emptied validator: {during(world, fault)}{WHOLE}")


def test_S65_an_emptied_validator_begins_at_a_snapshot_where_there_is_one(world: Clustered, proved: Proved) -> None:
    ledger = world.folder.ledger("alpha")
    write_json(ledger / "cluster.json", {**read_json(ledger / "cluster.json"), "snapshot_every": 10})

    async def fault(world: Clustered) -> None:
        for index in (0, 2, 3):
            assert (await world.net("restart", validator=index))["caught_up"], index
        async with asyncio.timeout(120):
            while not all(
                list((ledger / "validators" / str(index) / "snapshots").glob("*/metadata")) for index in (0, 2, 3)
            ):
                await asyncio.sleep(0.5)
        found = await world.net("restart", validator=1, empty=True)
        assert (found["caught_up"], found["from"]) == (True, "snapshot")
        rpc = (await world.net("status"))["nodes"][1]["rpc"]
        async with Rpc(rpc) as node:
            assert int((await node.call("status"))["sync_info"]["earliest_block_height"]) > 1

    proved(f"an emptied validator, from a snapshot: {during(world, fault)}{WHOLE}")


def test_S65_the_demo_over_a_running_cluster_loses_nothing_while_validators_are_killed(
    world: Clustered, proved: Proved, tmp_path: Path
) -> None:
    command = ("demo", "--engine", "cometbft", "--chaos", "--bundles", str(tmp_path))
    tally = lockgate(world.folder.root, *command)
    count = len(computed_chain())
    assert (tally["sent"], tally["delivered"], tally["acknowledged"]) == (count, count, count)
    assert (tally["refused"], tally["lost"]) == (0, 0)
    assert tally["killed"] >= 2
    assert verify(sorted(tmp_path.glob("*.bundle"))[0].read_bytes()).accepted
    asyncio.run(world.whole())
    proved(f"demo: sent {count}, acknowledged {count}, lost 0, with {tally['killed']} validators killed one by one")


def test_the_ledger_says_that_it_is_byzantine_fault_tolerant(world: Clustered) -> None:
    genesis = Genesis.from_bytes((world.folder.ledger("alpha") / "genesis.cbor").read_bytes())
    assert genesis.ledger_class is LedgerClass.BFT
    assert len(genesis.validators) == 4
