"""Keys of ledgers and relayers rotate by their own periods; what fails is said and tried again (S11)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lockgate.node import keys, keystores, rotating, schedule
from lockgate.node.folder import Folder, NotRunning, NotWritable, write_json
from lockgate.node.keystores import Party
from lockgate.node.provision import RELAY_KEYS
from lockgate.node.rotating import ACCOUNT, AUTHORITY, OPERATOR, NotCovered, Rotation, keep
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import UnixNanos

NOT_NOW = NotRunning("not now")


@pytest.fixture
def party(tmp_path: Path) -> Party:
    return Party("ledgers", "alpha", Folder(tmp_path).ledger("alpha"))


def looked(
    party: Party,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: str = "",
    failure: Exception = NOT_NOW,
) -> list[Any]:
    """Run until the second look is over; returns what was rotated, and what was reported."""
    seen: list[Any] = []

    async def rotate(rotation: Rotation) -> dict[str, Any]:
        if rotation.key == failing:
            raise failure
        seen.append(rotation.key)
        schedule.Memory(party.home, rotation.key).note(rotating.SystemClock().now())
        return {}

    async def work() -> None:
        keys = [OPERATOR, AUTHORITY]
        task = asyncio.create_task(
            keep(Folder(tmp_path), party, keys, lambda kind, fields: seen.append((kind, fields["key"])))
        )
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    monkeypatch.setattr(Rotation, "rotate", rotate)
    monkeypatch.setattr(schedule, "LOOK_S", 0.05)
    asyncio.run(work())
    return seen


def test_each_key_has_a_period_of_its_own(party: Party, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked(party, tmp_path, monkeypatch) == []
    schedule.write(party.home, 3_600, UnixNanos(0), OPERATOR)
    assert looked(party, tmp_path, monkeypatch) == [OPERATOR], "once, and not at every look"
    schedule.write(party.home, 7_200, UnixNanos(0), AUTHORITY)
    assert looked(party, tmp_path, monkeypatch) == [AUTHORITY]


def test_what_fails_is_said_and_keeps_no_other_key(
    party: Party, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in (OPERATOR, AUTHORITY):
        schedule.write(party.home, 3_600, UnixNanos(0), key)
    seen = looked(party, tmp_path, monkeypatch, failing=OPERATOR)
    assert seen[:2] == [("rotation_failed", OPERATOR), AUTHORITY]
    assert seen.count(("rotation_failed", OPERATOR)) >= 2


def test_what_nobody_foresaw_is_said_and_ends_no_schedule(
    party: Party, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in (OPERATOR, AUTHORITY):
        schedule.write(party.home, 3_600, UnixNanos(0), key)
    (party.home / f"rotated-{OPERATOR}.json").write_text("[]")
    seen = looked(party, tmp_path, monkeypatch)
    assert seen[:2] == [("rotation_failed", OPERATOR), AUTHORITY], "a record that does not read"
    (party.home / f"rotated-{OPERATOR}.json").unlink()
    (party.home / f"rotated-{AUTHORITY}.json").unlink()
    seen = looked(party, tmp_path, monkeypatch, failing=OPERATOR, failure=OSError("no locks available"))
    assert seen[:2] == [("rotation_failed", OPERATOR), AUTHORITY]
    assert seen.count(("rotation_failed", OPERATOR)) >= 2


def test_a_lock_that_cannot_be_made_is_a_refusal_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "a long enough passphrase")
    home = Folder(tmp_path).relay("r")
    (home / keystores.LOCK).mkdir(parents=True)
    with pytest.raises(NotWritable), keystores.changing(Folder(tmp_path), home, RELAY_KEYS):
        pass


def test_a_relayer_to_another_chain_has_no_schedule_and_none_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "a long enough passphrase")
    folder = Folder(tmp_path)
    keys.made(folder, "relay/r", "")
    keys.scheduled(folder, "relay/r", "2 h")
    assert keys.listed(folder)[0]["next_rotation"]
    write_json(folder.relay("r") / "relay.json", {"chain": "sepolia", "between": ["alpha"]})
    for refused in (lambda: keys.scheduled(folder, "relay/r", "3 h"), lambda: keys.scheduled(folder, "relay/r")):
        with pytest.raises(NotCovered, match="another chain"):
            refused()
    assert keys.listed(folder)[0]["next_rotation"] is None
    row, found = asyncio.run(keys.exposed(folder, "relay/r"))
    assert row[ACCOUNT]["next_rotation"] is None
    assert any("not scheduled" in each.until for each in found)


def test_a_relayer_to_another_chain_says_what_to_do(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    write_json(folder.relay("r") / "relay.json", {"chain": "sepolia", "between": ["alpha"]})
    rotation = Rotation(folder, Party("relays", "r", folder.relay("r")), ACCOUNT)
    with pytest.raises(NotCovered) as refusal:
        asyncio.run(rotation.rotate())
    assert isinstance(refusal.value, LockgateError)
    assert schedule.last_rotation(schedule.Memory(folder.relay("r"), ACCOUNT)) is None
