"""A program for `Spawner`: does on command what a process of a deployment may do."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
from typing import Any

from nacl.bindings import randombytes

from lockgate.keystore.software import MlDsa65Signer, OsEntropy


def report(kind: str, **fields: Any) -> None:
    sys.stdout.write(json.dumps({"report": kind, **fields}) + "\n")
    sys.stdout.flush()


def drawn() -> dict[str, str]:
    """What this process draws from every source of randomness that keys and signatures use."""
    signature = MlDsa65Signer(bytes(32)).sign(b"message")  # hedged: OpenSSL's generator
    return {
        "kernel": OsEntropy().bytes(16).hex(),
        "openssl": signature.hex()[:64],
        "libsodium": randombytes(16).hex(),
        "python": random.randbytes(16).hex(),
    }


drawn()  # before any fork, so that every generator is seeded when a child inherits it


def main() -> None:
    verb = sys.argv[5]  # lockgate --json --opened --data FOLDER verb …
    first = sys.stdin.readline()
    if verb == "refuse":
        sys.stdout.write(
            json.dumps({"error": {"code": "store.in_use", "detail": "somebody is here", "fields": {"pid": "7"}}}) + "\n"
        )
        sys.stdout.flush()
        raise SystemExit(3)
    if verb == "mute":
        sys.stdin.read()
        return
    if verb == "draw":
        report("drawn", **drawn())
    report(
        "ready",
        roots=len(first),
        pid=os.getpid(),
        session=os.getsid(0),
        threads=threading.active_count(),
        descriptors=sorted(int(name) for name in os.listdir("/proc/self/fd")),
        child_signal=signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL,
    )
    if verb == "exit":
        raise SystemExit(int(sys.argv[6]))
    if verb == "deaf":
        while True:
            signal.pause()
    sys.stdin.read()  # until the parent is gone
