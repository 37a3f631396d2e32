"""Blobs over a Unix socket: hosts of one machine. The socket file is its owner's alone (0600)."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from lockgate.transport.stream import Link, StreamSource, connected


def listen(path: Path) -> socket.socket:
    """A listening socket at `path`; the file of a process that ended is replaced."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        os.chmod(path, 0o600)
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def source(path: Path, link: Link | None = None) -> StreamSource:
    return StreamSource(lambda: connected(socket.AF_UNIX, str(path)), link)


__all__ = ("listen", "source")
