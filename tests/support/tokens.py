"""Real devices for tests: SoftHSM2 tokens in a folder of the test's own."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
PIN = "246810"
SO_PIN = "13579135"


@dataclass(frozen=True)
class SoftToken:
    """One token: the address of a keystore in it, and where its objects lie."""

    folder: Path
    label: str
    address: str
    pin_file: Path


def softhsm_reason() -> str | None:
    """Why SoftHSM2 cannot be used here, or None."""
    if not shutil.which("softhsm2-util") or module() is None:
        return "SoftHSM2 is not installed: apt install softhsm2"
    if importlib.util.find_spec("pkcs11") is None:
        return "python-pkcs11 is not installed: `make hardware` installs it"
    return None


def module() -> str | None:
    return next((path for path in MODULES if Path(path).exists()), None)


@contextmanager
def softhsm(folder: Path, *labels: str) -> Iterator[dict[str, SoftToken]]:
    """Make tokens and tell the module of this process where they are; afterwards the module is let go.

    SoftHSM2 reads its configuration when it is initialised, once a process.
    """
    (folder / "tokens").mkdir(parents=True)
    (folder / "softhsm2.conf").write_text(
        f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    pin_file = folder / "pin"
    pin_file.touch(mode=0o600)
    pin_file.write_text(PIN + "\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    try:
        for label in labels:
            init = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN]
            subprocess.run(init, check=True, capture_output=True, timeout=30)
        yield {label: SoftToken(folder, label, address(label, pin_file), pin_file) for label in labels}
    finally:
        importlib.import_module("pkcs11").unload(module())
        os.environ.pop("SOFTHSM2_CONF", None)
        if before is not None:
            os.environ["SOFTHSM2_CONF"] = before


def address(label: str, pin_file: Path) -> str:
    return f"pkcs11:token={label}?module-path={module()}&pin-source=file:{pin_file}"
