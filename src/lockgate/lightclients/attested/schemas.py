"""Schemas of the attested client, as `codec.registry` takes them; the CDDL text is in `cddl/`."""

from __future__ import annotations

from typing import Final

from lockgate.codec.registry import Schema, Version, cddl_text

_V1: Final = Version(1, 0)
_PACKAGE: Final = "lockgate.lightclients.attested"
_TEXT: Final = cddl_text("attested", _V1, package=_PACKAGE)


def _rule(rule: str) -> Schema:
    return Schema(f"attested/{rule}", _V1, f"root = {rule}\n{_TEXT}")


CLIENT_STATE: Final = _rule("client-state")
CONSENSUS_STATE: Final = _rule("consensus-state")
ATTESTATION: Final = _rule("attestation")
ROTATION: Final = _rule("rotation")
MISBEHAVIOUR: Final = _rule("misbehaviour")
SCHEMAS: Final = (CLIENT_STATE, CONSENSUS_STATE, ATTESTATION, ROTATION, MISBEHAVIOUR)

__all__ = ("ATTESTATION", "CLIENT_STATE", "CONSENSUS_STATE", "MISBEHAVIOUR", "ROTATION", "SCHEMAS")
