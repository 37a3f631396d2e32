"""The examples run, against a deployment as a person starts it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from lockgate.node.new_app import write
from lockgate.node.spec import read_spec
from tests.arch.sources import REPO
from tests.e2e.conftest import Running

EXAMPLES = REPO / "examples"


def run(script: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def example(deployment: Running, name: str, *arguments: str) -> str:
    return run(EXAMPLES / name, str(deployment.folder), *arguments)


def test_hello_sends_and_follows_to_the_end(deployment: Running) -> None:
    said = example(deployment, "hello.py", "alice", "bob", "hello")
    assert said.startswith("sent as alpha/07-tendermint-0/")
    assert said.splitlines()[-1].startswith("acknowledged: waits for nobody")


def test_call_answers_and_names_a_trap(deployment: Running) -> None:
    assert example(deployment, "call.py", "alice", "bob", "a question") == "answered: noitseuq a\n"
    trapped = example(deployment, "call.py", "alice", "probe", "!")
    assert trapped.startswith("the peer's guest broke down over it: alpha/07-tendermint-0/")


def test_subscribe_shows_every_event_once_and_goes_on_where_it_stopped(deployment: Running) -> None:
    for text in ("one", "two"):
        assert deployment.lockgate("send", "alice", "bob", text, "--wait").exit_code == 0
    first = example(deployment, "subscribe.py", "alice", "1").splitlines()
    number = first[0].split()[0]
    second = example(deployment, "subscribe.py", "alice", "1", number).splitlines()
    assert int(second[0].split()[0]) > int(number)
    received = example(deployment, "subscribe.py", "bob", "2").splitlines()
    assert [line.split()[1] for line in received] == ["received", "received"]


def test_prove_and_verify_proves_and_refuses_one_changed_bit(deployment: Running) -> None:
    said = example(deployment, "prove_and_verify.py", "alice", "bob", "prove me").splitlines()
    assert "accepted and answered packet" in said[0]
    assert "signed by operator" in said[0]
    assert said[1].startswith("one bit changed: ")


def test_the_app_that_new_app_writes_works(deployment: Running, tmp_path: Path) -> None:
    path = write(tmp_path / "mine")
    assert run(path, str(deployment.folder), "alice", "bob", "hello") == "olleh\n"
    assert len(path.read_text().splitlines()) <= 14


def test_every_example_is_listed_and_the_deployment_they_name_is_one() -> None:
    page = (EXAMPLES / "README.md").read_text()
    assert {path.name for path in EXAMPLES.iterdir() if path.suffix in {".py", ".toml"}} <= {
        word.strip("`") for word in page.split()
    }
    tomllib.loads((EXAMPLES / "two-hosts.toml").read_text())
    assert [host.name for host in read_spec(EXAMPLES / "two-hosts.toml").hosts] == ["alice", "bob"]
