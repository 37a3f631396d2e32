"""A token's PIN: from a file of the user's own that nobody else may read, or from the person at the terminal.

Never from the command line, an environment variable or an address: those stand in process lists and logs.
"""

from __future__ import annotations

import getpass
import os
import stat
import sys
from pathlib import Path
from typing import Final

from lockgate.crypto.keys import SecretBytes
from lockgate.keystore.errors import PinUnreadable

MAX_PIN_BYTES: Final = 256  # PKCS#11 tokens set their own limit; none is known above 255


def read_pin(path: str | None, asked_for: str) -> SecretBytes:
    """The PIN of a token. One newline at the end of the file is not part of it. Raises PinUnreadable."""
    pin = _from_person(asked_for) if path is None else _from_file(Path(path))
    if not pin or len(pin) > MAX_PIN_BYTES:
        raise PinUnreadable("a PIN has 1 to 256 bytes", file=path or "", size=len(pin))
    try:
        pin.decode()
    except UnicodeDecodeError as error:
        raise PinUnreadable("a PIN is UTF-8", file=path or "") from error
    return SecretBytes(pin)


def _from_file(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                raise PinUnreadable("it is no plain file of this user", file=path)
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                mode = oct(stat.S_IMODE(status.st_mode))
                raise PinUnreadable("others may read the file; run chmod 600 on it", file=path, mode=mode)
            data = file.read(MAX_PIN_BYTES + 2)
    except OSError as error:
        raise PinUnreadable("the file cannot be read", file=path, reason=error.strerror) from error
    return data.removesuffix(b"\n")


def _from_person(asked_for: str) -> bytes:
    if not sys.stdin.isatty():
        raise PinUnreadable("the address names no pin-source, and there is no terminal to ask at")
    return getpass.getpass(f"PIN of {asked_for}: ").encode()


__all__ = ("MAX_PIN_BYTES", "read_pin")
