"""Schemas of this package, as `codec.registry` takes them; the CDDL texts are in `cddl/`."""

from __future__ import annotations

from typing import Final

from lockgate.codec.registry import Schema, Version, cddl_text

_V1: Final = Version(1, 0)
_TEXT: Final = cddl_text("token", _V1, package="lockgate.session")


def _rule(rule: str, *, tags: frozenset[int] = frozenset()) -> Schema:
    return Schema(f"token/{rule}", _V1, f"root = {rule}\n{_TEXT}", tags=tags)


TOKEN: Final = _rule("token", tags=frozenset({18, 61, 98}))
CLAIMS: Final = _rule("claims")
SHOWN: Final = _rule("shown")
CALL: Final = _rule("call")
SCHEMAS: Final = (TOKEN, CLAIMS, SHOWN, CALL)

__all__ = ("CALL", "CLAIMS", "SCHEMAS", "SHOWN", "TOKEN")
