"""Writes the sender an application starts from (I18)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lockgate.primitives.errors import Refused

FILE: Final = "app.py"
APP: Final = '''"""Send one sealed message and print the proven answer: python app.py [DATA_FOLDER HOST PEER TEXT]."""

import sys

import lockgate

folder, host, peer, text = sys.argv[1:] or (".lockgate", "sender", "solver", "hello")
with lockgate.connect_sync(folder, host) as gate:
    try:
        print(gate.call(peer, text.encode(), timeout=60).body.decode(errors="replace"))
    except lockgate.LockgateError as error:
        sys.exit(f"{error.code}: {error.detail or error.summary} Next: {error.next_step}")
'''


class AppExists(Refused):
    code = "app.exists"
    summary = "The folder has an app already, or cannot be written."
    next_step = "Name another folder."


def write(folder: Path) -> Path:
    """Write the app; never over another. Raises AppExists."""
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(APP)
    except OSError as error:
        raise AppExists(error.strerror or "cannot write", file=str(path)) from error
    return path


__all__ = ("APP", "AppExists", "write")
