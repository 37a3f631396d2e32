"""The same exchange between two endpoints, with their keys in files, in SoftHSM2 tokens and in TPMs alike (P22).

Each run starts ledgers, hosts and relayer by `lockgate up`, sends both ways, rotates one endpoint's keys, sends again.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lockgate.cli.main import app
from lockgate.node.folder import Folder
from lockgate.node.keystores import open_keystore, parties
from lockgate.runtime.wasm import shipped
from tests.support.tokens import PIN, SoftTpm, softhsm, softhsm_reason, swtpm_reason

pytestmark = pytest.mark.timeout(300)
REFUSED = 3
CHILDREN = 4  # a relayer, two hosts, two ledgers
FORMS: tuple[Callable[[bytes], bytes], ...] = (
    bytes,
    lambda secret: secret.hex().encode(),
    lambda secret: b64encode(secret).rstrip(b"="),
)
HELD_S = 60.0  # a host looks a peer up again after ten seconds
START_S = 150.0
SPEC = """
[[ledger]]
name = "alpha"
chain_id = "alpha-1"
heartbeat = 0.5
{ledger}

[[ledger]]
name = "beta"
chain_id = "beta-1"
heartbeat = 0.5

[[host]]
name = "alice"
ledger = "alpha"
guest = "echo"
peers = ["bob"]
keystore = "{alice}"

[[host]]
name = "bob"
ledger = "beta"
guest = "echo"
peers = ["alice"]
keystore = "{bob}"
"""
# Where the halves of an identity, a sealing key and an account lie.
EXPECTED = {
    "file": {"identity": "file file", "sealing": "file file", "account": "file"},
    "SoftHSM2": {"identity": "pkcs11 file", "sealing": "file pkcs11", "account": "pkcs11"},
    "swtpm": {"identity": "tpm file", "sealing": "file tpm", "account": "file"},
    "tpm-sealed": {"identity": "tpm-sealed tpm-sealed", "sealing": "tpm-sealed tpm-sealed", "account": "tpm-sealed"},
}


class Running:
    """A deployment that runs; the tool asks it."""

    def __init__(self, folder: Path, places: dict[str, str]) -> None:
        self.folder = folder / "data"
        config = folder / "deployment.toml"
        config.write_text(SPEC.format(**places))
        self._log = folder / "up.log"
        command = [sys.executable, "-m", "lockgate.cli.main", "--data", str(self.folder), "up", str(config)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        timer = threading.Timer(START_S, self._process.kill)
        timer.start()
        assert self._process.stdout is not None
        ready = any("Running" in line for line in self._process.stdout)
        timer.cancel()
        assert ready, self._log.read_text()[-2000:]

    def processes(self) -> list[int]:
        """The deployment's process and all below it."""
        found = [self._process.pid]
        for pid in found:
            found += [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in children(task)]
        return found

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()

    def tool(self, *arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, ["--data", str(self.folder), "--json", *arguments])
        assert done.exit_code == code, done.output[-2000:]
        return json.loads(done.stdout)

    def apart(self, *arguments: str) -> Any:
        """In a process of its own: a PKCS#11 module is loaded once in a process, with the tokens that were there."""
        command = [sys.executable, "-m", "lockgate.cli.main", "--data", str(self.folder), "--json", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=False
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
        return json.loads(done.stdout)

    def exchange(self, one: str, other: str, text: str) -> None:
        sent = self.tool("send", one, other, text, "--wait")
        assert bytes.fromhex(sent["reply"]).decode() == text[::-1]

    def refusal(self, one: str, other: str) -> str:
        """What a message is refused with: by the other ledger as long as the sender holds a record from before."""
        deadline = time.monotonic() + HELD_S
        while True:
            code = self.tool("send", one, other, "too late", "--wait", code=REFUSED)["error"]["code"]
            if code != "message.refused" or time.monotonic() > deadline:
                return str(code)

    def record(self, host: str) -> dict[str, Any]:
        return json.loads((self.folder / "hosts" / host / "keystore.json").read_text())


@pytest.fixture(params=["file", *(pytest.param(kind, marks=pytest.mark.interop) for kind in list(EXPECTED)[1:])])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    if not (shipped.build_folder() / "echo.wasm").exists():
        pytest.skip("the shipped guests are not built; `make install` builds them")
    kind = request.param
    reason = {"file": None, "SoftHSM2": softhsm_reason()}.get(kind, swtpm_reason())
    if reason:
        pytest.skip(reason)
    with ExitStack() as stack:
        if kind == "SoftHSM2":
            tokens = stack.enter_context(softhsm(tmp_path / "hsm", "alice", "bob", "ledger"))
            found = {name: token.address for name, token in tokens.items()}
            found["ledger"] = f'keystore = "{found["ledger"]}"'
        elif kind == "file":
            found = {"alice": "file", "bob": "file", "ledger": ""}
        else:
            found = {"ledger": ""}
            for name in ("alice", "bob"):
                simulator = SoftTpm(tmp_path / f"{name}-tpm")
                stack.callback(simulator.stop)
                found[name] = simulator.address("tpm" if kind == "swtpm" else kind)
        yield kind, found


def children(task: Path) -> list[str]:
    return (task / "children").read_text().split()


def halves(record: dict[str, Any], name: str) -> str:
    return " ".join(half["where"] for half in record["keys"][name]["halves"])


def tell_tale(running: Running, folder: Path) -> None:
    """[S10] No secret of the run stands in anything that the run has written, but in the key files and tokens."""
    data = Folder(running.folder)
    secrets = [data.passphrase().text.encode(), PIN.encode()]
    for party in parties(data):
        keystore = open_keystore(data, party.home, {})
        secrets += [key.seed.reveal() for key in keystore._keys.values()]
        secrets += [keystore._passphrase.text.encode()]
        keystore.close()
    forms = [form(secret) for secret in secrets for form in FORMS]
    assert {"up.log"} < {path.name for path in written(folder)}
    assert any(path.parent.name == "logs" for path in written(folder))
    planted = folder / "planted"
    planted.write_bytes(b"seed=" + forms[-2])
    assert found_in(folder, forms) == [planted], "what looks for secrets finds one"
    planted.unlink()
    assert found_in(folder, forms) == []


def written(folder: Path) -> list[Path]:
    """What a run has written, but the two files that hold a secret in clear and the token's own store."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in {"passphrase", "pin"}]
    return [path for path in files if not path.is_relative_to(folder / "hsm" / "tokens")]


def found_in(folder: Path, forms: list[bytes]) -> list[Path]:
    contents = {path: path.read_bytes() for path in written(folder)}
    return [path for path, content in contents.items() if any(form in content for form in forms)]


def not_dumped(running: Running) -> None:
    """[S10] Every process of the deployment."""
    pids = running.processes()
    assert len(pids) > CHILDREN
    for pid in pids:
        limit = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line)
        assert limit.split()[4:6] == ["0", "0"], limit


def test_P22_the_same_exchange_with_keys_in_each_keystore(places, tmp_path):
    """[P22]"""
    kind, found = places
    running = Running(tmp_path, found)
    try:
        running.exchange("alice", "bob", "forth")
        running.exchange("bob", "alice", "back")
        for host in ("alice", "bob"):
            record = running.record(host)
            assert record["place"] == found[host]
            for name, where in EXPECTED[kind].items():
                full = name if name == "account" else f"{name}-0"
                assert halves(record, full) == where
        not_dumped(running)
        before = running.record("alice")["keys"]
        assert running.tool("keys", "rotate", "host/alice")["index"] == 1
        running.exchange("alice", "bob", "after the rotation")
        running.exchange("bob", "alice", "to the new key")
        after = running.record("alice")["keys"]
        assert "identity-0" not in after
        assert after["identity-1"] == before["identity-1"]
        assert after["sealing-1"]["key_id"] != before["sealing-0"]["key_id"]
        assert halves({"keys": after}, "sealing-1") == EXPECTED[kind]["sealing"]
        exposed = running.tool("keys", "exposure", "host/alice")
        assert {name: exposed["standing"][name] for name in ("index", "revoked_at", "delay_blocks")} == {
            "index": 1, "revoked_at": 0, "delay_blocks": 10,
        }  # fmt: skip
        assert any("earlier" in each["stolen"] for each in exposed["exposures"])
        revoked = running.tool("keys", "revoke", "host/bob", "--yes")
        assert revoked["ledger"] == "beta"
        assert running.refusal("alice", "bob") == "endpoint.revoked"
        assert running.tool("keys", "exposure", "host/bob")["standing"]["revoked_at"] == revoked["revoked_at"]
        again = running.tool("keys", "revoke", "host/bob", "--yes", code=REFUSED)
        assert again["error"]["code"] == "keys.not_revoked"
    finally:
        running.stop()
    tell_tale(running, tmp_path)
    shown = running.apart("keys", "show", "host/alice")  # a device is asked for each of its halves
    assert shown["place"] == found["alice"]
    assert {name: key["halves"] for name, key in shown["keys"].items()} == {n: k["halves"] for n, k in after.items()}
    assert len(shown["custody"]) == len(set(" ".join(EXPECTED[kind].values()).split()))
