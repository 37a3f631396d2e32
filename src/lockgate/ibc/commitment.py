"""Commitments: what a sender stores and a receiver proves, and the same for acknowledgements.

Every field is hashed before it is joined, so the preimage has one shape and no relayer can move
bytes between fields and keep the hash. Source client and sequence are not inside: the key under
which a commitment is stored binds them. Source: ICS-04 v2, specs/ibc-v2.md §4. [P4]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Final

from lockgate.ibc.packet import ERROR_ACKNOWLEDGEMENT, Acknowledgement, Packet, Payload
from lockgate.primitives.ids import Hash32
from lockgate.primitives.quick import SHORT, Digest, short_sha256

VERSION: Final = b"\x02"  # first byte of both preimages: IBC v2
MAX_MEMO_TEXT: Final = 128  # characters of what a port may have, bytes of an element. Longer ones are not remembered
_MEMO: Final = 4_096  # names in use are dozens; four of 128 bytes each keep a full memo at a few megabytes


def commit_packet(packet: Packet) -> Hash32:
    """Return the 32 bytes the source ledger stores for `packet`."""
    _, _, destination, timeout, payloads = packet
    if len(payloads) == 1 and _is_short(payloads[0]):
        return _remembered(destination, timeout, payloads)
    return _commit(destination, timeout, payloads)


def _is_short(payload: Payload) -> bool:
    return len(payload[4]) <= SHORT and len(payload[2]) <= MAX_MEMO_TEXT and len(payload[3]) <= MAX_MEMO_TEXT


def _commit(destination: str, timeout: int, payloads: tuple[Payload, ...]) -> Hash32:
    joined = payload_hash(payloads[0]) if len(payloads) == 1 else b"".join(map(payload_hash, payloads))
    joined = short_sha256(joined).digest() if len(joined) <= SHORT else sha256(joined).digest()
    return short_sha256(route_hashes(destination, timeout) + joined).digest()  # type: ignore[return-value]  # a name for the type would be a call a packet


def commit_value(route: bytes, names: bytes, value: bytes) -> Hash32:
    """`commit_packet` of a packet with one payload, given `route_hashes`, `name_hashes` and the value."""
    payload, whole = _begun(names)(), _begun(route)()
    payload.update((short_sha256(value) if len(value) <= SHORT else sha256(value)).digest())
    whole.update(short_sha256(payload.digest()).digest())
    return whole.digest()  # type: ignore[return-value]  # as above


@lru_cache(_MEMO)
def _begun(head: bytes) -> Callable[[], Digest]:
    """Makes hashes that have taken `head`, what preimages of a way share: most of their blocks."""
    return short_sha256(head).copy


def payload_hash(payload: Payload) -> bytes:
    """Return the 32-byte hash of one payload, all five fields bound."""
    # Version and encoding have no length limit of their own, and no long name may fill the memo.
    names, value = payload[:4], payload[4]
    short = len(names[2]) <= MAX_MEMO_TEXT and len(names[3]) <= MAX_MEMO_TEXT
    hashes = _remembered_names(names) if short else name_hashes(names)
    hashed = short_sha256(value) if len(value) <= SHORT else sha256(value)
    return short_sha256(hashes + hashed.digest()).digest()


def commit_acknowledgement(acknowledgement: Acknowledgement) -> Hash32:
    """Return the 32 bytes the destination ledger stores for an acknowledgement list."""
    hashes = [(short_sha256(one) if len(one) <= SHORT else sha256(one)).digest() for one in acknowledgement.elements]
    return Hash32(sha256(VERSION + b"".join(hashes)).digest())


def commit_element(element: bytes) -> Hash32:
    """`commit_acknowledgement` of a list of one element."""
    return _commit_short(element) if len(element) <= MAX_MEMO_TEXT else _commit_element(element)


def _commit_element(element: bytes) -> Hash32:
    return Hash32(short_sha256(VERSION + sha256(element).digest()).digest())


# Applications answer with the same few words again and again.
_commit_short: Final = lru_cache(_MEMO)(_commit_element)


def name_hashes(names: tuple[str, str, str, str]) -> bytes:
    """What stands before the value's hash in a payload's preimage: ports, version, encoding."""
    return b"".join([sha256(name.encode()).digest() for name in names])


# A mempool's check commits to a packet, and then the block that sends it.
_remembered: Final = lru_cache(_MEMO)(_commit)
# Names repeat from packet to packet, timeouts within a batch; the hashes are those of the plain formula.
_remembered_names: Final = lru_cache(_MEMO)(name_hashes)


@lru_cache(_MEMO)
def route_hashes(client: str, timeout: int) -> bytes:
    """What stands before the payloads in a packet's preimage."""
    return VERSION + sha256(client.encode()).digest() + sha256(timeout.to_bytes(8, "big")).digest()


SENTINEL_COMMITMENT: Final = commit_acknowledgement(ERROR_ACKNOWLEDGEMENT)
