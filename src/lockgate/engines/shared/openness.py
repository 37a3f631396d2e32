"""What of a ledger is still open, by the block that it was written in: what the retention of any engine goes by (I15).

Open are a packet sent, as long as its commitment stands; one received, as long as it waits; an acknowledgement of an
own lane that is not proven to have arrived. A relayer reads the first and the last in their block, a host the second.

Anybody can make a client of a ledger that nobody else has, open a lane over it and leave a packet there that nobody
can end. So what was sent or answered over a client counts no more when that client has been dead for long
(`Clients.is_lost`), or the ledger's authority has closed the lane over it. What waits ends by its deadline.
"""

from __future__ import annotations

from collections.abc import Iterator

from lockgate.ibc import host
from lockgate.machine import keys, lanes, pruning
from lockgate.machine.clients import Clients
from lockgate.machine.records import AUTHORITY, LanePhase
from lockgate.merkle.version import Version
from lockgate.primitives.time import UnixNanos


def open_since(view: Version, clients: Clients, now: UnixNanos) -> Iterator[int]:
    """The blocks in which what is open after a block was written, in no order. `now` is that block's time.

    Raises NotAvailable where the version was let go meanwhile.
    """
    prefix = host.next_sequence_send("")
    for key, _ in view.scan(host.STORE, prefix, _after(prefix)):
        client = key[len(prefix) :].decode()
        if _counts(view, clients, client, now):
            marked = host.packet_commitment(client, 0)[:-8]
            yield from view.written(host.STORE, marked, _after(marked))
    yield from view.written(keys.INBOX, keys.ENTRY_PREFIX, _after(keys.ENTRY_PREFIX))
    for lane in lanes.every(view):
        client = lane.local_client
        if lane.own and _counts(view, clients, client, now):  # of a foreign one nobody proves that it arrived
            first = host.packet_acknowledgement(client, pruning.watermark(view, client) + 1)
            yield from view.written(host.STORE, first, _after(first[:-8]))


def _counts(view: Version, clients: Clients, client: str, now: UnixNanos) -> bool:
    lane = lanes.lane_of(view, client)
    if lane is not None and lane.phase is LanePhase.CLOSED and lane.cause == AUTHORITY:
        return False
    return not clients.is_lost(view, client, now)


def _after(prefix: bytes) -> bytes:
    """The least key above all that begin with a prefix."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


__all__ = ("open_since",)
