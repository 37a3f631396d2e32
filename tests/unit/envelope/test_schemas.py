"""The CDDL texts describe what the code writes, and nothing that the code refuses by shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.codec.errors import SchemaMismatch
from lockgate.codec.registry import Registry, Schema, Version
from lockgate.envelope import schemas
from lockgate.envelope.binding import Binding, Role, SenderChoice
from lockgate.envelope.chunks import ChunkOpener
from lockgate.envelope.content import Content
from lockgate.envelope.cose.encrypt import Encrypt, Encrypt0
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.in_session import seal_in_session
from tests.unit.envelope.test_chunks import sealed
from tests.unit.envelope.world import HYBRID, LAB, World, content, h, plaintext_of


def _written() -> list[tuple[Schema, bytes]]:
    chunks, descriptor = sealed()
    opener = ChunkOpener(descriptor)
    progress = [opener.progress.encode()]
    for chunk in chunks:
        opener.open(chunk.frame)
        progress.append(opener.progress.encode())
    written = [(schemas.DESCRIPTOR, descriptor.encode()), *((schemas.PROGRESS, data) for data in progress)]
    for suites in (LAB, HYBRID):
        world = World(suites)
        written += [
            (schemas.SEALED, world.seal()),
            (schemas.HEADER, Encrypt.decode(world.sealed, Wire.OURS).headers.raw),
            (schemas.SIGNED, plaintext_of(world)),
            (schemas.BINDING, Binding(world.context, world.choice).encode()),
            (schemas.CONTENT, world.content.encode()),
        ]
        reply = replace(world.context, role=Role.REPLY, request=h("request"))
        written.append((schemas.BINDING, Binding(reply, world.choice).encode()))
        binding = Binding(
            world.context, SenderChoice(session=h("s"), epoch=0, start_salt=h("x"), fence=3, counter=9, place=2)
        )
        sealed_in = seal_in_session(binding, world.content, h("a message's key"))
        written += [
            (schemas.IN_SESSION, sealed_in),
            (schemas.HEADER, Encrypt0.decode(sealed_in, Wire.OURS).headers.raw),
            (schemas.BINDING_IN_SESSION, binding.encode()),
        ]
    return written


def test_the_texts_describe_what_is_written() -> None:
    for schema, data in _written():
        schema.validate(data)


def test_the_texts_describe_nothing_else() -> None:
    for schema, data in _written():
        value: Any = cbor.decode(data, tags=schema.tags)
        for spoiled in _spoiled(value.value if isinstance(value, cbor.Tag) else value):
            item = cbor.Tag(value.number, spoiled) if isinstance(value, cbor.Tag) else spoiled
            with pytest.raises(SchemaMismatch):
                schema.validate(cbor.encode(item))


def _spoiled(value: Any) -> Iterator[Any]:
    """The value with each element in turn replaced by what no element is."""
    if isinstance(value, dict):
        for key in value:
            yield {**value, key: {"spoiled": 0}}
        yield {**value, 99: 0}
    else:
        for index, item in enumerate(value):
            if item != {}:  # the validator takes any map for an empty one; the code does not
                yield [*value[:index], {"spoiled": 0}, *value[index + 1 :]]
        yield [*value, 0]


def test_the_schemas_make_a_registry_with_codecs() -> None:
    registry = Registry(schemas.SCHEMAS)
    data = content().encode()
    document = registry.reader_for("envelope/content", Version(1, 0)).read(data)
    assert isinstance(document.value, Content)
    assert registry.writer_for("envelope/content", Version(1, 0)).write(document.value) == data
    descriptor = sealed()[1]
    writer = registry.writer_for("chunks/descriptor", Version(1, 0))
    assert registry.reader_for("chunks/descriptor", Version(1, 0)).read(writer.write(descriptor)).value == descriptor
