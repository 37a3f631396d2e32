"""Reading a whole stored state back, for `verify`: nothing in it can be altered unseen."""

from __future__ import annotations

from typing import Final

from lockgate.engines.shared.bodies import ReadBody
from lockgate.ibc import host
from lockgate.ibc import wire as wire_packets
from lockgate.ibc.commitment import commit_packet
from lockgate.machine import inbox, keys
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import LockgateError, Refused

END_OF_KEYS: Final = b"\xff" * 256  # above every key the machine writes


class StoreTampered(Refused):
    code = "ledger.store_tampered"
    summary = "A stored block, result or root does not match the signed headers."
    untouched = "The ledger did not start; nothing was written."
    next_step = "Run `lockgate verify --store` for the first bad height; restore a good copy under a new revision."


def read_all(state: MultiStore, body: ReadBody) -> None:
    """Read every node of the newest version, and each packet that waits. Raises StoreTampered with the height.

    Each node is verified against the hash its parent holds as it is read; the packets are compared with the
    commitments in the tree.
    """
    height = state.version
    try:
        for name in keys.STORES:
            for _ in state.scan(name, b"\x00", END_OF_KEYS):
                pass
        for client, sequence, entry in inbox.every(state):
            data = body(host.async_packet(client, sequence))
            if data is None or commit_packet(wire_packets.read_packet(data)) != entry.commitment:
                raise StoreTampered("a waiting packet is missing or another", height=entry.received_height)
    except StoreTampered:
        raise
    except LockgateError as error:
        raise StoreTampered("a tree does not verify", height=error.fields.get("version", height)) from error


__all__ = ("StoreTampered", "read_all")
