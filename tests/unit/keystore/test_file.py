"""Key files on disk: private, atomic, never half written. Uses a temporary folder."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lockgate.crypto.keys import KeyRole, SecretBytes
from lockgate.keystore import file as key_file
from lockgate.keystore.errors import (
    KeyFileDamaged,
    KeyFileExists,
    KeyFileExposed,
    KeyFileUnavailable,
    WeakPassphrase,
    WrongPassphrase,
)
from lockgate.keystore.file import read_key_file, write_key_file
from lockgate.keystore.sealed import StoredKey
from lockgate.keystore.stretch import Cost, Passphrase

CHEAP = Cost(memory_kib=8, iterations=1, lanes=1)
KEYS = {"account": StoredKey(KeyRole.ACCOUNT, 1, SecretBytes(bytes(range(32))))}
OTHERS = {"account": StoredKey(KeyRole.ACCOUNT, 1, SecretBytes(bytes(32)))}
PASSPHRASE = Passphrase("correct horse")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "host.keys"
    write_key_file(path, KEYS, PASSPHRASE, cost=CHEAP)
    return path


def only(path):
    return [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_written_keys_are_read_and_private(path):
    assert read_key_file(path, PASSPHRASE) == KEYS
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_nlink == 1
    assert only(path)


def test_refusals_leave_the_file_alone(path):
    before = path.read_bytes()
    with pytest.raises(WrongPassphrase):
        read_key_file(path, Passphrase("incorrect horse"))
    with pytest.raises(KeyFileExists):
        write_key_file(path, OTHERS, PASSPHRASE, cost=CHEAP)
    with pytest.raises(WeakPassphrase):
        write_key_file(path, OTHERS, Passphrase("short"), overwrite=True, cost=CHEAP)
    assert path.read_bytes() == before
    assert only(path)


def test_an_overwrite_replaces_the_whole_file(path):
    write_key_file(path, OTHERS, Passphrase("another one"), overwrite=True, cost=CHEAP)
    assert read_key_file(path, Passphrase("another one")) == OTHERS
    assert path.stat().st_mode & 0o777 == 0o600
    assert only(path)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(path, monkeypatch, overwrite, step):
    def full(*_):
        raise OSError(28, "No space left on device")

    target = path if overwrite else path.with_name("new.keys")
    monkeypatch.setattr(key_file.os, "fsync", full) if step == "fsync" else None
    if step == "replace":
        monkeypatch.setattr(key_file.Path, "replace", full)
        monkeypatch.setattr(key_file.Path, "hardlink_to", full)
    with pytest.raises(KeyFileUnavailable):
        write_key_file(target, OTHERS, PASSPHRASE, overwrite=overwrite, cost=CHEAP)
    assert read_key_file(path, PASSPHRASE) == KEYS
    assert only(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_a_file_others_may_touch_is_refused(path, mode):
    path.chmod(mode)
    with pytest.raises(KeyFileExposed):
        read_key_file(path, PASSPHRASE)


def test_another_users_file_is_refused(path, monkeypatch):
    monkeypatch.setattr(key_file.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(KeyFileExposed):
        read_key_file(path, PASSPHRASE)


def test_a_pipe_or_folder_in_its_place_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyFileExposed):
        read_key_file(tmp_path / "pipe", PASSPHRASE)
    with pytest.raises((KeyFileExposed, KeyFileUnavailable)):
        read_key_file(tmp_path, PASSPHRASE)


def test_a_truncated_file_is_damaged(path):
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(KeyFileDamaged):
        read_key_file(path, PASSPHRASE)


def test_a_missing_file_or_folder_is_unavailable(tmp_path):
    with pytest.raises(KeyFileUnavailable):
        read_key_file(tmp_path / "none", PASSPHRASE)
    with pytest.raises(KeyFileUnavailable):
        write_key_file(tmp_path / "no" / "folder", KEYS, PASSPHRASE, cost=CHEAP)


def test_threads_that_open_key_files_at_once_do_not_wait_for_each_other_for_ever() -> None:
    """In a process of its own: where they do, nothing else would end it."""
    program = (
        "import os, threading\n"
        "from lockgate.keystore.stretch import DEFAULT_COST, Passphrase\n"
        "def run():\n"
        "    for _ in range(4): Passphrase('a passphrase').root(os.urandom(16), DEFAULT_COST)\n"
        "threads = [threading.Thread(target=run) for _ in range(2)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
