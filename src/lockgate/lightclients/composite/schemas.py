"""Schemas of the composite client, as `codec.registry` takes them; the CDDL text is in `cddl/`."""

from __future__ import annotations

from typing import Final

from lockgate.codec.registry import Schema, Version, cddl_text

_V1: Final = Version(1, 0)
_TEXT: Final = cddl_text("composite", _V1, package="lockgate.lightclients.composite")


def _rule(rule: str) -> Schema:
    return Schema(f"composite/{rule}", _V1, f"root = {rule}\n{_TEXT}")


CLIENT_STATE: Final = _rule("client-state")
CONSENSUS_STATE: Final = _rule("consensus-state")
AGREEMENT: Final = _rule("agreement")
SCHEMAS: Final = (CLIENT_STATE, CONSENSUS_STATE, AGREEMENT)

__all__ = ("AGREEMENT", "CLIENT_STATE", "CONSENSUS_STATE", "SCHEMAS")
