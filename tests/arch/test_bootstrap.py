"""`make` on a machine that lacks something ends in one sentence (I18)."""

from __future__ import annotations

import collections
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tools import bootstrap

from tests.arch.sources import REPO

Usage = collections.namedtuple("Usage", "total used free")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own for the bootstrap, with requirement files and no `.venv`."""
    (tmp_path / "requirements").mkdir()
    for name in ("pyproject.toml", "requirements/install.txt", "requirements/dev.txt"):
        (tmp_path / name).write_text("one==1\n")
    venv = tmp_path / ".venv"
    for name, value in {
        "REPO": tmp_path, "VENV": venv, "STAMP": venv / "lockgate-installed.json", "LOG": venv / "install.log",
    }.items():  # fmt: skip
        monkeypatch.setattr(bootstrap, name, str(value))
    return tmp_path


def refusal(*arguments: str) -> str:
    with pytest.raises(bootstrap.Stop) as stop:
        bootstrap.main(list(arguments))
    sentence = str(stop.value)
    assert "\n" not in sentence
    return sentence


def test_a_python_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 2, "final", 0))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    assert refusal("install").startswith("Lockgate needs Python 3.11 or newer; ")


def test_a_newer_python_beside_the_old_one_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 2, "final", 0))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: name if name == "python3.12" else None)
    calls: list[list[str]] = []
    monkeypatch.setattr(bootstrap.subprocess, "call", lambda command, **_: calls.append(command) or 0)
    assert bootstrap.main(["install"]) == 0
    assert calls[-1] == ["python3.12", bootstrap.__file__, "install"]


def test_a_python_without_venv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else name)
    assert "apt install python3-venv" in refusal("install")


@pytest.mark.usefixtures("elsewhere")
def test_a_disk_that_is_nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda path: Usage(100 << 20, 99 << 20, 1 << 20))
    assert refusal("dev").startswith("The disk is nearly full: 1 MB free")


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            "Collecting one\nERROR: No matching distribution found for one==1\n",
            "No matching distribution found for one==1",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
            "The disk is full.",
        ),
    ],
)
def test_a_pip_that_fails(elsewhere: Path, output: str, sentence: str) -> None:
    (elsewhere / ".venv").mkdir()
    failing = [sys.executable, "-c", f"import sys; print({output!r}); sys.exit(1)"]
    with pytest.raises(bootstrap.Stop, match=re.escape(sentence)):
        bootstrap.run(failing, "pip failed")


def test_nothing_is_done_twice(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def make_venv(keep: bool) -> None:
        (elsewhere / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
        (elsewhere / ".venv" / "bin" / "python").touch()
        done.append("venv")

    monkeypatch.setattr(bootstrap, "make_venv", make_venv)
    monkeypatch.setattr(bootstrap, "install", done.append)
    for wanted in ("install", "install", "dev", "dev", "install"):
        assert bootstrap.main([wanted]) == 0
    assert done == ["venv", "install", "dev"]
    (elsewhere / "requirements" / "install.txt").write_text("one==2\n")
    bootstrap.main(["install"])
    assert done == ["venv", "install", "dev", "install"]


def test_no_requirement_file_names_an_index() -> None:
    done = subprocess.run(
        [sys.executable, "tools/pin_requirements.py", "--check"], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
