"""The beacon path by deployment file and commands: EVM, sync committee, storage proof, our ledger (S20, S29, S67)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from web3 import Web3

from tests.interop.evm.test_commands import SCALAR, Place
from tests.interop.evm.world import start_node
from tests.support.commanded import Commanded
from tests.support.live_beacon import LiveBeacon

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]

DEPLOYMENT = """
[[ledger]]
name = "alpha"
chain_id = "alpha-1"
heartbeat = 0.5
applications = ["echo"]

[[chain]]
name = "anvil"
kind = "evm"
ledger = "alpha"
rpc = ["{rpc}"]
one_node_because = "its blocks are proven by the beacon chain"
network = 31337
finality = "finalized"
key_file = "account.key"
attestors = 2
quorum = 2
client = "ethereum"
beacons = ["{beacon}"]
genesis = "{genesis}"
trusted_root = "{root}"
"""


class BeaconPlace(Place):
    """A deployment whose ledger follows the beacon chain."""

    def __init__(self, folder: Path, url: str, live: LiveBeacon) -> None:
        self.live = live
        genesis = "0x" + live.node.network.genesis_validators_root.hex()
        text = DEPLOYMENT.format(rpc=live.rpc, beacon=live.beacon, genesis=genesis, root=live.final_root())
        Commanded.__init__(self, folder, text, SCALAR)
        self.web3 = Web3(Web3.HTTPProvider(url))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[BeaconPlace]:
    node = start_node()
    web3 = Web3(Web3.HTTPProvider(node.url))
    try:
        web3.provider.make_request("evm_setAutomine", [False])  # type: ignore[arg-type]
        with LiveBeacon(node.url, int(web3.eth.get_block("latest")["timestamp"])) as live:
            deadline = time.monotonic() + 90
            while not live.final_root():
                assert time.monotonic() < deadline
                time.sleep(0.2)
            made = BeaconPlace(tmp_path, node.url, live)
            try:
                yield made
            finally:
                made.stop()
    finally:
        node.process.terminate()
        node.process.wait(10)


def test_a_lane_over_sync_committees_is_run_by_commands(place: BeaconPlace, proved: Callable[[str], None]) -> None:
    place.fund()
    place.lockgate("evm", "deploy", place.file, "--echo")
    place.up()
    lane = place.lane()
    assert lane["client"].startswith("ethereum-")
    place.until(lambda: place.lockgate("evm", "status")[0]["attested_to"])
    place.ask(b"question")
    answer = sha256(b"question").digest()
    place.until(lambda: answer in place.answers())
    ours = place.lockgate("lane", "ask", lane["client"], "hello", "--ledger", "alpha", "--wait", "120")
    assert ours["ended"] == "acknowledged"
    network = place.live.node.network
    status = place.lockgate("relay", "status", "alpha-anvil")["clients"]
    assert status["alpha-1"]["status"] == status["eip155:31337"]["status"] == "Active"
    period = network.period(max(place.live.node.beacon.blocks))
    place.until(lambda: network.period(max(place.live.node.beacon.blocks)) > period)
    place.ask(b"after the committee has changed")
    place.until(lambda: sha256(b"after the committee has changed").digest() in place.answers())
    proved("the beacon path by command: answers both ways, over a change of the sync committee")


def test_another_genesis_than_the_files_makes_no_client(place: BeaconPlace) -> None:
    place.fund()
    place.lockgate("evm", "deploy", place.file)
    text = Path(place.file).read_text()
    genesis = place.live.node.network.genesis_validators_root.hex()
    Path(place.file).write_text(text.replace(genesis, "11" * 32))
    place.start("up", place.file)
    assert place.process is not None
    assert place.process.wait(60) == 3
    assert "config.other_beacon" in (place.folder / "out.txt").read_text()
    assert "client" not in (place.lane() if (place.data / "chains" / "anvil" / "lane.json").exists() else {})
