"""Bodies of received messages, as a host hands them to its owner: bytes, or the private file of a large one (I8)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lockgate.envelope.bulk import BulkNotice
from lockgate.envelope.content import MAX_BODY
from lockgate.envelope.errors import BulkMalformed
from lockgate.hosting.host import Host
from lockgate.node.api.errors import BodyErased
from lockgate.primitives.errors import Refused
from lockgate.storage.host import Seen


class NoMessage(Refused):
    code = "inbox.no_message"
    summary = "The host has received no message under that packet."
    untouched = "Nothing was written."
    next_step = "List what it received with `lockgate inbox HOST`."


class BodyRemoved(Refused):
    code = "bulk.removed"
    summary = "The body of that message was too large to keep with it, and its file has been removed."
    untouched = "Nothing was written."
    next_step = "Ask the sender to send it again."


def body_json(host: Host, client: str, sequence: int) -> dict[str, Any]:
    """A received body whole: the path of its private file, or its bytes. Raises NoMessage, BodyErased, BodyRemoved."""
    row = _received(host, client, sequence)
    if row.erased:
        raise BodyErased(client=client, sequence=sequence)
    path = file_of(host, row)
    if path is None and _names_a_file(row.body):
        raise BodyRemoved(client=client, sequence=sequence)
    return {"body": row.body.hex(), "file": None if path is None else str(path)}


def drop_body(host: Host, client: str, sequence: int) -> dict[str, Any]:
    """Remove the file of a body that has been saved elsewhere; the message itself stays listed. Raises NoMessage."""
    commitment = _received(host, client, sequence).commitment
    if host.bulk is not None:
        host.bulk.drop(commitment)
    return {}


def file_of(host: Host, row: Seen) -> Path | None:
    """The file with a message's body, where it came as a bulk one."""
    return None if host.bulk is None else host.bulk.bodies.find(row.commitment.hex())


def _received(host: Host, client: str, sequence: int) -> Seen:
    row = host.store.seen(client, sequence)
    if row is None:
        raise NoMessage(client=client, sequence=sequence)
    return row


def _names_a_file(body: bytes) -> bool:
    """Is a row's body only the notice of a larger one?"""
    try:
        return BulkNotice.decode(body).length > MAX_BODY
    except BulkMalformed:
        return False


__all__ = ("BodyRemoved", "NoMessage", "body_json", "drop_body", "file_of")
