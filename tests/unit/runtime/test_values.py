"""Values across the border: held equal to wasmtime-py's own conversions, element by element."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import component

from lockgate.runtime.wasm import values

_TYPES = """
(component
  (import "f" (func (param "bytes" (list u8)) (param "text" string) (param "number" u64) (param "truth" bool)
    (param "maybe" (option (list u8))) (param "either" (result (list u8) (error string)))
    (param "pairs" (list (tuple (list u8) (list u8)))))))
"""


class _Types:
    def __init__(self) -> None:
        engine = wasmtime.Engine()
        self.store = wasmtime.Store(engine)
        function = component.Component(engine, _TYPES).type.imports(engine)["f"].ty
        assert isinstance(function, component.FuncType)
        self.by_name = dict(function.params)

    def read(self, name: str, value: Any) -> Any:
        """Read what we wrote, with wasmtime-py; it frees the parts it takes."""
        return self.by_name[name].convert_from_c(value)

    def written(self, name: str, content: Any) -> Any:
        """Have wasmtime-py write what we shall read."""
        value = values.Val()
        self.by_name[name].convert_to_c(self.store, content, ctypes.pointer(value))
        return value


TYPES = _Types()


@given(st.binary(max_size=300))
def test_bytes(data: bytes) -> None:
    value = values.Val()
    values.put_bytes(value, data)
    assert values.bytes_length(value) == len(data)
    assert values.get_bytes(value) == data
    assert TYPES.read("bytes", value) == data
    theirs = TYPES.written("bytes", data)
    assert values.get_bytes(theirs) == data
    values.delete(theirs)


@given(st.text(max_size=50))
def test_text(text: str) -> None:
    theirs = TYPES.written("text", text)
    assert values.get_text(theirs) == text
    values.delete(theirs)
    value = values.Val()
    values.put_text(value, text)
    assert values.get_text(value) == text
    if text:  # wasmtime-py cannot read an empty string
        assert TYPES.read("text", value) == text


@pytest.mark.parametrize("number", [0, 1, (1 << 64) - 1])
def test_u64(number: int) -> None:
    value = values.Val()
    values.put_u64(value, number)
    assert TYPES.read("number", value) == number


@pytest.mark.parametrize("truth", [True, False])
def test_bool(truth: bool) -> None:
    value = values.Val()
    values.put_bool(value, truth)
    assert TYPES.read("truth", value) is truth


@pytest.mark.parametrize("data", [None, b"", b"abc"])
def test_option(data: bytes | None) -> None:
    value = values.Val()
    values.put_option(value, data)
    assert TYPES.read("maybe", value) == data


@pytest.mark.parametrize("outcome", [b"", b"abc", "word"])
def test_result(outcome: bytes | str) -> None:
    value = values.Val()
    values.put_result(value, outcome)
    ok, payload = values.get_result(value)
    assert ok is isinstance(outcome, bytes)
    assert (values.get_bytes(payload) if ok else values.get_text(payload)) == outcome
    assert TYPES.read("either", value) == outcome


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=5))
def test_pairs(pairs: list[tuple[bytes, bytes]]) -> None:
    value = values.Val()
    values.put_pairs(value, pairs)
    assert TYPES.read("pairs", value) == pairs


def test_record() -> None:
    value = values.Val()
    values.put_record(value, (("id", b"\1\2"), ("name", "bob"), ("deadline", 1 << 63)))
    fields = values.get_fields(value)
    assert list(fields) == ["id", "name", "deadline"]
    assert values.get_bytes(fields["id"]) == b"\1\2"
    assert values.get_text(fields["name"]) == "bob"
    assert fields["deadline"].of.u64 == 1 << 63
    values.delete(value)


def test_deleting_an_untouched_value_is_harmless() -> None:
    values.delete(values.Val())
