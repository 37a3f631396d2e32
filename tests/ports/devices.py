"""The devices that the port suites run on, by name; real ones are marked `interop` and started once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lockgate.keystore.pkcs11 import Pkcs11Token
from lockgate.keystore.place import TokenPlace, parse
from lockgate.keystore.ports import Device
from lockgate.keystore.software import OsEntropy
from lockgate.lab.device import LabDevice
from tests.support.tokens import softhsm, softhsm_reason

Make = Callable[[], Device | None]
REAL = [pytest.param("SoftHSM2", marks=pytest.mark.interop)]
DEVICES = ["lab", "lab without Ed25519", *REAL]


@pytest.fixture(scope="session")
def real_devices(tmp_path_factory: pytest.TempPathFactory):
    """Name → a device, opened anew at each call; the same one behind it."""
    opened: dict[str, Make] = {}
    contexts = []

    def start(name: str) -> Make:
        if name not in opened:
            opened[name] = _start(name, tmp_path_factory.mktemp("device"), contexts)
        return opened[name]

    yield start
    for context in reversed(contexts):
        context.__exit__(None, None, None)


def _start(name: str, folder: Path, contexts: list) -> Make:
    reason = softhsm_reason()
    if reason:
        pytest.skip(reason)
    context = softhsm(folder, "ports")
    place = parse(context.__enter__()["ports"].address)
    contexts.append(context)
    assert isinstance(place, TokenPlace)
    return lambda: Pkcs11Token(place)


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
