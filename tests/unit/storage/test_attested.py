"""What an attestor signed is on disk before it is signed, and nothing that contradicts it ever is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lockgate.primitives.time import UnixNanos
from lockgate.storage import attested
from lockgate.storage.attested import RECORD_BYTES, AttestedState, AttestedStateBroken, SaidOtherwise, TooOld
from lockgate.storage.ledger import StoreInUse

DOMAIN, ROOT, OTHER = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32


def at(height: int) -> UnixNanos:
    return UnixNanos(1_000 * height)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "one.said"
    AttestedState.create(made, DOMAIN)
    return made


def said(path: Path, *heights: int) -> None:
    state = AttestedState.open(path, DOMAIN)
    for height in heights:
        state.record(height, at(height), ROOT)
    state.close()


def test_a_height_has_one_time_and_root_for_ever(path: Path) -> None:
    said(path, 5)
    for _ in range(2):  # also after a start from disk
        state = AttestedState.open(path, DOMAIN)
        size = path.stat().st_size
        state.record(5, at(5), ROOT)
        for time, root in ((at(5), OTHER), (UnixNanos(at(5) + 1), ROOT)):
            with pytest.raises(SaidOtherwise):
                state.record(5, time, root)
        assert path.stat().st_size == size, "nothing was written"
        assert state.newest == 5
        state.close()


def test_a_later_height_is_later_in_time_on_both_sides(path: Path) -> None:
    said(path, 5, 9)
    state = AttestedState.open(path, DOMAIN)
    for height, time in ((7, at(9)), (7, at(5)), (10, at(9)), (4, at(5))):
        with pytest.raises(SaidOtherwise):
            state.record(height, time, ROOT)
    state.record(7, at(7), OTHER)
    state.close()


def test_the_bytes_are_synced_before_record_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = AttestedState.open(path, DOMAIN)
    true, order = os.fdatasync, []

    def synced(descriptor: int) -> None:
        order.append(path.stat().st_size)
        true(descriptor)

    monkeypatch.setattr(os, "fdatasync", synced)
    before = path.stat().st_size
    state.record(5, at(5), ROOT)
    assert order == [before + RECORD_BYTES], "written, then synced, once"
    state.close()


def test_a_record_that_was_not_synced_is_not_kept_when_it_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = AttestedState.open(path, DOMAIN)

    def fails(descriptor: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(OSError, match="no space"):
        state.record(5, at(5), ROOT)
    assert state.newest == 0
    state.close()


@pytest.mark.parametrize("torn", [1, RECORD_BYTES - 1])
def test_a_torn_last_record_was_never_signed(path: Path, torn: int) -> None:
    said(path, 5, 6)
    with path.open("ab") as file:
        file.write(b"\x00" * torn)
    state = AttestedState.open(path, DOMAIN)
    assert state.newest == 6
    state.record(7, at(7), ROOT)
    state.close()
    assert (path.stat().st_size % RECORD_BYTES) == (48 + 16) % RECORD_BYTES
    said(path, 5, 6, 7)


def spoil_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-2 * RECORD_BYTES + 20] ^= 1
    path.write_bytes(bytes(data))


def spoil_head(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[9] ^= 1  # the lowest height that may be signed
    path.write_bytes(bytes(data))


def twice(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data + data[-RECORD_BYTES:])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:40]),
        spoil_middle,
        spoil_head,
        twice,
    ],
)
def test_a_record_that_is_lost_or_altered_stops_the_attestor(path: Path, spoil: object) -> None:
    said(path, 5, 6)
    spoil(path)  # type: ignore[operator]  # each is called with the path
    with pytest.raises(AttestedStateBroken):
        AttestedState.open(path, DOMAIN)


def test_the_record_of_another_ledger_is_none(path: Path) -> None:
    with pytest.raises(AttestedStateBroken):
        AttestedState.open(path, OTHER)
    said(path, 5)  # the failed opening holds no lock


def test_one_process_holds_it(path: Path) -> None:
    state = AttestedState.open(path, DOMAIN)
    with pytest.raises(StoreInUse):
        AttestedState.open(path, DOMAIN)
    state.close()
    said(path, 5)


def test_an_attestor_is_made_once(path: Path) -> None:
    said(path, 5)
    with pytest.raises(FileExistsError):
        AttestedState.create(path, DOMAIN)


def test_what_is_forgotten_is_never_signed_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attested, "KEPT", 4)
    said(path, *range(10, 19))
    size = path.stat().st_size
    for _ in range(2):
        state = AttestedState.open(path, DOMAIN)
        assert state.newest == 18
        for height in (9, 13):
            with pytest.raises(TooOld):
                state.record(height, at(height), ROOT)
        with pytest.raises(SaidOtherwise):
            state.record(15, at(15), OTHER)
        state.record(15, at(15), ROOT)
        state.close()
    assert size < 48 + 16 + 9 * RECORD_BYTES
