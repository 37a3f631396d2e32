"""What a TPM does for a keystore, and refuses it, on swtpm: other software, another machine. See also `tests/ports`."""

from __future__ import annotations

import dataclasses
import os
import shutil
import stat

import pytest

from lockgate.crypto.keys import KeyRole
from lockgate.keystore.blobs import MAGIC, Blob, BlobFolder
from lockgate.keystore.device import DeviceDhKey, DeviceSigner
from lockgate.keystore.errors import (
    DeviceAbsent,
    DeviceKeyMissing,
    DeviceKeyUnsafe,
    KeyFileDamaged,
    OtherTpm,
    PlatformChanged,
    WrongPassphrase,
)
from lockgate.keystore.opening import open_place
from lockgate.keystore.place import parse
from lockgate.keystore.ports import GROUPS, Kind
from lockgate.keystore.stretch import Passphrase
from lockgate.keystore.tpm import Tpm
from tests.support.tokens import SoftTpm, swtpm_reason

pytestmark = pytest.mark.interop
PASSPHRASE = Passphrase("not what opens a sealed file")


@pytest.fixture
def simulator(tmp_path):
    reason = swtpm_reason()
    if reason:
        pytest.skip(reason)
    simulator = SoftTpm(tmp_path / "state")
    yield simulator
    simulator.stop()


@pytest.fixture
def other(tmp_path, simulator):
    other = SoftTpm(tmp_path / "other-state")
    yield other
    other.stop()


@pytest.fixture
def tpm(simulator, tmp_path):
    tpm = Tpm(parse(simulator.address()), tmp_path / "blobs")
    yield tpm
    tpm.close()


@pytest.fixture
def signer(tpm):
    return DeviceSigner(tpm, "s", "ES256", tpm.generate("s", "ES256"))


@pytest.fixture
def agreement(tpm):
    return DeviceDhKey(tpm, "a", "P-256", tpm.generate("a", "P-256"))


PEER = GROUPS["P-256"].private_key(b"\x01" * 32).public_key


@pytest.mark.parametrize("pcr", [0, 7])
def test_P22_after_a_start_with_other_software_no_key_is_used(simulator, tpm, signer, agreement, pcr):
    """[P22]"""
    simulator.extend(pcr)
    for use in (lambda: signer.sign(b"m"), lambda: agreement.exchange(PEER), lambda: tpm.public_key("s", "ES256")):
        with pytest.raises(PlatformChanged):
            use()
    simulator.restart()  # with what it was first
    assert signer.sign(b"m")
    assert agreement.exchange(PEER)


def test_a_pcr_that_is_not_named_changes_nothing(simulator, signer, agreement):
    simulator.extend(8)
    assert signer.sign(b"m")
    assert agreement.exchange(PEER)


def test_a_machine_that_was_off_has_its_keys(simulator, tpm, signer):
    simulator.restart()
    assert signer.sign(b"m")


def test_without_the_tpm_nothing_goes_and_with_it_all_goes_on(simulator, signer, agreement):
    assert signer.sign(b"m")
    simulator.stop()
    for use in (lambda: signer.sign(b"m"), lambda: agreement.exchange(PEER)):
        with pytest.raises(DeviceAbsent):
            use()
    simulator.start()
    assert signer.sign(b"m")
    assert agreement.exchange(PEER)


def test_P22_a_disk_in_another_machine_opens_nothing(other, tpm, signer, tmp_path):
    """[P22]"""
    thief = Tpm(parse(other.address()), tmp_path / "blobs")
    with pytest.raises(OtherTpm):
        thief.sign("s", "ES256", b"m")
    with pytest.raises(OtherTpm):
        thief.public_key("s", "ES256")
    thief.close()
    assert signer.sign(b"m")


def test_a_blob_that_was_altered_is_refused(tpm, signer, tmp_path):
    folder = BlobFolder(tmp_path / "blobs")
    blob = folder.read("s")
    other = dataclasses.replace(blob, private=blob.private[:-1] + bytes([blob.private[-1] ^ 1]))
    for spoiled in (other, dataclasses.replace(blob, private=b"")):
        folder.remove("s")
        folder.write(spoiled)
        with pytest.raises(OtherTpm):
            signer.sign(b"m")
    folder.remove("s")
    folder.write(dataclasses.replace(blob, pcrs=(8,)))  # it would be easier to meet; the TPM knows better
    with pytest.raises(PlatformChanged):
        signer.sign(b"m")
    folder.remove("s")
    folder.write(blob)
    assert signer.sign(b"m")


@pytest.mark.parametrize("data", [b"", MAGIC, MAGIC + b"\x80", MAGIC + b"\x84\x61s\x80\x40", b"\0" * 5000])
def test_a_file_that_is_no_blob_is_named(tpm, signer, tmp_path, data):
    (path,) = (tmp_path / "blobs").iterdir()
    path.write_bytes(data)
    with pytest.raises(KeyFileDamaged):
        signer.sign(b"m")


def test_a_blob_under_another_name_is_refused(tpm, signer, tmp_path):
    tpm.generate("t", "ES256")
    folder = tmp_path / "blobs"
    one, two = sorted(folder.iterdir())
    moved = next(label for label in ("s", "t") if BlobFolder(folder)._path(label) == two)
    shutil.copyfile(one, two)
    with pytest.raises(KeyFileDamaged):
        tpm.public_key(moved, "ES256")


def test_a_key_for_one_use_is_not_taken_for_the_other(tpm, signer, agreement):
    with pytest.raises(DeviceKeyUnsafe):
        tpm.public_key("s", "P-256")
    with pytest.raises(DeviceKeyUnsafe):
        tpm.public_key("a", "ES256")


GOOD = ("FIXEDTPM", "FIXEDPARENT", "SENSITIVEDATAORIGIN", "NODA", "SIGN_ENCRYPT")


@pytest.mark.parametrize(
    ("names", "template"),
    [
        (
            ("NODA", "SENSITIVEDATAORIGIN", "SIGN_ENCRYPT"),
            "ecc256:ecdsa-sha256:null",
        ),  # another TPM may take it
        ((*GOOD, "USERWITHAUTH"), "ecc256:ecdsa-sha256:null"),  # the policy could be gone around
        ((*GOOD, "RESTRICTED"), "ecc256:ecdsa-sha256:null"),  # a key for the TPM's own statements
        ((*GOOD, "DECRYPT"), "ecc256:null"),  # two purposes
    ],
)
def test_P22_a_key_with_other_attributes_is_refused(tpm, tmp_path, names, template):
    """[P22]"""
    tpm.describe()
    api, attributes = tpm._api, 0
    for name in names:
        attributes |= getattr(api.TPMA_OBJECT, name)
    policy = tpm._policy((0, 7))
    public = api.TPM2B_PUBLIC.parse(template, objectAttributes=attributes, authPolicy=policy)
    private, public = tpm._create(api.TPM2B_SENSITIVE_CREATE(), public)
    BlobFolder(tmp_path / "blobs").write(Blob("s", (0, 7), private.marshal(), public.marshal()))
    with pytest.raises(DeviceKeyUnsafe):
        tpm.public_key("s", "ES256")


def test_a_key_bound_to_less_than_is_configured_is_refused(simulator, tmp_path):
    loose = Tpm(parse(simulator.address(pcrs="23")), tmp_path / "blobs")
    loose.generate("s", "ES256")
    loose.close()
    strict = Tpm(parse(simulator.address(pcrs="0,7")), tmp_path / "blobs")
    with pytest.raises(DeviceKeyUnsafe):
        strict.public_key("s", "ES256")
    strict.close()


def test_it_says_that_a_simulator_is_no_hardware(tpm):
    said = tpm.describe()
    assert "disk" in said.warning
    assert "PCRs 0, 7" in said.bound_to


def test_only_its_owner_may_touch_a_blob(tpm, signer, tmp_path):
    modes = {stat.S_IMODE(os.stat(path).st_mode) for path in (tmp_path / "blobs", *(tmp_path / "blobs").iterdir())}
    assert modes == {0o700, 0o600}


# A file that a TPM opens.


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "party"
    home.mkdir()
    return home


@pytest.fixture
def sealed(simulator, home):
    keystore = open_place(parse(simulator.address("tpm-sealed")), home, PASSPHRASE)
    keystore.make({"identity": (KeyRole.IDENTITY, 2), "account": (KeyRole.ACCOUNT, 1)})
    return keystore


def test_P22_a_sealed_file_opens_under_its_policy_alone(simulator, other, sealed, home):
    """[P22] It is named for what it is, and never hardware."""
    key = sealed.identity("identity").key
    place = parse(simulator.address("tpm-sealed"))
    assert open_place(place, home, PASSPHRASE).identity("identity").key == key
    assert {half.where for one in sealed.facts() for half in one.halves} == {Kind.TPM_SEALED}
    assert [said.kind for said in sealed.descriptions()] == [Kind.TPM_SEALED]
    simulator.extend(7)
    with pytest.raises(PlatformChanged):
        open_place(place, home, PASSPHRASE)
    with pytest.raises(OtherTpm):
        open_place(parse(other.address("tpm-sealed")), home, PASSPHRASE)
    with pytest.raises(WrongPassphrase):
        open_place(parse("file"), home, PASSPHRASE)


def test_a_sealed_file_without_its_blob_is_not_made_anew(simulator, sealed, home):
    before = (home / "keys").read_bytes()
    shutil.rmtree(home / "tpm")
    with pytest.raises(DeviceKeyMissing):
        open_place(parse(simulator.address("tpm-sealed")), home, PASSPHRASE)
    assert (home / "keys").read_bytes() == before
    assert not (home / "tpm").exists()


def test_nothing_of_the_sealed_secret_is_on_disk(sealed, home):
    secret = sealed._passphrase.text
    for path in home.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes()
            assert bytes.fromhex(secret) not in path.read_bytes()
    assert secret not in repr(sealed)
