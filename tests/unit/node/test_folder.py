"""The data folder: what cannot be read or written is one sentence, and nothing is left half done."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from lockgate.crypto.keys import KeyRole
from lockgate.node.folder import (
    DiskFull,
    Folder,
    NotInitialised,
    NotRunning,
    NotWritable,
    PassphraseGone,
    read_json,
    write_json,
)
from lockgate.node.keystores import choose, open_keystore

KEYS = {"account": (KeyRole.ACCOUNT, 1)}


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EROFS, NotWritable)]
)
def test_a_record_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    path = tmp_path / "record.json"
    write_json(path, {"a": 1})

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


def test_a_full_disk_stops_before_there_is_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.delenv("LOCKGATE_PASSPHRASE", raising=False)
    monkeypatch.setattr(tempfile, "mkstemp", full)
    with pytest.raises(DiskFull):
        Folder(tmp_path).passphrase()
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCKGATE_PASSPHRASE", raising=False)
    made = Folder(tmp_path).passphrase().text
    assert Folder(tmp_path).passphrase().text == made
    assert (tmp_path / "passphrase").stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["passphrase"]
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "of the operator")
    assert Folder(tmp_path).passphrase().text == "of the operator"


@pytest.mark.parametrize("where", [".", "hosts/h"])
def test_no_passphrase_is_made_beside_keys_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A new one would open nothing, and stand where the old one is to be put back."""
    monkeypatch.delenv("LOCKGATE_PASSPHRASE", raising=False)
    folder = Folder(tmp_path / "data")
    made = open_keystore(folder, folder.root / where, KEYS).facts()
    passphrase = folder.root / "passphrase"
    away = passphrase.rename(tmp_path / "passphrase")
    with pytest.raises(PassphraseGone):
        Folder(folder.root).passphrase()
    assert not passphrase.exists()
    away.rename(passphrase)
    assert open_keystore(Folder(folder.root), folder.root / where, KEYS).facts() == made


def test_keys_that_a_tpm_opens_want_no_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCKGATE_PASSPHRASE", raising=False)
    folder = Folder(tmp_path)
    choose(folder.host("h"), "tpm-sealed:pcrs=7")
    (folder.host("h") / "keys").touch()
    assert folder.passphrase().text


@pytest.mark.parametrize("write", ["record", "passphrase"])
def test_what_is_written_is_on_the_disk_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    monkeypatch.delenv("LOCKGATE_PASSPHRASE", raising=False)
    synced, real = [], os.fsync

    def fsync(handle: int) -> None:
        kept = Path(os.readlink(f"/proc/self/fd/{handle}"))
        synced.append((kept.parent if kept.is_file() else kept, sorted(each.name for each in kept.glob("[!.]*"))))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "new" / "folder"
    if write == "record":
        write_json(folder / "record", {})
    else:
        Folder(folder).passphrase()
    assert synced == [(tmp_path / "new", ["folder"]), (tmp_path, ["new"]), (folder, []), (folder, [write])]
    if write == "record":
        write_json(folder / "record", {}, durable=False)
        assert len(synced) == 4


def test_key_files_of_a_folder_cost_one_run(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    made = [open_keystore(folder, tmp_path / name, KEYS).facts() for name in ("one", "other")]
    assert len(folder.roots) == 1
    fresh = Folder(tmp_path)
    assert [open_keystore(fresh, tmp_path / name, KEYS).facts() for name in ("one", "other")] == made
    assert len(fresh.roots) == 1


def test_what_is_not_there_and_what_does_not_read(tmp_path: Path) -> None:
    with pytest.raises(NotInitialised):
        read_json(tmp_path / "none.json")
    (tmp_path / "torn.json").write_text('{"a": ')
    with pytest.raises(NotRunning):
        read_json(tmp_path / "torn.json")
    with pytest.raises(NotRunning) as refusal:
        Folder(tmp_path).ledger_address("alpha")
    assert refusal.value.fields["ledger"] == "alpha"
