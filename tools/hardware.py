"""Install what keystores in hardware need into `.venv`, from pins with hashes: `make hardware`.

What cannot be had is said in a sentence, and the tests that want it skip with the same reason. What should install
and does not is an error.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
FOLDER = REPO / "requirements"
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)", re.M)


def main() -> int:
    code = install("pkcs11")
    reason = no_tss()
    if reason:
        print(f"tpm2-pytss is not installed: {reason}; the tests that need it will be skipped.")
        return code
    if not missing("tpm"):
        return code
    print("Building tpm2-pytss (half a minute).", flush=True)
    return max(code, install("tpm-build") or install("tpm", "--no-build-isolation"))


def install(layer: str, *options: str) -> int:
    """Install a layer of pins, unless each of them is there."""
    if not missing(layer):
        return 0
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    command += [*options, "--requirement", str(FOLDER / f"{layer}.txt")]
    if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0:
        return 0
    print(f"requirements/{layer}.txt could not be installed; pip's own words are above.")
    return 1


def missing(layer: str) -> list[str]:
    """Pins of a layer that are not installed in this version."""
    pins = PIN.findall((FOLDER / f"{layer}.txt").read_text())
    return [name for name, version in pins if not has(name, version)]


def has(name: str, version: str) -> bool:
    try:
        return metadata.version(name) == version
    except metadata.PackageNotFoundError:
        return False


def no_tss() -> str | None:
    """Why the TPM's library cannot be built here, or None."""
    for program in ("gcc", "pkg-config"):
        if not shutil.which(program):
            return f"there is no {program} on this machine"
    if subprocess.run(["pkg-config", "--exists", "tss2-esys", "tss2-tctildr"], check=False).returncode:
        return "there are no headers of the TPM's library (apt install libtss2-dev)"
    return None


if __name__ == "__main__":
    sys.exit(main())
