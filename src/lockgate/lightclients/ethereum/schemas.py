"""Schemas of the ethereum client, as `codec.registry` takes them; the CDDL text is in `cddl/`."""

from __future__ import annotations

from typing import Final

from lockgate.codec.registry import Schema, Version, cddl_text

_V1: Final = Version(1, 0)
_PACKAGE: Final = "lockgate.lightclients.ethereum"
_TEXT: Final = cddl_text("ethereum", _V1, package=_PACKAGE)


def _rule(rule: str) -> Schema:
    return Schema(f"ethereum/{rule}", _V1, f"root = {rule}\n{_TEXT}")


CLIENT_STATE: Final = _rule("client-state")
CONSENSUS_STATE: Final = _rule("consensus-state")
HEADER: Final = _rule("header")
MISBEHAVIOUR: Final = _rule("misbehaviour")
STORAGE_PROOF: Final = _rule("storage-proof")
SCHEMAS: Final = (CLIENT_STATE, CONSENSUS_STATE, HEADER, MISBEHAVIOUR, STORAGE_PROOF)

__all__ = ("CLIENT_STATE", "CONSENSUS_STATE", "HEADER", "MISBEHAVIOUR", "SCHEMAS", "STORAGE_PROOF")
