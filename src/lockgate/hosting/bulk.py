"""Bulk bodies of a host: sealed and offered until their packets end, fetched before their messages are answered (I8).

A fetch runs beside the host's steps, so that a slow body holds up nothing but its own message. It has to
end some time before the entry's answer deadline: a body that is not there by then is refused with a
reason, and never leaves a packet waiting for the deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from lockgate.hosting.work import Item, Report
from lockgate.primitives.errors import LockgateError, Refused, Unavailable
from lockgate.primitives.ports import Rng
from lockgate.storage.host import HostStore, Sent
from lockgate.transport import Bodies, Receiving, receive, seal_file

FETCHES: Final = 4  # at once; each holds two mebibytes and one connection
MARGIN_S: Final = 10.0  # before the answer deadline: time to post the refusal, a sixth of the default grace (I6)
MARGIN_SHARE: Final = 0.2  # of a shorter time
WRONG_CHUNKS: Final = 3  # refused chunks or broken answers at one place, then the body is given up
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
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
        self._slots = asyncio.Semaphore(FETCHES)
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, tuple[Item, Callable[[], None]]] = {}
        self._failed: dict[str, LockgateError] = {}

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

    def recall(self, store: HostStore) -> None:
        """At a start: keep the blobs of messages that are open, delete what a killed process left."""
        rows: list[Sent] = store.all_sent("sent") + store.all_sent("staged")
        self._offer.keep_only([blob for row in rows if (blob := _blob_in(row.body)) is not None])
        self.bodies.forget_stale()

    # Receiving.

    def take(
        self, item: Item, peer: str, commitment: bytes, body: bytes, seconds: float, wake: Callable[[], None]
    ) -> Handed:
        """What the guest gets of a message whose body travels in chunks.

        `commitment` is the packet's, `seconds` the time until its answer deadline. Raises BulkComing
        while the body is fetched, after which `wake` is called; BulkUnavailable, with the cause.
        """
        name = commitment.hex()
        try:
            bulk = BulkBody.decode(body)
            blob = blob_of(bulk.descriptor.locator)
        except (BulkMalformed, ForeignLocator) as error:
            raise BulkUnavailable(str(error)) from error
        failure = self._failed.pop(name, None)
        if failure is not None:
            raise BulkUnavailable(str(failure)) from failure
        path = self.bodies.find(name)
        if path is not None:
            return self._handed(bulk, path)
        if name not in self._fetches:
            margin = min(MARGIN_S, seconds * MARGIN_SHARE)
            work = self._fetch(name, peer, blob, bulk.descriptor, max(0.0, seconds - margin))
            self._fetches[name] = asyncio.create_task(work)
            self._fetches[name].add_done_callback(lambda task: self._ended(name, task))
        self._waiting[name] = item, wake
        item.due = NEVER
        raise BulkComing(commitment=commitment)

    def drop(self, commitment: bytes) -> None:
        """A message was refused: nothing of its body is kept."""
        self.bodies.remove(commitment.hex())

    async def close(self) -> None:
        """Stop fetching; what was received is recorded, for the next process."""
        for task in self._fetches.values():
            task.cancel()
        await asyncio.gather(*self._fetches.values(), return_exceptions=True)

    @staticmethod
    def _handed(bulk: BulkBody, path: Path) -> Handed:
        if bulk.descriptor.length <= MAX_BODY:
            return Handed(bulk.schema, path.read_bytes())
        notice = BulkNotice(bulk.schema, bulk.descriptor.length, bulk.descriptor.root)
        return Handed(NOTICE_SCHEMA, notice.encode())

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._fetches[name]
        item, wake = self._waiting.pop(name)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._failed[name] = error if isinstance(error, LockgateError) else BulkUnavailable(type(error).__name__)
            self._report("bulk_failed", {"body": name, "detail": str(self._failed[name])})
        item.due = 0
        wake()

    async def _fetch(self, name: str, peer: str, blob: BlobId, descriptor: Descriptor, seconds: float) -> None:
        sources = self._sources.get(peer, ())
        if not sources:
            raise NoChannel(peer=peer)
        try:
            async with asyncio.timeout(seconds), self._slots:
                body = self.bodies.begin(name, descriptor)
                try:
                    await self._from_any(sources, blob, body)
                finally:
                    body.close()
                    self.bodies.end(name)
        except TimeoutError as error:
            self.bodies.remove(name)
            raise ChannelDown("too late: the answer deadline is near") from error
        except (LockgateError, OSError):
            self.bodies.remove(name)
            raise

    @staticmethod
    async def _from_any(sources: Sequence[BlobSource], blob: BlobId, body: Receiving) -> None:
        """Fetch from one source after another, each going on where the last one stopped."""
        wrong, pause, place = 0, FIRST_PAUSE_S, body.count
        while True:
            gone: BlobGone | None = None
            for source in sources:
                try:
                    await receive(source, blob, body)
                except ChannelDown:
                    continue
                except BlobGone as error:
                    gone = error
                    continue
                except (ChannelBroken, ChunkRefused):
                    wrong = wrong + 1 if body.count == place else 1
                    if wrong >= WRONG_CHUNKS * len(sources):
                        raise
                else:
                    return
                finally:
                    if body.count > place:
                        place, pause = body.count, FIRST_PAUSE_S
            if gone is not None and len(sources) == 1:
                raise gone
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)


def is_bulk(schema: SchemaName) -> bool:
    """Does a message of this schema have its body in chunks?"""
    return schema.id == BODY_SCHEMA.id and schema.version.major == BODY_SCHEMA.version.major


def _blob_in(body: bytes) -> BlobId | None:
    """The blob that a sent message names, if it is a bulk one."""
    with contextlib.suppress(BulkMalformed, ForeignLocator):
        return blob_of(BulkBody.decode(body).descriptor.locator)
    return None


__all__ = ("Bulk", "BulkComing", "BulkUnavailable", "Handed", "NoChannel", "is_bulk")
