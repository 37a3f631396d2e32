"""The vault of sessions: what was saved last is read, what was saved before is gone, whenever the power fails (P18)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.keystore.software import OsEntropy
from lockgate.session.errors import SessionDamaged
from lockgate.storage import sessions
from lockgate.storage.ledger import StoreFull
from lockgate.storage.sessions import SessionVault


class PowerCut(BaseException):
    pass


def opened(folder: Path) -> SessionVault:
    return SessionVault.open(folder, OsEntropy())


def test_there_is_nothing_at_first_and_then_what_was_saved(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    assert vault.load() is None
    vault.save(b"one")
    vault.save(b"two" * 1000)
    assert vault.load() == b"two" * 1000
    vault.close()
    assert opened(tmp_path).load() == b"two" * 1000


def test_P18_a_copy_of_the_book_of_before_opens_with_nothing_that_is_left(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.save(b"one")
    copy = (tmp_path / "sessions.sealed").read_bytes()
    vault.save(b"two")
    vault.close()
    (tmp_path / "sessions.sealed").write_bytes(copy)
    with pytest.raises(SessionDamaged):
        opened(tmp_path).load()


def test_P18_a_backup_without_the_unsaved_folder_has_no_key(tmp_path: Path) -> None:
    vault = opened(tmp_path / "host")
    vault.save(b"one")
    shutil.copytree(tmp_path / "host", tmp_path / "backup", ignore=shutil.ignore_patterns("unsaved"))
    assert (
        (tmp_path / "host/unsaved/CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    )
    with pytest.raises(SessionDamaged):
        opened(tmp_path / "backup").load()


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.save(b"one")
    for name in ("sessions.sealed", "unsaved/sessions.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "spoil", [lambda d: b"", lambda d: d[:10], lambda d: d[:-1], lambda d: d[:20] + b"\x07" + d[21:]]
)
def test_a_damaged_file_is_named(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    opened(tmp_path).save(b"one")
    path = tmp_path / "sessions.sealed"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(SessionDamaged):
        opened(tmp_path).load()


def cut(monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> list[str]:
    """The power fails at the `at`-th call that reaches the disk, before it or after it."""
    calls: list[str] = []

    def failing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            calls.append(name)
            if len(calls) - 1 == at and not after:
                raise PowerCut
            result = real(*arguments, **named)
            if len(calls) - 1 == at:
                raise PowerCut
            return result

        return call

    for name in ("pwrite", "fsync", "write"):
        monkeypatch.setattr(sessions.os, name, failing(name, getattr(os, name)))
    monkeypatch.setattr(Path, "rename", failing("rename", Path.rename))
    return calls


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(8))
def test_P18_at_whatever_call_the_power_fails_one_book_is_whole_and_the_other_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, after: bool
) -> None:
    vault = opened(tmp_path)
    vault.save(b"before")
    old, old_keys = (tmp_path / "sessions.sealed").read_bytes(), (tmp_path / "unsaved/sessions.key").read_bytes()
    with monkeypatch.context() as patched:
        calls = cut(patched, at, after=after)
        with pytest.raises(PowerCut):
            vault.save(b"after")
    vault.close()
    again = opened(tmp_path)
    found = again.load()
    assert found in (b"before", b"after")
    if found == b"after":
        left = (tmp_path / "unsaved/sessions.key").read_bytes()
        slots = [old_keys[i : i + 32] for i in (0, 32)]
        assert not any(slot in left for slot in slots if any(slot)), "the key of the book before is gone"
        (tmp_path / "sessions.sealed").write_bytes(old)
        with pytest.raises(SessionDamaged):
            again.load()
    assert not (tmp_path / "sessions.draft").exists()
    assert len(calls) == at + 1


def test_the_calls_that_reach_the_disk_are_those_that_were_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = opened(tmp_path)
    vault.save(b"before")
    with monkeypatch.context() as patched:
        calls = cut(patched, 1000, after=False)
        vault.save(b"after")
    assert calls == ["pwrite", "fsync", "write", "fsync", "rename", "fsync", "pwrite", "fsync"]


def test_a_full_disk_is_said_and_the_book_of_before_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = opened(tmp_path)
    vault.save(b"before")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(sessions.os, "write", full)
        with pytest.raises(StoreFull):
            vault.save(b"after")
    assert vault.load() == b"before"
    vault.save(b"after")
    assert vault.load() == b"after"
