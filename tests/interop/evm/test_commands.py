"""A lane to an EVM as a person runs it: a deployment file and commands, against a real node (S20, S21, S28, C6)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from web3 import Web3
from web3.exceptions import ContractLogicError

from lockgate.cli.main import app
from lockgate.crypto.recoverable import EvmKey
from lockgate.relay.chains.evm.artefacts import artefact
from tests.interop.evm.world import Node, start_node
from tests.support.commanded import Commanded

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]

SCALAR = "4c6f636b67617465" * 4
ACCOUNT = EvmKey(bytes.fromhex(SCALAR)).address
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
rpc = ["http://127.0.0.1:{port}/?key=path-with-a-secret", "http://localhost:{port}"]
network = 31337
finality = "2"
key_file = "account.key"
attestors = 3
quorum = 2
"""


class Place(Commanded):
    """A deployment with a node whose blocks come every second."""

    def __init__(self, folder: Path, node: Node) -> None:
        super().__init__(folder, DEPLOYMENT.format(port=node.url.rpartition(":")[2]), SCALAR)
        self.node = node
        self.web3 = Web3(Web3.HTTPProvider(node.url))

    def rpc(self, method: str, *arguments: Any) -> Any:
        answer = self.web3.provider.make_request(method, list(arguments))  # type: ignore[arg-type]
        assert "error" not in answer, answer
        return answer["result"]

    def height(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def fund(self) -> None:
        self.rpc("anvil_setBalance", "0x" + ACCOUNT.hex(), hex(10**20))

    def spent(self) -> int:
        return self.web3.eth.get_transaction_count(Web3.to_checksum_address("0x" + ACCOUNT.hex()))

    def contract(self, name: str) -> Any:
        where = json.loads((self.data / "chains" / "anvil" / "deployed.json").read_text())[name]
        return self.web3.eth.contract(address=Web3.to_checksum_address(where), abi=artefact(name).abi)

    def ask(self, body: bytes) -> None:
        """Somebody has the example contract ask our ledger's."""
        timeout = int(self.web3.eth.get_block("latest")["timestamp"]) + 3_600
        call = self.contract("echo").functions.ask(self.lane()["far_client"], "echo", body, timeout)
        sent = call.transact({"from": self.web3.eth.accounts[0]})
        assert self.web3.eth.wait_for_transaction_receipt(sent)["status"] == 1

    def lane(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data / "chains" / "anvil" / "lane.json").read_text())
        return found

    def answers(self) -> list[bytes]:
        """Acknowledgements that the contract has taken, in order."""
        logs = self.contract("host").events.AckPacket().get_logs(from_block=0)
        return [bytes(log["args"]["acknowledgement"]) for log in logs]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    node = start_node("--block-time", "1")
    made = Place(tmp_path, node)
    try:
        yield made
    finally:
        made.stop()
        node.process.terminate()
        node.process.wait(10)


def test_a_lane_is_deployed_opened_and_relayed_by_commands(place: Place, proved: Callable[[str], None]) -> None:
    poor = place.lockgate("evm", "deploy", place.file, "--echo", code=3)
    assert (poor["error"]["code"], place.spent()) == ("evm.funds", 0)
    assert poor["error"]["fields"]["address"] == "0x" + ACCOUNT.hex()
    place.fund()
    first = place.lockgate("evm", "deploy", place.file, "--echo")
    assert (first["sent"], place.spent()) == (3, 3)
    again = place.lockgate("evm", "deploy", place.file, "--echo")
    assert (again["sent"], place.spent()) == (0, 3), "what stands is not deployed twice"
    assert {name: again[name] for name in ("host", "attested", "echo", "set")} == {
        name: first[name] for name in ("host", "attested", "echo", "set")
    }

    place.up()
    place.until(lambda: place.lockgate("evm", "status")[0]["attested_to"])  # the contract has heard of the ledger
    for number in range(3):
        place.ask(b"question %d" % number)
    place.until(lambda: len(place.answers()) == 3)
    assert set(place.answers()) == {sha256(b"question %d" % number).digest() for number in range(3)}
    lane = place.lane()
    ours = place.lockgate("lane", "ask", lane["client"], "hello", "--ledger", "alpha", "--wait", "90")
    assert ours["ended"] == "acknowledged"
    hasty = place.lockgate("lane", "ask", lane["client"], "slow", "--ledger", "alpha", "--wait", "0.02", code=5)
    assert hasty["error"]["code"] == "node.no_end"

    (listed,) = place.lockgate("lane", "list")
    assert (listed["client"], listed["remote"], listed["phase"]) == (lane["client"], "anvil", "open")

    os.kill(place.pid("relay-alpha-anvil"), signal.SIGKILL)
    place.ask(b"while nobody relays")
    place.until(lambda: sha256(b"while nobody relays").digest() in place.answers())
    status = place.lockgate("relay", "status", "alpha-anvil")
    assert status["clients"]["alpha-1"]["status"] == status["clients"]["eip155:31337"]["status"] == "Active"
    nodes = status["clients"]["eip155:31337"]["sources"]
    assert (nodes["required"], nodes["alarms"]) == (2, 0)
    (shown,) = place.lockgate("evm", "status")
    assert (shown["client"], shown["paused"], shown["counterparty"]) == ("Active", False, "as recorded")

    busy = place.lockgate("evm", "deploy", place.file, code=3)
    assert busy["error"]["code"] == "chain.account_in_use"
    place.stop()
    place.up()
    assert place.lane() == lane, "a lane that stands is not opened again"
    assert place.lockgate("lane", "ask", lane["client"], "again", "--ledger", "alpha", "--wait", "90")["ended"]
    place.stop()
    heard = "".join(place.said) + place.logs()
    assert SCALAR not in heard.lower()
    assert "path-with-a-secret" not in heard
    proved("EVM by command: deployed once, 4 answers of our ledger at the contract, 2 of the contract's at our ledger")


def test_c6_a_reorganisation_while_nothing_ran_halts_the_next_relayer(place: Place) -> None:
    place.fund()
    place.lockgate("evm", "deploy", place.file, "--echo")
    place.up()
    place.until(lambda: place.lockgate("evm", "status")[0]["attested_to"])
    deep = place.height() + 6  # the word of the ledger lies below what is taken back: without it nobody can ask
    place.until(lambda: place.height() > deep)
    place.ask(b"question")
    place.until(lambda: len(place.answers()) == 1)  # from a block that counted as final
    place.stop()
    released = json.loads((place.data / "chains" / "anvil" / "released.json").read_text())["block"]
    place.rpc("anvil_reorg", place.height() - int(released["number"], 16) + 3, [])
    place.rpc("anvil_mine", hex(20))
    before, logged = place.spent(), place.logs()
    place.start("up", place.file)
    assert place.process is not None
    assert place.process.wait(60) == 5, "its attestors have signed the other history"
    assert "attestor.said_otherwise" in (place.folder / "out.txt").read_text()
    with place.running("ledger", "run", "alpha"):
        place.start("relay", "run", "alpha-anvil")
        place.until(lambda: "evm.reorganised_after_release" in (place.folder / "out.txt").read_text())
        with contextlib.suppress(ContractLogicError):  # where the ledger's word was taken back nobody can ask
            place.ask(b"not any more")
        time.sleep(5)
        assert len(place.answers()) == 0, "of the new history"
        assert place.spent() == before, "nothing is signed any more"
        place.stop()
    assert "evm.reorganised_after_release" not in logged


def test_the_contract_is_handed_over_to_the_set_that_its_operators_accepted(place: Place) -> None:
    place.fund()
    place.lockgate("evm", "deploy", place.file, "--echo")
    place.up()
    place.until(lambda: place.lockgate("evm", "status")[0]["attested_to"])
    done = CliRunner().invoke(app, ["--data", str(place.data), "evm", "next-set", "anvil", "--days", "400"])
    following = place.folder / "next.json"
    following.write_text(done.stdout)
    few = place.lockgate("evm", "rotate", "anvil", str(following), code=5)
    assert few["error"]["code"] == "attestor.too_few_for_evm", "nobody has accepted it"
    for name in ("anvil-1", "anvil-2", "anvil-3"):
        assert place.lockgate("attestor", "accept", name, str(following))["accepted"] == 2
    assert "running relayer" in place.lockgate("evm", "rotate", "anvil", str(following))["carried"]
    place.until(lambda: place.lockgate("evm", "status")[0]["signing_set"].startswith("epoch 2"))
    assert place.lockgate("evm", "rotate", "anvil", str(following), code=3)["error"]["code"] == "relay.not_the_next_set"
    ours = place.lockgate("lane", "ask", place.lane()["client"], "hello", "--ledger", "alpha", "--wait", "90")
    assert ours["ended"] == "acknowledged", "its packets go on under the next set"
    assert json.loads((place.data / "chains" / "anvil" / "set.json").read_text())["epoch"] == 2


def test_a_guardian_pauses_limits_and_admits_by_command(place: Place, proved: Callable[[str], None]) -> None:
    place.fund()
    place.lockgate("evm", "deploy", place.file, "--echo")
    assert place.lockgate("evm", "pause", "anvil", code=3)["error"]["code"] == "evm.no_lane"
    place.up()
    place.until(lambda: place.lockgate("evm", "status")[0]["attested_to"])
    client, before = place.lane()["far_client"], place.spent()

    def shown() -> tuple[bool, str]:
        (row,) = place.lockgate("evm", "status")
        assert row["guardian"] == row["account"] == "0x" + ACCOUNT.hex()
        return row["paused"], row["limits"]

    assert shown() == (False, "1000 out, 1000 in, in 3600 s")
    said = place.lockgate("evm", "pause", "anvil")
    assert (said["said"], said["by"], said["lawful_from"]) == ("pause", "the running relayer", 0)
    assert shown()[0]
    early = place.lockgate("evm", "enact", "anvil", code=3)
    assert early["error"]["code"] == "evm.word_refused"
    assert "lane.not_announced" in early["error"]["detail"]
    place.stop()

    assert place.lockgate("evm", "limits", "anvil", "--out", "5", code=3)["error"]["code"] == "evm.lane_stands_still"
    assert place.lockgate("evm", "resume", "anvil", "--out", "0", code=3)["error"]["code"] == "evm.bad_rule"
    announced = place.lockgate("evm", "resume", "anvil", "--in", "7", "--window", "60")
    assert announced["by"] == "this command"
    newest = int(place.web3.eth.get_block("latest")["timestamp"])
    assert newest + 3_500 < announced["lawful_from"] <= newest + 3_600
    early = place.lockgate("evm", "enact", "anvil", code=3)
    assert (early["error"]["code"], early["error"]["detail"]) == ("evm.reverted", "lane.too_early")
    port = place.contract("echo").address
    assert port != port.lower(), "people copy it with its checksum"
    admitted = place.lockgate("evm", "admit", "anvil", port)
    share = place.contract("host").functions.getShare
    assert share(client, port.lower()).call() >> 104 == admitted["lawful_from"] > newest
    place.rpc("evm_increaseTime", hex(3_601))
    place.lockgate("evm", "enact", "anvil")
    assert shown() == (False, "1000 out, 7 in, in 60 s")
    assert place.lockgate("evm", "admit", "anvil", port, "--dismiss")["lawful_from"] == 0
    assert share(client, port.lower()).call() == 0
    assert place.lockgate("evm", "admit", "anvil", "quotes", code=3)["error"]["code"] == "evm.bad_rule"
    paid = place.spent()
    place.key_file.write_text("77" * 32)
    assert place.lockgate("evm", "pause", "anvil", code=3)["error"]["code"] == "evm.not_guardian"
    assert place.spent() == paid > before
    proved("EVM by command: a lane paused by the running relayer, resumed under other limits later, a port admitted")


@pytest.mark.parametrize(
    ("mode", "text", "code"),
    [
        (0o644, SCALAR, "config.key_file"),
        (0o600, "secret", "config.key_file"),
        (0o600, "00" * 32, "config.key_file"),
        (0o600, "f" * 64, "config.key_file"),
    ],
)
def test_a_key_file_that_others_read_or_that_holds_no_key_is_refused(
    place: Place, mode: int, text: str, code: str
) -> None:
    place.fund()
    place.key_file.write_text(text)
    place.key_file.chmod(mode)
    refused = place.lockgate("evm", "deploy", place.file, code=3)
    assert refused["error"]["code"] == code
    assert text not in "".join(place.said)
    assert place.spent() == 0


def test_another_chain_or_ledger_than_the_recorded_one_is_refused(place: Place) -> None:
    place.fund()
    place.lockgate("evm", "deploy", place.file)
    text = Path(place.file).read_text()
    Path(place.file).write_text(text.replace("network = 31337", "network = 1"))
    assert place.lockgate("evm", "deploy", place.file, code=4)["error"]["code"] == "rpc.bad_answer"
    Path(place.file).write_text(text)
    place.rpc("anvil_reset")
    place.fund()
    gone = place.lockgate("evm", "deploy", place.file, code=3)
    assert gone["error"]["code"] == "evm.deployed_otherwise"
    assert place.spent() == 0
    assert place.lockgate("evm", "deploy", place.file, "--again")["sent"] == 2
    assert (place.data / "chains" / "anvil" / "deployed.1.json").exists()
