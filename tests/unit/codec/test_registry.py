"""Schemas: who reads which version, what a newer minor may add, and what the texts describe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pycddl
import pytest

import lockgate
from lockgate.codec import cbor, registry
from lockgate.codec.errors import (
    CborNotDeterministic,
    SchemaInvalid,
    SchemaMismatch,
    SchemaUnknown,
    Unencodable,
)
from lockgate.codec.registry import Codec, Registry, Schema, SchemaName, Version

V10, V11, V12, V20 = Version(1, 0), Version(1, 1), Version(1, 2), Version(2, 0)
NOTE_1_0 = "note = { 1: hash32, 2: text }"
NOTE_1_1 = "note = { 1: hash32, 2: text, ? 16: uint }"
NOTE_2_0 = "note = [hash32, text]"
HASH = b"h" * 32


@dataclass(frozen=True)
class Note:
    subject: bytes
    text: str
    priority: int | None = None


def note_from(value: Any) -> Note:
    if not isinstance(value, dict) or not {1, 2} <= value.keys() <= {1, 2, 16}:
        raise SchemaMismatch("not a note")
    return Note(value[1], value[2], value.get(16))


def note_to(note: Note) -> Any:
    return {1: note.subject, 2: note.text} | ({} if note.priority is None else {16: note.priority})


OLD = Schema("lab/note", V10, NOTE_1_0, extensions=range(16, 32))
NEW = Schema("lab/note", V11, NOTE_1_1, extensions=range(17, 32))
TYPED = Schema("lab/note", V10, NOTE_1_0, extensions=range(16, 32), codec=Codec(note_from, note_to))
NEXT_MAJOR = Schema("lab/note", V20, NOTE_2_0)


def test_exact_version_round_trips() -> None:
    notes = Registry([OLD, NEW])
    data = notes.writer_for("lab/note", V11).write({1: HASH, 2: "hello", 16: 3})
    document = notes.reader_for("lab/note", V11).read(data)
    assert document.value == {1: HASH, 2: "hello", 16: 3}
    assert document.data == data
    assert document.extensions == {}


@pytest.mark.parametrize("schema", [OLD, TYPED])
def test_older_reader_meets_newer_minor_without_harm(schema: Schema) -> None:
    data = cbor.encode({1: HASH, 2: "hello", 16: 3, 20: [b"later"]})
    reader = Registry([schema]).reader_for("lab/note", V12)
    document = reader.read(data)
    assert document.value == ({1: HASH, 2: "hello"} if schema is OLD else Note(HASH, "hello"))
    assert document.extensions == {16: 3, 20: (b"later",)}
    assert document.data == data
    assert document.version == V12
    writer = Registry([schema]).writer_for("lab/note", V10)
    assert writer.write(document.value, extensions=document.extensions) == data


@pytest.mark.parametrize("schema", [OLD, NEW])
def test_unknown_key_outside_the_extension_range(schema: Schema) -> None:
    reader = Registry([OLD, NEW] if schema is NEW else [OLD]).reader_for("lab/note", V12)
    for key in (3, 15, 32, -1, "x"):
        with pytest.raises(SchemaMismatch):
            reader.read(cbor.encode({1: HASH, 2: "hello", key: 1}))


def test_known_minor_has_no_unknown_keys() -> None:
    data = cbor.encode({1: HASH, 2: "hello", 20: 1})
    with pytest.raises(SchemaMismatch):
        Registry([OLD]).reader_for("lab/note", V10).read(data)
    with pytest.raises(SchemaMismatch):
        Registry([OLD, NEW]).reader_for("lab/note", V10).read(cbor.encode({1: HASH, 2: "x", 16: 1}))


def test_new_major_stands_beside_the_old() -> None:
    notes = Registry([NEXT_MAJOR, OLD, NEW])
    assert notes.versions("lab/note") == (V11, V20)
    assert notes.reader_for("lab/note", V20).read(cbor.encode([HASH, "x"])).value == (HASH, "x")
    assert notes.reader_for("lab/note", V10).schema is OLD
    assert list(notes) == [NEXT_MAJOR, OLD, NEW]


def test_unknown_schema_or_version() -> None:
    notes = Registry([OLD])
    for name, version in (("lab/other", V10), ("lab/note", V20)):
        with pytest.raises(SchemaUnknown):
            notes.reader_for(name, version)
    with pytest.raises(SchemaUnknown):
        notes.writer_for("lab/note", V11)
    assert notes.versions("lab/other") == ()


def test_reader_refuses_other_encodings_first() -> None:
    with pytest.raises(CborNotDeterministic):
        Registry([OLD]).reader_for("lab/note", V10).read(bytes.fromhex("bf01ff"))
    with pytest.raises(CborNotDeterministic):
        NEXT_MAJOR.validate(b"\x9f\x58\x20" + HASH + b"\x61x\xff")


def test_mismatch_does_not_quote_the_document() -> None:
    with pytest.raises(SchemaMismatch) as caught:
        OLD.validate(cbor.encode({1: HASH, 2: b"confidential"}))
    assert "confidential" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.fields["at"] == "/2"


def test_writer_refuses_what_the_schema_does_not_describe() -> None:
    writer = Registry([OLD]).writer_for("lab/note", V10)
    with pytest.raises(SchemaMismatch):
        writer.write({1: HASH})
    for extensions in ({15: 1}, {1: 1}):
        with pytest.raises(Unencodable):
            writer.write({1: HASH, 2: "x"}, extensions=extensions)


@pytest.mark.parametrize(
    "schemas",
    [
        [OLD, OLD],
        [NEW],
        [OLD, Schema("lab/note", V12, NOTE_1_1)],
        [OLD, Schema("lab/note", V11, NOTE_1_1, extensions=range(8, 32))],
        [Schema("lab/note", V11, NOTE_1_1), OLD, OLD],
        [Schema("Lab Note", V10, NOTE_1_0)],
        [Schema("x" * 65, V10, NOTE_1_0)],
        [Schema("lab/note", Version(0, 0), NOTE_1_0)],
        [Schema("lab/note", V10, NOTE_1_0, extensions=range(16, 32, 2))],
        [Schema("lab/note", V10, NOTE_1_0, extensions=range(-4, 3))],
    ],
)
def test_registrations_that_break_the_rules(schemas: list[Schema]) -> None:
    with pytest.raises(SchemaInvalid):
        Registry(schemas)


def test_text_that_is_no_cddl() -> None:
    with pytest.raises(SchemaInvalid):
        Schema("lab/note", V10, "note = {").validate(cbor.encode({}))


def test_schema_name() -> None:
    name = SchemaName("lab/note", V11)
    value = cbor.decode(cbor.encode(name.to_value()))
    assert SchemaName.from_value(value) == name
    Schema("lab/name", V10, "name = schema-name").validate(cbor.encode(name.to_value()))
    spoiled: list[Any] = [None, (), ("a", 1), ("A", 1, 0), ("a", 0, 0), ("a", 1, -1), ("a", True, 0), ("a", 1, 65536)]
    for other in spoiled:
        with pytest.raises(SchemaMismatch):
            SchemaName.from_value(other)


def test_every_shipped_text_is_cddl() -> None:
    root = Path(lockgate.__file__).parent
    texts = sorted(root.glob("**/cddl/*.cddl"))
    assert texts
    for path in texts:
        common = path.name == registry.COMMON
        text = "root = hash32" if common else path.read_text(encoding="utf-8")
        pycddl.Schema(f"{text}\n{registry.common_rules()}")


def test_common_rules() -> None:
    def valid(rule: str, value: Any) -> bool:
        try:
            Schema("lab/rule", V10, f"root = {rule}").validate(cbor.encode(value))
        except SchemaMismatch:
            return False
        return True

    assert valid("hash32", HASH)
    assert not valid("hash32", HASH[1:])
    assert valid("account-id", "0123456789abcdef0123456789abcdef01234567")
    assert not valid("account-id", "0123456789ABCDEF0123456789ABCDEF01234567")
    assert not valid("account-id", "00123456789abcdef0123456789abcdef01234567")
    assert valid("client-id", "07-tendermint-0")
    assert not valid("client-id", "short")
    assert valid("revision-height", (2, 38))
    assert not valid("revision-height", (2, -38))
    assert valid("unix-ns", (1 << 64) - 1)
