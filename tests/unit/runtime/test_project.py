"""Projects: guest.toml, incremental builds, `new`, and the runner of a project's own cases."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from lockgate_guest import DEFER
from lockgate_guest import Message as SdkMessage
from lockgate_guest._host import bind

from lockgate.host.ports import Deferred, Done, GuestId, LateAnswer, Reply
from lockgate.primitives.ids import Hash32
from lockgate.runtime.errors import BadComponent, BadProject, BuilderMissing, BuildFailed
from lockgate.runtime.imports import Imports
from lockgate.runtime.inprocess import InProcessGuest
from lockgate.runtime.wasm import Found, authoring, build, shipped, testing
from lockgate.runtime.wasm.project import read_project
from tests.support import probe
from tests.support.guests import ID, env, state

ECHO = Path(__file__).parents[3] / "guests" / "echo"


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ECHO, tmp_path / "echo", ignore=shutil.ignore_patterns("build")))


def test_builds_once_and_again_when_the_source_changes(echo: Path) -> None:
    first = authoring.build(echo)
    assert first.fresh
    assert first.identity == hashlib.sha256(first.component.read_bytes()).digest()
    second = authoring.build(echo)
    assert (second.fresh, second.identity) == (False, first.identity)
    source = echo / "echo.wat"
    source.write_text(source.read_text().replace("echo.no_id", "echo.noooo"))
    third = authoring.build(echo)
    assert third.fresh
    assert third.identity != first.identity


@pytest.mark.parametrize("gone", ["echo.wasm", "echo.json"])
def test_builds_again_when_an_output_is_gone(echo: Path, gone: str) -> None:
    authoring.build(echo)
    (echo / "build" / gone).unlink()
    assert authoring.build(echo).fresh


def test_builds_again_when_the_stamp_is_nonsense(echo: Path) -> None:
    authoring.build(echo)
    for nonsense in (b"", b"[]", b'{"inputs": 5}', b"\xff"):
        (echo / "build" / "echo.json").write_bytes(nonsense)
        assert authoring.build(echo).fresh


def test_a_failed_build_leaves_the_last_one(echo: Path) -> None:
    first = authoring.build(echo)
    (echo / "echo.wat").write_text("(component (nonsense))")
    with pytest.raises(BadComponent):
        authoring.build(echo)
    assert first.component.read_bytes().startswith(b"\0asm")


def test_compiled_code_is_found_again(echo: Path) -> None:
    built = authoring.build(echo)
    assert build.compile_into(authoring.code_cache(echo), [built]) == {"echo": Found.HIT}


def test_a_build_folder_that_cannot_be_written(echo: Path) -> None:
    (echo / "build").write_text("a file")
    with pytest.raises(BuildFailed):
        authoring.build(echo)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no table"),
        ("guest = 5", "no table"),
        ("[guest", "Expected"),
        ('[guest]\nname = "x"', "language"),
        ('[guest]\nname = "../x"\nlanguage = "wat"\nsource = "a"', "lower-case"),
        ('[guest]\nname = "x"\nlanguage = "cobol"', "language"),
        ('[guest]\nname = "x"\nlanguage = "wat"', "source"),
        ('[guest]\nname = "x"\nlanguage = "python"', "module"),
        ('[guest]\nname = "x"\nlanguage = "python"\nmodule = "a; import os"', "identifier"),
        ('[guest]\nname = "x"\nlanguage = "python"\nmodule = "a"\npaths = "."', "list"),
        ("[guest]\nname = 5", "name"),
    ],
)
def test_a_wrong_guest_toml_is_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "guest.toml").write_text(text)
    with pytest.raises(BadProject, match=reason):
        read_project(tmp_path)


def test_a_missing_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadProject, match="No such file"):
        read_project(tmp_path / "nowhere")


def test_a_missing_source_is_named(echo: Path) -> None:
    (echo / "echo.wat").unlink()
    with pytest.raises(BadProject, match="cannot read a source"):
        authoring.build(echo)


def test_a_python_guest_without_its_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authoring.new(tmp_path / "g")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(BuilderMissing):
        authoring.build(tmp_path / "g")


def test_inputs_of_a_python_guest_are_its_modules_and_its_sdk(tmp_path: Path) -> None:
    folder = authoring.new(tmp_path / "g")
    before = build._inputs_hash(read_project(folder))
    (folder / "notes.txt").write_text("not an input")
    (folder / "build").mkdir()
    (folder / "build" / "made.py").write_text("")
    assert build._inputs_hash(read_project(folder)) == before
    (folder / "helper.py").write_text("X = 1")
    assert build._inputs_hash(read_project(folder)) != before


@pytest.mark.parametrize(
    ("folder", "name"), [("greeter", "greeter"), ("My Guest!", "my-guest"), ("42", "guest-42"), ("__", "guest")]
)
def test_new_names_the_project_after_its_folder(tmp_path: Path, folder: str, name: str) -> None:
    assert read_project(authoring.new(tmp_path / folder)).name == name


def test_new_does_not_write_over_anything(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(BadProject):
        authoring.new(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_wit_and_sdk_can_be_taken_out(tmp_path: Path) -> None:
    out = authoring.export_wit(tmp_path / "out")
    assert "world guest" in (out / "guest.wit").read_text()
    assert (out / "lockgate_guest" / "component.py").is_file()


def test_shipped_echo_passes_its_own_cases(echo: Path) -> None:
    report = authoring.test(echo)
    assert [case for case in report.cases if not case.passed] == []
    assert report.passed


def runner(tmp_path: Path, text: str) -> list[testing.CaseResult]:
    (tmp_path / "tests.toml").write_text(text)
    guest = InProcessGuest(GuestId(Hash32(b"\0" * 32)), probe.Probe)
    return testing.run_cases(guest, tmp_path)


def script(raw: bytes) -> str:
    return f'hex = "{raw.hex()}"'


def test_cases_share_one_state_and_speak_of_messages_sent(tmp_path: Path) -> None:
    results = runner(
        tmp_path,
        f"""
        [[case]]
        message = {{ schema = "probe@1.0", {script(probe.write(b"k", b"v") + probe.send("peer"))} }}
        expect = {{ hex = "00", sends = 1 }}
        [[case]]
        command = {{ {script(probe.get(b"k"))} }}
        expect = {{ {script(bytes((1,)) + probe.framed(b"v"))} }}
        [[case]]
        acknowledged = {{ sent = 0, {script(probe.delete(b"k"))} }}
        expect = {{ done = true }}
        [[case]]
        command = {{ {script(probe.get(b"k"))} }}
        expect = {{ hex = "00" }}
        [[case]]
        timed_out = {{ sent = 0 }}
        expect = {{ done = true }}
        [[case]]
        refused = {{ sent = 0, code = "guest.refused" }}
        expect = {{ done = true, sends = 0, answers = 0 }}
        [[case]]
        message = {{ schema = "probe@1.0", {script(probe.defer())} }}
        expect = {{ defer = true }}
        [[case]]
        message = {{ schema = "probe@1.0", {script(probe.refuse("no.no"))} }}
        expect = {{ refuse = "no.no" }}
        [[case]]
        message = {{ schema = "probe@1.0", text = "?" }}
        expect = {{ trap = "unreachable" }}
        [[case]]
        command = {{ {script(probe.write(b"k", b"v"))} }}
        expect = {{ cbor = [] }}
        """,
    )
    # the first expects another reply on purpose, and so does the last
    assert [result.passed for result in results] == [False, *[True] * 8, False]
    assert results[-1].expected == "reply 80"
    assert results[-1].found == "reply "


@pytest.mark.parametrize(
    "text",
    [
        "",
        "case = 5",
        "[[case]]\nexpect = { done = true }",
        '[[case]]\ncommand = { text = "" }',
        '[[case]]\ncommand = { text = "", hex = "" }\nexpect = { done = true }',
        '[[case]]\ncommand = { hex = "zz" }\nexpect = { done = true }',
        "[[case]]\ncommand = { cbor = 1.5 }\nexpect = { done = true }",
        "[[case]]\ntimed_out = { sent = 0 }\nexpect = { done = true }",
        '[[case]]\ncommand = { text = "" }\nexpect = { done = true, defer = true }',
        '[[case]]\ncommand = { text = "" }\nmessage = { text = "", schema = "" }\nexpect = { done = true }',
        "[[case]]\ncommand = 5\nexpect = { done = true }",
        "[[case]]\ncommand = { text = 5 }\nexpect = { done = true }",
    ],
)
def test_wrong_cases_are_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadProject):
        runner(tmp_path, text)


def test_shipped_guests_have_projects() -> None:
    for name in shipped.NAMES:
        assert read_project(shipped.source_folder(name)).name == name
    with pytest.raises(BadProject):
        shipped.source_folder("no-such-guest")


PAGE = ECHO.parents[1] / "docs" / "how-to" / "write-a-guest.md"


def test_the_authors_page_shows_the_template(tmp_path: Path) -> None:
    page = PAGE.read_text()
    authoring.new(tmp_path / "greeter")
    module = (tmp_path / "greeter" / "greeter.py").read_text()
    assert f"```python\n{module}```" in page
    cases = (tmp_path / "greeter" / "tests.toml").read_text()
    shown = page.partition("```toml\n[[case]]")[2].partition("```")[0]
    for case in f"[[case]]{shown}".split("\n\n"):
        assert case.strip() in cases


def test_the_authors_page_runs() -> None:
    """Its handlers, in process: greet, then defer to an oracle and answer when the oracle has."""
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
        exec(block, names)
    author = names["guest"]
    over = state()
    asked = SdkMessage(ID, "bob", "question@1.0", b"why?", 0)
    with_host = Imports(over, env(peers=frozenset({"oracle"})))
    bind(with_host)
    try:
        assert author.handle(SdkMessage(ID, "bob", "hello@1.0", b"Ada", 0)) == b"hello, Ada (1)"
        assert author.handle(asked) is DEFER
        staged = with_host.outcome(Deferred(), 0)
        over.apply(staged)
        reference = staged.sends[0].ref
        later = Imports(over, env(deferred=frozenset({ID})))
        bind(later)
        author.acknowledged(reference, b"because")
        assert later.outcome(Done(), 0).answers == (LateAnswer(ID, Reply(b"because")),)
    finally:
        bind(None)
