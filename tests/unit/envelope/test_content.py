"""Contents and their padding: one encoding each, one of few lengths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.codec.registry import SchemaName, Version
from lockgate.envelope import schemas
from lockgate.envelope.content import MAX_BODY, MAX_SIGNED_VIEW, MIN_BUCKET, Content, LedgerView, SignedView, bucket
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


SIGNED = SignedView(b"header and commit", b"validators")


def _with_views(source: SignedView | None, destination: SignedView | None, **more: Any) -> Content:
    base = content()
    return replace(
        base,
        source_seen=replace(base.source_seen, signed=source),
        destination_seen=replace(base.destination_seen, signed=destination),
        **more,
    )


@pytest.mark.parametrize(("source", "destination"), [(SIGNED, SIGNED), (SIGNED, None), (None, SignedView(b"h"))])
def test_P20_views_carry_their_signed_headers(source: SignedView | None, destination: SignedView | None) -> None:
    value = _with_views(source, destination)
    assert Content.decode(value.encode()) == value
    schemas.CONTENT.validate(value.encode())


def test_without_signed_headers_a_content_is_of_the_minor_before() -> None:
    """A reader of 1.0 meets it unchanged; with them the array has one element more."""
    assert len(cbor.decode(content().encode())) == 6
    schemas.CONTENT_1_0.validate(content().encode())
    assert len(cbor.decode(_with_views(SIGNED, None).encode())) == 7


def test_what_a_later_minor_adds_is_passed_over_and_kept() -> None:
    value = _with_views(SIGNED, None, extensions=((7, b"new"),))
    again = Content.decode(value.encode())
    assert (again.body, again.source_seen.signed, again.extensions) == (value.body, SIGNED, ((7, b"new"),))
    assert again.encode() == value.encode()


@pytest.mark.parametrize(
    "more",
    [
        {}, (), 5, {0: b"x"}, {-1: b"x"}, {"1": b"x"}, {1 << 16: b"x"}, {1: b"x"}, {1: (b"x",)}, {1: (b"", b"")},
        {1: (b"x", 5)}, {2: ("x", b"")}, {1: (bytes(MAX_SIGNED_VIEW), b"x")},
    ],
)  # fmt: skip
def test_a_map_of_another_shape_is_refused(more: Any) -> None:
    fields = list(cbor.decode(content().encode()))
    fields[5:] = [more, b""]
    with pytest.raises(ContentMalformed):
        Content.decode(cbor.encode(fields))


def test_a_view_reads_what_it_writes_and_nothing_else() -> None:
    view = replace(content().source_seen, signed=SIGNED)
    for one in (view, content().source_seen):
        assert LedgerView.from_value(cbor.decode(cbor.encode(one.to_value()))) == one
    for wrong in (5, (), (1, 2), (1, 2, bytes(32), (b"",)), (1, 2, bytes(32), None), (1, 2, bytes(31))):
        with pytest.raises(ContentMalformed):
            LedgerView.from_value(wrong)


def test_a_body_is_not_shown() -> None:
    value = replace(content(b"secret quote"), schema=SchemaName("test/quote", Version(2, 1)))
    assert "secret" not in repr(value)
