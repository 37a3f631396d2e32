"""Packets, payloads and acknowledgements as values, and what makes one acceptable.

A value of these classes may still be out of range: the wire can carry such packets, and the sender's
own handler must be able to name what is wrong. `check_packet` and `check_acknowledgement` are the
stateless validation of ICS-04 v2 (specs/ibc-v2.md §5), in the order of ibc-go v11.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from lockgate.ibc.errors import AcknowledgementCount, BadAcknowledgement, BadPacket, BadPayload
from lockgate.ibc.host import MAX_SEQUENCE, check_client, check_port
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds

_MEMO_TEXT: Final = 128  # characters of a version or encoding that is remembered; ports have a limit of their own
SENTINEL: Final = sha256(b"UNIVERSAL_ERROR_ACKNOWLEDGEMENT").digest()
MAX_PAYLOAD_BYTES: Final = 262_144  # of all payload values of a packet: ibc-go's MaximumPayloadsSize
FOREIGN_PAYLOADS: Final = 1  # ibc-go v11.2.0 takes exactly one payload
# What counts as blank is fixed here, not by a Unicode table of some Python: Go's unicode.IsSpace.
_SPACES: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class Payload(NamedTuple):
    """What one port sends another. Version and encoding name how to read `value`."""

    source_port: str  # 2..128 characters
    destination_port: str  # 2..128 characters
    version: str  # not blank
    encoding: str  # not blank
    value: bytes  # not empty


class Packet(NamedTuple):
    """An IBC v2 packet. All its payloads succeed or none does. Source: ICS-04 v2."""

    sequence: int  # 1..2^64-1, per source client
    source_client: ClientId  # 8..64 characters; our client of the destination, on the source ledger
    destination_client: ClientId  # 8..64 characters
    timeout: UnixSeconds  # 1..2^64-1
    payloads: tuple[Payload, ...]


class Acknowledgement(NamedTuple):
    """One element per payload, or the single error sentinel."""

    elements: tuple[bytes, ...]

    @property
    def success(self) -> bool:
        """False for the error acknowledgement: a list that starts with the sentinel."""
        return self.elements[0] != SENTINEL


ERROR_ACKNOWLEDGEMENT: Final = Acknowledgement((SENTINEL,))


def check_packet(packet: Packet, max_payloads: int) -> None:
    """Refuse a packet with a field out of range.

    Raises BadPayload, BadHostIdentifier or BadPacket. `max_payloads` is the lane's bound (P2).
    """
    check_payloads(packet.payloads, max_payloads)
    check_frame(packet)


def check_frame(packet: Packet) -> None:
    """The part of `check_packet` that is not about single payloads. Raises the same."""
    sequence, source, destination, timeout, payloads = packet
    size = 0
    for payload in payloads:
        size += len(payload[4])
    if size > MAX_PAYLOAD_BYTES:
        raise BadPayload("too large", size=size, most=MAX_PAYLOAD_BYTES)
    check_client(source)
    check_client(destination)
    if not 0 < sequence <= MAX_SEQUENCE:
        raise BadPacket("sequence", sequence=sequence)
    if not 0 < timeout <= MAX_SEQUENCE:
        raise BadPacket("timeout", timeout=timeout)


def check_payloads(payloads: tuple[Payload, ...], max_payloads: int) -> None:
    """Refuse payloads of a wrong number or with a field out of range.

    Raises BadPayload or BadHostIdentifier.
    """
    if not 1 <= len(payloads) <= max_payloads:
        raise BadPayload("number of payloads", count=len(payloads), most=max_payloads)
    for source, destination, version, encoding, value in payloads:
        if len(version) <= _MEMO_TEXT and len(encoding) <= _MEMO_TEXT:
            _checked_names(source, destination, version, encoding)
        else:
            _check_names(source, destination, version, encoding)
        if not value:
            raise BadPayload("the value is empty")


def _check_names(source_port: str, destination_port: str, version: str, encoding: str) -> None:
    check_port(source_port)
    check_port(destination_port)
    if not version.strip(_SPACES):
        raise BadPayload("the version is blank")
    if not encoding.strip(_SPACES):
        raise BadPayload("the encoding is blank")


_checked_names: Final = lru_cache(4_096)(_check_names)  # what is refused is not remembered


def check_acknowledgement(acknowledgement: Acknowledgement, max_payloads: int) -> None:
    """Refuse an acknowledgement list that no receiver writes. Raises BadAcknowledgement."""
    elements = acknowledgement.elements
    if not 1 <= len(elements) <= max_payloads:
        raise BadAcknowledgement("number of elements", count=len(elements), most=max_payloads)
    if not all(elements):
        raise BadAcknowledgement("an element is empty")
    if len(elements) > 1 and SENTINEL in elements:
        raise BadAcknowledgement("the error sentinel stands alone", count=len(elements))


def check_count(packet: Packet, acknowledgement: Acknowledgement) -> None:
    """Refuse a success acknowledgement whose elements are not one per payload.

    Called before anything indexes the list by payload. Raises AcknowledgementCount.
    """
    if acknowledgement.success and len(acknowledgement.elements) != len(packet.payloads):
        raise AcknowledgementCount(
            "one element per payload", elements=len(acknowledgement.elements), payloads=len(packet.payloads)
        )
