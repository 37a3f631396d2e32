"""Schemas of this package, as `codec.registry` takes them; the CDDL texts are in `cddl/`."""

from __future__ import annotations

from typing import Any, Final

from lockgate.codec.registry import Codec, Schema, Version, cddl_text
from lockgate.envelope.bulk import BulkBody, BulkNotice
from lockgate.envelope.chunks import Descriptor, Progress
from lockgate.envelope.content import Content

_V1: Final = Version(1, 0)


def _schema(
    id_: str,
    file: str,
    version: Version = _V1,
    *,
    tags: frozenset[int] = frozenset(),
    codec: Codec[Any] | None = None,
) -> Schema:
    return Schema(id_, version, cddl_text(file, version, package="lockgate.envelope"), tags=tags, codec=codec)


BINDING: Final = _schema("envelope/binding", "envelope-binding")
BINDING_IN_SESSION: Final = _schema("envelope/in-session-binding", "envelope-in-session-binding")
HEADER: Final = _schema("envelope/header", "envelope-header")
SEALED: Final = _schema("envelope/sealed", "envelope-sealed", tags=frozenset({96}))
IN_SESSION: Final = _schema("envelope/in-session", "envelope-in-session", tags=frozenset({16}))
SIGNED: Final = _schema("envelope/signed", "envelope-signed", tags=frozenset({98}))
_CONTENT_CODEC: Final = Codec(Content.from_value, Content.to_value)
CONTENT_1_0: Final = _schema("envelope/content", "envelope-content", codec=_CONTENT_CODEC)
CONTENT: Final = _schema("envelope/content", "envelope-content", Version(1, 1), codec=_CONTENT_CODEC)
DESCRIPTOR: Final = _schema(
    "chunks/descriptor", "chunk-descriptor", codec=Codec(Descriptor.from_value, Descriptor.to_value)
)
PROGRESS: Final = _schema("chunks/progress", "chunk-progress", codec=Codec(Progress.from_value, Progress.to_value))
BULK_BODY: Final = _schema("bulk/body", "bulk-body", codec=Codec(BulkBody.from_value, BulkBody.to_value))
BULK_NOTICE: Final = _schema("bulk/notice", "bulk-notice", codec=Codec(BulkNotice.from_value, BulkNotice.to_value))
SCHEMAS: Final = (
    BINDING,
    BINDING_IN_SESSION,
    HEADER,
    SEALED,
    IN_SESSION,
    SIGNED,
    CONTENT_1_0,
    CONTENT,
    DESCRIPTOR,
    PROGRESS,
    BULK_BODY,
    BULK_NOTICE,
)

__all__ = (
    "BINDING",
    "BINDING_IN_SESSION",
    "BULK_BODY",
    "BULK_NOTICE",
    "CONTENT",
    "CONTENT_1_0",
    "DESCRIPTOR",
    "HEADER",
    "IN_SESSION",
    "PROGRESS",
    "SCHEMAS",
    "SEALED",
    "SIGNED",
)
