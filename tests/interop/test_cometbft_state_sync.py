"""A validator whose folder was emptied comes back by state sync, under load, and agrees with the others (S65)."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.node.folder import read_json, write_json
from lockgate.node.leftover import gone
from tests.interop.test_cometbft_light import cometbft  # noqa: F401  # a fixture
from tests.support.clusters import NAME, Cluster
from tests.support.deployment import Party

pytestmark = pytest.mark.interop

EMPTIED = 2
EVERY = 10  # blocks between snapshots
SETTLE_S = 120.0


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder of its own with a short path: the deployment's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="lg-") as root:
        yield Path(root)


def test_S65_a_validator_with_an_emptied_folder_comes_back_by_state_sync(
    cometbft: str,  # noqa: F811
    short: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(Path(cometbft).parent), prepend=":")
    cluster = Cluster(short)

    async def work() -> set[bytes]:
        await cluster.set_up()
        record = cluster.folder.ledger(NAME) / "cluster.json"
        write_json(record, {**read_json(record), "snapshot_every": EVERY})
        cluster.start()
        try:
            await cluster.serving()
            async with cluster.load() as known:
                await snapshots(cluster)
                party = cluster.parties[EMPTIED]
                party.kill()
                await gone(cluster.node(EMPTIED))  # until it has noticed, it writes into its folder
                home = cluster.node(EMPTIED).home
                shutil.rmtree(home / "data")
                for path in home.glob("application.sqlite*"):
                    path.unlink()
                shutil.rmtree(home / "snapshots", ignore_errors=True)
                await cluster.acknowledged(3)
                arguments = ("ledger", "run", NAME, "--validator", str(EMPTIED), "--state-sync")
                cluster.parties[EMPTIED] = again = Party(f"validator-{EMPTIED}", arguments, short)
                again.start()
                await cluster.caught_up(EMPTIED, await cluster.height(0))
                info = (await cluster.rpc(EMPTIED, "status"))["sync_info"]
                assert int(info["earliest_block_height"]) > 1, "it has not played the blocks from the first one"
                await signs(cluster)
                await cluster.acknowledged(3)
                again.kill()
                again.start()  # by the same command: it has a state now, and goes on from that
                await cluster.caught_up(EMPTIED, await cluster.height(0))
            await cluster.settled(SETTLE_S)
        finally:
            cluster.stop()
        return known

    known = asyncio.run(work())
    cluster.acted_once(known)
    assert cluster.agree(range(4)) > EVERY
    assert min(cluster.roots(EMPTIED)) > 1
    assert cluster.verified(NAME)["validators"] == [0, 1, 2, 3]
    voted = json.loads((cluster.node(EMPTIED).home / "data" / "priv_validator_state.json").read_text())
    assert int(voted["height"]) > min(cluster.roots(EMPTIED))


async def snapshots(cluster: Cluster) -> None:
    """Wait until another validator has a snapshot to give."""
    async with asyncio.timeout(120):
        while not list((cluster.node(0).home / "snapshots").glob("[0-9]*/metadata")):
            await asyncio.sleep(0.5)


async def signs(cluster: Cluster) -> None:
    """Wait until the validator's votes are in blocks again."""
    address = (await cluster.rpc(EMPTIED, "status"))["validator_info"]["address"]
    async with asyncio.timeout(120):
        while True:
            commit = (await cluster.rpc(0, "commit"))["signed_header"]["commit"]
            if any(sig["validator_address"] == address for sig in commit["signatures"]):
                return
            await asyncio.sleep(0.5)
