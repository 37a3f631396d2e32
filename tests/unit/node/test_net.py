"""Finding the cluster of a folder, and what is refused before anything is touched."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.node import cluster as module
from lockgate.node import leftover, net
from lockgate.node.cluster import Cluster, Half, NetRunning, prepare
from lockgate.node.cometbft import BadCluster
from lockgate.node.folder import Folder
from lockgate.node.net import NetNotRunning, NetRefused, NetStays
from lockgate.node.processes import Deployment
from lockgate.node.socket import RemoteRefusal
from lockgate.node.spawner import Spawner
from tests.support.lab import START

REPO = Path(__file__).parents[3]
LIMIT_S = 60.0


def homes(folder: Folder, name: str = "net", count: int = 4) -> None:
    """A cluster's folder as `ledger create` leaves it, as far as the supervising process looks."""
    home = folder.ledger(name)
    for index in range(count):
        (home / "validators" / str(index) / "data").mkdir(parents=True)
        (home / "validators" / str(index) / "config").mkdir()
        (home / "validators" / str(index) / "config" / "config.toml").write_text("[statesync]\nenable = true\n")
    rows = [{"rpc": 1, "p2p": 2 + index} for index in range(count)]
    (home / "cluster.json").write_text(json.dumps({"nodes": rows}))
    (home / "genesis.cbor").write_bytes(LabLedger(f"{name}-1", SimulatedClock(START)).genesis.to_bytes())


class Fake(Cluster):
    """Its validators are a program that says it is ready and waits."""

    async def _start(self, index: int) -> None:
        await self._processes.start(self.child(index), "steady")


Story = Callable[[Cluster], Awaitable[None]]


@pytest.fixture
def data() -> Iterator[Folder]:
    with tempfile.TemporaryDirectory(prefix="lg-") as root:
        yield Folder(Path(root))


@pytest.fixture
def told(data: Folder, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "of the test")
    monkeypatch.setattr(module, "ASK_S", 0.05)

    def run(story: Story, by: str = "net up", count: int = 4) -> None:
        homes(data, count=count)

        async def work() -> None:
            processes = Deployment(data, lambda *_: None, Spawner.start("tests.support.child"))
            running = Fake(data, "net", processes, by)
            try:
                async with asyncio.timeout(LIMIT_S):
                    await running.start()
                    await story(running)
            finally:
                await processes.stop()
                await running.stop()

        asyncio.run(work())
        assert not running_record(data).exists(), "the record goes with the cluster"

    return run


def running_record(folder: Folder) -> Path:
    return folder.ledger("net") / net.RECORD


def states(status: dict[str, Any]) -> list[str]:
    return [row["state"] for row in status["nodes"]]


def test_nothing_runs_in_an_empty_folder(data: Folder) -> None:
    with pytest.raises(NetNotRunning, match="nothing runs here"):
        asyncio.run(net.find(data))


def test_the_record_of_a_process_that_is_gone_is_known_as_such(data: Folder, tmp_path: Path) -> None:
    homes(data)
    record = {"socket": str(tmp_path / "none"), "pid": 4711, "by": "net up", "validators": 4, "chain_id": "net-1"}
    running_record(data).write_text(json.dumps(record))
    with pytest.raises(NetNotRunning, match=r"gone: net \(process 4711\)"):
        asyncio.run(net.find(data))
    assert asyncio.run(net.answers(data, "net")) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"socket": 1}', '{"socket": "x", "pid": "y"}'])
def test_a_damaged_record_is_none(data: Folder, text: str) -> None:
    homes(data)
    running_record(data).write_text(text)
    with pytest.raises(NetNotRunning):
        asyncio.run(net.find(data))


def test_a_running_cluster_is_found_and_answers(data: Folder, told: Callable[..., None]) -> None:
    async def story(cluster: Cluster) -> None:
        record = await net.find(data)
        assert (record.ledger, record.pid, record.validators, record.chain_id) == ("net", os.getpid(), 4, "net-1")
        status = await net.ask(record, "status")
        assert states(status) == ["starting"] * 4  # no node of this test serves an RPC
        assert status["groups"] == [[0, 1, 2, 3]]
        with pytest.raises(NetRunning):
            await prepare(data, "net", "net-1", 4)

    told(story)


def test_several_clusters_are_to_be_named(data: Folder, told: Callable[..., None]) -> None:
    async def story(cluster: Cluster) -> None:
        homes(data, "other")
        (data.ledger("other") / net.RECORD).write_text(running_record(data).read_text())
        with pytest.raises(NetRefused, match="net, other"):
            await net.find(data)
        assert (await net.find(data, "net")).ledger == "net"

    told(story)


def test_what_was_killed_stays_down_until_it_is_started_again(data: Folder, told: Callable[..., None]) -> None:
    async def story(cluster: Cluster) -> None:
        record = await net.find(data)
        before = [row["application"] for row in (await cluster.status())["nodes"]]
        killed = await net.ask(record, "kill", validator=2, half=Half.APPLICATION)
        assert (killed["up"], killed["validators"]) == (3, 4)
        status = await net.ask(record, "status")
        assert states(status) == ["starting", "starting", "killed", "starting"]
        with pytest.raises(RemoteRefusal, match="validator 2 is down already"):
            await net.ask(record, "kill", validator=2)
        assert (await net.ask(record, "restart", validator=2, wait=False))["validator"] == 2
        after = [row["application"] for row in (await cluster.status())["nodes"]]
        assert after[2] not in {0, before[2]}
        assert [*after[:2], after[3]] == [*before[:2], before[3]], "the others went on"

    told(story)


def test_a_running_one_is_stopped_and_started(told: Callable[..., None]) -> None:
    async def story(cluster: Cluster) -> None:
        before = (await cluster.status())["nodes"][1]["application"]
        await cluster.restart(1, wait=False)
        assert (await cluster.status())["nodes"][1]["application"] not in {0, before}

    told(story)


def test_an_emptied_validator_keeps_what_it_signed_last(data: Folder, told: Callable[..., None]) -> None:
    async def story(cluster: Cluster) -> None:
        home = data.ledger("net") / "validators" / "1"
        for name in ("application.sqlite", "application.sqlite-wal", "data/priv_validator_state.json"):
            (home / name).write_text("{}")
        (home / "data" / "state.db").mkdir()
        (home / "data" / "state.db" / "one").write_text("")
        await cluster.restart(1, wait=False)
        assert (home / "data" / "state.db").exists()
        assert (await cluster.restart(1, empty=True, wait=False))["from"] == "blocks"
        assert [path.name for path in (home / "data").iterdir()] == ["priv_validator_state.json"]
        assert not list(home.glob("application.sqlite*"))

    told(story)


@pytest.mark.parametrize(
    ("up", "snapshots", "cut", "begins"),
    [
        ({0, 2, 3}, {3}, set(), "snapshot"),
        ({0, 2}, {2}, set(), "snapshot"),
        ({0, 2, 3}, set(), set(), "blocks"),  # nobody has one
        ({0, 2, 3}, {1}, set(), "blocks"),  # its own goes, too
        ({0, 2}, {3}, set(), "blocks"),  # who has it is down
        ({2}, {2}, set(), "blocks"),  # nobody confirms the header
        ({0, 2, 3}, {3}, {3}, "blocks"),  # who has it is cut off
    ],
)
def test_an_emptied_validator_begins_at_a_snapshot_where_it_can(
    data: Folder, told: Callable[..., None], up: set[int], snapshots: set[int], cut: set[int], begins: str
) -> None:
    async def story(cluster: Cluster) -> None:
        said: list[tuple[str, ...]] = []
        seen, resume = cluster._seen, cluster._processes.resume

        async def shown(index: int) -> dict[str, Any]:
            return {**await seen(index), "state": "up" if index in up else "starting"}

        async def resumed(name: str, *, once: tuple[str, ...] = (), within_s: float | None = None) -> None:
            said.append(once)
            assert (within_s is None) == (not once), "the state of a large ledger takes its time"
            await resume(name)

        cluster._seen, cluster._processes.resume = shown, resumed  # type: ignore[method-assign]  # no node runs here
        for index in snapshots:
            path = cluster.nodes[index].home / "snapshots" / "10"
            path.mkdir(parents=True)
            (path / "metadata").write_bytes(b"x")
        if cut:
            cluster.partition(sorted(cut))
        found = await cluster.restart(1, empty=True, wait=False)
        assert found["from"] == begins
        assert said == [("--state-sync",) if begins == "snapshot" else ()]
        config = (cluster.nodes[1].home / "config" / "config.toml").read_text()
        assert ("enable = true" in config) == (begins == "snapshot")  # what an earlier start left is not gone by
        assert not (cluster.nodes[1].home / "snapshots").exists()

    told(story)


@pytest.mark.parametrize("group", [[], [0, 1, 2, 3], [1, 1], [4], [-1]])
def test_a_partition_leaves_somebody_on_each_side(told: Callable[..., None], group: list[int]) -> None:
    async def story(cluster: Cluster) -> None:
        with pytest.raises(NetRefused):
            cluster.partition(group)
        assert cluster.links.cut == ()

    told(story)


def test_a_partition_is_shown_and_healed_once(data: Folder, told: Callable[..., None]) -> None:
    async def story(cluster: Cluster) -> None:
        record = await net.find(data)
        assert (await net.ask(record, "partition", validators=[1, 3]))["groups"] == [[0, 2], [1, 3]]
        status = await net.ask(record, "status")
        assert status["cut"] == [[0, 1], [0, 3], [1, 2], [2, 3]]
        assert not status["quorum"]
        assert (await net.ask(record, "heal"))["groups"] == [[0, 1, 2, 3]]
        with pytest.raises(RemoteRefusal, match="no link is cut"):
            await net.ask(record, "heal")

    told(story)


@pytest.mark.parametrize("verb", ["kill", "restart"])
def test_a_validator_that_is_not_there_is_named_with_those_that_are(told: Callable[..., None], verb: str) -> None:
    async def story(cluster: Cluster) -> None:
        with pytest.raises(NetRefused, match="no validator 4: this cluster has those from 0 to 3"):
            await getattr(cluster, verb)(4)

    told(story)


def test_the_cluster_of_up_ends_with_up(data: Folder, told: Callable[..., None]) -> None:
    async def story(cluster: Cluster) -> None:
        record = await net.find(data)
        with pytest.raises(RemoteRefusal, match="ends with `lockgate up`"):
            await net.ask(record, "down")
        with pytest.raises(RemoteRefusal, match="no verb"):
            await net.ask(record, "dance")

    told(story, by="up")


def test_down_waits_for_the_end(data: Folder, told: Callable[..., None]) -> None:
    async def story(cluster: Cluster) -> None:
        ending = asyncio.create_task(net.down(data))
        await cluster.asked_to_end.wait()
        assert not ending.done()
        running_record(data).unlink()
        assert (await ending)["ledger"] == "net"

    told(story)


def test_a_cluster_that_does_not_end_is_named(
    data: Folder, told: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net, "END_S", 0.2)

    async def story(cluster: Cluster) -> None:
        with pytest.raises(NetStays):
            await net.down(data)

    told(story)


def test_nodes_that_outlive_their_applications_are_waited_for(
    data: Folder, told: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftover, "ENDS_S", 0.3)
    home = data.ledger("net") / "validators" / "2"
    left: list[asyncio.subprocess.Process] = []

    async def story(cluster: Cluster) -> None:
        command = (sys.executable, "-c", "import time; time.sleep(60)", str(home))
        left.append(await asyncio.create_subprocess_exec(*command))
        (home / "process.json").write_text(json.dumps({"application": 0, "node": left[0].pid}))
        again = Fake(data, "net", cluster._processes, "net up")
        again._lock = os.dup(0)
        await again.stop()
        assert await asyncio.wait_for(left[0].wait(), 10) < 0

    told(story)


def test_a_cluster_keeps_the_number_of_its_validators(data: Folder) -> None:
    homes(data)
    with pytest.raises(NetRefused, match="has 4 validators"):
        asyncio.run(prepare(data, "net", "net-1", 7))
    with pytest.raises(BadCluster):
        asyncio.run(prepare(data, "other", "other-1", 3))


def test_only_one_process_runs_a_cluster(data: Folder, told: Callable[..., None]) -> None:
    async def story(cluster: Cluster) -> None:
        second = Fake(data, "net", cluster._processes, "up")
        with pytest.raises(NetRefused, match="another process"):
            await second.start()
        await second.stop()
        assert await net.answers(data, "net") is not None, "the first one goes on"

    told(story)
