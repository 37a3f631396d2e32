"""Rows of a host's file: staged steps, what it sent, what it received; and their bodies as the archive has them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.storage.archive import Archive

MESSAGE: Final = "message"  # the purpose of what guests and operators send; hosts send to each other as well
ERASED: Final = 0  # the slice of rows whose bodies are gone: none has this number
RESEALED: Final = "resealed"  # of a packet that ended and whose message goes on in another one


@dataclass(frozen=True, slots=True)
class Step:
    """A staged or promoted change of guest state: version, salted root, and what to note when it stands."""

    version: int
    root: bytes
    salt: bytes
    records: tuple[Note, ...]
    promoted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A message of this endpoint: where it is, and its answer once there is one.

    `client` and `sequence` are None until the ledger has shown them. `reason` is the code in the
    ledger's reason record, `code` and `detail` what the peer's guest said where it spoke itself.
    """

    ref: bytes
    client: str | None = None
    sequence: int | None = None
    fence: int
    counter: int
    peer: str
    state: str  # staged, sent, acknowledged, refused, timed_out
    body: bytes
    reply: bytes | None = None
    code: str | None = None
    detail: str | None = None
    reason: str | None = None
    commitment: bytes  # of the packet, computed here when it was sealed (P4)
    timeout: int  # seconds, as the packet carries it
    record: bytes  # hash of the peer's key record it was sealed to
    purpose: str = MESSAGE
    schema: str = ""  # empty in rows of builds that did not keep it
    erased: bool = False  # are body, reply and detail gone? Never stored: their key is there or not


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A message this endpoint received, by sender's domain, client, sequence and commitment (P4)."""

    domain: bytes
    client: str
    sequence: int
    commitment: bytes
    peer: str
    state: str  # answered, refused, deferred
    body: bytes
    reply: bytes | None = None
    code: str | None = None
    detail: str | None = None
    erased: bool = False  # as of a sent one

    @property
    def answered(self) -> bool:
        """Has it an answer, or been refused?"""
        return self.state != "deferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a message of this endpoint ended, and in which packet it travelled."""

    ref: bytes
    client: str
    sequence: int
    state: str
    reply: bytes | None = None
    code: str | None = None
    detail: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """A message of this endpoint goes on in another packet, which is staged under `under`: its own was refused."""

    ref: bytes
    under: bytes
    client: str
    sequence: int
    code: str
    reason: str


Note = Seen | Ended | Resealed


# Rows are the dataclasses in the order of their fields, without `erased`; then the slice of the archive.
SENT: Final = tuple(field.name for field in fields(Sent) if field.name != "erased")
SEEN: Final = tuple(field.name for field in fields(Seen) if field.name != "erased")
_KINDS: Final[tuple[type[Note], ...]] = (Seen, Ended, Resealed)
_NAMES: Final[dict[type[Note], tuple[str, ...]]] = {
    Seen: SEEN,
    Ended: tuple(field.name for field in fields(Ended)),
    Resealed: tuple(field.name for field in fields(Resealed)),
}


def sent_values(archive: Archive, row: Sent) -> tuple[Any, ...]:
    """A row of `outbox`."""
    return _values(archive, SENT, _owner_of_sent(row.ref), row)


def seen_values(archive: Archive, row: Seen) -> tuple[Any, ...]:
    """A row of `inbox`."""
    return _values(archive, SEEN, _owner_of_seen(row.commitment), row)


def sent_row(archive: Archive, values: tuple[Any, ...]) -> Sent:
    named = dict(zip(SENT, values[:-1], strict=True))
    return Sent(**_opened(archive, _owner_of_sent(named["ref"]), values[-1], named))


def seen_row(archive: Archive, values: tuple[Any, ...]) -> Seen:
    named = dict(zip(SEEN, values[:-1], strict=True))
    return Seen(**_opened(archive, _owner_of_seen(named["commitment"]), values[-1], named))


def step_values(archive: Archive, step: Step) -> tuple[Any, ...]:
    """A row of `step`."""
    records = cbor.encode([_record(record) for record in step.records])
    number, sealed = archive.seal(_owner_of_step(step.version), records)
    outline = None if number is None else cbor.encode([_record(_outline(record)) for record in step.records])
    return step.version, step.root, step.salt, sealed, int(step.promoted), number, outline


def step_row(archive: Archive, values: tuple[Any, ...]) -> Step:
    """Where the key of its records is lost, what it did is known all the same, without bodies: an end is told once."""
    version, root, salt, sealed, promoted, number, outline = values
    data = archive.open_(_owner_of_step(version), number, sealed)
    records = _records(data if data is not None else outline or cbor.encode([]))
    if data is None:
        records = tuple(replace(one, erased=True) if isinstance(one, Seen) else one for one in records)
    return Step(version, root, salt, records, bool(promoted))


# Rows that change their slice, or their form. Slices are given as a JSON array.

_AMONG: Final = "slice IN (SELECT value FROM json_each(?1))"
_OPEN_SENT: Final = f"SELECT * FROM outbox WHERE {_AMONG} AND state IN ('staged', 'sent')"  # noqa: S608  # constants
_OPEN_STEPS: Final = f"SELECT * FROM step WHERE {_AMONG} AND promoted = 0"  # noqa: S608
_SEEN_THEN: Final = f"SELECT * FROM inbox WHERE {_AMONG}"  # noqa: S608
_OTHERS: Final = (  # whose form is not that of the setting; of the plain form, or of slices that open
    "SELECT * FROM outbox WHERE (?2 AND slice IS NULL) OR (NOT ?2 AND slice IN (SELECT value FROM json_each(?1)))",
    "SELECT * FROM step WHERE promoted = 0 AND "
    "((?2 AND slice IS NULL) OR (NOT ?2 AND slice IN (SELECT value FROM json_each(?1))))",
    "SELECT * FROM inbox WHERE (?2 AND slice IS NULL) OR (NOT ?2 AND slice IN (SELECT value FROM json_each(?1)))",
)
_SENT_AGAIN: Final = (
    "UPDATE outbox SET client = :client, sequence = :sequence, state = :state, code = :code, reason = :reason, "
    "body = :body, reply = :reply, detail = :detail, slice = :slice WHERE ref = :ref"
)
_SEEN_AGAIN: Final = (
    "UPDATE inbox SET body = :body, reply = :reply, detail = :detail, slice = :slice WHERE commitment = :commitment"
)


def again(connection: sqlite3.Connection, archive: Archive, row: Sent) -> None:
    """Write a sent message as it is now, under the newest slice: from here on counts how long it is kept."""
    connection.execute(_SENT_AGAIN, dict(zip((*SENT, "slice"), sent_values(archive, row), strict=True)))


def carry(
    connection: sqlite3.Connection, archive: Archive, over: Sequence[int], waiting: Collection[bytes]
) -> list[bytes]:
    """Bring what is open from slices that are over to the newest; commitments of what was received and stays behind."""
    given = (json.dumps(list(over)),)
    _sent_again(connection, archive, connection.execute(_OPEN_SENT, given).fetchall())
    _steps_again(connection, archive, connection.execute(_OPEN_STEPS, given).fetchall())
    seen = connection.execute(_SEEN_THEN, given).fetchall()
    kept = [seen_row(archive, values).commitment in waiting for values in seen]
    _seen_again(connection, archive, [values for values, keep in zip(seen, kept, strict=True) if keep])
    return [seen_row(archive, values).commitment for values, keep in zip(seen, kept, strict=True) if not keep]


def reform(connection: sqlite3.Connection, archive: Archive) -> None:
    """Seal what is plain, or where nothing is sealed any more, open what opens."""
    given = (json.dumps(archive.living()), archive.sealing)
    rewrites = (_sent_again, _steps_again, _seen_again)
    for query, rewrite in zip(_OTHERS, rewrites, strict=True):
        rewrite(connection, archive, connection.execute(query, given).fetchall())


def _sent_again(connection: sqlite3.Connection, archive: Archive, rows: list[tuple[Any, ...]]) -> None:
    for values in rows:
        again(connection, archive, sent_row(archive, values))


def _steps_again(connection: sqlite3.Connection, archive: Archive, rows: list[tuple[Any, ...]]) -> None:
    for values in rows:
        made = step_values(archive, step_row(archive, values))
        connection.execute("INSERT OR REPLACE INTO step VALUES (?, ?, ?, ?, ?, ?, ?)", made)


def _seen_again(connection: sqlite3.Connection, archive: Archive, rows: list[tuple[Any, ...]]) -> None:
    for values in rows:
        made = seen_values(archive, seen_row(archive, values))
        connection.execute(_SEEN_AGAIN, dict(zip((*SEEN, "slice"), made, strict=True)))


def _values(archive: Archive, names: tuple[str, ...], owner: bytes, row: Sent | Seen) -> tuple[Any, ...]:
    named = {name: getattr(row, name) for name in names}
    if row.erased:
        return (*{**named, "body": b"", "reply": None, "detail": None}.values(), ERASED)
    if archive.sealing:
        content = cbor.encode([named["body"], named["reply"], named["detail"]])
        number, named["body"] = archive.seal(owner, content)
        named["reply"] = named["detail"] = None
        return (*named.values(), number)
    return (*named.values(), None)


def _opened(archive: Archive, owner: bytes, number: int | None, named: dict[str, Any]) -> dict[str, Any]:
    if number is None:
        return named
    content = archive.open_(owner, number, named["body"])
    if content is None:
        return {**named, "body": b"", "erased": True}
    body, reply, detail = cbor.decode(content)  # as `_values` wrote it
    return {**named, "body": body, "reply": reply, "detail": detail}


def _owner_of_sent(ref: bytes) -> bytes:
    return b"outbox\x00" + ref


def _owner_of_seen(commitment: bytes) -> bytes:
    return b"inbox\x00" + commitment


def _owner_of_step(version: int) -> bytes:
    return b"step\x00" + version.to_bytes(8, "big")


def _record(record: Note) -> list[Any]:
    return [_KINDS.index(type(record)), *(getattr(record, name) for name in _NAMES[type(record)])]


def _outline(record: Note) -> Note:
    """A note without what is kept only sealed."""
    match record:
        case Seen():
            return replace(record, body=b"", reply=None, detail=None)
        case Ended():
            return replace(record, reply=None, detail=None)
        case Resealed():
            return record


def _records(data: bytes) -> tuple[Note, ...]:
    found: Any = cbor.decode(data)
    made = []
    for kind, *values in found:
        record = _KINDS[kind]
        made.append(record(**dict(zip(_NAMES[record], values, strict=True))))
    return tuple(made)


__all__ = (
    "MESSAGE",
    "RESEALED",
    "Ended",
    "Note",
    "Resealed",
    "Seen",
    "Sent",
    "Step",
    "again",
    "carry",
    "reform",
    "seen_row",
    "seen_values",
    "sent_row",
    "sent_values",
    "step_row",
    "step_values",
)
