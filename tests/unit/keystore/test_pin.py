"""A PIN comes from a private file or from a person, and from nowhere else."""

from __future__ import annotations

import os

import pytest

from lockgate.keystore import pin as module
from lockgate.keystore.errors import PinUnreadable
from lockgate.keystore.pin import MAX_PIN_BYTES, read_pin


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pin"
    path.touch(mode=0o600)
    path.write_bytes(b"246810\n")
    return path


def test_it_is_the_files_line(file):
    assert read_pin(str(file), "t").reveal() == b"246810"
    file.write_bytes("pä ss \n\n".encode())
    assert read_pin(str(file), "t").reveal() == "pä ss \n".encode()
    assert "246810" not in repr(read_pin(str(file), "t"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_touch_is_refused(file, mode):
    file.chmod(mode)
    with pytest.raises(PinUnreadable):
        read_pin(str(file), "t")


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"1" * (MAX_PIN_BYTES + 1)])
def test_what_is_no_pin_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(PinUnreadable) as caught:
        read_pin(str(file), "t")
    assert "11111" not in str(caught.value)


def test_only_a_plain_file_will_do(file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(file)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (link, pipe, tmp_path, tmp_path / "none"):
        with pytest.raises(PinUnreadable):
            read_pin(str(path), "t")


def test_a_person_is_asked_where_there_is_one(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked = []
    monkeypatch.setattr(module.getpass, "getpass", lambda prompt: asked.append(prompt) or "13579")
    assert read_pin(None, "token t").reveal() == b"13579"
    assert asked == ["PIN of token t: "]


def test_nobody_is_asked_without_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(PinUnreadable):
        read_pin(None, "token t")
