"""A scripted guest, in two forms: `probe.wat` for the sandbox and `Probe` in plain Python.

A script is a sequence of operations, each one letter and its arguments, each argument its length in two
bytes and its bytes. What operations find is appended to the output: flags as one byte, bytes with their
length in four bytes before them. A script ends in a reply of the output, in a refusal or in deferral.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from lockgate.host.ports import Deferred, Message, MessageRef, Refusal, Reply
from lockgate.runtime.imports import Imports

WAT = Path(__file__).with_name("probe.wat")


def op(letter: str, *arguments: bytes | str | int) -> bytes:
    """Write one operation. Integers become four little-endian bytes."""
    written = letter.encode()
    for argument in arguments:
        raw = argument.to_bytes(4, "little") if isinstance(argument, int) else argument
        raw = raw.encode() if isinstance(raw, str) else raw
        written += len(raw).to_bytes(2, "little") + raw
    return written


def send(to: str, body: bytes = b"x", schema: str = "probe@1.0", timeout_s: int = 60) -> bytes:
    return op("S", to, schema, body, timeout_s)


def answer(id_: bytes, body: bytes) -> bytes:
    return op("A", id_, body)


def decline(id_: bytes, code: str, detail: str = "") -> bytes:
    return op("D", id_, code, detail)


def get(key: bytes) -> bytes:
    return op("G", key)


def write(key: bytes, value: bytes) -> bytes:
    return op("W", key, value)


def delete(key: bytes) -> bytes:
    return op("X", key)


def scan(start: bytes, end: bytes, limit: int = 100) -> bytes:
    return op("R", start, end, limit)


def time() -> bytes:
    return op("T")


def public_random(count: int) -> bytes:
    return op("P", count)


def secret_random(count: int) -> bytes:
    return op("Q", count)


def log(level: int, text: str) -> bytes:
    return op("L", level, text)


def output(data: bytes) -> bytes:
    return op("O", data)


def refuse(code: str, detail: str = "") -> bytes:
    return op("F", code, detail)


def defer() -> bytes:
    return op("E")


def framed(*parts: bytes) -> bytes:
    """Write bytes as the output holds them."""
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


class Probe:
    """The same program in plain Python."""

    def handle(self, message: Message, host: Imports) -> Reply | Refusal | Deferred:
        return self._run(message.body, host)

    def command(self, data: bytes, host: Imports) -> Reply | Refusal:
        return cast("Reply | Refusal", self._run(data, host))  # a script may try to defer

    def acknowledged(self, sent: MessageRef, reply: bytes, host: Imports) -> None:
        self._run(reply, host)

    def timed_out(self, sent: MessageRef, host: Imports) -> None:
        host.set(b"timed-out", sent)

    def refused(self, sent: MessageRef, code: str, host: Imports) -> None:
        host.set(b"refused", code.encode())

    def _run(self, script: bytes, host: Imports) -> Reply | Refusal | Deferred:
        at, out = 0, b""

        def arg() -> bytes:
            nonlocal at
            length = int.from_bytes(script[at : at + 2], "little")
            at += 2 + length
            return script[at - length : at]

        def number() -> int:
            return int.from_bytes(arg(), "little")

        def text() -> str:
            return arg().decode()

        while at < len(script):
            letter = chr(script[at])
            at += 1
            match letter:
                case "S":
                    to, schema, body = text(), text(), arg()
                    sent = host.send(to, schema, body, number())
                    out += bytes((isinstance(sent, str),))
                    out += framed(sent.encode() if isinstance(sent, str) else sent)
                case "A":
                    out += bytes((host.answer(arg(), arg()),))
                case "D":
                    out += bytes((host.decline(arg(), text(), text()),))
                case "G":
                    found = host.get(arg())
                    out += b"\0" if found is None else b"\1" + framed(found)
                case "W":
                    host.set(arg(), arg())
                case "X":
                    host.delete(arg())
                case "R":
                    for pair in host.scan(arg(), arg(), number()):
                        out += framed(*pair)
                case "T":
                    out += host.time().to_bytes(8, "little")
                case "P":
                    out += framed(host.public_random(number()))
                case "Q":
                    out += framed(host.secret_random(number()))
                case "L":
                    host.log(number(), text())
                case "O":
                    out += arg()
                case "F":
                    return Refusal(text(), text())
                case "E":
                    return Deferred()
                case _:
                    raise AssertionError(letter)
        return Reply(out)
