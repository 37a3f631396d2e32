"""Compiled code on disk: private, authenticated, and never handed to wasmtime when it was changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lockgate.runtime.errors import CacheNotPrivate
from lockgate.runtime.wasm import CodeCache, Found, Sandbox, cache, component_bytes
from tests.support import hostile
from tests.support.guests import call, message

COMPONENT = b"\xc0" * 32
CODE = b"machine code " * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "code"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "key" / "code.key"


@pytest.fixture
def kept(folder: Path, key_file: Path) -> CodeCache:
    made = CodeCache(folder, key_file)
    assert made.write(COMPONENT, "a=1", CODE)
    return made


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_gives_back_what_was_kept(kept: CodeCache, folder: Path, key_file: Path) -> None:
    assert kept.read(COMPONENT, "a=1") == (CODE, Found.HIT)
    assert CodeCache(folder, key_file).read(COMPONENT, "a=1") == (CODE, Found.HIT)
    assert kept.holds(COMPONENT, "a=1")


def test_modes_are_private(kept: CodeCache, folder: Path, key_file: Path) -> None:
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, only_file(folder), key_file.parent, key_file)]
    assert [oct(mode) for mode in modes] == ["0o700", "0o600", "0o700", "0o600"]


def test_a_folder_that_was_open_is_closed(folder: Path, key_file: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    CodeCache(folder, key_file)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("component", [b"\xc1" * 32])
@pytest.mark.parametrize("settings", ["a=1", "a=2"])
def test_another_component_or_configuration_is_absent(kept: CodeCache, component: bytes, settings: str) -> None:
    assert kept.read(component, settings) == (None, Found.ABSENT)
    assert not kept.holds(component, settings)


def test_another_wasmtime_or_cpu_is_absent(kept: CodeCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "version", lambda _: "51.0.0")
    assert kept.read(COMPONENT, "a=1") == (None, Found.ABSENT)
    monkeypatch.undo()
    monkeypatch.setattr(cache, "_cpu", lambda: "Linux x86_64 sse2")
    assert kept.read(COMPONENT, "a=1") == (None, Found.ABSENT)


def test_any_changed_byte_is_found(kept: CodeCache, folder: Path) -> None:
    good = only_file(folder).read_bytes()
    for at in (*range(90), len(good) - 1):
        only_file(folder).write_bytes(good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :])
        assert kept.read(COMPONENT, "a=1") == (None, Found.TAMPERED), at


@pytest.mark.parametrize("length", [0, 10, 54, 55, 100])
def test_a_truncated_file_is_found(kept: CodeCache, folder: Path, length: int) -> None:
    only_file(folder).write_bytes(only_file(folder).read_bytes()[:length])
    assert kept.read(COMPONENT, "a=1") == (None, Found.TAMPERED)


def test_one_components_code_does_not_pass_for_anothers(kept: CodeCache, folder: Path) -> None:
    mine = only_file(folder)
    assert kept.write(b"\xc1" * 32, "a=1", b"other")
    (other,) = (file for file in folder.iterdir() if file != mine)
    other.write_bytes(mine.read_bytes())
    assert kept.read(b"\xc1" * 32, "a=1") == (None, Found.TAMPERED)


def test_another_installations_cache_is_no_hit(kept: CodeCache, folder: Path, tmp_path: Path) -> None:
    assert CodeCache(folder, tmp_path / "other" / "key").read(COMPONENT, "a=1") == (None, Found.TAMPERED)


def test_a_key_others_could_read_is_replaced(kept: CodeCache, folder: Path, key_file: Path) -> None:
    before = key_file.read_bytes()
    key_file.chmod(0o644)
    assert CodeCache(folder, key_file).read(COMPONENT, "a=1") == (None, Found.TAMPERED)
    assert key_file.read_bytes() != before
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_broken_key_is_replaced(folder: Path, key_file: Path, content: bytes) -> None:
    CodeCache(folder, key_file)
    key_file.write_bytes(content)
    CodeCache(folder, key_file)
    assert len(key_file.read_bytes()) == 32


def test_anothers_folder_is_refused(folder: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_711)
    with pytest.raises(CacheNotPrivate):
        CodeCache(folder, key_file)


def test_a_full_disk_costs_the_cache_and_nothing_else(
    kept: CodeCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert not kept.write(COMPONENT, "a=1", b"newer")
    monkeypatch.undo()
    assert kept.read(COMPONENT, "a=1") == (CODE, Found.HIT)
    assert len(list(folder.iterdir())) == 1


def test_the_files_used_last_are_kept(kept: CodeCache, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_FILES", 3)
    first = only_file(folder)
    for n in range(4):
        os.utime(first, ns=(0, 0))
        assert kept.read(COMPONENT, "a=1")[1] is Found.HIT
        assert kept.write(bytes((n,)) * 32, "a=1", CODE)
    assert len(list(folder.iterdir())) == 3
    assert not kept.holds(b"\x00" * 32, "a=1")
    assert kept.holds(b"\x03" * 32, "a=1")


def test_a_sandbox_compiles_once_and_again_after_tampering(folder: Path, key_file: Path) -> None:
    component = component_bytes(hostile.component())
    found = []
    for tamper in (False, False, True, False):
        if tamper:
            data = bytearray(only_file(folder).read_bytes())
            data[-1] ^= 1
            only_file(folder).write_bytes(bytes(data))
        with Sandbox(cache=CodeCache(folder, key_file)) as sandbox:
            loaded = sandbox.load(component)
            assert call(loaded.guest, message(b"x")).fuel_used > 0
            found.append(loaded.code)
    assert found == [Found.ABSENT, Found.HIT, Found.TAMPERED, Found.HIT]


def test_authentic_code_of_another_engine_is_compiled_again(folder: Path, key_file: Path) -> None:
    component = component_bytes(hostile.component())
    kept = CodeCache(folder, key_file)
    with Sandbox(cache=kept) as sandbox:
        identity, settings = sandbox.load(component).guest.identity, sandbox.settings.text()
    assert kept.write(identity, settings, b"authentic, and no machine code")
    with Sandbox(cache=kept) as sandbox:
        assert sandbox.load(component).code is Found.STALE
        assert sandbox.load(component).code is Found.HIT


def test_what_is_not_of_the_world_is_not_kept(folder: Path, key_file: Path) -> None:
    with Sandbox(cache=CodeCache(folder, key_file)) as sandbox, pytest.raises(Exception, match="not part"):
        sandbox.load(component_bytes(hostile.component(outside='(import "exec" (func))')))
    assert list(folder.iterdir()) == []
