"""Does what Python programs do, so that tests can see what becomes of it inside the sandbox."""

import os
import random
import secrets
import sys
import time
import uuid

from lockgate_guest import DEFER, Guest, Message, Refused, ledger, log, messages, randomness, state

guest = Guest()
greeted = 0  # gone with the instance


@guest.handles("count@1.0")
def count(message: Message) -> bytes:
    global greeted  # noqa: PLW0603  # the point of the test
    greeted += 1
    return b"%d" % greeted


@guest.handles("clocks@1.0")
def clocks(message: Message) -> bytes:
    readings = {time.time_ns(), time.monotonic_ns(), time.perf_counter_ns(), ledger.time_ns()}
    assert time.time() == time.monotonic() == ledger.time_ns() / 1e9
    return b"%d %d" % (len(readings), readings.pop())


@guest.handles("entropy@1.0")
def entropy(message: Message) -> bytes:
    drawn = {
        "random": lambda: random.randbytes(16),  # the point of the test
        "choice": lambda: bytes(random.choices(range(256), k=16)),
        "seeded": lambda: random.Random(5).randbytes(16),
        "urandom": lambda: os.urandom(16),
        "secrets": lambda: secrets.token_bytes(16),
        "uuid": lambda: uuid.uuid4().bytes,
        "public": lambda: randomness.public_random(16),
        "long": lambda: randomness.secret_random(40_000),
    }
    return drawn[message.body.decode()]()


@guest.handles("state@1.0")
def pairs(message: Message) -> bytes:
    for number in range(300):
        state.put(b"k/%03d" % number, b"v")
    state.put(b"l", b"v")
    return b"%d %d" % (len(list(state.scan(b"k/"))), len(list(state.scan(b"k/", after=b"298"))))


@guest.handles("fail@1.0")
def fail(message: Message) -> bytes:
    how = message.body.decode()
    state.put(b"before", b"it failed")
    if how == "exception":
        raise ValueError("not what I expected")
    if how == "refuse":
        raise Refused("not.today", "come back")
    if how == "recursion":
        return fail(message)
    if how == "loop":
        while True:
            pass
    if how == "memory":
        return bytes(len([b"x" * 1_000_000 for _ in range(1_000)]))
    if how == "file":
        with open("/etc/passwd", "rb") as file:
            return file.read()
    if how == "socket":
        import socket

        socket.create_connection(("127.0.0.1", 1))
    if how == "exit":
        sys.exit(0)
    return "not bytes"  # type: ignore[return-value]


@guest.handles("defer@1.0")
def defer(message: Message) -> object:
    state.put(b"open", message.id)
    return DEFER


@guest.on_command
def command(data: bytes) -> bytes:
    if data == b"send":
        return messages.send("bob", "count@1.0", b"body")
    if data == b"answer":
        return b"%d" % messages.answer(state.get(b"open") or b"", b"late")
    if data == b"decline":
        return b"%d" % messages.decline(state.get(b"open") or b"", "too.late", "sorry")
    log.warning(f"what is {data!r}?")
    raise Refused("command.unknown")


@guest.on_timed_out
def timed_out(sent: bytes) -> None:
    state.put(b"timed out", sent)
