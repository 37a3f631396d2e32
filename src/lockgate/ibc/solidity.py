"""The Solidity ABI form of a packet, as the EVM router's events and calls carry it.

Source: solidity-ibc-eureka IICS26RouterMsgs.Packet, one tuple as the only argument.
"""

from __future__ import annotations

from typing import Final

from lockgate.codec import abi
from lockgate.ibc.packet import Packet, Payload
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds

MAX_BYTES: Final = 1 << 20  # payload values are at most 256 KiB; the rest is names. CometBFT's transaction limit


def encode_packet(packet: Packet) -> bytes:
    payloads = tuple(
        (one.source_port, one.destination_port, one.version, one.encoding, one.value) for one in packet.payloads
    )
    fields = (packet.sequence, packet.source_client, packet.destination_client, packet.timeout, payloads)
    return abi.encode(abi.PACKET, fields)


def decode_packet(data: bytes) -> Packet:
    """Read a packet in the canonical ABI form. Raises codec.Malformed."""
    sequence, source, destination, timeout, payloads = abi.decode(abi.PACKET, data, limit=MAX_BYTES)
    return Packet(
        sequence=sequence,
        source_client=ClientId(source),
        destination_client=ClientId(destination),
        timeout=UnixSeconds(timeout),
        payloads=tuple(
            Payload(source_port=a, destination_port=b, version=c, encoding=d, value=e) for a, b, c, d, e in payloads
        ),
    )
