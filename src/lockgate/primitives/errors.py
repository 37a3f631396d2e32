"""Typed failures: four kinds, by who must act, each with a stable code.

An error class states once what a reader of `lockgate explain CODE` needs: what failed, what was
left untouched, and what to do next. One table at each edge maps kinds to exit codes, HTTP status
and wire codes; nothing else inspects the text of an error.
"""

from __future__ import annotations

from typing import ClassVar, Final

MAX_CODE_BYTES: Final = 64  # a code is written into ledger records; longest in use is below half


class LockgateError(Exception):
    """Base of every failure Lockgate names.

    Concrete subclasses set `code` (stable, dotted, ASCII), `summary`, `untouched` and `next_step`.
    `wire` is the (codespace, number) pair of the standard the failure comes from, where one exists:
    it is what a transaction result carries beside our own code.
    """

    code: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    untouched: ClassVar[str] = "Nothing was written."
    next_step: ClassVar[str] = ""
    wire: ClassVar[tuple[str, int] | None] = None

    def __init__(self, detail: str = "", /, **fields: object) -> None:
        self.detail = detail
        self.fields = fields
        super().__init__(detail)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" not in cls.__dict__:
            return
        if not cls.code.isascii() or not 0 < len(cls.code) <= MAX_CODE_BYTES:
            raise TypeError(f"{cls.__name__}: a code is 1..{MAX_CODE_BYTES} ASCII characters")
        other = _BY_CODE.setdefault(cls.code, cls)
        if other is not cls and other.__qualname__ != cls.__qualname__:
            raise TypeError(f"code {cls.code!r} belongs to {other.__name__} already")
        _BY_CODE[cls.code] = cls

    def __str__(self) -> str:
        parts = [f"{self.code}: {self.detail or self.summary}"]
        parts += [f"{name}={_shown(value)}" for name, value in self.fields.items()]
        return " ".join(parts)


_BY_CODE: dict[str, type[LockgateError]] = {}


class PeerFault(LockgateError):
    """The other side broke the protocol: drop, count, never retry."""


class Refused(LockgateError):
    """Well formed, and the answer is no: policy, expiry, capability, state."""


class Unavailable(LockgateError):
    """The world failed us: retry with backoff."""


class Damaged(Unavailable):
    """The party's own store is not as it was written, or cannot be. Whoever meets it stops.

    It is never turned into the refusal of a transaction: two nodes must not answer alike what only
    one of them could read.
    """


class Misuse(LockgateError):
    """Our caller has a bug: let it crash."""


def error_codes() -> dict[str, type[LockgateError]]:
    """Return every registered code with its class, sorted by code."""
    return dict(sorted(_BY_CODE.items()))


def _shown(value: object) -> str:
    # Error texts reach logs and terminals: byte strings are abbreviated, so that no key or body
    # can leave through one, and control characters from a peer cannot steer a terminal.
    if isinstance(value, (bytes, bytearray, memoryview)):
        raw = bytes(value)
        return raw.hex() if len(raw) <= 32 else f"{raw[:8].hex()}…({len(raw)} B)"
    try:
        text = str(value)
    except ValueError:  # a peer's bignum beyond the digits that Python writes
        text = "a number too long to write"
    text = text if len(text) <= 200 else text[:200] + "…"
    return text if text.isprintable() else repr(text)


__all__ = (
    "MAX_CODE_BYTES",
    "Damaged",
    "LockgateError",
    "Misuse",
    "PeerFault",
    "Refused",
    "Unavailable",
    "error_codes",
)
