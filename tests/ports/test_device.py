"""One suite for the port `Device`: the lab's, SoftHSM2, a TPM simulator."""

from __future__ import annotations

import secrets

import pytest

from lockgate.crypto.dh import X25519
from lockgate.crypto.errors import BadKey
from lockgate.keystore.device import DeviceDhKey, DeviceSigner
from lockgate.keystore.errors import DeviceKeyExists, DeviceKeyMissing, DeviceKeyReplaced, DeviceLacksAlgorithm
from lockgate.keystore.ports import GROUPS, SIGNATURES
from lockgate.keystore.software import OsEntropy
from tests.ports.devices import DEVICES

pytestmark = pytest.mark.parametrize("reopen", DEVICES, indirect=True)
SMALL_ORDER = bytes(32)  # a point of X25519 whose multiples are all zero


@pytest.fixture
def device(reopen):
    device = reopen()
    yield device
    device.close()


@pytest.fixture
def label():
    return f"test/{secrets.token_hex(8)}"


def signing(device):
    return sorted(device.algorithms & SIGNATURES.keys())


def agreeing(device):
    return sorted(device.algorithms & GROUPS.keys())


def test_it_makes_keys_for_signatures_and_for_agreement(device):
    assert signing(device)
    assert agreeing(device)
    assert device.algorithms <= SIGNATURES.keys() | GROUPS.keys()


def test_signatures_verify_and_have_one_form(device, label):
    for algorithm in signing(device):
        name = f"{label}/{algorithm}"
        public = device.generate(name, algorithm)
        SIGNATURES[algorithm].check_public_key(public)
        signer = DeviceSigner(device, name, algorithm, public)
        for message in (b"", b"m", b"m" * 5000, *(bytes([i]) for i in range(8))):  # either s of ES256 comes up
            signature = signer.sign(message)
            assert SIGNATURES[algorithm].verify(public, signature, message)
            assert not SIGNATURES[algorithm].verify(public, signature, message + b"!")


def test_both_sides_agree(device, label):
    for algorithm in agreeing(device):
        name = f"{label}/{algorithm}"
        public = device.generate(name, algorithm)
        ours = DeviceDhKey(device, name, algorithm, public)
        group = GROUPS[algorithm]
        for _ in range(4):
            theirs = group.private_key(b"\x01" + OsEntropy().bytes(group.private_bytes - 1))
            assert ours.exchange(theirs.public_key) == theirs.exchange(public)


def test_a_bad_point_never_reaches_it(device, label):
    for algorithm in agreeing(device):
        name = f"{label}/{algorithm}"
        ours = DeviceDhKey(device, name, algorithm, device.generate(name, algorithm))
        group = GROUPS[algorithm]
        device.erase(name)  # what reached the device would be refused as missing
        good = group.private_key(b"\x01" * group.private_bytes).public_key
        for peer in (b"", good[:-1], good + b"\0", SMALL_ORDER if group is X25519 else good[:-1] + b"\x00"):
            with pytest.raises(BadKey):
                ours.exchange(peer)


def test_keys_outlive_the_hold(reopen, label):
    first = reopen()
    algorithm = signing(first)[0]
    public = first.generate(label, algorithm)
    first.close()
    second = reopen()
    assert second.public_key(label, algorithm) == public
    assert label in second.labels()
    assert SIGNATURES[algorithm].verify(public, DeviceSigner(second, label, algorithm, public).sign(b"m"), b"m")
    second.close()


def test_a_closed_hold_opens_again(device, label):
    algorithm = signing(device)[0]
    public = device.generate(label, algorithm)
    device.close()
    assert device.public_key(label, algorithm) == public


def test_erased_is_gone(device, label):
    algorithm = signing(device)[0]
    public = device.generate(label, algorithm)
    device.erase(label)
    device.erase(label)
    assert label not in device.labels()
    with pytest.raises(DeviceKeyMissing):
        device.public_key(label, algorithm)
    with pytest.raises(DeviceKeyMissing):
        DeviceSigner(device, label, algorithm, public).sign(b"m")


def test_a_label_names_one_key(device, label):
    algorithm = signing(device)[0]
    public = device.generate(label, algorithm)
    with pytest.raises(DeviceKeyExists):
        device.generate(label, algorithm)
    assert device.public_key(label, algorithm) == public


@pytest.mark.parametrize("algorithm", ["ML-DSA-65", "ML-KEM-768", "RSA", ""])
def test_what_it_lacks_is_refused(device, label, algorithm):
    with pytest.raises(DeviceLacksAlgorithm):
        device.generate(label, algorithm)
    assert label not in device.labels()


def test_another_key_behind_the_label_signs_nothing(device, label):
    algorithm = signing(device)[0]
    public = device.generate(label, algorithm)
    device.erase(label)
    device.generate(label, algorithm)
    with pytest.raises(DeviceKeyReplaced):
        DeviceSigner(device, label, algorithm, public).sign(b"m")


def test_it_describes_itself(device):
    described = device.describe()
    assert described.name
    assert described.kind is device.kind
