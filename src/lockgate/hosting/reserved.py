"""What hosts say to each other, and nobody says in their place."""

from __future__ import annotations

from typing import Final

from lockgate.host.ports import RESERVED
from lockgate.primitives.errors import Refused

HANDSHAKE: Final = "session"  # the purpose of messages that make a session


class ReservedSchema(Refused):
    code = "host.reserved_schema"
    summary = "Schemas of this name are spoken between hosts; no guest or operator sends them."
    untouched = "Nothing was sealed or sent."
    next_step = "Name the schema otherwise."


__all__ = ("HANDSHAKE", "RESERVED", "ReservedSchema")
