"""Names of packets: the forms people and programs give, the packet id, the trace id.

A packet is named by the ledger that sent it, the client it was sent over, and its sequence there. Client ids
repeat on every pair of ledgers (P9), so the packet id is made of the sender's domain id, and the trace id of that:
whoever knows the packet knows its trace id, on every ledger, in every log (I7).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from lockgate.codec import cbor
from lockgate.ibc.host import MAX_SEQUENCE
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ClientId, DomainId

TRACE_BYTES: Final = 16
_BY_PLACE: Final = re.compile(
    r"(?:(?P<ledger>[^/\s]{1,64})/)?(?P<client>[\w-]{4,60}-[0-9]{1,20})/(?P<sequence>[0-9]{1,20})\Z", re.ASCII
)
_BY_HASH: Final = re.compile(r"[0-9a-f]{32}\Z|[0-9a-f]{64}\Z")


class BadPacketName(Refused):
    code = "packet.bad_name"
    summary = "That names no packet."
    next_step = "Give LEDGER/CLIENT/SEQUENCE, CLIENT/SEQUENCE with --ledger, a trace id (32 hex), or a ref (64 hex)."


class AmbiguousPacket(Refused):
    code = "packet.ambiguous"
    summary = "More than one ledger has sent a packet of that client and sequence."
    next_step = "Say which ledger sent it: LEDGER/CLIENT/SEQUENCE."


class NoSuchPacket(Refused):
    code = "packet.unknown"
    summary = "No reachable ledger has sent such a packet."
    next_step = "Compare the name with `lockgate outbox HOST`; the sender's ledger must run."


@dataclass(frozen=True, slots=True)
class ByPlace:
    """`client`/`sequence` on the ledger that sent it; `ledger` is empty where none was named."""

    ledger: str
    client: ClientId
    sequence: int


@dataclass(frozen=True, slots=True)
class ByTrace:
    trace_id: bytes


@dataclass(frozen=True, slots=True)
class ByRef:
    """A message of a host, by the reference `send` answered with."""

    ref: bytes


PacketName = ByPlace | ByTrace | ByRef


def parse(text: str, ledger: str = "") -> PacketName:
    """Read any form. `ledger` completes a name that has none. Raises BadPacketName."""
    if _BY_HASH.match(text):
        value = bytes.fromhex(text)
        return ByTrace(value) if len(value) == TRACE_BYTES else ByRef(value)
    found = _BY_PLACE.match(text)
    if found is None or not 0 < int(found["sequence"]) <= MAX_SEQUENCE:
        raise BadPacketName("not a packet's name", given=text[:100])
    if found["ledger"] and ledger and found["ledger"] != ledger:
        raise BadPacketName("two ledgers are named", given=text[:100], ledger=ledger)
    return ByPlace(found["ledger"] or ledger, ClientId(found["client"]), int(found["sequence"]))


def packet_id(domain: DomainId, client: str, sequence: int) -> bytes:
    """The packet id: deterministic CBOR of [sender's domain id, source client, sequence]."""
    return cbor.encode([domain, client, sequence])


def trace_id(domain: DomainId, client: str, sequence: int) -> bytes:
    """First 16 bytes of SHA-256 of the packet id (I7)."""
    return hashlib.sha256(packet_id(domain, client, sequence)).digest()[:TRACE_BYTES]


__all__ = (
    "AmbiguousPacket",
    "BadPacketName",
    "ByPlace",
    "ByRef",
    "ByTrace",
    "NoSuchPacket",
    "PacketName",
    "packet_id",
    "parse",
    "trace_id",
)
