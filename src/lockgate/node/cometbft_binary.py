"""The CometBFT program: where it is, which version it is, and how it is installed."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Final

from lockgate.primitives.errors import Unavailable

VERSION: Final = "v0.38.26"  # tested with; any of the line is taken
LINE: Final = "v0.38."
INSTALL: Final = f"go install github.com/cometbft/cometbft/cmd/cometbft@{VERSION}"
MODULE: Final = re.compile(rb"\tgithub\.com/cometbft/cometbft\t(v[0-9A-Za-z.+-]+)\t")


class NoCometBft(Unavailable):
    code = "cometbft.missing"
    summary = "CometBFT of the 0.38 line is not on this machine."
    untouched = "Nothing was started."
    next_step = f"Install it with Go: `{INSTALL}`, and put its folder on PATH."


def find_binary() -> Path:
    """CometBFT on PATH, or where `make interop` builds it. Raises NoCometBft."""
    beside = Path(sys.prefix).parent / ".venv-tools" / "cometbft"
    found = shutil.which("cometbft") or (str(beside) if beside.exists() else None)
    if found is None:
        raise NoCometBft("no such program")
    version = version_of(Path(found))
    if version is None or not version.startswith(LINE):
        raise NoCometBft("another version", program=found, version=version or "unknown", line=f"{LINE}x")
    return Path(found)


def version_of(binary: Path) -> str | None:
    """The module version that a Go binary records of itself; its `version` command lags behind."""
    found = MODULE.search(binary.read_bytes())
    return found[1].decode() if found else None


__all__ = ("INSTALL", "NoCometBft", "find_binary", "version_of")
