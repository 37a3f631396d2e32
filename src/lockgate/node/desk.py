"""The verbs of a host's socket: what its owner may ask of a running host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final, TypeGuard

from lockgate.hosting.host import Host
from lockgate.node.arguments import MAX_NUMBER, Arguments
from lockgate.node.bodies import NoMessage, body_json, drop_body, file_of
from lockgate.node.outbox import MAX_LISTED
from lockgate.node.packets import ByPlace, ByRef, PacketName, parse, trace_id
from lockgate.node.socket import Answer, BadCall, Events
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import DomainId, Hash32
from lockgate.storage.feed import Feed, Happening
from lockgate.storage.host import Seen, Sent

ANY: Final = -MAX_NUMBER  # a host says itself what is no timeout
PAGE: Final = 64  # happenings read at a time: bounds what a slow subscriber keeps in memory
ENDED: Final = frozenset({"acknowledged", "refused", "timed_out"})


class UnknownRef(Refused):
    code = "host.unknown_ref"
    summary = "This host has sent no message of that reference."
    next_step = "Take the ref from the answer of `send`, or from `lockgate outbox HOST`."


class Desk:
    """Answers calls. One for each running host."""

    def __init__(self, host: Host, door: Callable[[], Answer] | None = None) -> None:
        """`door` says what `status` shows of the tokens that the host's socket takes."""
        self._host = host
        self._door = door
        self._feed = Feed(host.store.connection, self._wake)
        self._waiting: set[asyncio.Event] = set()

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    async def handle(self, verb: str, arguments: dict[str, Any]) -> Answer | Events:
        host, given = self._host, Arguments(arguments)
        match verb:
            case "status":
                tokens = {} if self._door is None else {"tokens": self._door()}
                return {**host.status(), **tokens, "newest": self._feed.newest()}
            case "rotate":
                return await host.rotate(given.number("sealing", default=0), given.number("signing", default=0))
            case "accept_rules":
                host.accept_rules(self._ledger(given.text("ledger")), given.digests("digests"))
                return {"changed": host.rules.changed()}
            case "command":
                return self._named(await host.command(given.data("input")))
            case "send":
                to, schema, timeout_s = given.text("to"), given.text("schema"), given.number("timeout_s", least=ANY)
                return self._named(await host.send(to, schema, given.data("body"), timeout_s))
            case "send_file":
                to, schema, timeout_s = given.text("to"), given.text("schema"), given.number("timeout_s", least=ANY)
                return self._named(await host.send_file(to, schema, given.path("path"), timeout_s))
            case "body":
                return body_json(host, *self._place(given.text("packet")))
            case "drop_body":
                return drop_body(host, *self._place(given.text("packet")))
            case "outbox":
                before = given.text("before", "")
                ref = self._own(before).ref if before else None
                limit, state = given.count("limit", MAX_LISTED, MAX_LISTED), given.text("state", "")
                rows = host.store.sent_page(limit, state or None, ref)
                return {"messages": [self._sent(row) for row in rows]}
            case "message":
                row = host.store.sent_by_packet(given.text("client"), given.number("sequence"))
                return {"message": None if row is None else self._sent(row)}
            case "inbox":
                rows_seen = host.store.all_seen(given.count("limit", 100, MAX_LISTED))
                return {"messages": [self._seen(row) for row in rows_seen]}
            case "wait":
                return self._wait(given.data("ref"))
            case "subscribe":
                if arguments.get("since") is None:
                    arguments["since"] = self._feed.newest()  # where a stream goes on whose token ends
                return self._subscribe(given.number("since"))
        raise BadCall("no such verb", verb=verb)

    async def _wait(self, ref: bytes) -> Events:
        """One event: the message of `ref` once it has ended."""
        with _Bell(self._waiting) as bell:
            while True:
                row = self._host.store.sent(ref)
                if row is None:
                    raise UnknownRef("no such message", ref=ref)
                if row.state in ENDED:
                    yield self._sent(row)
                    return
                await bell.rung()

    async def _subscribe(self, number: int) -> Events:
        """Every happening past `number`, as it comes, without an end."""
        with _Bell(self._waiting) as bell:
            while True:
                page = self._feed.after(number, PAGE)
                for happening in page:
                    number = happening.number
                    message = self._message(happening)
                    if message is not None:
                        yield {"number": number, "kind": happening.kind, "message": message}
                if not page:
                    await bell.rung()

    def _message(self, happening: Happening) -> Answer | None:
        if happening.kind == "ended":
            sent = self._host.store.sent(happening.ref)
            return None if sent is None else self._sent(sent)
        seen = self._host.store.seen(happening.client, happening.sequence)
        return None if seen is None else self._seen(seen)

    def _named(self, result: Answer) -> Answer:
        """The packets of a step, with the names that `trace` and `prove` take."""
        local = self._host.config.local
        domain = DomainId(Hash32(bytes.fromhex(local.domain)))
        for packet in result.get("packets", ()):
            client, sequence = packet["client"], packet["sequence"]
            packet["packet"] = f"{local.name}/{client}/{sequence}"
            packet["trace_id"] = trace_id(domain, client, sequence).hex()
        return result

    def _sent(self, row: Sent) -> Answer:
        """A message of ours, with the names people know its packet and its receiver by."""
        config = self._host.config
        to = next((alias for alias, peer in config.peers.items() if row.peer in {alias, peer.endpoint}), row.peer)
        packet = "" if row.sequence is None else f"{config.local.name}/{row.client}/{row.sequence}"
        return {**row_json(row), "to": to, "packet": packet}

    def _seen(self, row: Seen) -> Answer:
        """A received message, with its packet's name on the ledger that sent it."""
        peers = self._host.config.peers
        peer = next((p for alias, p in peers.items() if row.peer in {alias, p.endpoint}), None)
        packet = "" if peer is None else f"{peer.ledger}/{peer.remote_client}/{row.sequence}"
        path = file_of(self._host, row)
        size = len(row.body) if path is None else path.stat().st_size
        return {**row_json(row), "packet": packet, "file": None if path is None else str(path), "bytes": size}

    def _ledger(self, name: str) -> str:
        """A ledger that this host follows, by its name. Raises BadCall."""
        config = self._host.config
        if name not in {ref.name for ref in (config.local, *config.remotes)}:
            raise BadCall("the host follows no ledger of that name", ledger=name)
        return name

    def _own(self, text: str) -> Sent:
        """A message of this host, by its ref or its packet's name. Raises BadPacketName and UnknownRef."""
        name, row = parse(text), None
        if isinstance(name, ByRef):
            row = self._host.store.sent(name.ref)
        elif _is_kept(name) and name.ledger in {self._host.config.local.name, ""}:
            row = self._host.store.sent_by_packet(name.client, name.sequence)
        if row is None:
            raise UnknownRef("no such message", message=text)
        return row

    def _place(self, text: str) -> tuple[str, int]:
        """Where a received packet stands here, by its name on the ledger that sent it."""
        name = parse(text)
        if _is_kept(name):
            for peer in self._host.config.peers.values():
                if name.client == peer.remote_client and name.ledger in {peer.ledger, ""}:
                    return peer.local_client, name.sequence
        raise NoMessage("no peer sends packets of that name", packet=text)


class _Bell:
    """Rings when something happened since it was last heard; nothing is missed between two waits."""

    def __init__(self, waiting: set[asyncio.Event]) -> None:
        self._waiting = waiting
        self._event = asyncio.Event()

    def __enter__(self) -> _Bell:
        self._waiting.add(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.discard(self._event)

    async def rung(self) -> None:
        await self._event.wait()
        self._event.clear()


def _is_kept(name: PacketName) -> TypeGuard[ByPlace]:
    """Is it a place that a row of the host's file can have? Sequences go one bit further on the wire."""
    return isinstance(name, ByPlace) and name.sequence <= MAX_NUMBER


def row_json(row: Sent | Seen) -> Answer:
    """A row of the host's store; bytes as hex."""
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(row).items()}


__all__ = ("Desk", "UnknownRef")
