"""The tool by itself: names, exit codes, shapes, completion, and wrong use without anything running."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lockgate.cli import output
from lockgate.cli.context import reporter
from lockgate.cli.main import app
from lockgate.machine.errors import StaleFence
from lockgate.machine.machine import APP_VERSION
from lockgate.node.api import MessageRefused
from lockgate.node.explain import explained, failure
from lockgate.node.folder import NotRunning
from lockgate.node.socket import BadCall, RemoteRefusal
from lockgate.primitives.errors import LockgateError, Misuse, PeerFault, Refused, Unavailable, error_codes
from lockgate.primitives.version import VERSION
from tests.arch.sources import REPO, text_of

VERBS = {
    "version", "up", "demo", "send", "inbox", "outbox", "trace", "prove", "verify", "explain", "doctor", "ledger",
    "host", "relay", "guest", "lane", "client", "new", "save", "net",
}  # fmt: skip


def lockgate(*arguments: str, data: Path | str = "/nonexistent/lockgate") -> Result:
    return CliRunner().invoke(app, ["--data", str(data), *arguments])


def test_every_verb_is_there_and_explains_itself() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert {verb for verb in VERBS if re.search(rf"^\W*{verb}\b", shown, re.M)} == VERBS
    assert lockgate("version").stdout == f"{VERSION}\napp version {APP_VERSION}\n"


def test_a_verb_loads_what_it_needs_when_it_runs() -> None:
    """Every command waits until the tool is loaded, and `demo` starts what loads its processes only then."""
    program = (
        "import sys, lockgate.cli.main; print(*{name.split('.')[1] for name in sys.modules if name[:9] == 'lockgate.'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"cli", "codec", "crypto", "keystore", "node", "primitives"}


# Failures.


@pytest.mark.parametrize(
    ("kind", "code"), [(Refused, 3), (PeerFault, 4), (Unavailable, 5), (Misuse, 70), (LockgateError, 70)]
)
def test_each_kind_of_failure_has_its_exit_code(kind: type[LockgateError], code: int) -> None:
    assert output.exit_code(kind) == code


def test_the_page_of_exit_codes_is_the_table_of_the_tool() -> None:
    page = text_of(REPO / "docs" / "reference" / "exit-codes.md")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.M)}
    assert listed == {
        value for name, value in vars(output).items() if re.fullmatch(r"EXIT_[A-Z_]+", name) and name != "EXIT_CODES"
    }


def test_every_code_is_explained_in_words_and_as_json() -> None:
    listed = {entry["code"]: entry for entry in json.loads(lockgate("--json", "explain").stdout)}
    ours = {code: error for code, error in error_codes().items() if error.__module__.startswith("lockgate.")}
    for code, error in ours.items():
        entry = {"code": code, "summary": error.summary, "untouched": error.untouched, "next": error.next_step}
        assert listed[code] == entry
    assert json.loads(lockgate("--json", "explain", "guest.refused").stdout) == listed["guest.refused"]
    said = " ".join(lockgate("explain", "guest.refused").stdout.split())
    assert all(words in said for words in listed["guest.refused"].values())


def test_a_code_that_is_none_is_refused_and_a_code_of_others_is_said_to_be() -> None:
    refused = lockgate("--json", "explain", "no.such")
    assert refused.exit_code == 3
    assert json.loads(refused.stdout)["error"]["code"] == "explain.unknown_code"
    assert failure("no.such") is None
    assert "does not know" in explained("no.such")[0]


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (MessageRefused("no", reason="guest.refused"), "message.refused", 3),
        (RemoteRefusal("stale", code=StaleFence.code), StaleFence.code, output.exit_code(StaleFence)),
        (RemoteRefusal("what", code=BadCall.code), BadCall.code, 4),
        (RemoteRefusal("new", code="not.known.here"), "socket.refused", 70),
        (NotRunning("gone", socket="x"), "node.not_running", 5),
    ],
)
def test_a_failure_speaks_with_its_own_code_wherever_it_comes_from(
    error: LockgateError, code: str, exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert output.show_error(error, as_json=True) == exit_code
    shown = json.loads(capsys.readouterr().out)["error"]
    assert shown["code"] == code
    assert set(shown) == {"code", "detail", "untouched", "next", "fields"}
    assert output.show_error(error, as_json=False) == exit_code


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("inbox", "alice"), 3, "node.not_initialised"),
        (("outbox", "alice"), 3, "node.not_initialised"),
        (("host", "status", "alice"), 3, "node.not_initialised"),
        (("send", "alice", "bob", "x"), 3, "node.not_initialised"),
        (("relay", "status", "r"), 3, "node.not_initialised"),
        (("trace", "alpha/07-tendermint-0/1"), 3, "node.not_initialised"),
        (("trace", "07-tendermint-0/1"), 3, "packet.unknown"),
        (("trace", "0" * 32), 3, "packet.unknown"),
        (("trace", "?"), 3, "packet.bad_name"),
        (("prove", "?"), 3, "packet.bad_name"),
        (("lane", "list"), 5, "node.ledger_down"),
        (("client", "list"), 5, "node.ledger_down"),
        (("client", "explain"), 5, "node.ledger_down"),
        (("ledger", "list"), 5, "node.ledger_down"),
        (("net", "status"), 5, "net.not_running"),
        (("net", "kill", "0"), 5, "net.not_running"),
        (("net", "restart", "0", "1"), 5, "net.not_running"),
        (("net", "partition", "0,1"), 5, "net.not_running"),
        (("net", "heal"), 5, "net.not_running"),
        (("net", "down"), 5, "net.not_running"),
        (("verify", "/nonexistent"), 4, "bundle.malformed"),
        (("verify", "--store", "alpha"), 3, "node.not_initialised"),
    ],
)
def test_without_a_deployment_every_verb_says_so_in_one_typed_sentence(
    arguments: tuple[str, ...], exit_code: int, code: str
) -> None:
    done = lockgate("--json", *arguments)
    assert "Traceback" not in done.output
    assert (done.exit_code, json.loads(done.stdout)["error"]["code"]) == (exit_code, code)
    for_people = lockgate(*arguments)
    assert for_people.exit_code == exit_code
    assert "Next:" in for_people.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "a", "b", "x", "--timeout", "0"),
        ("trace",),
        ("verify",),
        ("nothing",),
        ("net", "kill"),
        ("net", "kill", "first"),
        ("net", "kill", "0", "--half", "third"),
        ("net", "partition", "0-1"),
        ("demo", "--chaos"),
    ],
)
def test_a_command_line_that_is_none_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert lockgate(*arguments).exit_code == 2


def test_no_line_is_broken_in_a_pipe_and_no_bracket_is_taken_for_a_style(capsys: pytest.CaptureFixture[str]) -> None:
    """What a program reads off the tool, and a reply above all, is what was said."""
    words = "[bold]" + "twelve words " * 40
    output.say(words)
    output.show_error(BadCall(words, place=words), as_json=False)
    said = capsys.readouterr()
    assert said.out == f"{words}\n"
    assert [line for line in said.err.splitlines() if "twelve" in line] == [
        f"{BadCall.code} {words}",
        f"  place={words}",
    ]


def test_a_strangers_words_in_a_report_write_no_line_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    reporter(False)("token_refused", {"verb": "x\n\x1b[2Jready\r\ud800", "reason": "münchen"})
    assert capsys.readouterr().err == "token_refused  verb=x\\n\\x1b[2Jready\\r\\ud800  reason=münchen\n"


def test_a_host_that_does_not_run_and_one_that_is_named_wrongly_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "hosts" / "alice").mkdir(parents=True)
    assert lockgate("inbox", "alice", data=tmp_path).exit_code == 5
    assert lockgate("inbox", "alise", data=tmp_path).exit_code == 3


# Something to start from, and completion.


def test_new_app_writes_ten_lines_of_code_and_never_over_another(tmp_path: Path) -> None:
    assert lockgate("new", "app", str(tmp_path / "mine")).exit_code == 0
    path = tmp_path / "mine" / "app.py"
    code = [line for line in path.read_text().splitlines() if line and not line.startswith('"""')]
    assert len(code) <= 10
    compile(path.read_text(), "app.py", "exec")
    again = lockgate("--json", "new", "app", str(tmp_path / "mine"))
    assert (again.exit_code, json.loads(again.stdout)["error"]["code"]) == (3, "app.exists")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["host", "status", ""], {"alice", "bob"}),
        (["inbox", "a"], {"alice"}),
        (["ledger", "run", ""], {"alpha"}),
        (["relay", "status", ""], {"alpha-beta"}),
        (["trace", "x", "--ledger", ""], {"alpha"}),
    ],
)
def test_the_shell_completes_names_of_the_data_folder(tmp_path: Path, words: list[str], expected: set[str]) -> None:
    for kind, name in (("hosts", "alice"), ("hosts", "bob"), ("ledgers", "alpha"), ("relays", "alpha-beta")):
        (tmp_path / kind / name).mkdir(parents=True)
    line = ["lockgate", "--data", str(tmp_path), *words]
    variables: dict[str, Any] = {
        "_LOCKGATE_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(line),
        "COMP_CWORD": str(len(line) - 1),
    }
    command = [str(Path(sys.executable).with_name("lockgate"))]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=60
    )
    assert set(done.stdout.split()) == expected, done.stderr
