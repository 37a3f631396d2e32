"""Schemas of this package, as `codec.registry` takes them; the CDDL texts are in `cddl/`."""

from __future__ import annotations

from typing import Any, Final

from lockgate.codec.registry import Codec, Schema, Version, cddl_text
from lockgate.envelope.chunks import Descriptor, Progress
from lockgate.envelope.content import Content

_V1: Final = Version(1, 0)


def _schema(id_: str, file: str, *, tags: frozenset[int] = frozenset(), codec: Codec[Any] | None = None) -> Schema:
    return Schema(id_, _V1, cddl_text(file, _V1, package="lockgate.envelope"), tags=tags, codec=codec)


BINDING: Final = _schema("envelope/binding", "envelope-binding")
HEADER: Final = _schema("envelope/header", "envelope-header")
SEALED: Final = _schema("envelope/sealed", "envelope-sealed", tags=frozenset({96}))
SIGNED: Final = _schema("envelope/signed", "envelope-signed", tags=frozenset({98}))
CONTENT: Final = _schema("envelope/content", "envelope-content", codec=Codec(Content.from_value, Content.to_value))
DESCRIPTOR: Final = _schema(
    "chunks/descriptor", "chunk-descriptor", codec=Codec(Descriptor.from_value, Descriptor.to_value)
)
PROGRESS: Final = _schema("chunks/progress", "chunk-progress", codec=Codec(Progress.from_value, Progress.to_value))
SCHEMAS: Final = (BINDING, HEADER, SEALED, SIGNED, CONTENT, DESCRIPTOR, PROGRESS)

__all__ = ("BINDING", "CONTENT", "DESCRIPTOR", "HEADER", "PROGRESS", "SCHEMAS", "SEALED", "SIGNED")
