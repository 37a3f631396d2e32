"""ICS-24 host: where IBC keeps what, byte for byte as ibc-go v11, and which identifiers it takes.

Three kinds of key are ever proven to another ledger: packet commitments, receipts and
acknowledgements. They are raw bytes without separators. The remaining keys are local, yet light
clients and lane proofs read them, so they too are those of ibc-go. Source: specs/ibc-v2.md §3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence as Items
from functools import lru_cache
from typing import Final

from lockgate.ibc.errors import BadCounterparty, BadHostIdentifier
from lockgate.primitives.ids import ClientId, Height, PortId

STORE: Final = "ibc"
COMMITMENT_MARK: Final = b"\x01"
RECEIPT_MARK: Final = b"\x02"
ACKNOWLEDGEMENT_MARK: Final = b"\x03"
ASYNC_MARK: Final = b"async_packet"
NEXT_CLIENT_SEQUENCE: Final = b"nextClientSequence"
CLIENTS_PREFIX: Final = b"clients/"

MAX_SEQUENCE: Final = (1 << 64) - 1  # sequences are u64 on the wire
CLIENT_LENGTH: Final = (8, 64)  # characters, in packets; ibc-go's ChannelIdentifierValidator
NAMED_CLIENT_LENGTH: Final = (4, 64)  # characters, in messages and queries; ibc-go's ClientIdentifierValidator
PORT_LENGTH: Final = (2, 128)  # characters
LOCALHOST: Final = "09-localhost"
_KNOWN_NAMES: Final = 4_096  # memo size: identifiers in use are dozens, each at most 128 bytes

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._+\-#\[\]<>]+\Z")
# ibc-go's ^\w+([\w-]+\w)?-[0-9]{1,20}$, rewritten so that long hostile names cost linear time.
_CLIENT_FORM: Final = re.compile(r"(\w(?:[\w-]*\w)?)-([0-9]{1,20})\Z", re.ASCII)


def packet_commitment(client: str, sequence: int) -> bytes:
    """Key of the commitment of a packet sent over `client`, its source client."""
    return client.encode() + COMMITMENT_MARK + sequence.to_bytes(8, "big")


def packet_receipt(client: str, sequence: int) -> bytes:
    """Key of the receipt of a packet received over `client`, its destination client."""
    return client.encode() + RECEIPT_MARK + sequence.to_bytes(8, "big")


def packet_acknowledgement(client: str, sequence: int) -> bytes:
    """Key of the acknowledgement of a packet received over `client`, its destination client."""
    return client.encode() + ACKNOWLEDGEMENT_MARK + sequence.to_bytes(8, "big")


def async_packet(client: str, sequence: int) -> bytes:
    """Key of a received packet that waits for its acknowledgement; deleted when that is written."""
    return client.encode() + ASYNC_MARK + sequence.to_bytes(8, "big")


def next_sequence_send(client: str) -> bytes:
    return b"nextSequenceSend/" + client.encode()


def client_key(client: str, name: bytes) -> bytes:
    """Key of one record of a client: `clients/{client}/{name}`."""
    return CLIENTS_PREFIX + client.encode() + b"/" + name


def client_state(client: str) -> bytes:
    return client_key(client, b"clientState")


def consensus_state(client: str, height: Height) -> bytes:
    return client_key(client, b"consensusStates/" + str(height).encode())


def forgotten(client: str) -> bytes:
    """Where a client notes up to which height, revision and number of 8 bytes each, what it stores counts no more."""
    return client_key(client, b"forgotten")


def creator(client: str) -> bytes:
    return client_key(client, b"creator")


def counterparty(client: str) -> bytes:
    return client_key(client, b"counterparty")


def config(client: str) -> bytes:
    return client_key(client, b"config")


def proof_path(prefix: Items[bytes], key: bytes) -> tuple[bytes, ...]:
    """Return the counterparty's merkle prefix with `key` appended to its last element.

    The key is joined to the last element, not added as one more: `["ibc", ""]` becomes
    `["ibc", key]`. Raises BadCounterparty if the prefix is empty or an element before the last is.
    """
    if not prefix or not all(prefix[:-1]):
        raise BadCounterparty("an element of the merkle prefix is missing", elements=len(prefix))
    return (*prefix[:-1], prefix[-1] + key)


@lru_cache(_KNOWN_NAMES)
def check_client(text: str) -> ClientId:
    """Return `text` if a packet may name it as a client. Raises BadHostIdentifier."""
    _check(text, *CLIENT_LENGTH)
    return ClientId(text)


@lru_cache(_KNOWN_NAMES)
def check_port(text: str) -> PortId:
    """Return `text` if a payload may name it as a port. Raises BadHostIdentifier."""
    _check(text, *PORT_LENGTH)
    return PortId(text)


@lru_cache(_KNOWN_NAMES)
def check_named_client(text: str) -> ClientId:
    """Return `text` if a message or query may name it as a client. Raises BadHostIdentifier."""
    _check(text, *NAMED_CLIENT_LENGTH)
    return ClientId(text)


@lru_cache(_KNOWN_NAMES)
def client_type(client: str) -> str:
    """Return the type of a client id of the form `{type}-{n}`, n a u64. Raises BadHostIdentifier."""
    match = _CLIENT_FORM.match(client)
    if match is None or int(match.group(2)) > MAX_SEQUENCE:
        raise BadHostIdentifier("not of the form {type}-{n}", identifier=client)
    return match.group(1)


def is_client_id(text: str) -> bool:
    """Is `text` of the form `{type}-{n}`, or the local host's own client id?"""
    match = _CLIENT_FORM.match(text)
    return text == LOCALHOST or (match is not None and int(match.group(2)) <= MAX_SEQUENCE)


def _check(text: str, shortest: int, longest: int) -> None:
    if not shortest <= len(text) <= longest or not _IDENTIFIER.match(text):
        raise BadHostIdentifier("length or characters", identifier=text, shortest=shortest, longest=longest)
