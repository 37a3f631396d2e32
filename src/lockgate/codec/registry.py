"""Which schema a document names, and who can read it.

A document on our wire names a schema id and a version (major, minor). The rules of compatibility:

- A change an older reader may ignore is a new minor: it adds optional entries to the root map, with
  integer keys from the range its predecessor declared as `extensions`, and changes nothing else.
- An older reader that meets a newer minor reads what it knows, keeps the unknown entries of that
  range (`Document.extensions`) and the bytes as they came, and refuses unknown keys outside it. When
  the minor is one it knows, every key must be of that minor: nobody can slip ignored data past it.
- Everything else is a new major: another schema, registered beside the old one, never derived from it.

The Python codec of a schema decides what is valid, since every node must decide alike and a CDDL
validator is somebody else's moving part. A schema without a codec is validated by its CDDL text; tests
hold codec and text together. Source: docs/reference/cbor-profile.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, Generic, Self, TypeVar

import pycddl

from lockgate.codec import cbor
from lockgate.codec.errors import SchemaInvalid, SchemaMismatch, SchemaUnknown, Unencodable

T = TypeVar("T")

NO_EXTENSIONS: Final = range(0)
COMMON: Final = "common.cddl"
_SCHEMA_ID: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*(/[a-z][a-z0-9]*(-[a-z0-9]+)*)*\Z")
_LOCATION: Final = re.compile(r"location (\S*?):")
MAX_SCHEMA_ID: Final = 64  # bytes; a name, repeated in every document
MAX_VERSION: Final = 0xFFFF  # nobody counts further; keeps a name below 80 bytes


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """(major, minor); a greater minor is readable by whoever reads the major."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class SchemaName:
    """What a document says it is; on the wire [id, major, minor]. CDDL: `schema-name`."""

    id: str
    version: Version

    def to_value(self) -> tuple[str, int, int]:
        return self.id, self.version.major, self.version.minor

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """Check a decoded value and return the name in it, or raise SchemaMismatch."""
        if (
            isinstance(value, tuple)
            and len(value) == 3
            and [type(part) for part in value] == [str, int, int]
            and _is_schema_id(value[0])
            and 1 <= value[1] <= MAX_VERSION
            and 0 <= value[2] <= MAX_VERSION
        ):
            return cls(value[0], Version(value[1], value[2]))
        raise SchemaMismatch("not a schema name")


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """How the CBOR value of a schema becomes a checked value of ours, and back.

    `decode` raises a `Malformed` for every CBOR value that is not one of the schema.
    """

    decode: Callable[[Any], T]
    encode: Callable[[T], Any]


@dataclass(frozen=True)
class Schema:
    """One version of one format. `cddl` is its text, first rule the root, `common.cddl` added."""

    id: str
    version: Version
    cddl: str
    extensions: range = NO_EXTENSIONS  # integer keys of the root map that later minors may take
    tags: Set[int] = cbor.NO_TAGS
    codec: Codec[Any] | None = None

    def validate(self, data: bytes) -> None:
        """Raise SchemaMismatch unless the CDDL text describes `data`, one item of the profile."""
        cbor.decode(data, tags=self.tags)
        try:
            self._validator.validate_cbor(data)
        except pycddl.ValidationError as error:
            # Only the place: the validator's text quotes the document, which may be confidential.
            found = _LOCATION.search(str(error))
            where = found.group(1) if found else ""
            raise SchemaMismatch("not as described", schema=self.id, version=self.version, at=where) from None

    @cached_property
    def _validator(self) -> pycddl.Schema:
        try:
            return pycddl.Schema(f"{self.cddl}\n{common_rules()}")
        except ValueError as error:
            raise SchemaInvalid(str(error), schema=self.id, version=self.version) from error


@dataclass(frozen=True, slots=True)
class Document(Generic[T]):
    """A document that was read: the value, what a newer minor added, and the bytes as they came."""

    schema_id: str
    version: Version
    value: T
    extensions: Mapping[int, Any]
    data: bytes


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads documents of `version` with `schema`, which may be of an older minor."""

    schema: Schema
    version: Version

    def read(self, data: bytes, *, limits: cbor.Limits = cbor.DEFAULT_LIMITS) -> Document[Any]:
        """Return the document in `data`, or raise a `Malformed`. `data` is kept: re-encode nothing."""
        schema = self.schema
        value = cbor.decode(data, limits=limits, tags=schema.tags)
        extensions: dict[int, Any] = {}
        if self.version > schema.version and isinstance(value, dict):
            extensions = {key: item for key, item in value.items() if _in(key, schema.extensions)}
            value = {key: item for key, item in value.items() if key not in extensions}
        if schema.codec is not None:
            value = schema.codec.decode(value)
        else:
            schema.validate(cbor.encode(value) if extensions else data)
        return Document(schema.id, self.version, value, MappingProxyType(extensions), data)


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes documents of one schema version."""

    schema: Schema

    def write(self, value: Any, *, extensions: Mapping[int, Any] = MappingProxyType({})) -> bytes:
        """Return the encoding of `value`; `extensions` carries on what a newer sender had added."""
        schema = self.schema
        body = schema.codec.encode(value) if schema.codec is not None else value
        if extensions:
            if not isinstance(body, Mapping) or not all(_in(key, schema.extensions) for key in extensions):
                raise Unencodable("extensions outside the declared range", schema=schema.id)
            body = {**body, **extensions}
        data = cbor.encode(body)
        if schema.codec is None and not extensions:
            schema.validate(data)
        return data


class Registry:
    """An immutable set of schemas; assembled once, from what each package declares."""

    __slots__ = ("_majors",)

    def __init__(self, schemas: Iterable[Schema]) -> None:
        majors: dict[tuple[str, int], list[Schema]] = {}
        for schema in schemas:
            _check(schema)
            majors.setdefault((schema.id, schema.version.major), []).append(schema)
        for minors in majors.values():
            minors.sort(key=lambda schema: schema.version)
            _check_minors(minors)
        self._majors: Final = {name: tuple(minors) for name, minors in majors.items()}

    def __iter__(self) -> Iterator[Schema]:
        return (schema for minors in self._majors.values() for schema in minors)

    def versions(self, schema_id: str) -> tuple[Version, ...]:
        """Return the newest version of each major of `schema_id`, oldest major first."""
        return tuple(sorted(ms[-1].version for (name, _), ms in self._majors.items() if name == schema_id))

    def reader_for(self, schema_id: str, version: Version) -> Reader:
        """Return the reader of documents that name this version, or raise SchemaUnknown."""
        minors = self._minors(schema_id, version.major)
        return Reader(minors[min(version.minor, len(minors) - 1)], version)

    def writer_for(self, schema_id: str, version: Version) -> Writer:
        """Return the writer of exactly this version, or raise SchemaUnknown."""
        minors = self._minors(schema_id, version.major)
        if version.minor >= len(minors):
            raise SchemaUnknown("no such minor version", schema=schema_id, version=version)
        return Writer(minors[version.minor])

    def _minors(self, schema_id: str, major: int) -> tuple[Schema, ...]:
        minors = self._majors.get((schema_id, major))
        if minors is None:
            raise SchemaUnknown("no such schema", schema=schema_id, major=major)
        return minors


def cddl_text(name: str, version: Version, *, package: str = "lockgate.codec") -> str:
    """Return the text of `cddl/{name}.{major}.{minor}.cddl` in `package`, shipped as package data."""
    file = resources.files(package) / "cddl" / f"{name}.{version}.cddl"
    return file.read_text(encoding="utf-8")


def common_rules() -> str:
    """Return the rules every schema may use: hashes, ids, times."""
    return (resources.files("lockgate.codec") / "cddl" / COMMON).read_text(encoding="utf-8")


def _is_schema_id(text: str) -> bool:
    return len(text) <= MAX_SCHEMA_ID and _SCHEMA_ID.match(text) is not None


def _in(key: object, keys: range) -> bool:
    return type(key) is int and key in keys


def _check(schema: Schema) -> None:
    named = {"schema": schema.id, "version": schema.version}
    if not _is_schema_id(schema.id):
        raise SchemaInvalid("a schema id is lower-case words with - and /", **named)
    if not (1 <= schema.version.major <= MAX_VERSION and 0 <= schema.version.minor <= MAX_VERSION):
        raise SchemaInvalid("versions start at 1.0 and end at 65535.65535", **named)
    if schema.extensions and (schema.extensions.step != 1 or schema.extensions.start < 0):
        raise SchemaInvalid("extension keys are a range of unsigned integers", **named)


def _check_minors(minors: list[Schema]) -> None:
    for minor, schema in enumerate(minors):
        if schema.version.minor != minor:
            raise SchemaInvalid("minors are registered once each, from 0", schema=schema.id, expected=minor)
    for older, newer in pairwise(minors):
        kept = newer.extensions
        if kept and not (kept.start in older.extensions and kept[-1] in older.extensions):
            raise SchemaInvalid("a minor widens the extension range", schema=newer.id, version=newer.version)


__all__ = (
    "Codec",
    "Document",
    "Reader",
    "Registry",
    "Schema",
    "SchemaName",
    "Version",
    "Writer",
    "cddl_text",
    "common_rules",
)
