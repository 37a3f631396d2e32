"""A Python guest in the sandbox (I11): what it sees of time, entropy and the world, and how it fails.

Built once into `guests/build/tests`; the first build takes about 15 s, later ones nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lockgate.host.ports import (
    Command,
    Deferred,
    Done,
    Guest,
    LateAnswer,
    LogLine,
    MessageRef,
    Refusal,
    RefusedByPeer,
    Reply,
    SecretSeed,
    TimedOut,
    TrapKind,
)
from lockgate.runtime.errors import BuildFailed
from lockgate.runtime.wasm import Sandbox, authoring, shipped
from lockgate.runtime.wasm.build import build, compile_into
from lockgate.runtime.wasm.project import read_project
from tests.support.guests import ID, NOW, call, message, state, trapped

PROJECT = Path(__file__).parents[2] / "support" / "python_guest"
pytestmark = pytest.mark.skipif(
    find_spec("componentize_py") is None, reason="componentize-py, the builder of Python guests, is absent"
)


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    built = build(read_project(PROJECT), shipped.build_folder() / "tests")
    cache = shipped.code_cache()
    compile_into(cache, [built])
    with Sandbox(cache=cache) as sandbox:
        yield sandbox.load(built.component.read_bytes()).guest


def replied(guest: Guest, schema: str, body: bytes = b"", **changes: Any) -> bytes:
    outcome = call(guest, message(body, schema), **changes)
    assert isinstance(outcome.result, Reply), outcome
    return outcome.result.body


def test_globals_are_gone_with_the_instance(guest: Guest) -> None:
    assert [replied(guest, "count@1.0") for _ in range(3)] == [b"1"] * 3


def test_every_clock_is_the_ledgers(guest: Guest) -> None:
    assert replied(guest, "clocks@1.0") == b"1 %d" % NOW


@pytest.mark.parametrize("source", ["random", "choice", "urandom", "secrets", "uuid"])
def test_pythons_entropy_is_secret_random(guest: Guest, source: str) -> None:
    first = replied(guest, "entropy@1.0", source.encode())
    other = replied(guest, "entropy@1.0", source.encode(), secret_seed=SecretSeed(b"\x06" * 32))
    assert first == replied(guest, "entropy@1.0", source.encode())
    assert first != other
    assert len(first) == 16


def test_a_generator_the_guest_seeds_is_its_own(guest: Guest) -> None:
    other = replied(guest, "entropy@1.0", b"seeded", secret_seed=SecretSeed(b"\x06" * 32))
    assert replied(guest, "entropy@1.0", b"seeded") == other


def test_public_random_is_not_secret(guest: Guest) -> None:
    other = replied(guest, "entropy@1.0", b"public", secret_seed=SecretSeed(b"\x06" * 32))
    assert replied(guest, "entropy@1.0", b"public") == other


def test_long_draws_are_made_of_several(guest: Guest) -> None:
    assert len(replied(guest, "entropy@1.0", b"long")) == 40_000


def test_scans_page_through(guest: Guest) -> None:
    assert replied(guest, "state@1.0") == b"300 1"


def test_another_minor_version_is_read_and_another_major_is_not(guest: Guest) -> None:
    assert replied(guest, "count@1.7") == b"1"
    assert call(guest, message(b"", "count@2.0")).result == Refusal("schema.unknown", "no handler for count@2.0")


def test_defers_then_answers_or_declines(guest: Guest) -> None:
    deferred = call(guest, message(b"", "defer@1.0"))
    assert deferred.result == Deferred()
    over = state()
    over.apply(deferred)
    answered = call(guest, Command(b"answer"), over, deferred=frozenset({ID}))
    assert answered.answers == (LateAnswer(ID, Reply(b"late")),)
    declined = call(guest, Command(b"decline"), over, deferred=frozenset({ID}))
    assert declined.answers == (LateAnswer(ID, Refusal("too.late", "sorry")),)
    assert call(guest, Command(b"answer"), over).result == Reply(b"0")


def test_sends_and_hears_of_it(guest: Guest) -> None:
    outcome = call(guest, Command(b"send"))
    assert outcome.result == Reply(outcome.sends[0].ref)
    assert call(guest, TimedOut(outcome.sends[0].ref)).writes == ((b"timed out", outcome.sends[0].ref),)
    assert call(guest, RefusedByPeer(MessageRef(b"\1" * 32), "x")).result == Done()


def test_a_send_to_nobody_is_an_exception_of_its_own(guest: Guest) -> None:
    outcome = call(guest, Command(b"send"), peers=frozenset())
    assert trapped(outcome) is TrapKind.UNREACHABLE
    assert outcome.logs[-1].text.endswith("SendFailed: unknown-peer")


def test_refusing_a_command_keeps_the_log(guest: Guest) -> None:
    outcome = call(guest, Command(b"dance"))
    assert outcome.result == Refusal("command.unknown")
    assert outcome.logs == (LogLine(2, "what is b'dance'?"),)


def test_an_uncaught_exception_is_a_trap_with_its_traceback_in_the_log(guest: Guest) -> None:
    outcome = call(guest, message(b"exception", "fail@1.0"))
    assert trapped(outcome) is TrapKind.UNREACHABLE
    assert outcome.logs[-1] == LogLine(3, "ValueError: not what I expected")
    assert any("everything.py" in line.text for line in outcome.logs)


def test_a_refusal_drops_what_was_written(guest: Guest) -> None:
    outcome = call(guest, message(b"refuse", "fail@1.0"))
    assert outcome.result == Refusal("not.today", "come back")
    assert outcome.writes == ()


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        (b"recursion", TrapKind.UNREACHABLE),  # Python's own limit comes first
        (b"loop", TrapKind.FUEL),
        (b"memory", TrapKind.UNREACHABLE),  # MemoryError
        (b"file", TrapKind.UNREACHABLE),
        (b"socket", TrapKind.UNREACHABLE),
        (b"exit", TrapKind.UNREACHABLE),
        (b"no bytes", TrapKind.UNREACHABLE),
    ],
)
def test_what_goes_wrong_stays_inside(guest: Guest, how: bytes, kind: TrapKind) -> None:
    assert trapped(call(guest, message(how, "fail@1.0"), fuel=300_000_000)) is kind
    assert replied(guest, "count@1.0") == b"1"


def test_a_guest_that_does_not_import_says_why(tmp_path: Path) -> None:
    folder = authoring.new(tmp_path / "broken")
    (folder / "broken.py").write_text("import pytest  # installed here, and not in the sandbox\n")
    with pytest.raises(BuildFailed, match="ModuleNotFoundError: No module named 'pytest'"):
        authoring.build(folder)
    assert not list((folder / "build").glob("*.wasm"))
