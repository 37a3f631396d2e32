"""Values across the component boundary, for exactly the types of the world `lockgate:guest`.

wasmtime-py converts a `list<u8>` one element at a time, at about a microsecond a byte, and asks for
every function's type on every call. A list of bytes is an array of tagged 32-byte values in its C
API, so here the tags and the payloads are laid out with two strided copies instead: 128 KiB cross in
milliseconds. `tests/unit/runtime/test_values.py` holds these conversions equal to wasmtime-py's own.

Ownership follows the C API: what is written into a result or a parameter array belongs to it; what is
read from an argument stays the caller's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Final

from wasmtime import _ffi as ffi

# Any: ctypes structures of wasmtime-py, generated without usable types.
Val = ffi.wasmtime_component_val_t
_SIZE: Final = ctypes.sizeof(Val)
_PAYLOAD: Final = Val.of.offset
_BOOL: Final = ffi.WASMTIME_COMPONENT_BOOL.value
_U8: Final = ffi.WASMTIME_COMPONENT_U8.value
_U64: Final = ffi.WASMTIME_COMPONENT_U64.value
_STRING: Final = ffi.WASMTIME_COMPONENT_STRING.value
_LIST: Final = ffi.WASMTIME_COMPONENT_LIST.value
_RECORD: Final = ffi.WASMTIME_COMPONENT_RECORD.value
_TUPLE: Final = ffi.WASMTIME_COMPONENT_TUPLE.value
_OPTION: Final = ffi.WASMTIME_COMPONENT_OPTION.value
_RESULT: Final = ffi.WASMTIME_COMPONENT_RESULT.value


def get_bytes(value: Any) -> bytes:
    """Read a `list<u8>`."""
    items = value.of.list
    return ctypes.string_at(items.data, items.size * _SIZE)[_PAYLOAD::_SIZE] if items.size else b""


def bytes_length(value: Any) -> int:
    """Return the length of a `list<u8>` without reading it."""
    return int(value.of.list.size)


def get_text(value: Any) -> str:
    """Read a `string`; wasmtime has checked that it is UTF-8."""
    return _name(value.of.string)


def get_u32(value: Any) -> int:
    return int(value.of.u32)


def get_u8(value: Any) -> int:
    return int(value.of.u8)


def get_case(value: Any) -> tuple[str, Any]:
    """Read a `variant`: the case's name, and its payload, or None where it has none."""
    variant = value.of.variant
    return _name(variant.discriminant), variant.val.contents if variant.val else None


def get_result(value: Any) -> tuple[bool, Any]:
    """Read a `result` with payloads on both sides: whether it is ok, and the payload."""
    result = value.of.result
    return bool(result.is_ok), result.val.contents


def get_fields(value: Any) -> dict[str, Any]:
    """Read a `record`: its fields by name."""
    record = value.of.record
    return {_name(record.data[i].name): record.data[i].val for i in range(record.size)}


def put_bytes(value: Any, data: bytes) -> None:
    count = len(data)
    value.kind = _LIST
    ffi.wasmtime_component_vallist_new_uninit(ctypes.byref(value.of.list), count)
    if count:
        laid_out = bytearray(count * _SIZE)
        laid_out[::_SIZE] = bytes((_U8,)) * count
        laid_out[_PAYLOAD::_SIZE] = data
        source = (ctypes.c_char * len(laid_out)).from_buffer(laid_out)
        ctypes.memmove(value.of.list.data, source, len(laid_out))


def put_text(value: Any, text: str) -> None:
    value.kind = _STRING
    value.of.string = ffi.str_to_capi(text)


def put_u64(value: Any, number: int) -> None:
    value.kind = _U64
    value.of.u64 = number


def put_bool(value: Any, truth: bool) -> None:
    value.kind = _BOOL
    value.of.boolean = truth


def put_option(value: Any, data: bytes | None) -> None:
    """Write an `option<list<u8>>`."""
    inner = None
    if data is not None:
        content = Val()
        put_bytes(content, data)
        inner = ffi.wasmtime_component_val_new(ctypes.byref(content))
    value.kind = _OPTION
    value.of.option = inner


def put_result(value: Any, outcome: bytes | str) -> None:
    """Write a `result<list<u8>, string>`: bytes are ok, text is the error."""
    content = Val()
    if isinstance(outcome, str):
        put_text(content, outcome)
    else:
        put_bytes(content, outcome)
    value.kind = _RESULT
    value.of.result.is_ok = not isinstance(outcome, str)
    value.of.result.val = ffi.wasmtime_component_val_new(ctypes.byref(content))


def put_pairs(value: Any, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    """Write a `list<tuple<list<u8>, list<u8>>>`."""
    value.kind = _LIST
    ffi.wasmtime_component_vallist_new_uninit(ctypes.byref(value.of.list), len(pairs))
    for i, pair in enumerate(pairs):
        item = value.of.list.data[i]
        item.kind = _TUPLE
        ffi.wasmtime_component_valtuple_new_uninit(ctypes.byref(item.of.tuple), 2)
        put_bytes(item.of.tuple.data[0], pair[0])
        put_bytes(item.of.tuple.data[1], pair[1])


def put_record(value: Any, fields: Sequence[tuple[str, bytes | str | int]]) -> None:
    """Write a `record` of byte lists, strings and u64 fields, in the type's order."""
    value.kind = _RECORD
    ffi.wasmtime_component_valrecord_new_uninit(ctypes.byref(value.of.record), len(fields))
    for i, (name, content) in enumerate(fields):
        entry = value.of.record.data[i]
        entry.name = ffi.str_to_capi(name)
        if isinstance(content, bytes):
            put_bytes(entry.val, content)
        elif isinstance(content, str):
            put_text(entry.val, content)
        else:
            put_u64(entry.val, content)


def delete(value: Any) -> None:
    """Free what a value owns."""
    ffi.wasmtime_component_val_delete(ctypes.byref(value))


def _name(vector: Any) -> str:
    return ctypes.string_at(vector.data, vector.size).decode() if vector.size else ""
