"""The devices that the port suites run on, by name; real ones are marked `interop` and started once a session."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from lockgate.keystore.pkcs11 import Pkcs11Token
from lockgate.keystore.place import parse
from lockgate.keystore.ports import Device
from lockgate.keystore.software import OsEntropy
from lockgate.keystore.tpm import Tpm
from lockgate.lab.device import LabDevice
from tests.support.tokens import SoftTpm, softhsm, softhsm_reason, swtpm_reason

Make = Callable[[], Device | None]
REAL = [pytest.param(name, marks=pytest.mark.interop) for name in ("SoftHSM2", "swtpm")]
DEVICES = ["lab", "lab without Ed25519", *REAL]


@pytest.fixture(scope="session")
def real_devices(tmp_path_factory: pytest.TempPathFactory):
    """Name → a device, opened anew at each call; the same one behind it."""
    opened: dict[str, Make] = {}
    contexts = ExitStack()

    def start(name: str) -> Make:
        if name not in opened:
            opened[name] = _start(name, tmp_path_factory.mktemp("device"), contexts)
        return opened[name]

    with contexts:
        yield start


def _start(name: str, folder: Path, contexts: ExitStack) -> Make:
    reason = softhsm_reason() if name == "SoftHSM2" else swtpm_reason()
    if reason:
        pytest.skip(reason)
    if name == "SoftHSM2":
        place = parse(contexts.enter_context(softhsm(folder, "ports"))["ports"].address)
        return lambda: Pkcs11Token(place)
    simulator = SoftTpm(folder / "state")
    contexts.callback(simulator.stop)
    return lambda: Tpm(parse(simulator.address()), folder / "blobs")


@pytest.fixture
def reopen(request: pytest.FixtureRequest) -> Make:
    """A device, or None for "file"; each call gives another hold of the same one. Parametrize it indirectly."""
    if request.param == "file":
        return lambda: None
    if request.param.startswith("lab"):
        algorithms = {"ES256", "P-256"} if "without" in request.param else {"Ed25519", "ES256", "X25519", "P-256"}
        device = LabDevice(OsEntropy(), algorithms)
        return lambda: device
    return request.getfixturevalue("real_devices")(request.param)
