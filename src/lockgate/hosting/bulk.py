"""Bulk bodies of a host: sealed and offered until their packets end, fetched before their messages are answered (I8).

A fetch runs beside the host's steps, so that a slow body holds up nothing but its own message. It has to
end some time before the entry's answer deadline: a body that is not there by then is refused with a
reason, and never leaves a packet waiting for the deadline. Each peer has a share of its own of what is fetched
at once, so that nobody's slow bodies stand before another's; and a body that waits for its peer takes none of it.

A received body is kept for a row of the inbox, or an entry that is still to be answered. What neither names is
removed: when its entry is seen to be gone, or at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from lockgate.codec.registry import SchemaName
from lockgate.envelope.bulk import (
    BLOB_ID_BYTES,
    BODY_SCHEMA,
    NOTICE_SCHEMA,
    BlobId,
    BulkBody,
    BulkNotice,
    blob_of,
)
from lockgate.envelope.chunks import CONTENT_KEY_BYTES, Descriptor
from lockgate.envelope.content import MAX_BODY
from lockgate.envelope.cose.algorithms import A256GCM
from lockgate.envelope.errors import BlobGone, BulkMalformed, ChannelBroken, ChannelDown, ChunkRefused, ForeignLocator
from lockgate.envelope.ports import BlobOffer, BlobSource
from lockgate.hosting.reserved import RESERVED
from lockgate.hosting.work import Item, Report
from lockgate.primitives.errors import LockgateError, Refused, Unavailable
from lockgate.primitives.ports import Rng
from lockgate.primitives.time import UnixNanos
from lockgate.storage.host import HostStore, Sent
from lockgate.transport import Bodies, Receiving, receive, seal_file

SHARE: Final = 2  # fetches of one peer at once; each holds two mebibytes and one connection
MARGIN_S: Final = 10.0  # before the answer deadline: time to post the refusal, a sixth of the default grace (I6)
MARGIN_SHARE: Final = 0.2  # of a shorter time
WRONG_CHUNKS: Final = 3  # refused chunks or broken answers at one place, then the body is given up
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
_NAME: Final = re.compile(r"[0-9a-f]{64}\Z")  # of a body: its packet's commitment
NEVER: Final = 1 << 62  # an item that waits for its fetch is due when the fetch ends


class BulkUnavailable(Refused):
    code = "bulk.unavailable"
    summary = "A message's body did not arrive whole before its answer deadline, or is not one this host takes."
    untouched = "The guest did not run; what had arrived of the body was removed."
    next_step = "The sealed detail says why; check the blob channel between the two hosts, then send again."


class BulkComing(Unavailable):
    code = "bulk.coming"
    summary = "The body of a message is being fetched."
    untouched = "The message waits in the inbox."
    next_step = "Nothing: it goes on when the body is there, or when it is too late."


class NoChannel(Refused):
    code = "bulk.no_channel"
    summary = "The host has no blob channel: no place to offer bodies at, or none to fetch this peer's from."
    untouched = "Nothing was sealed, sent or fetched."
    next_step = "Set `blobs` in the host's configuration; docs/how-to/large-bodies.md shows it."


@dataclass(frozen=True, slots=True)
class Handed:
    """What the guest is given, and what the inbox keeps: a small body itself, a notice of a larger one."""

    schema: SchemaName
    body: bytes


class Bulk:
    """One host's bodies under way, in both directions."""

    def __init__(
        self,
        offer: BlobOffer,
        bodies: Bodies,
        sources: Mapping[str, Sequence[BlobSource]],
        body_bytes: int,
        rng: Rng,
        report: Report,
    ) -> None:
        """`sources` are where a peer's blobs are fetched, by its endpoint id in hex, in order of preference."""
        self.bodies = bodies
        self._offer = offer
        self._sources = sources
        self._body_bytes = body_bytes
        self._rng = rng
        self._report = report
        self._shares = {peer: asyncio.Semaphore(SHARE) for peer in sources}
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, tuple[Item, Callable[[], None]]] = {}
        self._failed: dict[str, LockgateError] = {}
        self._unclaimed: set[str] = set()  # bodies of an earlier process that no message was asked for yet
        self._gone: set[str] = set()  # to be removed when their fetch has stopped

    # Sending.

    async def seal(self, path: Path, schema: SchemaName) -> bytes:
        """Seal a file and offer it; returns the body of the envelope that carries its key."""
        blob = BlobId(self._rng.bytes(BLOB_ID_BYTES))
        key = self._rng.bytes(CONTENT_KEY_BYTES)
        descriptor = await asyncio.to_thread(seal_file, path, key, A256GCM, blob, self._offer, self._body_bytes)
        return BulkBody(schema, descriptor).encode()

    def withdraw(self, body: bytes) -> None:
        """The message with this body has ended, or was never sent: nobody fetches its blob any more."""
        blob = _blob_in(body)
        if blob is not None:
            self._offer.withdraw(blob)

    def recall(self, store: HostStore, now: UnixNanos) -> None:
        """At a start: keep the blobs and bodies of messages that are open, delete what a killed process left."""
        rows: list[Sent] = store.all_sent("sent") + store.all_sent("staged")
        self._offer.keep_only([blob for row in rows if (blob := _blob_in(row.body)) is not None])
        self.bodies.forget_stale()
        self._unclaimed = {name for name in self.bodies.whole() if _NAME.match(name)}
        self._forget_unclaimed(store, now)

    # Receiving.

    def take(
        self,
        item: Item,
        peer: str,
        commitment: bytes,
        body: bytes,
        deadline: UnixNanos,
        seconds: float,
        wake: Callable[[], None],
    ) -> Handed:
        """What the guest gets of a message whose body travels in chunks.

        `commitment` is the packet's, `deadline` that of its answer in ledger time, `seconds` the time until then.
        Raises BulkComing while the body is fetched, after which `wake` is called; BulkUnavailable, with the cause.
        """
        name, item.body = commitment.hex(), commitment
        self._unclaimed.discard(name)
        try:
            bulk = BulkBody.decode(body)
            blob = blob_of(bulk.descriptor.locator)
        except (BulkMalformed, ForeignLocator) as error:
            raise BulkUnavailable(str(error)) from error
        if is_of_bulk(bulk.schema) or bulk.schema.id.startswith(RESERVED):
            # Small enough, it would be handed over as it is: a notice of a body that never came.
            raise BulkUnavailable("a body in chunks is none of the host's own schemas")
        failure = self._failed.pop(name, None)
        if failure is not None:
            raise BulkUnavailable(str(failure)) from failure
        path = self.bodies.find(name)
        if path is not None:
            return self._handed(bulk, path)
        if name not in self._fetches:
            margin = min(MARGIN_S, seconds * MARGIN_SHARE)
            work = self._fetch(name, peer, blob, bulk.descriptor, deadline, max(0.0, seconds - margin))
            self._fetches[name] = asyncio.create_task(work)
            self._fetches[name].add_done_callback(lambda task: self._ended(name, task))
        self._waiting[name] = item, wake
        item.due = NEVER
        raise BulkComing(commitment=commitment)

    def drop(self, commitment: bytes) -> None:
        """A message was refused: nothing of its body is kept."""
        self.bodies.remove(commitment.hex())

    def forget(self, item: Item, store: HostStore, now: UnixNanos) -> None:
        """The entry of an item has left the inbox: a body that no row names will be asked for by nobody."""
        self._forget_unclaimed(store, now)
        if not item.body or store.named([item.body]):
            return
        name = item.body.hex()
        self._failed.pop(name, None)
        if name in self._fetches:
            self._gone.add(name)
            self._fetches[name].cancel()
        else:
            self.bodies.remove(name)

    async def close(self) -> None:
        """Stop fetching; what was received is recorded, for the next process."""
        for task in self._fetches.values():
            task.cancel()
        await asyncio.gather(*self._fetches.values(), return_exceptions=True)

    def _forget_unclaimed(self, store: HostStore, now: UnixNanos) -> None:
        """Of what an earlier process received, remove what neither a row names nor an entry may still wait for."""
        if not self._unclaimed:
            return
        whole = self.bodies.whole()
        over = {name for name in self._unclaimed if whole.get(name, 0) <= now}
        named = {commitment.hex() for commitment in store.named([bytes.fromhex(name) for name in over])}
        for name in over - named:
            self.bodies.remove(name)
        self._unclaimed -= over

    @staticmethod
    def _handed(bulk: BulkBody, path: Path) -> Handed:
        if bulk.descriptor.length <= MAX_BODY:
            return Handed(bulk.schema, path.read_bytes())
        notice = BulkNotice(bulk.schema, bulk.descriptor.length, bulk.descriptor.root)
        return Handed(NOTICE_SCHEMA, notice.encode())

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._fetches[name]
        item, wake = self._waiting.pop(name)
        if name in self._gone:
            self._gone.discard(name)
            self.bodies.remove(name)
            return
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._failed[name] = error if isinstance(error, LockgateError) else BulkUnavailable(type(error).__name__)
            self._report("bulk_failed", {"body": name, "detail": str(self._failed[name])})
        item.due = 0
        wake()

    async def _fetch(
        self, name: str, peer: str, blob: BlobId, descriptor: Descriptor, deadline: UnixNanos, seconds: float
    ) -> None:
        sources = self._sources.get(peer, ())
        if not sources:
            raise NoChannel(peer=peer)
        try:
            async with asyncio.timeout(seconds):
                await self._from_any(sources, blob, partial(self._receiving, name, descriptor), self._shares[peer])
            self.bodies.keep_until(name, deadline)
        except TimeoutError as error:
            self.bodies.remove(name)
            raise ChannelDown("too late: the answer deadline is near") from error
        except (LockgateError, OSError):
            self.bodies.remove(name)
            raise
        finally:
            self.bodies.end(name)

    @contextlib.contextmanager
    def _receiving(self, name: str, descriptor: Descriptor) -> Iterator[Receiving]:
        """A body, open for as long as there is a turn for it. Raises BulkTooLarge, BulkNoRoom."""
        body = self.bodies.begin(name, descriptor)
        try:
            yield body
        finally:
            body.close()
            self.bodies.rest(name)

    @staticmethod
    async def _from_any(
        sources: Sequence[BlobSource],
        blob: BlobId,
        receiving: Callable[[], AbstractContextManager[Receiving]],
        share: asyncio.Semaphore,
    ) -> None:
        """Fetch in turns of `share`, each going on where the last one stopped; pauses are outside of it."""
        pace = _Pace()
        while True:
            async with share:
                with receiving() as body:
                    if await _turn(sources, blob, body, pace):
                        return
            await asyncio.sleep(pace.pause)
            pace.pause = min(2 * pace.pause, LONGEST_PAUSE_S)


@dataclass(slots=True)
class _Pace:
    """How a fetch gets on: `wrong` answers at one `place`, and how long to wait before the next turn."""

    wrong: int = 0
    place: int = 0
    pause: float = FIRST_PAUSE_S


async def _turn(sources: Sequence[BlobSource], blob: BlobId, body: Receiving, pace: _Pace) -> bool:
    """Ask one source after another; tells whether the body is whole. Raises what speaks against going on."""
    gone: BlobGone | None = None
    pace.place = max(pace.place, body.count)
    for source in sources:
        try:
            await receive(source, blob, body)
        except ChannelDown:
            continue
        except BlobGone as error:
            gone = error
            continue
        except (ChannelBroken, ChunkRefused):
            pace.wrong = pace.wrong + 1 if body.count == pace.place else 1
            if pace.wrong >= WRONG_CHUNKS * len(sources):
                raise
        else:
            return True
        finally:
            if body.count > pace.place:
                pace.place, pace.pause = body.count, FIRST_PAUSE_S
    if gone is not None and len(sources) == 1:
        raise gone
    return False


def is_bulk(schema: SchemaName) -> bool:
    """Does a message of this schema have its body in chunks?"""
    return schema.id == BODY_SCHEMA.id and schema.version.major == BODY_SCHEMA.version.major


def is_of_bulk(schema: SchemaName) -> bool:
    """Is it a schema by which hosts speak of bodies in chunks? A guest believes it, so no sender may use it freely."""
    return is_bulk(schema) or schema.id == NOTICE_SCHEMA.id


def _blob_in(body: bytes) -> BlobId | None:
    """The blob that a sent message names, if it is a bulk one."""
    with contextlib.suppress(BulkMalformed, ForeignLocator):
        return blob_of(BulkBody.decode(body).descriptor.locator)
    return None


__all__ = ("Bulk", "BulkComing", "BulkUnavailable", "Handed", "NoChannel", "is_bulk", "is_of_bulk")
