"""Handlers: which function of the guest answers to what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final


class Refused(Exception):  # named for what happened
    """Refuse the message, or the command. What the call wrote, sent or answered is dropped."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


@final
class Defer:
    """Returned by a handler that will answer later, with `messages.answer(message.id, …)`."""


DEFER: Final = Defer()


@dataclass(frozen=True, slots=True)
class Message:
    id: bytes
    sender: str
    schema: str
    body: bytes
    deadline: int  # ledger time in nanoseconds at which the ledger answers in the guest's place


Handler = Callable[[Message], bytes | Defer]


class Guest:
    """One program's handlers. A guest needs only those for what it takes part in."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._acknowledged: Callable[[bytes, bytes], None] | None = None
        self._timed_out: Callable[[bytes], None] | None = None
        self._refused: Callable[[bytes, str], None] | None = None
        self._command: Callable[[bytes], bytes] | None = None

    # --- what a program declares

    def handles(self, schema: str) -> Callable[[Handler], Handler]:
        """Take messages of this schema: `name@major.minor`. Other minor versions are taken as well; a
        handler reads them as the schema's rules of compatibility say.
        """

        def declare(handler: Handler) -> Handler:
            self._handlers[_family(schema)] = handler
            return handler

        return declare

    def on_acknowledged(self, handler: Callable[[bytes, bytes], None]) -> Callable[[bytes, bytes], None]:
        """A message this guest sent was answered: (reference, reply)."""
        self._acknowledged = handler
        return handler

    def on_timed_out(self, handler: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """A message this guest sent acted nowhere and never will: (reference)."""
        self._timed_out = handler
        return handler

    def on_refused(self, handler: Callable[[bytes, str], None]) -> Callable[[bytes, str], None]:
        """A message this guest sent was refused: (reference, code)."""
        self._refused = handler
        return handler

    def on_command(self, handler: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        """The endpoint's own operator says something; the reply goes back to him."""
        self._command = handler
        return handler

    # --- what the component calls

    def handle(self, message: Message) -> bytes | Defer:
        handler = self._handlers.get(_family(message.schema))
        if handler is None:
            raise Refused("schema.unknown", f"no handler for {message.schema}")
        return handler(message)

    def acknowledged(self, sent: bytes, reply: bytes) -> None:
        if self._acknowledged is not None:
            self._acknowledged(sent, reply)

    def timed_out(self, sent: bytes) -> None:
        if self._timed_out is not None:
            self._timed_out(sent)

    def refused(self, sent: bytes, code: str) -> None:
        if self._refused is not None:
            self._refused(sent, code)

    def command(self, data: bytes) -> bytes:
        if self._command is None:
            raise Refused("command.unknown", "this guest takes no commands")
        return self._command(data)


def _family(schema: str) -> str:
    """Return `name@major`: what decides whether a reader can read a version at all."""
    name, at, version = schema.rpartition("@")
    return f"{name}@{version.partition('.')[0]}" if at else schema
