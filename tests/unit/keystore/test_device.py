"""A device that fails while it is used: what its keystore says, on the lab's device that can be made to."""

from __future__ import annotations

import pytest

from lockgate.keystore.device import DeviceDhKey, DeviceSigner
from lockgate.keystore.errors import DeviceAbsent, DeviceKeyReplaced, DeviceLacksAlgorithm, PlatformChanged
from lockgate.keystore.software import OsEntropy
from lockgate.lab.device import LabDevice

PEER = bytes([9, *bytes(31)])  # the base point of X25519


@pytest.fixture
def device():
    return LabDevice(OsEntropy())


@pytest.fixture
def signer(device):
    return DeviceSigner(device, "s", "ES256", device.generate("s", "ES256"))


@pytest.fixture
def agreement(device):
    return DeviceDhKey(device, "a", "X25519", device.generate("a", "X25519"))


@pytest.mark.parametrize(("what", "refusal"), [("present", DeviceAbsent), ("unlocked", PlatformChanged)])
def test_a_device_that_does_not_answer_is_named(device, signer, agreement, what, refusal):
    setattr(device, what, False)
    for use in (lambda: signer.sign(b"m"), lambda: agreement.exchange(PEER)):
        with pytest.raises(refusal):
            use()
    setattr(device, what, True)
    assert signer.sign(b"m")
    assert agreement.exchange(PEER) == agreement.public_key


@pytest.mark.parametrize("wrong", [b"", bytes(64), bytes(63), b"\xff" * 64])
def test_a_wrong_signature_is_not_given_out(device, signer, monkeypatch, wrong):
    monkeypatch.setattr(device, "sign", lambda *_: wrong)
    with pytest.raises(DeviceKeyReplaced):
        signer.sign(b"m")


def test_a_flipped_signature_is_not_given_out(device, signer, monkeypatch):
    good = device.sign("s", "ES256", b"m")
    monkeypatch.setattr(device, "sign", lambda *_: bytes([good[0] ^ 1]) + good[1:])
    with pytest.raises(DeviceKeyReplaced):
        signer.sign(b"m")


def test_a_secret_of_another_length_is_not_used(device, agreement, monkeypatch):
    monkeypatch.setattr(device, "agree", lambda *_: bytes(31))
    with pytest.raises(DeviceKeyReplaced):
        agreement.exchange(PEER)


def test_an_algorithm_is_for_one_use(device):
    with pytest.raises(DeviceLacksAlgorithm):
        DeviceSigner(device, "a", "X25519", bytes(32))
    with pytest.raises(DeviceLacksAlgorithm):
        DeviceDhKey(device, "s", "Ed25519", bytes(32))


def test_the_label_is_all_that_is_shown(signer, agreement):
    assert repr(signer) == "DeviceSigner(ES256, s)"
    assert repr(agreement) == "DeviceDhKey(X25519, a)"
