"""Arguments of a call as its caller wrote them in JSON: of the type and in the range that a verb takes, or BadCall."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from lockgate.node.socket import BadCall

MAX_TEXT: Final = 4_096  # characters: a path, the longest that a kernel takes; names are far shorter
MAX_NUMBER: Final = (1 << 63) - 1  # what a column of the host's file holds
HASH_BYTES: Final = 32
MAX_DIGESTS: Final = 64  # rules accepted at once: those in force, and a few that are to come


class Arguments:
    """Those of one call. A missing one is read as null."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given

    def text(self, name: str, default: str | None = None) -> str:
        """A string that every part of the host can write down: no lone surrogates, no NUL. Raises BadCall."""
        value = self._given.get(name)
        if value is None and default is not None:
            return default
        if type(value) is str and len(value) <= MAX_TEXT and "\0" not in value:
            with suppress(UnicodeEncodeError):
                value.encode()
                return value
        raise BadCall("not a text, or too long", argument=name)

    def path(self, name: str) -> Path:
        """The name of a file, whatever bytes it is made of. Raises BadCall."""
        value = self._given.get(name)
        if type(value) is str and 0 < len(value) <= MAX_TEXT and "\0" not in value:
            with suppress(UnicodeEncodeError):
                os.fsencode(value)
                return Path(value)
        raise BadCall("not the path of a file, or too long", argument=name)

    def number(self, name: str, *, default: int | None = None, least: int = 0, most: int = MAX_NUMBER) -> int:
        """An integer of a range. Raises BadCall."""
        value = self._given.get(name)
        if value is None and default is not None:
            return default
        if type(value) is not int or not least <= value <= most:
            raise BadCall("not an integer of the range", argument=name, least=least, most=most)
        return value

    def count(self, name: str, default: int, most: int) -> int:
        """How many rows are asked for: any integer, brought to 1..`most`. Raises BadCall."""
        value = self._given.get(name)
        if value is None:
            return default
        if type(value) is not int:
            raise BadCall("not an integer", argument=name)
        return max(1, min(value, most))

    def data(self, name: str) -> bytes:
        """Bytes in hex. Raises BadCall."""
        value = self._given.get(name)
        if type(value) is str:
            with suppress(ValueError):
                return bytes.fromhex(value)
        raise BadCall("not bytes in hex", argument=name)

    def digests(self, name: str) -> tuple[str, ...]:
        """Hashes of 32 bytes, in hex, at least one. Raises BadCall."""
        value = self._given.get(name)
        if type(value) is not list or not 0 < len(value) <= MAX_DIGESTS:
            raise BadCall("not a list of hashes, or too long", argument=name, most=MAX_DIGESTS)
        found = [Arguments({name: one}).data(name) for one in value]
        if any(len(one) != HASH_BYTES for one in found):
            raise BadCall("a hash has 32 bytes", argument=name)
        return tuple(one.hex() for one in found)


__all__ = ("MAX_NUMBER", "Arguments")
