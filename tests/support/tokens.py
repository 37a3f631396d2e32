"""Real devices for tests: SoftHSM2 tokens and TPM simulators in a folder of the test's own."""

from __future__ import annotations

import importlib
import importlib.util
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
PIN = "pin of a test token"  # not digits alone: a test greps a whole run for it
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


def swtpm_reason() -> str | None:
    """Why a TPM simulator cannot be used here, or None."""
    if not shutil.which("swtpm"):
        return "swtpm is not installed: apt install swtpm"
    if not list(Path("/usr/lib").glob("*/libtss2-tcti-swtpm.so.0*")):
        return "there is no way to swtpm: apt install libtss2-tcti-swtpm0"
    if importlib.util.find_spec("tpm2_pytss") is None:
        return "tpm2-pytss is not installed: `make hardware` installs it"
    return None


class SoftTpm:
    """A TPM simulator with a state folder of its own; `restart` is a machine that was switched off and on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = _two_ports()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def tcti(self) -> str:
        return f"swtpm:host=127.0.0.1,port={self.port}"

    def address(self, scheme: str = "tpm", pcrs: str = "0,7") -> str:
        return f"{scheme}:tcti={self.tcti};pcrs={pcrs}"

    def start(self) -> None:
        command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self._folder}"]
        command += ["--server", f"type=tcp,port={self.port},bindaddr=127.0.0.1"]
        command += ["--ctrl", f"type=tcp,port={self.port + 1},bindaddr=127.0.0.1"]
        command += ["--flags", "not-need-init,startup-clear"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port + 1), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def extend(self, pcr: int, what: bytes = b"other software") -> None:
        """Measure something into a PCR, as a start with other software would."""
        api = importlib.import_module("tpm2_pytss")
        with api.ESAPI(self.tcti) as tpm:
            digest = api.TPMT_HA(hashAlg=api.TPM2_ALG.SHA256, digest=api.TPMU_HA(sha256=sha256(what).digest()))
            tpm.pcr_extend(getattr(api.ESYS_TR, f"PCR{pcr}"), api.TPML_DIGEST_VALUES([digest]))


def _two_ports() -> int:
    """A port of which the next is free as well, below the range that the kernel gives out by itself."""
    for _ in range(100):
        port = random.randrange(21_000, 32_000, 2)
        try:
            for each in (port, port + 1):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", each))
        except OSError:
            continue
        return port
    raise OSError("no two ports are free")


def address(label: str, pin_file: Path) -> str:
    return f"pkcs11:token={label}?module-path={module()}&pin-source=file:{pin_file}"
