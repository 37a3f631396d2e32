"""What a theft of a ledger's or relayer's key is good for follows from what its rotations have committed to (S13)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lockgate.keystore.place import FilePlace
from lockgate.node import doctor, ledger, schedule
from lockgate.node.exposures import KeyStanding, exposures, standing
from lockgate.node.folder import Folder, write_json
from lockgate.node.keystores import Party, changing
from lockgate.node.rotating import ACCOUNT, AUTHORITY, OPERATOR, ROTATES, VALIDATOR
from lockgate.node.spec import LedgerSpec, RelaySpec, Spec
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, seconds

DUE = UnixNanos(5_000 * NANOS_PER_SECOND)


def found(*names: str, committed: bool = True, in_device: bool = False, due: UnixNanos | None = DUE) -> dict[str, str]:
    keys = [KeyStanding(name, due, None, committed, in_device, 10) for name in names]
    return {each.stolen: f"{each.good_for} / {each.until}" for each in exposures(keys)}


def test_a_key_counts_until_the_rotation_that_is_due() -> None:
    rows = found(OPERATOR, AUTHORITY, VALIDATOR)
    assert list(rows) == [
        "the key file and its passphrase",
        "the authority's key",
        "the validator's key",
        "the operator's key",
    ]
    assert all("the rotation due at 5000" in text for name, text in rows.items() if "file" not in name)
    assert "10 blocks before they hold" in rows["the authority's key"]
    assert "trusting period" in rows["the validator's key"]
    assert "not scheduled" in found(ACCOUNT, due=None)["the account's key"]


@pytest.mark.parametrize("name", [ACCOUNT, OPERATOR, AUTHORITY])
def test_a_first_key_can_be_followed_by_a_key_of_the_thiefs(name: str) -> None:
    """Nothing has committed to the next one before the first rotation."""
    assert "thief's own" in found(name, committed=False)[f"the {name}'s key"]
    assert "thief's own" not in found(name)[f"the {name}'s key"]


def test_what_a_thief_of_the_authoritys_key_does_at_once_and_takes_back() -> None:
    first, later = (found(AUTHORITY, committed=each)["the authority's key"] for each in (False, True))
    for text in (first, later):
        assert "stopping lanes and suites at once" in text
        assert "cancelling announced ones" in text
    assert "the rotation to a next key among them" in first
    assert "the thief may cancel each" in first
    assert "but not the rotation to the key that was committed to" in later
    assert "cancel each" not in later


def test_the_whole_file_holds_the_next_keys_and_is_nothing_without_its_device() -> None:
    assert "a rotation does not end it" in found(OPERATOR, AUTHORITY)["the key file and its passphrase"]
    assert "nothing without the device" in found(OPERATOR, in_device=True)["the key file and its passphrase"]


@pytest.fixture
def party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Party:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "a long enough passphrase")
    folder = Folder(tmp_path)
    ledger.create(folder, "alpha", "alpha-1")
    return Party("ledgers", "alpha", folder.ledger("alpha"))


def test_it_is_read_from_records_the_genesis_and_the_schedules(party: Party, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    before = {each.key: each for each in standing(folder, party)}
    assert set(before) == set(ROTATES["ledgers"])
    assert not any(each.committed or each.in_device or each.next_rotation for each in before.values())
    assert {each.delay_blocks for each in before.values()} == {10}
    with changing(folder, party.home, ledger.wanted_keys) as keys:
        keys.make({ledger.authority_name(1): keys.kinds()["authority"]})
        assert str(FilePlace()) == "file"
    assert not any(each.committed for each in standing(folder, party)), "it is made before anything is submitted"
    schedule.write(party.home, 7_200, UnixNanos(0), AUTHORITY)
    schedule.Memory(party.home, AUTHORITY).note(DUE)
    after = {each.key: each for each in standing(folder, party)}
    assert after[AUTHORITY] == dataclasses.replace(
        before[AUTHORITY], committed=True, last_rotation=DUE, next_rotation=UnixNanos(DUE + seconds(7_200))
    )
    assert after[OPERATOR] == before[OPERATOR]


def test_doctor_warns_of_a_rotation_that_is_overdue(party: Party) -> None:
    schedule.write(party.home, 7_200, UnixNanos(0), OPERATOR)

    def levels(now: int) -> list[doctor.Level]:
        return [check.level for check in doctor._overdue(party, UnixNanos(seconds(now)))]

    assert levels(7_200) == levels(10_800) == []
    assert levels(10_801) == [doctor.Level.WARN]
    schedule.Memory(party.home, OPERATOR).note(UnixNanos(seconds(10_000)))
    assert levels(10_801) == []
    write_json(party.home / "rotation-operator.json", {"every_s": 1})
    assert levels(10_801) == [doctor.Level.FAIL]


def test_periods_stand_in_a_deployment_file() -> None:
    ledgers = (LedgerSpec("alpha", "alpha-1", rotate_every="90 d"), LedgerSpec("beta", "beta-1"))
    assert Spec(ledgers=ledgers, relay=RelaySpec(rotate_every="2 h")).ledgers[0].rotate_every == "90 d"
    for wrong in ("59 m", "0 h", "soon"):
        with pytest.raises(schedule.BadSchedule):
            Spec(relay=RelaySpec(rotate_every=wrong))
        with pytest.raises(schedule.BadSchedule):
            Spec(ledgers=(LedgerSpec("alpha", "alpha-1", rotate_every=wrong), ledgers[1]))
