"""Where a party's keys lie: chosen before they are made, recorded with what anybody may know, and kept to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockgate.crypto.keys import KeyRole
from lockgate.keystore import opening
from lockgate.keystore.errors import BadKeystore, OtherKeystore
from lockgate.keystore.ports import Kind
from lockgate.keystore.software import OsEntropy
from lockgate.lab.device import LabDevice
from lockgate.machine.identity import verify_records
from lockgate.node.custody import custody
from lockgate.node.folder import Folder
from lockgate.node.identity import Cabinet, inception, open_keys
from lockgate.node.keystores import RECORD, choose, open_keystore, parties, place_of
from lockgate.node.spec import HostSpec, Spec

WANTED = {"account": (KeyRole.ACCOUNT, 1)}
TOKEN = "pkcs11:token=t?module-path=/nowhere/token.so&pin-source=file:/nowhere/pin"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "a long enough passphrase")
    return Folder(tmp_path)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> LabDevice:
    """Stands behind every PKCS#11 address."""
    device = LabDevice(OsEntropy(), {"ES256", "P-256"})
    monkeypatch.setattr(opening, "Pkcs11Token", lambda _: device)
    return device


def test_without_a_record_it_is_a_file(folder: Folder) -> None:
    home = folder.relay("r")
    assert str(place_of(home)) == "file"
    open_keystore(folder, home, WANTED)
    assert str(place_of(home)) == "file"
    (home / RECORD).unlink()
    assert open_keystore(folder, home, WANTED).kinds() == WANTED
    assert not (home / RECORD).exists(), "reading writes nothing"


def test_a_place_is_chosen_before_there_are_keys(folder: Folder, device: LabDevice) -> None:
    home = folder.relay("r")
    choose(home, TOKEN)
    choose(home, TOKEN)
    assert str(place_of(home)) == TOKEN
    choose(home, "file")
    open_keystore(folder, home, WANTED)
    before = (home / RECORD).read_bytes()
    with pytest.raises(OtherKeystore):
        choose(home, TOKEN)
    assert (home / RECORD).read_bytes() == before
    choose(home, "file")


def test_a_record_that_names_another_place_does_not_move_keys(folder: Folder, device: LabDevice) -> None:
    home = folder.host("h")
    choose(home, TOKEN)
    open_keys(folder, "h")
    (home / RECORD).write_text(json.dumps({"place": "file"}))
    with pytest.raises(OtherKeystore):
        open_keys(folder, "h")


@pytest.mark.parametrize("record", ["[]", "{", '{"place": 7}', '{"place": "tape"}'])
def test_a_record_of_another_shape_is_named(folder: Folder, record: str) -> None:
    home = folder.relay("r")
    home.mkdir(parents=True)
    (home / RECORD).write_text(record)
    with pytest.raises(BadKeystore):
        open_keystore(folder, home, WANTED)
    assert not (home / "keys").exists()


def test_P22_a_host_rotates_with_half_of_its_keys_in_a_device(folder: Folder, device: LabDevice) -> None:
    """[P22] Suites follow the device; a rotated key is gone from it."""
    choose(folder.host("h"), TOKEN)
    first, signed = inception(open_keys(folder, "h"))
    assert (first.identity.suite, first.sealing.suite) == (3, 19)
    cabinet = Cabinet(folder, "h")
    chain = verify_records(first.endpoint_id, [signed, cabinet.next_record(first)])
    assert [label.split("/")[1] for label in device.labels()] == [
        "identity-0", "identity-1", "identity-2", "sealing-0", "sealing-1",
    ]  # fmt: skip
    cabinet.settled(chain[1])
    cabinet.forget(1)
    assert [label.split("/")[1] for label in device.labels()] == ["identity-1", "identity-2", "sealing-1"]
    assert cabinet.ring(chain).signer.key == chain[1].identity
    record = json.loads((folder.host("h") / RECORD).read_text())
    assert sorted(record["keys"]) == ["account-1", "identity-1", "identity-2", "sealing-1"]
    assert [half["where"] for half in record["keys"]["identity-1"]["halves"]] == ["lab", "file"]


def test_P22_custody_is_said_for_each_half(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """[P22]"""
    device = LabDevice(OsEntropy())
    monkeypatch.setattr(device, "kind", Kind.PKCS11)
    monkeypatch.setattr(opening, "Pkcs11Token", lambda _: device)
    choose(folder.host("h"), TOKEN)
    open_keys(folder, "h")
    (party,) = parties(folder)
    file, token = custody(folder, party)
    assert (file.kind, file.halves) == (Kind.FILE, ("ML-DSA-65", "ML-KEM-768"))
    assert (token.kind, token.halves) == (Kind.PKCS11, ("Ed25519", "X25519"))
    assert "passphrase alone" in file.disk_thief
    assert "no copy" in token.root_thief
    assert "takes a copy" in file.root_thief
    (folder.root / "passphrase").write_text("a long enough passphrase")
    assert "same disk" in custody(folder, party)[0].disk_thief
    (party.home / RECORD).write_text("{}")
    assert custody(folder, party) == []


def test_a_deployment_file_names_places(folder: Folder) -> None:
    with pytest.raises(BadKeystore):
        Spec(hosts=(HostSpec("one", "alpha", "echo", (), keystore="tape"),))
    assert Spec(hosts=(HostSpec("one", "alpha", "echo", (), keystore=TOKEN),))
