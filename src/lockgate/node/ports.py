"""Listening sockets on the loopback address."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Sequence
from typing import Final

from lockgate.primitives.errors import Unavailable

# None of those that the system gives to whoever asks for any: one could be taken at the next start. Ports that are kept
# stand apart from those taken at a start, when whoever keeps one does not listen at it yet.
KEPT_PORTS: Final = range(20_000, 28_000)
START_PORTS: Final = range(28_000, 32_000)
TRIES: Final = 200


class PortBusy(Unavailable):
    code = "node.port_busy"
    summary = "The port is taken by another program."
    next_step = "Stop the other program; where a port can be chosen, 0 finds a free one."


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback address; 0 finds a free port. Raises PortBusy."""
    # With the protocol named: asyncio turns Nagle's delay off only where it sees TCP, and the delay costs 40 ms a call.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise PortBusy("cannot listen", port=port) from error
    return listener


def free_listener(among: Sequence[int] = START_PORTS) -> socket.socket:
    """A listening socket at a port that the system gives to nobody by itself. Raises PortBusy."""
    for _ in range(TRIES):
        with contextlib.suppress(PortBusy):
            return listen(secrets.choice(among))
    raise PortBusy("no free port was found", first=among[0], last=among[-1])


def free_ports(count: int) -> list[int]:
    """Ports to keep, each free now and no two the same. Raises PortBusy."""
    with contextlib.ExitStack() as held:  # until all are found
        return [int(held.enter_context(free_listener(KEPT_PORTS)).getsockname()[1]) for _ in range(count)]


__all__ = ("KEPT_PORTS", "START_PORTS", "PortBusy", "free_listener", "free_ports", "listen")
