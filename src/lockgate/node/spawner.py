"""Starts the processes of a deployment from one that has loaded the program once.

Loading Python modules takes each process 0.6 s of a core, and a deployment is five. So one process of
its own, started first, loads them and then only waits: for every child it is asked for it forks, and the
child runs the `lockgate` command as if it had been started by it. What a fork could carry over that it
should not is not there: no key or passphrase was read, no thread started, no socket opened, and every
source of entropy in use notices the fork (the kernel's, OpenSSL's, libsodium's, `random`'s).

Requests and answers are JSON packets over a socket pair. A request brings the child's standard streams
along as descriptors, so the pipes whose closing ends a child are held by the asking process alone. When
that process is gone the socket closes, and this one ends.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PROGRAM: Final = "lockgate.cli.main"
MAX_PACKET: Final = 65_536  # a command line
STREAMS: Final = 3
PRELOADED: Final = ("lockgate.node.ledger", "lockgate.node.host", "lockgate.node.relay", "lockgate.node.attestor")
# What other packages load by name when they first need it. Only time is lost where one is not there.
WARMED: Final = (
    "cryptography.hazmat.backends.openssl.backend",
    "typer._adapters",
    "uvicorn.lifespan.off",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
)


@dataclass(frozen=True, slots=True)
class Spawner:
    """The asking side: the process and the socket to it."""

    process: subprocess.Popen[bytes]
    socket: socket.socket

    @classmethod
    def start(cls, program: str = PROGRAM) -> Spawner:
        """Start it; returns at once, while it still loads. Children run `main` of the module `program`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(  # noqa: S603  # this very program, with a number as its argument
                [sys.executable, "-m", "lockgate.node.spawner", str(theirs.fileno()), program],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # ctrl-C is its parent's to handle
            )
        ours.setblocking(False)
        return cls(process, ours)

    def ask(self, number: int, arguments: list[str], streams: tuple[int, int, int]) -> None:
        """Ask for a child. Its streams may be closed here afterwards. Raises OSError when nobody is there."""
        request = json.dumps({"number": number, "arguments": arguments}).encode()
        socket.send_fds(self.socket, [request], streams)

    def answers(self) -> list[dict[str, Any]] | None:
        """What came since: {"number", "pid"} of a start, {"pid", "status"} of an end. None: it is gone."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while packet := self.socket.recv(MAX_PACKET):
                found.append(json.loads(packet))
            return found or None
        return found

    def stop(self) -> None:
        """End it. Children go on until their own pipes close."""
        self.socket.close()
        self.process.terminate()
        self.process.wait()


def serve(channel: socket.socket, program: str) -> None:
    """Fork a child for each request, report each end; return when the asking process is gone."""
    wakes, wake = socket.socketpair()
    wakes.setblocking(False)
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        selector.register(wakes, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if wakes in ready:
                wakes.recv(MAX_PACKET)
                _report_ended(channel)
            if channel not in ready:
                continue
            packet, streams, _, _ = socket.recv_fds(channel, MAX_PACKET, STREAMS)
            if not packet:
                return
            request = json.loads(packet)
            pid = os.fork()
            if pid == 0:
                for unused in (channel, wakes, wake):
                    unused.close()
                selector.close()
                _become(program, request["arguments"], streams)
            for stream in streams:
                os.close(stream)
            _send(channel, {"number": request["number"], "pid": pid})


def _become(program: str, arguments: list[str], streams: array.array[int] | list[int]) -> None:
    """Turn a fresh fork into the child. Does not return."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for place, stream in enumerate(streams):
            os.dup2(stream, place)
        for stream in streams:
            os.close(stream)
        with contextlib.suppress(OSError):
            # The name that `ps` and `top` show; 15 bytes at most.
            Path("/proc/self/comm").write_text(" ".join(w for w in arguments if w.isalnum())[:15])
        sys.argv = ["lockgate", *arguments]
        importlib.import_module(program).main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _report_ended(channel: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            _send(channel, {"pid": pid, "status": os.waitstatus_to_exitcode(status)})


def _send(channel: socket.socket, answer: dict[str, int]) -> None:
    with contextlib.suppress(OSError):  # the asking process is gone, which the next read shows
        channel.send(json.dumps(answer).encode())


def preload(program: str) -> None:
    """Load what children run, and nothing that a fork would carry over to harm."""
    importlib.import_module(program)
    for name in PRELOADED if program == PROGRAM else ():
        importlib.import_module(name)
    for name in WARMED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def main() -> None:
    number, program = sys.argv[1:]
    channel = socket.socket(fileno=int(number))
    channel.set_inheritable(False)
    gc.disable()  # what loading makes stays: to look for garbage in it takes a tenth of the time
    preload(program)
    gc.freeze()  # the children share these pages as long as no collection touches them
    gc.enable()
    serve(channel, program)


if __name__ == "__main__":
    main()
