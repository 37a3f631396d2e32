"""A next identity that lies apart: a copy of the key file acts until the next rotation, and cannot rotate (P5, S13)."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from lockgate.machine.identity import KeyRecord, verify_records
from lockgate.node import keystores
from lockgate.node.exposure import Standing, exposures
from lockgate.node.folder import Folder
from lockgate.node.identity import Cabinet, inception, open_keys
from lockgate.node.keystores import Party
from lockgate.node.reserve import NotApart, ReserveAbsent, identities, open_reserve, reserve_of, set_apart
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.storage.ledger import StoreInUse, take_lock


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "a long enough passphrase")
    return Folder(tmp_path / "data")


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    return tmp_path / "medium"


def host(folder: Folder) -> Party:
    return Party("hosts", "h", folder.host("h"))


def first(folder: Folder) -> KeyRecord:
    record, signed = inception(open_keys(folder, "h"))
    (found,) = verify_records(record.endpoint_id, [signed])
    return found


def held(folder: Folder) -> list[str]:
    return identities(keystores.open_keystore(folder, folder.host("h"), {}))


def test_P5_the_owner_rotates_with_the_medium_and_nobody_without(folder: Folder, medium: Path) -> None:
    record = first(folder)
    assert set_apart(folder, host(folder), str(medium)) == {"party": "host/h", "reserve": str(medium)}
    assert (held(folder), identities(open_reserve(medium))) == (["identity-0"], ["identity-1"])
    away = medium.rename(medium.with_name("in a drawer"))
    with pytest.raises(ReserveAbsent):
        Cabinet(folder, "h").next_record(record)
    assert held(folder) == ["identity-0"]
    away.rename(medium)
    second = Cabinet(folder, "h").next_record(record)
    assert Cabinet(folder, "h").next_record(record).body == second.body, "asked again, it is the same"
    chain = [record]
    following = KeyRecord.from_body(second.body)
    assert following.previous == record.hash
    assert (held(folder), identities(open_reserve(medium))) == (["identity-0", "identity-1"], ["identity-2"])
    cabinet = Cabinet(folder, "h")
    cabinet.settled(following)
    assert held(folder) == ["identity-1"]
    assert cabinet.ring([*chain, following]).signer.key == following.identity
    third = KeyRecord.from_body(cabinet.next_record(following).body)
    assert (third.index, reserve_of(folder.host("h"))) == (2, medium), "the record of keys still names the place"


def test_it_comes_back(folder: Folder, medium: Path) -> None:
    record = first(folder)
    expected = Cabinet(folder, "h").next_record(record).body
    folder.host("h").joinpath("keys").unlink()
    record = first(folder)
    set_apart(folder, host(folder), str(medium))
    set_apart(folder, host(folder), "none")
    assert (held(folder), reserve_of(folder.host("h"))) == (["identity-0", "identity-1"], None)
    assert identities(open_reserve(medium)) == []
    assert Cabinet(folder, "h").next_record(record).body != expected, "of other keys"
    set_apart(folder, host(folder), "none")
    with pytest.raises(NotApart):  # a rotation is under way: its record may stand
        set_apart(folder, host(folder), str(medium))


@pytest.mark.parametrize("step", ["take", "set_reserve", "drop"])
def test_a_move_that_was_cut_off_is_finished_by_the_next(
    folder: Folder, medium: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    record = first(folder)
    with monkeypatch.context() as patched:
        target = (
            "lockgate.node.reserve.set_reserve" if step == "set_reserve" else f"lockgate.keystore.store.Keystore.{step}"
        )
        patched.setattr(target, _dies)
        with pytest.raises(KeyboardInterrupt):
            set_apart(folder, host(folder), str(medium))
    Cabinet(folder, "h").ring([record])
    set_apart(folder, host(folder), str(medium))
    assert (held(folder), identities(open_reserve(medium))) == (["identity-0"], ["identity-1"])


@pytest.mark.parametrize("step", ["take", "set_reserve", "drop"])
def test_so_is_the_way_back(folder: Folder, medium: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Whoever finds the medium afterwards has nothing."""
    record = first(folder)
    set_apart(folder, host(folder), str(medium))
    with monkeypatch.context() as patched:
        target = (
            "lockgate.node.reserve.set_reserve" if step == "set_reserve" else f"lockgate.keystore.store.Keystore.{step}"
        )
        patched.setattr(target, _dies)
        with pytest.raises(KeyboardInterrupt):
            set_apart(folder, host(folder), "none")
    Cabinet(folder, "h").ring([record])
    set_apart(folder, host(folder), "none")
    assert (held(folder), reserve_of(folder.host("h"))) == (["identity-0", "identity-1"], None)
    assert identities(open_reserve(medium)) == []


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


def test_where_it_may_lie(folder: Folder, medium: Path) -> None:
    first(folder)
    with pytest.raises(NotApart):
        set_apart(folder, host(folder), str(folder.root / "hosts" / "h" / "apart"))
    with pytest.raises(NotApart):
        set_apart(folder, Party("relays", "r", folder.relay("r")), str(medium))
    lock = take_lock(folder.host("h") / "host.lock")
    with pytest.raises(StoreInUse):
        set_apart(folder, host(folder), str(medium))
    os.close(lock)
    assert not medium.exists()
    other = Folder(folder.root.with_name("other"))
    first(other)
    taken = medium.with_name("taken")
    set_apart(other, host(other), str(taken))
    with pytest.raises(NotApart):
        set_apart(folder, host(folder), str(taken))
    assert held(folder) == ["identity-0", "identity-1"]
    set_apart(folder, host(folder), str(medium))
    with pytest.raises(NotApart):
        set_apart(folder, host(folder), str(medium.with_name("another")))
    assert held(folder) == ["identity-0"]


def test_S13_what_a_thief_can_do_ends_with_a_rotation() -> None:
    standing = Standing(0, 0, 10, UnixNanos(5_000 * NANOS_PER_SECOND), None, 0, apart=True)
    places = {role: {"file"} for role in ("identity", "sealing", "account")}
    (file,) = [each for each in exposures(standing, places) if each.stolen.startswith("the key file")]
    assert "acting as this endpoint" in file.good_for
    assert "the rotation due at 5000" in file.until
    without = dataclasses.replace(standing, apart=False)
    (file,) = [each for each in exposures(without, places) if each.stolen.startswith("the key file")]
    assert "a rotation does not end it" in file.until
