"""What the API hands out: frozen values, bodies as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.machine.errors import GuestTrapped
from lockgate.node.api.errors import BodyErased, MessageRefused, MessageTimedOut, MessageTrapped

MAX_INLINE: Final = 128 * 1024  # bytes of a body that travels inside its packet; larger ones go in chunks (I8)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message on its way. `packet` is the name that `trace` and `prove` take, `ref` the one of `wait`."""

    ref: str
    packet: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A proven answer: the acknowledgement's sealed body, opened by the host."""

    body: bytes
    packet: str
    ref: str


@dataclass(frozen=True, slots=True)
class Received:
    """A message the host received, and what its guest did with it. `state`: answered, refused, deferred."""

    number: int  # place in the host's feed; 0 outside it
    packet: str  # as the sender's ledger names it
    peer: str
    state: str
    body: bytes  # empty where the body is in a file
    reply: bytes | None
    code: str | None
    detail: str | None
    file: Path | None = None  # the host's private file of a body that came in chunks
    erased: bool = False  # it ended longer ago than the host keeps bodies: body, reply and detail are gone


@dataclass(frozen=True, slots=True)
class Ended:
    """A message of the host that ended. `state`: acknowledged, refused, timed_out; else it has not."""

    number: int
    packet: str
    to: str
    state: str
    ref: str
    body: bytes
    reply: bytes | None
    reason: str | None  # the ledger's provable code of a refusal
    words: str  # what whoever refused sealed to this host
    erased: bool = False  # as of a received message

    def result(self) -> Reply:
        """The reply. Raises MessageRefused, MessageTrapped, MessageTimedOut, BodyErased."""
        if self.state == "timed_out":
            raise MessageTimedOut("not received in time", packet=self.packet)
        if self.state == "acknowledged":
            if self.erased:
                raise BodyErased(packet=self.packet)
            return Reply(self.reply or b"", self.packet, self.ref)
        reason = self.reason or ""
        kind = MessageTrapped if reason == GuestTrapped.code else MessageRefused
        raise kind(self.words or reason, reason=reason, words=self.words, packet=self.packet)


Happened = Received | Ended


def happened(event: dict[str, Any]) -> Happened:
    """Read an event of the host's feed."""
    message, number = event["message"], int(event["number"])
    return received(message, number) if event["kind"] == "received" else ended(message, number)


def received(row: dict[str, Any], number: int = 0) -> Received:
    return Received(
        number=number,
        packet=row["packet"],
        peer=row["peer"],
        state=row["state"],
        body=bytes.fromhex(row["body"]),
        reply=_bytes(row["reply"]),
        code=row["code"],
        detail=row["detail"],
        file=None if row.get("file") is None else Path(row["file"]),
        erased=bool(row.get("erased", False)),
    )


def ended(row: dict[str, Any], number: int = 0) -> Ended:
    code, reason, detail = row["code"], row.get("reason"), row.get("detail")
    words = ": ".join(text for text in (code if reason and code != reason else "", detail) if text)
    return Ended(
        number=number,
        packet=row["packet"],
        to=row["to"],
        state=row["state"],
        ref=row["ref"],
        body=bytes.fromhex(row["body"]),
        reply=_bytes(row["reply"]),
        reason=reason or code,
        words=words,
        erased=bool(row.get("erased", False)),
    )


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


__all__ = ("MAX_INLINE", "Ended", "Happened", "Received", "Reply", "Sent", "ended", "happened", "received")
