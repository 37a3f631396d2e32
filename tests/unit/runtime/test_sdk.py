"""The guest SDK outside the sandbox: its CBOR held equal to the codec's, and the dispatch of handlers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lockgate_guest import Guest, Message, Refused, cbor, state
from lockgate_guest._host import bind

from lockgate.codec import cbor as codec
from lockgate.primitives.errors import LockgateError
from lockgate.runtime.imports import Imports
from tests.support import guests

ascii_text = st.text(st.characters(max_codepoint=127), max_size=30)
keys = st.one_of(st.integers(-(1 << 63), (1 << 64) - 1), st.binary(max_size=30), ascii_text)
items = st.recursive(
    st.one_of(keys, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=20,
)


def as_lists(value: Any) -> Any:
    """The codec gives tuples where a guest gets lists."""
    if isinstance(value, tuple):
        return [as_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    return value


@given(items)
def test_cbor_is_the_codecs(value: Any) -> None:
    encoded = cbor.encode(value)
    assert encoded == codec.encode(value)
    assert cbor.decode(encoded) == value


@given(st.binary(max_size=40))
@example(b"\xa2\x01\x00\xf5\x00")
@example(b"\xa2\x01\x00\x01\x00")
@example(b"\xa2\x02\x00\x01\x00")
@example(b"\x18\x17")
@example(b"\x3b\x80" + bytes(7))
@example(b"\xf9\x00\x00")
@example(b"\xf8\x20")
@example(b"\x9f\xff")
@example(b"\xc0\x00")
@example(b"\x62e\xcc")
@example(b"\x63e\xcc\x81")
@example(b"\x9b" + b"\xff" * 8)
@example(b"\x81" * 16 + b"\x00")
@example(b"\x81" * 17 + b"\x00")
def test_cbor_accepts_what_the_codec_accepts(data: bytes) -> None:
    try:
        expected = as_lists(codec.decode(data))
    except LockgateError:
        with pytest.raises(cbor.Malformed):
            cbor.decode(data)
    else:
        assert cbor.decode(data) == expected


@pytest.mark.parametrize("value", [1 << 64, -(1 << 63) - 1, 1.5, {1, 2}, object(), "e\u0301", {True: 1}])
def test_cbor_does_not_write_what_it_would_not_read(value: Any) -> None:
    with pytest.raises(TypeError):
        cbor.encode(value)


def message(schema: str) -> Message:
    return Message(b"\1" * 32, "bob", schema, b"body", 0)


def test_handlers_are_found_by_name_and_major_version() -> None:
    guest = Guest()
    guest.handles("a@1.0")(lambda _: b"a1")
    guest.handles("a@2.3")(lambda _: b"a2")
    guest.handles("plain")(lambda _: b"plain")
    found = [guest.handle(message(schema)) for schema in ("a@1.9", "a@2.0", "a@2", "plain")]
    assert found == [b"a1", b"a2", b"a2", b"plain"]
    for schema in ("a@3.0", "b@1.0", "a", "", "plain@1.0"):
        with pytest.raises(Refused) as refused:
            guest.handle(message(schema))
        assert refused.value.code == "schema.unknown"


def test_a_guest_without_handlers_takes_events_and_refuses_commands() -> None:
    guest = Guest()
    guest.acknowledged(b"", b"")
    guest.timed_out(b"")
    guest.refused(b"", "")
    with pytest.raises(Refused):
        guest.command(b"")


def test_the_host_is_there_only_during_a_call() -> None:
    bind(None)
    with pytest.raises(RuntimeError):
        state.get(b"k")


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        (b"a/", [b"a/1", b"a/\xff"]),
        (b"", [b"a/1", b"a/\xff", b"b", b"\xff\xff", b"\xff\xffz"]),
        (b"\xff", [b"\xff\xff", b"\xff\xffz"]),
        (b"\xff\xff", [b"\xff\xff", b"\xff\xffz"]),
        (b"c", []),
    ],
)
def test_scanning_a_prefix(prefix: bytes, found: list[bytes]) -> None:
    pairs = dict.fromkeys((b"a/1", b"a/\xff", b"b", b"\xff\xff", b"\xff\xffz"), b"v")
    bind(Imports(guests.state(pairs), guests.ENV))
    try:
        assert [key for key, _ in state.scan(prefix)] == found
    finally:
        bind(None)
