"""What an ethereum client refuses beside what all clients do (`lightclients.standing`)."""

from __future__ import annotations

from typing import Final

from lockgate.lightclients.standing import CLIENT
from lockgate.primitives.errors import PeerFault

CODESPACE: Final = "lockgate"


class MalformedBeaconData(PeerFault):
    code = "ethereum.malformed"
    summary = "The bytes are not the SSZ or JSON of a light client object, or go beyond its limits."
    next_step = "Fetch the object again from a beacon node; do not retry these bytes."
    wire = (CLIENT, 10)


__all__ = ("CODESPACE", "MalformedBeaconData")
