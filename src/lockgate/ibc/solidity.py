"""The Solidity ABI form of a packet, as the EVM router's events and calls carry it.

Source: solidity-ibc-eureka IICS26RouterMsgs: Packet(uint64 sequence, string sourceClient, string
destClient, uint64 timeoutTimestamp, Payload[] payloads), Payload(string sourcePort, string destPort,
string version, string encoding, bytes value); one tuple as the only argument.
"""

from __future__ import annotations

from typing import Final

from lockgate.codec import abi
from lockgate.ibc.packet import Packet, Payload
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds

_PAYLOAD: Final = abi.Tuple((abi.STRING, abi.STRING, abi.STRING, abi.STRING, abi.BYTES))
_PACKET: Final = abi.Tuple((abi.UINT64, abi.STRING, abi.STRING, abi.UINT64, abi.Array(_PAYLOAD)))
_ARGUMENTS: Final = abi.Tuple((_PACKET,))
MAX_BYTES: Final = 1 << 20  # a packet's payloads are at most 256 KiB; this is CometBFT's transaction limit


def encode_packet(packet: Packet) -> bytes:
    payloads = tuple(
        (one.source_port, one.destination_port, one.version, one.encoding, one.value) for one in packet.payloads
    )
    fields = (packet.sequence, packet.source_client, packet.destination_client, packet.timeout, payloads)
    return abi.encode(_ARGUMENTS, (fields,))


def decode_packet(data: bytes) -> Packet:
    """Read a packet in the canonical ABI form. Raises codec.Malformed."""
    ((sequence, source, destination, timeout, payloads),) = abi.decode(_ARGUMENTS, data, limit=MAX_BYTES)
    return Packet(
        sequence=sequence,
        source_client=ClientId(source),
        destination_client=ClientId(destination),
        timeout=UnixSeconds(timeout),
        payloads=tuple(
            Payload(source_port=a, destination_port=b, version=c, encoding=d, value=e) for a, b, c, d, e in payloads
        ),
    )
