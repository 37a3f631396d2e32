"""Where the imports of the world come from: the component's bindings, or a stand-in for tests."""

from __future__ import annotations

from typing import Protocol


class Host(Protocol):
    """The imports of the world `lockgate:guest`, in Python."""

    def send(self, to: str, schema: str, body: bytes, timeout_s: int, /) -> bytes | str: ...

    def answer(self, id_: bytes, body: bytes, /) -> bool: ...

    def decline(self, id_: bytes, code: str, detail: str, /) -> bool: ...

    def get(self, key: bytes, /) -> bytes | None: ...

    def set(self, key: bytes, value: bytes, /) -> None: ...

    def delete(self, key: bytes, /) -> None: ...

    def scan(self, start: bytes, end: bytes, limit: int, /) -> list[tuple[bytes, bytes]]: ...

    def time(self) -> int: ...

    def public_random(self, count: int, /) -> bytes: ...

    def secret_random(self, count: int, /) -> bytes: ...

    def log(self, level: int, text: str, /) -> None: ...


_bound: Host | None = None


def bind(host: Host | None) -> None:
    """Use `host` from now on; the component does this once, tests around each call."""
    global _bound  # noqa: PLW0603  # one instance serves one call at a time
    _bound = host


def host() -> Host:
    if _bound is None:
        raise RuntimeError("a guest can use its host only while it is being called")
    return _bound
