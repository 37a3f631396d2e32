"""Pin what `requirements/*.in` asks for, with hashes: `python tools/pin_requirements.py [--upgrade | --check]`.

The pins keep what stands unless a line of an `.in` file, or `--upgrade`, says otherwise. They name packages,
versions and hashes; which index serves them is the machine's business, so no address is ever written.
`--check` asks no index: it compares the files with each other and with what is installed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from itertools import pairwise
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPO = Path(__file__).resolve().parents[1]
FOLDER = REPO / "requirements"
LAYERS = ("runtime", "install", "dev")  # each contains the one before it
APART = ("contracts", "cwt", "lakers")  # an environment of its own for each, made by tools/outside.py
BESIDE = ("pkcs11", "tpm-build", "tpm")  # into the same environment, by tools/hardware.py: they agree with dev.txt
OUTSIDE = (*((None, layer) for layer in APART), *((LAYERS[-1], layer) for layer in BESIDE))  # with what bounds them
OLDEST_PYTHON = "3.11"
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\\n]+))?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions the .in files allow")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    if not options.check:
        compile_pins(upgrade=options.upgrade)
    complaints = [complaint for layer in LAYERS for complaint in check(layer)] + check_nesting()
    complaints += [complaint for layer in (*APART, *BESIDE) for complaint in check_text(layer)]
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


def compile_pins(*, upgrade: bool) -> None:
    """Write every `.txt`; universal, so that one file serves each Python from the oldest on."""
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    for below, layer in (*zip((None, *LAYERS), LAYERS, strict=False), *OUTSIDE):
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"]
        command += ["--no-header", "--python-version", OLDEST_PYTHON]
        command += ["--upgrade"] if upgrade else []
        command += ["--constraint", f"requirements/{below}.txt"] if below else []
        command += ["--output-file", f"requirements/{layer}.txt", f"requirements/{layer}.in"]
        subprocess.run(command, cwd=REPO, check=True, env=environment)


def asked(layer: str) -> dict[str, Requirement]:
    """Return what `<layer>.in` asks for, with the files it includes."""
    wanted: dict[str, Requirement] = {}
    for line in (FOLDER / f"{layer}.in").read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            wanted |= asked(text.removeprefix("-r ").removesuffix(".in").strip())
        elif text:
            requirement = Requirement(text)
            wanted[canonicalize_name(requirement.name)] = requirement
    return wanted


def pinned(layer: str, *, here_only: bool = False) -> dict[str, str]:
    """Return name -> version; `here_only` leaves out what a marker keeps for other platforms."""
    matches = [PIN.match(line) for line in (FOLDER / f"{layer}.txt").read_text().splitlines()]
    return {
        canonicalize_name(match["name"]): match["version"]
        for match in matches
        if match and not (here_only and match["marker"] and not Marker(match["marker"].strip()).evaluate())
    }


def check(layer: str) -> Iterator[str]:
    yield from check_text(layer)
    pins, wanted = pinned(layer), asked(layer)
    needed = set(wanted)
    for name in wanted:
        needed |= closure(name)
    for name in sorted(needed - pins.keys()):
        yield f"requirements/{layer}.txt: {name} is needed and not pinned; run make requirements"
    for name in sorted(pinned(layer, here_only=True).keys() - needed):
        yield f"requirements/{layer}.txt: {name} is pinned and nothing asks for it; run make requirements"


def check_text(layer: str) -> Iterator[str]:
    """Compare a layer's two files with each other; nothing of it need be installed."""
    text = (FOLDER / f"{layer}.txt").read_text()
    pins, wanted = pinned(layer), asked(layer)
    for line in text.splitlines():
        if "://" in line or (line.startswith("-") and not line.startswith("--hash")):
            yield f"requirements/{layer}.txt: an address or an option does not belong here: {line.strip()}"
    for block in re.split(r"\n(?=\S)", text):
        match = PIN.match(block)
        if match and not HASH.search(block):
            yield f"requirements/{layer}.txt: {match['name']} has no hash"
    for name, requirement in wanted.items():
        if name not in pins:
            yield f"requirements/{layer}.txt: {name} is asked for and not pinned; run make requirements"
        elif not requirement.specifier.contains(pins[name], prereleases=True):
            yield f"requirements/{layer}.txt: {name}=={pins[name]} is outside {requirement}; run make requirements"


def closure(name: str, seen: set[str] | None = None) -> set[str]:
    """Return what the installed distribution `name` needs on this machine, itself included."""
    seen = set() if seen is None else seen
    if name in seen:
        return seen
    seen.add(name)
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return seen
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            closure(canonicalize_name(requirement.name), seen)
    return seen


def check_nesting() -> list[str]:
    complaints = []
    for below, layer in pairwise(LAYERS):
        inner, outer = pinned(below), pinned(layer)
        complaints += [
            f"requirements/{layer}.txt: {name}=={outer.get(name)} differs from {below}.txt's {version}"
            for name, version in inner.items()
            if outer.get(name) != version
        ]
    whole = pinned(LAYERS[-1])
    for layer in BESIDE:
        complaints += [
            f"requirements/{layer}.txt: {name}=={version} differs from {LAYERS[-1]}.txt's {whole[name]}"
            for name, version in pinned(layer).items()
            if whole.get(name, version) != version
        ]
    return complaints


if __name__ == "__main__":
    sys.exit(main())
