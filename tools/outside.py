"""Install the outside programs that `make interop` runs against, into `.venv-tools`, by name and version.

Nothing here is needed to use or test Lockgate itself. What cannot be had is said in a sentence, and the tests
that want it skip with the same reason. A program that should build and does not is an error.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
TOOLS = REPO / ".venv-tools"
# DEPENDENCIES: the 0.38 line, whose headers the embedded ledger makes. Its `version` text lags behind the tag, so
# the module version recorded in the binary is what counts.
COMETBFT = ("github.com/cometbft/cometbft/cmd/cometbft", "v0.38.26")
# An ibc-go chain of our own making: built from the folder, whose go.mod pins every module by version and hash.
CHAIN = REPO / "tests" / "interop" / "ibcgo"
OLDEST_GO = (1, 21)  # the first that fetches the toolchain a module asks for
TRIES = 2  # the module proxy answers late now and then
ANVIL = ("@foundry-rs/anvil", "1.7.1")  # an Ethereum node; npm serves all of it
VYPER = TOOLS / "vyper"
VYPER_PINS = REPO / "requirements" / "contracts.txt"
CWT = TOOLS / "cwt"
CWT_PINS = REPO / "requirements" / "cwt.txt"
LAKERS = TOOLS / "lakers"
LAKERS_PINS = REPO / "requirements" / "lakers.txt"


def main() -> int:
    return max(
        go_programs(),
        anvil(),
        environment("Vyper", VYPER, VYPER_PINS),  # the compiler of contracts/
        environment("Lakers", LAKERS, LAKERS_PINS),  # another EDHOC
        environment("The CWT library", CWT, CWT_PINS),  # reads our tokens, and writes ones for us
    )


def go_programs() -> int:
    reason = no_go()
    if reason:
        print(f"CometBFT and the ibc-go chain are not installed: {reason}; the tests that need them will be skipped.")
        return 0
    return max(install(*COMETBFT), build(CHAIN, TOOLS / "ibcgochain"))


def anvil() -> int:
    """Install the node into `.venv-tools/node_modules`; its own launcher runs without any install script."""
    name, version = ANVIL
    if not shutil.which("npm") or not shutil.which("node"):
        print("Anvil is not installed: there is no npm on this machine; the tests that need it will be skipped.")
        return 0
    manifest = TOOLS / "node_modules" / name / "package.json"
    if manifest.exists() and json.loads(manifest.read_text())["version"] == version:
        return 0
    print(f"Installing {name} {version} (a few seconds).", flush=True)
    TOOLS.mkdir(exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--silent", "--prefix", str(TOOLS)]
    command += [f"{name}@{version}"]
    for _ in range(TRIES):
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0:
            return 0
    print(f"{name} {version} could not be installed; npm's own words are above.")
    return 1


def environment(what: str, folder: Path, pins: Path) -> int:
    """Install Python packages into an environment of their own, from pins with hashes."""
    stamp = folder / "pins.txt"
    if stamp.exists() and stamp.read_bytes() == pins.read_bytes():
        return 0
    print(f"Installing {what.removeprefix('The ')} (a few seconds).", flush=True)
    pip = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(pins)]
    for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], pip):
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0:
            print(f"{what} could not be installed; pip's own words are above.")
            return 1
    shutil.copyfile(pins, stamp)
    return 0


def no_go() -> str | None:
    """Return why Go cannot be used here, or None."""
    if not shutil.which("go"):
        return "there is no Go on this machine"
    text = subprocess.run(["go", "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", text)
    if not found or tuple(map(int, found.groups())) < OLDEST_GO:
        return f"it needs Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or newer, here is {text.strip() or 'an unknown version'}"
    return None


def install(package: str, version: str) -> int:
    binary = TOOLS / package.rpartition("/")[2]
    if built_from(binary) == version:
        return 0
    print(f"Building {binary.name} {version} (under a minute; several on a cold machine).", flush=True)
    TOOLS.mkdir(exist_ok=True)
    environment = {**os.environ, "GOBIN": str(TOOLS)}
    for _ in range(TRIES):
        command = ["go", "install", f"{package}@{version}"]
        if subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False).returncode == 0:
            return 0
    print(f"{binary.name} {version} could not be built; Go's own words are above.")
    return 1


def build(source: Path, binary: Path) -> int:
    """Build a program of ours, unless it stands there built from these very files."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(source.glob("*")))).hexdigest()
    stamp = binary.with_suffix(".sha256")
    if binary.exists() and stamp.exists() and stamp.read_text() == digest:
        return 0
    print(f"Building {binary.name} (4 to 5 minutes on two cores, seconds when Go's cache is warm).", flush=True)
    TOOLS.mkdir(exist_ok=True)
    for _ in range(TRIES):
        command = ["go", "build", "-trimpath", "-buildvcs=false", "-o", str(binary), "."]
        if subprocess.run(command, cwd=source, stdin=subprocess.DEVNULL, check=False).returncode == 0:
            stamp.write_text(digest)
            return 0
    print(f"{binary.name} could not be built; Go's own words are above.")
    return 1


def built_from(binary: Path) -> str | None:
    """Return the module version a Go binary was built from."""
    if not binary.exists():
        return None
    text = subprocess.run(["go", "version", "-m", str(binary)], capture_output=True, text=True, check=False).stdout
    found = re.search(r"^\s+mod\s+\S+\s+(\S+)", text, re.MULTILINE)
    return found[1] if found else None


if __name__ == "__main__":
    sys.exit(main())
