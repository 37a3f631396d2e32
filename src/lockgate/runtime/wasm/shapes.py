"""Types of a component, written as WIT writes them, so that two of them compare as text."""

from __future__ import annotations

from wasmtime.component import (
    U8,
    U32,
    U64,
    Bool,
    FuncType,
    ListType,
    OptionType,
    RecordType,
    ResultType,
    String,
    TupleType,
    ValType,
    VariantType,
)

_PLAIN = {Bool: "bool", String: "string", U8: "u8", U32: "u32", U64: "u64"}


def function(kind: FuncType) -> str:
    """Return `func(name: type, …) -> type`."""
    params = ", ".join(f"{name}: {value(of)}" for name, of in kind.params)
    result = kind.result
    return f"func({params})" + ("" if result is None else f" -> {value(result)}")


def value(kind: ValType | None) -> str:
    """Return a value type; records and variants are spelled out. What a guest may not use has a Python name."""
    match kind:
        case None:
            return "_"
        case ListType():
            return f"list<{value(kind.element)}>"
        case OptionType():
            return f"option<{value(kind.payload)}>"
        case TupleType():
            return f"tuple<{', '.join(map(value, kind.elements))}>"
        case ResultType():
            return f"result<{value(kind.ok)}, {value(kind.err)}>"
        case RecordType():
            return "record {" + ", ".join(f"{name}: {value(of)}" for name, of in kind.fields) + "}"
        case VariantType():
            return "variant {" + ", ".join(_case(name, of) for name, of in kind.cases) + "}"
        case _:
            return _PLAIN.get(type(kind), type(kind).__name__)


def _case(name: str, payload: ValType | None) -> str:
    return name if payload is None else f"{name}({value(payload)})"


__all__ = ("function", "value")
