"""What this machine has of what a deployment needs: Python, libraries, guests, ports, Go, CometBFT."""

from __future__ import annotations

import enum
import importlib
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from lockgate.node import cometbft
from lockgate.primitives.errors import LockgateError
from lockgate.runtime.wasm import shipped

OLDEST_PYTHON: Final = (3, 11)
OLDEST_SQLITE: Final = (3, 35, 0)  # RETURNING and the upserts of the stores
OLDEST_GO: Final = (1, 21)  # the first that fetches the toolchain a module asks for
GO_S: Final = 10.0


class Level(enum.StrEnum):
    OK = "ok"
    NOTE = "note"  # fine, and worth knowing
    WARN = "warn"  # works, and will not for long
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: a sentence, and what to do about it (empty where nothing)."""

    name: str
    level: Level
    found: str
    next_step: str = ""


def basics() -> list[Check]:
    """What everything needs."""
    found = [_tried(look.__name__.strip("_"), look) for look in (_python, _sqlite, _cryptography, _wasmtime)]
    return [*found, *_guests(), _tried("ports", _ports)]


def tools(clusters: Sequence[str]) -> list[Check]:
    """What ledgers of several validators need; a fault only where one is in the folder."""
    return [_tried("go", _go), _tried("cometbft", lambda: _cometbft(clusters))]


def _tried(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except Exception as error:  # a broken installation breaks in its own ways; the examination goes on
        return Check(name, Level.FAIL, f"It does not work: {error}.", "Run `make install` again.")


def _python() -> Check:
    text = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Check("python", Level.FAIL, f"Python {text} is too old.", "Install CPython 3.11 or newer.")
    return Check("python", Level.OK, f"Python {text}.")


def _sqlite() -> Check:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        return Check(
            "sqlite",
            Level.FAIL,
            f"SQLite {sqlite3.sqlite_version} is too old.",
            "Use a Python with SQLite 3.35 or newer.",
        )
    return Check("sqlite", Level.OK, f"SQLite {sqlite3.sqlite_version}.")


def _cryptography() -> Check:
    for name, kind in (("mlkem", "MLKEM768PrivateKey"), ("mldsa", "MLDSA65PrivateKey")):
        module = importlib.import_module(f"cryptography.hazmat.primitives.asymmetric.{name}")
        getattr(module, kind).generate()
    return Check("cryptography", Level.OK, f"cryptography {version('cryptography')} has ML-KEM and ML-DSA.")


def _wasmtime() -> Check:
    importlib.import_module("wasmtime").Engine()
    return Check("wasmtime", Level.OK, f"wasmtime {version('wasmtime')}.")


def _guests() -> list[Check]:
    checks = []
    for name in shipped.NAMES:
        try:
            size = len(shipped.component(name))
            checks.append(Check(f"guest {name}", Level.OK, f"Built, {size // 1024} KiB."))
        except LockgateError as error:
            checks.append(Check(f"guest {name}", Level.FAIL, "It is not built.", error.next_step))
    return checks


def _ports() -> Check:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
    return Check("ports", Level.OK, "Loopback ports can be opened.")


def _go() -> Check:
    what = "it installs CometBFT, and builds ibc-go for `make interop`"
    newest = f"Install Go {'.'.join(map(str, OLDEST_GO))} or newer."
    if shutil.which("go") is None:
        return Check("go", Level.NOTE, f"Absent; {what}, and nothing else needs it.", newest)
    said = subprocess.run(["go", "version"], capture_output=True, text=True, timeout=GO_S, check=False).stdout  # noqa: S607  # whichever is on PATH
    version = re.search(r"go(\d+)\.(\d+)(\.\d+)?", said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST_GO:
        shown = version[0].removeprefix("go") if version else "of an unknown version"
        return Check("go", Level.NOTE, f"Go {shown} is too old; {what}.", newest)
    return Check("go", Level.OK, f"Go {version[0].removeprefix('go')}; {what}.")


def _cometbft(clusters: Sequence[str]) -> Check:
    level = Level.FAIL if clusters else Level.NOTE
    needed = f"ledger {' and '.join(clusters)} cannot run" if clusters else "it runs ledgers of several validators"
    how = f"`{cometbft.INSTALL}`, with Go's bin folder on PATH."
    if shutil.which("go") is None:
        how = f"Install Go {'.'.join(map(str, OLDEST_GO))} or newer, then {how}"
    try:
        binary = cometbft.find_binary()
    except cometbft.NoCometBft as missing:
        if "program" not in missing.fields:
            rest = "" if clusters else ", and nothing else needs it"
            return Check("cometbft", level, f"Absent; {needed}{rest}.", how)
        program, version, line = (missing.fields[name] for name in ("program", "version", "line"))
        return Check("cometbft", level, f"{program} is {version}, and the line {line} is needed; {needed}.", how)
    return Check("cometbft", Level.OK, f"CometBFT {cometbft.version_of(binary)}, {binary}.")


__all__ = ("Check", "Level", "basics", "tools")
