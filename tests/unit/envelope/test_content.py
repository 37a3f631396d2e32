"""Contents and their padding: one encoding each, one of few lengths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.codec.registry import SchemaName, Version
from lockgate.envelope.content import MAX_BODY, MIN_BUCKET, Content, bucket
from lockgate.envelope.errors import ContentMalformed
from lockgate.primitives.ids import Height
from tests.unit.envelope.world import content


def test_round_trip() -> None:
    for size in (0, 1, 300, 65_536, MAX_BODY):
        value = content(bytes(size))
        assert Content.decode(value.encode()) == value


def test_every_encoding_fills_a_bucket_exactly() -> None:
    """Also where the head of the padding grows and leaves a gap that cannot be filled."""
    heights = [Height(1, 1), Height(300, 1 << 40)]
    for size in [*range(1_400), *range(4_000, 4_400), MAX_BODY - 1, MAX_BODY]:
        for height in heights:
            value = content(bytes(size))
            value = replace(value, source_seen=replace(value.source_seen, height=height))
            length = len(value.encode())
            assert length == bucket(length)


def test_buckets() -> None:
    assert [bucket(n) for n in (0, 1, 512, 513, 640, 641, 1024, 1025, 1281)] == [
        MIN_BUCKET, MIN_BUCKET, 512, 640, 640, 768, 1024, 1280, 1536,
    ]  # fmt: skip
    for size in range(1, 20_000):
        assert size <= bucket(size) <= max(MIN_BUCKET, size + size // 4 + 1)
    assert len({bucket(n) for n in range(MAX_BODY + 200)}) < 40


def _spoiled(index: int, value: object) -> bytes:
    fields = list(cbor.decode(content().encode()))
    fields[index] = value
    return cbor.encode(fields)


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, 2),
        (0, True),
        (1, 5),
        (1, (1, 42)),
        (1, (1, "42", bytes(32))),
        (2, (1, -1, bytes(32))),
        (2, (1, 17, bytes(31))),
        (3, ("test/quote", 1)),
        (3, ("Test", 1, 0)),
        (3, ("test/quote", 0, 0)),
        (4, "text"),
        (4, bytes(MAX_BODY + 1)),
        (5, b""),
        (5, 7),
    ],
)
def test_fields_out_of_range_are_refused(index: int, value: Any) -> None:
    with pytest.raises(ContentMalformed):
        Content.decode(_spoiled(index, value))


def test_other_padding_is_refused() -> None:
    padding = cbor.decode(content().encode())[5]
    for other in (padding + b"\x00", padding[1:], b"\x01" + padding[1:], padding + bytes(128)):
        with pytest.raises(ContentMalformed):
            Content.decode(_spoiled(5, other))


@pytest.mark.parametrize("data", [b"", b"\xa0", b"\x80", b"\xff", content().encode() + b"\x00"])
def test_bytes_that_are_no_content(data: bytes) -> None:
    with pytest.raises(ContentMalformed):
        Content.decode(data)


def test_a_body_is_not_shown() -> None:
    value = replace(content(b"secret quote"), schema=SchemaName("test/quote", Version(2, 1)))
    assert "secret" not in repr(value)
