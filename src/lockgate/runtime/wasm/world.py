"""The world `lockgate:guest@0.1.0` as the sandbox enforces it: names and types, before anything runs.

wasmtime's C API links host functions by name and converts by whatever type the component claims. So
both are compared here, with what `wit/guest.wit` says; a component that imports one thing more, or
one thing differently, is refused by name and never instantiated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from wasmtime import Engine
from wasmtime.component import Component, ComponentInstanceType, FuncType

from lockgate.runtime.errors import ForeignImport, WorldMismatch
from lockgate.runtime.wasm import shapes

VERSION: Final = "0.1.0"
HANDLER: Final = f"lockgate:guest/handler@{VERSION}"

_BYTES = "list<u8>"
_REFUSAL = "record {code: string, detail: string}"
_MESSAGE = "record {id: list<u8>, sender: string, schema: string, body: list<u8>, deadline: u64}"
_REACTION = f"variant {{reply({_BYTES}), refuse({_REFUSAL}), defer}}"

IMPORTS: Final[Mapping[str, Mapping[str, str]]] = {
    f"lockgate:guest/messages@{VERSION}": {
        "send": f"func(to: string, schema: string, body: {_BYTES}, timeout-s: u32) -> result<{_BYTES}, string>",
        "answer": f"func(id: {_BYTES}, body: {_BYTES}) -> bool",
        "decline": f"func(id: {_BYTES}, code: string, detail: string) -> bool",
    },
    f"lockgate:guest/state@{VERSION}": {
        "get": f"func(key: {_BYTES}) -> option<{_BYTES}>",
        "set": f"func(key: {_BYTES}, value: {_BYTES})",
        "delete": f"func(key: {_BYTES})",
        "scan": f"func(start: {_BYTES}, end: {_BYTES}, limit: u32) -> list<tuple<{_BYTES}, {_BYTES}>>",
    },
    f"lockgate:guest/ledger@{VERSION}": {"time": "func() -> u64"},
    f"lockgate:guest/random@{VERSION}": {
        "public-random": f"func(count: u32) -> {_BYTES}",
        "secret-random": f"func(count: u32) -> {_BYTES}",
    },
    f"lockgate:guest/log@{VERSION}": {"log": "func(level: u8, text: string)"},
}

EXPORTS: Final[Mapping[str, str]] = {
    "handle": f"func(message: {_MESSAGE}) -> {_REACTION}",
    "acknowledged": f"func(sent: {_BYTES}, reply: {_BYTES})",
    "timed-out": f"func(sent: {_BYTES})",
    "refused": f"func(sent: {_BYTES}, code: string)",
    "command": f"func(input: {_BYTES}) -> result<{_BYTES}, {_REFUSAL}>",
}


def check_world(engine: Engine, component: Component) -> None:
    """Refuse a component that is not of this world; the refusal names the import or export."""
    for name, extern in component.type.imports(engine).items():
        allowed = IMPORTS.get(name)
        if allowed is None:
            raise ForeignImport("not part of the world lockgate:guest", imported=name)
        kind = extern.ty
        if not isinstance(kind, ComponentInstanceType):
            raise WorldMismatch("an import of this name is an interface", imported=name)
        for function, item in kind.exports(engine).items():
            if function not in allowed:
                raise ForeignImport("not part of the world lockgate:guest", imported=f"{name}#{function}")
            _check_shape(f"{name}#{function}", item.ty, allowed[function])
    handler = component.type.exports(engine).get(HANDLER)
    interface = None if handler is None else handler.ty
    if not isinstance(interface, ComponentInstanceType):
        raise WorldMismatch("the component does not export its handler", missing=HANDLER)
    exported = interface.exports(engine)
    for function, shape in EXPORTS.items():
        if function not in exported:
            raise WorldMismatch("the component does not export its handler", missing=f"{HANDLER}#{function}")
        _check_shape(f"{HANDLER}#{function}", exported[function].ty, shape)


def _check_shape(name: str, kind: object, expected: str) -> None:
    found = shapes.function(kind) if isinstance(kind, FuncType) else type(kind).__name__
    if found != expected:
        raise WorldMismatch("another type than the world's", item=name, expected=expected, found=found)


__all__ = ("EXPORTS", "HANDLER", "IMPORTS", "VERSION", "check_world")
