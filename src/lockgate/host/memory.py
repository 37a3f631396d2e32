"""What a host keeps of its own in the state tree, beside the guest's keys: under the same root (P1, P4).

A restored or cloned host cannot forget any of it without losing the swap. Keys under `h/`:

    window/<sender><fence>         replay window of a sender's start (P8); of an earlier one until it ends by `accepted`
    acted/<timeout><mark>          a packet that was acted on; kept until no ledger can receive it again
    deferred/<message ref>         a message whose answer the guest still owes
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.codec.registry import SchemaName
from lockgate.host.windows import Window
from lockgate.primitives.ids import DomainId
from lockgate.primitives.time import UnixNanos, UnixSeconds
from lockgate.session import Place

WINDOW: Final = b"window/"
ACTED: Final = b"acted/"
DEFERRED: Final = b"deferred/"
ACTED_LABEL: Final = "lockgate/acted/1"
SWEEP: Final = 64  # marks one step clears: each step makes at most one, so they never pile up

FORMAT: Final = 3  # 1 had no place in the packet: the only payload; 2 no place in a session: none


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """A message that waits for the guest's later answer: all that sealing the reply will need."""

    client: str
    sequence: int
    commitment: bytes
    sender: bytes  # endpoint id
    timeout: UnixSeconds
    deadline: UnixNanos
    schema: SchemaName
    index: int = 0  # which payload of the packet it is
    count: int = 1  # of how many (P2)
    within: Place | None = None  # its place in a session, where it came in one

    def to_bytes(self) -> bytes:
        return cbor.encode(
            [
                FORMAT, self.client, self.sequence, self.commitment, self.sender, self.timeout, self.deadline,
                self.schema.to_value(), self.index, self.count, *(() if self.within is None else self.within),
            ]
        )  # fmt: skip

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Only this host writes it, under its own root."""
        value: Any = cbor.decode(data)
        _, client, sequence, commitment, sender, timeout, deadline, schema, *place = value
        index, count, *within = place or (0, 1)
        return cls(
            client=client,
            sequence=sequence,
            commitment=commitment,
            sender=sender,
            timeout=UnixSeconds(timeout),
            deadline=UnixNanos(deadline),
            schema=SchemaName.from_value(schema),
            index=index,
            count=count,
            within=Place(*within) if within else None,
        )


def window_key(sender: bytes, fence: int) -> bytes:
    return WINDOW + sender + fence.to_bytes(8, "big")


def windows_of(sender: bytes) -> tuple[bytes, bytes]:
    """Where the windows of one sender lie: from the first key to before the second."""
    return window_key(sender, 0), window_key(sender, (1 << 64) - 1)


def accepted(
    held: Iterable[tuple[bytes, bytes]], key: bytes, counter: int, timeout: UnixSeconds, now: UnixSeconds
) -> list[tuple[bytes, bytes | None]]:
    """What changes in the windows of one sender, `held`, when the one at `key` accepts a message. Raises Replayed.

    That of the newest start stays. One of an earlier start goes when the last timeout of what it accepted is over: an
    envelope binds its timeout (P17), so nothing of it is received again, in whatever packet.
    """
    windows = {one: Window.from_bytes(data) for one, data in held}
    seen = windows.get(key, Window()).accept(counter)
    windows[key] = seen = replace(seen, until=max(seen.until, timeout))
    earlier = (one for one in sorted(windows)[:-1] if one != key and windows[one].until < now)
    return [(key, seen.to_bytes()), *((one, None) for one in islice(earlier, SWEEP))]


def acted_key(domain: DomainId, client: str, sequence: int, commitment: bytes, timeout: int) -> bytes:
    """The mark of one packet: (sender's domain, client, sequence, commitment), with its timeout in front."""
    mark = hashlib.sha256(cbor.encode([ACTED_LABEL, domain, client, sequence, commitment])).digest()
    return ACTED + timeout.to_bytes(8, "big") + mark


def outlived(marks: Iterable[bytes], now: UnixSeconds) -> Iterator[bytes]:
    """Marks, ascending, whose packets no ledger can receive any more: their timeout has come there."""
    for count, key in enumerate(marks):
        if count >= SWEEP or int.from_bytes(key[len(ACTED) : len(ACTED) + 8], "big") >= now:
            return
        yield key
