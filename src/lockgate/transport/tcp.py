"""Blobs over TCP. Without a link nothing is encrypted here: what travels is ciphertext; locators open nothing else."""

from __future__ import annotations

import socket
from typing import Final

from lockgate.transport.stream import Link, StreamSource, connected

LOOPBACK: Final = "127.0.0.1"


def listen(host: str = LOOPBACK, port: int = 0) -> socket.socket:
    """A listening socket; port 0 finds a free one. `host` is a numeric address."""
    listener = socket.socket(_family(host), socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def source(host: str, port: int, link: Link | None = None) -> StreamSource:
    return StreamSource(lambda: connected(_family(host), (host, port)), link)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


__all__ = ("LOOPBACK", "listen", "source")
