"""What a theft is good for follows from where the keys lie, the schedule, and what the ledger says (S13)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lockgate.node import keystores
from lockgate.node.config import save
from lockgate.node.exposure import Exposure, Standing, exposure, exposures
from lockgate.node.folder import Folder
from lockgate.node.identity import open_keys
from lockgate.node.keystores import Party
from lockgate.node.reserve import set_apart
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from tests.support.hosts import HostWorld, in_world

STANDING = Standing(0, 0, 10, UnixNanos(5_000 * NANOS_PER_SECOND), None, 0)
IN_FILES = {"identity": {"file"}, "sealing": {"file"}, "account": {"file"}}
IN_A_TOKEN = {"identity": {"pkcs11", "file"}, "sealing": {"pkcs11", "file"}, "account": {"pkcs11"}}
IN_A_TPM = {"identity": {"tpm", "file"}, "sealing": {"tpm", "file"}, "account": {"file"}}
SEALED = {role: {"tpm-sealed"} for role in IN_FILES}


def of(stolen: str, standing: Standing, places: dict[str, set[str]]) -> Exposure:
    return next(each for each in exposures(standing, places) if each.stolen.startswith(stolen))


@pytest.mark.parametrize("places", [IN_FILES, SEALED, {}])
def test_the_whole_file_is_the_endpoint_until_it_is_revoked(places: dict[str, set[str]]) -> None:
    """The next identity lies in it, so a rotation is the thief's to make as well."""
    found = of("the key file", STANDING, places)
    assert "acting as this endpoint" in found.good_for
    assert found.until == "a revocation stands, 10 blocks after it is announced; a rotation does not end it"


def test_P22_half_a_key_is_none() -> None:
    """[P22]"""
    assert of("the key file", STANDING, IN_A_TOKEN).good_for == "nothing without the device"
    found = of("the key file", STANDING, IN_A_TPM)
    assert "account" in found.good_for
    assert "identity" not in found.good_for
    assert "5000" in found.until


def test_a_single_key_counts_until_the_next_rotation() -> None:
    for stolen in ("the identity key", "the sealing key", "the account"):
        assert "the rotation due at 5000" in of(stolen, STANDING, IN_FILES).until
        unscheduled = dataclasses.replace(STANDING, next_rotation=None)
        assert "for good unless one is made" in of(stolen, unscheduled, IN_FILES).until


def test_a_thief_of_the_account_can_stop_the_endpoint_and_a_schedule_does_not_end_that() -> None:
    found = of("the account", STANDING, IN_FILES)
    for each in ("stopping this endpoint for good", "inbox", "tokens", "balance"):
        assert each in found.good_for
    assert "made while the host runs" in found.until
    assert "`lockgate keys rotate` by hand" in found.until


@in_world()
async def test_a_reserve_keeps_apart_what_lies_nowhere_else(
    world: HostWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "a long enough passphrase")
    folder, medium = Folder(tmp_path / "data"), tmp_path / "medium"
    party = Party("hosts", "b", folder.host("b"))
    open_keys(folder, "b").close()
    save(world.config(world.b), party.home / "endpoint.json")
    assert not (await exposure(folder, party))[0].apart
    keystores.set_reserve(party.home, medium)
    assert not (await exposure(folder, party))[0].apart, "it is named, and both identities lie here"
    keystores.set_reserve(party.home, None)
    set_apart(folder, party, str(medium))
    assert (await exposure(folder, party))[0].apart


@pytest.mark.parametrize("places", [IN_FILES, IN_A_TOKEN, IN_A_TPM])
def test_root_can_rotate_it_away_wherever_the_keys_lie(places: dict[str, set[str]]) -> None:
    found = of("the running host", STANDING, places)
    assert "rotating it to keys of the thief's own" in found.good_for
    assert found.until.startswith("a revocation stands")
    assert ("leaves the device" in found.good_for) == (places is not IN_FILES)


def test_old_sealing_keys_are_named_as_long_as_they_are_held() -> None:
    assert not [each for each in exposures(STANDING, IN_FILES) if "earlier" in each.stolen]
    held = dataclasses.replace(STANDING, old_keys_until=UnixNanos(7_000 * NANOS_PER_SECOND), open_messages=3)
    assert of("sealing keys of earlier", held, IN_FILES).until == "erased at 7000 (unix) and 3 open messages have ended"


def test_a_revoked_endpoint_is_over() -> None:
    (only,) = exposures(dataclasses.replace(STANDING, revoked_at=77), IN_FILES)
    assert "77" in only.until
    assert "recorded" in only.good_for


def test_an_unknown_delay_is_said_to_be_its_ledgers() -> None:
    assert "its ledger" in of("the key file", dataclasses.replace(STANDING, delay_blocks=None), IN_FILES).until
