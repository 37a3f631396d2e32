"""`lockgate.connect(…)`: what an application does with a deployment, as coroutines.

Messages go through the socket of a running host, which alone has keys. Traces and proofs are read from the ledgers
themselves, and work while hosts are down.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, Self

from lockgate.node.api.errors import CommandRefused, NoBody, NoHost, StillOpen
from lockgate.node.api.values import MAX_INLINE, Ended, Happened, Received, Reply, Sent, ended, happened, received
from lockgate.node.clock import SystemClock
from lockgate.node.findings import Finding, header_hashes
from lockgate.node.findings import verify as verify_bundle
from lockgate.node.folder import Folder, NotInitialised
from lockgate.node.ledgers import Ledgers
from lockgate.node.outbox import outbox
from lockgate.node.packets import parse
from lockgate.node.prove import build
from lockgate.node.socket import call, stream
from lockgate.node.story import Story
from lockgate.node.trace import Tracer

DEFAULT_SCHEMA: Final = "bytes@1.0"
DEFAULT_TIMEOUT_S: Final = 600
SOCKET: Final = "host.sock"
Place = str | os.PathLike[str]
Packet = str | Sent | Reply | Received | Ended


class Connection:
    """A deployment seen from an application. Use as an async context manager; `connect` makes one."""

    def __init__(self, folder: Folder, host: str | None) -> None:
        self.folder = folder
        self.host = host

    async def __aenter__(self) -> Self:
        if self.host is not None:
            await self.status()  # says at once that the host does not run, not at the first message
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is held open between calls."""

    # Messages, through the host.

    async def send(
        self, to: str, body: bytes | Path, *, schema: str = DEFAULT_SCHEMA, timeout: int = DEFAULT_TIMEOUT_S
    ) -> Sent:
        """Send one sealed message to a peer the host knows by that name; `timeout` in seconds of ledger time.

        `body` is bytes, or the path of a file of any length; above 128 KiB it travels in chunks beside the packet.
        Returns when the host has proven that its ledger took the message. Raises NoBody.
        """
        with _sendable(body, self._socket.parent) as (verb, what):
            sent = await call(self._socket, verb, to=to, schema=schema, timeout_s=timeout, **what)
        packet = sent["packets"][0]
        return Sent(sent["ref"], packet["packet"], packet["trace_id"])

    async def wait(self, message: Sent | str, *, patience: float | None = None) -> Ended:
        """Wait until a message, or the one of this ref, has ended. Raises StillOpen after `patience` seconds."""
        ref = message if isinstance(message, str) else message.ref
        try:
            async with asyncio.timeout(patience), aclosing(stream(self._socket, "wait", ref=ref)) as events:
                async for row in events:
                    return ended(row)
        except TimeoutError as error:
            packet = "" if isinstance(message, str) else message.packet
            raise StillOpen("the message has not ended", packet=packet) from error
        raise AssertionError("the host answers a wait with one event or a failure")

    async def call(
        self,
        to: str,
        body: bytes | Path,
        *,
        schema: str = DEFAULT_SCHEMA,
        timeout: int = DEFAULT_TIMEOUT_S,
        patience: float | None = None,
    ) -> Reply:
        """Send a message and await its proven answer.

        Raises MessageRefused, MessageTrapped, MessageTimedOut; StillOpen after `patience` seconds, where given.
        """
        sent = await self.send(to, body, schema=schema, timeout=timeout)
        return (await self.wait(sent, patience=patience)).result()

    async def command(self, data: bytes) -> bytes:
        """Hand bytes to the host's own guest. Raises CommandRefused."""
        answer = await call(self._socket, "command", input=data.hex())
        for kind in ("refused", "trapped"):
            if kind in answer:
                raise CommandRefused(answer.get("detail") or kind, reason=answer[kind], how=kind)
        return bytes.fromhex(answer.get("output", ""))

    async def subscribe(self, since: int | None = None) -> AsyncGenerator[Happened, None]:
        """Messages received and messages of ours that ended, as they come, without an end.

        `since` is the number of the last event that was dealt with: an application that keeps it misses nothing
        across restarts of either side. Without it, what happens from now on.
        """
        async with aclosing(stream(self._socket, "subscribe", since=since)) as events:
            async for event in events:
                yield happened(event)

    async def inbox(self, limit: int = 100) -> list[Received]:
        """Messages the host received."""
        return [received(row) for row in (await call(self._socket, "inbox", limit=limit))["messages"]]

    async def outbox(self, limit: int = 100, before: Ended | str = "") -> list[Ended]:
        """The newest messages the host sent, oldest first; those that have not ended say so in their state.

        `before` is a message, its ref or its packet: then of those that are older, to read a long outbox in pieces.
        """
        ref = before if isinstance(before, str) else before.ref
        return [ended(row) for row in await outbox(self._socket, limit, ref)]

    async def status(self) -> dict[str, Any]:
        """What `lockgate host status` shows."""
        return await call(self._socket, "status")

    # Packets, from the ledgers.

    async def trace(self, packet: Packet, *, rpc: Sequence[str] = ()) -> Story:
        """A packet's whole life so far. Raises NoSuchPacket, AmbiguousPacket, LedgerDown."""
        async with Ledgers(self.folder, rpc) as ledgers:
            return await Tracer(ledgers, SystemClock()).story(parse(_name(packet)))

    async def follow(self, packet: Packet, *, rpc: Sequence[str] = ()) -> AsyncIterator[Story]:
        """The story each time something happened, until the packet has ended."""
        async with Ledgers(self.folder, rpc) as ledgers:
            async for story in Tracer(ledgers, SystemClock()).follow(parse(_name(packet))):
                yield story

    async def prove(self, packet: Packet, *, rpc: Sequence[str] = (), start: int = 0) -> bytes:
        """An offline bundle that proves what became of a packet. Raises as `trace`, and NotProvable."""
        async with Ledgers(self.folder, rpc) as ledgers:
            life = await Tracer(ledgers, SystemClock()).life(parse(_name(packet)))
            return await build(life, self.folder, start)

    @staticmethod
    def verify(bundle: bytes, trust: Collection[str] = ()) -> Finding:
        """Verify a bundle without any node. `trust`: hashes (hex) of headers known from elsewhere (P11)."""
        return verify(bundle, trust)

    @property
    def _socket(self) -> Path:
        if self.host is None:
            raise NoHost("name the host", hosts=", ".join(self.folder.names("hosts")) or "none")
        return self.folder.host(self.host) / SOCKET


def connect(place: Place, host: str | None = None) -> Connection:
    """Open a deployment by its data folder, or by the socket of one host.

    In a folder with one host that host is meant; with several, name it. Without one, traces and proofs still work.
    Raises NotInitialised.
    """
    path = Path(place).absolute()
    if path.name == SOCKET:
        return Connection(Folder(path.parents[2]), path.parent.name)
    folder = Folder(path)
    hosts = folder.names("hosts")
    if not path.is_dir() or (host is not None and host not in hosts):
        raise NotInitialised("no such deployment or host", folder=str(path), host=host or "")
    return Connection(folder, host or (hosts[0] if len(hosts) == 1 else None))


def verify(bundle: bytes, trust: Collection[str] = ()) -> Finding:
    """Verify an offline bundle. `trust`: hashes (hex) of headers known from elsewhere, one for each ledger in it.

    Raises BadBundle, BadTrust, UntrustedStart, or what a header or proof violates.
    """
    return verify_bundle(bundle, header_hashes(trust))


@contextmanager
def _sendable(body: bytes | Path, private: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The host's verb for a body and its argument. What is too large for a packet goes as a file, which the host seals.

    Bytes are spooled into the host's private folder and gone when the host has answered.
    """
    try:
        size = body.stat().st_size if isinstance(body, Path) else len(body)
        if isinstance(body, Path) and 0 < size <= MAX_INLINE:
            body = body.read_bytes()
    except OSError as error:
        raise NoBody(error.strerror or "the file cannot be read", file=str(body)) from error
    if not size:
        raise NoBody("the body is empty")
    if isinstance(body, Path):
        yield "send_file", {"path": str(body.absolute())}
    elif size <= MAX_INLINE:
        yield "send", {"body": body.hex()}
    else:
        with NamedTemporaryFile(dir=private, prefix=".body-") as spooled:
            spooled.write(body)
            spooled.flush()
            yield "send_file", {"path": spooled.name}


def _name(packet: Packet) -> str:
    return packet if isinstance(packet, str) else packet.packet


__all__ = ("Connection", "connect", "verify")
