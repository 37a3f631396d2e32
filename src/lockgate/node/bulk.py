"""A host's blob channels in the real world: where it serves its bodies, and where it fetches its peers'."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lockgate.crypto.ports import Encapsulator
from lockgate.envelope.chunks import CHUNK_BYTES
from lockgate.envelope.errors import FileUnreadable
from lockgate.hosting.acquaintances import HostStarting
from lockgate.hosting.bulk import Bulk
from lockgate.hosting.config import HostConfig
from lockgate.hosting.host import Host
from lockgate.hosting.work import Report
from lockgate.node.folder import Folder
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.session.link import Acquaintances
from lockgate.session.meeting import Claims, Sides
from lockgate.transport import Address, BlobServer, Bodies, Linked, LinkStream, Shelf, source_at
from lockgate.transport.files import PART, write_all, written_whole
from lockgate.transport.stream import Link

QUIET_S = 1.0  # between two lines about refused links
SAVED_MODE = 0o600
SHARED_MODE = 0o644  # in a shared folder another user's host reads the files; they are ciphertext


class FileExists(Refused):
    code = "bulk.file_exists"
    summary = "A body is to be saved where there is a file already."
    next_step = "Name a file that does not exist, or remove it first."


class LateAcquaintances:
    """Meets `session.link.Acquaintances` with those of a host that is made only after its blob channels."""

    def __init__(self, report: Report) -> None:
        self.host: Host | None = None
        self._report = report
        self._said_at = -QUIET_S
        self._unsaid = 0

    async def all(self) -> Sequence[Sides]:
        return await self._known.all()

    async def one(self, endpoint: bytes, /) -> Sides:
        return await self._known.one(endpoint)

    async def claims(self, sides: Sides, /) -> Claims:
        return await self._known.claims(sides)

    async def judge(self, sides: Sides, claims: Claims, /) -> None:
        await self._known.judge(sides, claims)

    def refused(self, error: LockgateError) -> None:
        """A link of a peer, or a stranger, was refused or broke. Strangers do not decide how much is written of it."""
        now = time.monotonic()
        if now - self._said_at < QUIET_S:
            self._unsaid += 1
            return
        said: dict[str, object] = {"code": error.code, "detail": str(error), "unsaid": self._unsaid}
        self._report("link_refused", said)
        self._said_at, self._unsaid = now, 0

    def link(self, endpoint: str, entropy: Encapsulator) -> Link:
        """How to open a link to one endpoint over a connected socket."""
        return lambda connection: LinkStream.call(connection, bytes.fromhex(endpoint), self, entropy)

    @property
    def _known(self) -> Acquaintances:
        if self.host is None:
            raise HostStarting
        return self.host.acquaintances


@asynccontextmanager
async def open_bulk(
    folder: Folder, config: HostConfig, entropy: Encapsulator, report: Report, late: LateAcquaintances
) -> AsyncIterator[Bulk]:
    """Serve and fetch as the configuration says. Raises BadAddress."""
    home = folder.host(config.name)
    served = [Address.parse(text) for text in config.blobs] or [socket_of(home)]
    shared = next((address for address in served if address.kind == "folder"), None)
    shelf = Shelf(home / "blobs") if shared is None else Shelf(Path(_own(shared, config.endpoint).where), SHARED_MODE)
    sources = {
        peer.endpoint: [
            source_at(_own(address, peer.endpoint), late.link(peer.endpoint, entropy) if address.linked else None)
            for address in [Address.parse(text) for text in peer.blobs] or [socket_of(folder.host(alias))]
        ]
        for alias, peer in config.peers.items()
    }
    bodies = Bodies(home / "bodies", body_bytes=config.bulk_bytes, total_bytes=config.bulk_total)
    bulk = Bulk(shelf, bodies, sources, config.bulk_bytes, entropy, report)
    linked = Linked(late, entropy, late.refused)
    listeners = [(address, listener) for address in served if (listener := address.listen()) is not None]
    servers = [
        asyncio.create_task(BlobServer(shelf.folder, listener, linked if address.linked else None).run())
        for address, listener in listeners
    ]
    try:
        report("blobs", {"served": [str(listener.getsockname()) for _, listener in listeners]})
        yield bulk
    finally:
        await bulk.close()
        for server in servers:
            server.cancel()
        await asyncio.gather(*servers, return_exceptions=True)


def socket_of(home: Path) -> Address:
    """Where hosts of one data folder find each other."""
    return Address("unix", str(home / "blobs.sock"))


def save_body(found: dict[str, Any], target: Path) -> int:
    """Write what a host's `body` verb answered to a new file; returns its length in bytes.

    Raises FileExists, FileUnreadable, BulkNoRoom.
    """
    for taken in (target, target.with_name(target.name + PART)):  # what is written first may be there, too
        if os.path.lexists(taken):
            raise FileExists(file=str(taken))
    if found["file"] is None:
        with _named(target), written_whole(target, SAVED_MODE) as handle:
            write_all(handle, [bytes.fromhex(found["body"])])
    else:
        with _named(target), Path(found["file"]).open("rb") as source, written_whole(target, SAVED_MODE) as handle:
            while piece := source.read(CHUNK_BYTES):
                write_all(handle, [piece])
    return target.stat().st_size


@contextmanager
def _named(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileUnreadable(error.strerror or "", file=str(target)) from error


def _own(address: Address, endpoint: str) -> Address:
    """An endpoint's own part of a shared folder: hosts clear away what they have offered, and no more."""
    return replace(address, where=f"{address.where}/{endpoint}") if address.kind == "folder" else address


__all__ = ("FileExists", "LateAcquaintances", "open_bulk", "save_body", "socket_of")
