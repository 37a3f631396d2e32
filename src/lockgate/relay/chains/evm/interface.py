"""Calls, results and events of a contract, by the interface its compiler wrote.

Values are those of `codec.abi`: numbers, text, bytes and tuples; an address, a boolean and a `bytes32` are numbers.
Source: Solidity contract ABI specification, JSON form, function selectors, events.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from lockgate.codec import abi
from lockgate.codec.errors import Malformed
from lockgate.crypto.keccak import keccak256
from lockgate.primitives.errors import Misuse
from lockgate.relay.chains.evm.answers import Log, printable
from lockgate.relay.chains.evm.artefacts import artefact

ERROR: Final = keccak256(b"Error(string)")[:4]
PANIC: Final = keccak256(b"Panic(uint256)")[:4]
MAX_REASON: Final = 4_096  # bytes of what a contract reverts with
_SIMPLE: Final[dict[str, abi.Type]] = {
    "string": abi.STRING,
    "bytes": abi.BYTES,
    "address": abi.Uint(160),
    "bool": abi.Uint(1),
    "bytes32": abi.UINT256,
}
_UINT: Final = re.compile(r"uint([0-9]{1,3})\Z")


@dataclass(frozen=True, slots=True)
class Function:
    selector: bytes
    inputs: tuple[abi.Type, ...]
    outputs: tuple[abi.Type, ...]


@dataclass(frozen=True, slots=True)
class ContractEvent:
    name: str
    topic: bytes
    data: tuple[abi.Type, ...]  # of what is not indexed, in order


class Interface:
    """What one contract takes and tells."""

    def __init__(self, entries: Sequence[dict[str, Any]]) -> None:
        self._functions: dict[str, Function] = {}
        self._events: dict[bytes, ContractEvent] = {}
        self._constructor: tuple[abi.Type, ...] = ()
        for entry in entries:
            inputs = entry.get("inputs", [])
            kinds = tuple(map(_type_of, inputs))
            if entry["type"] == "constructor":
                self._constructor = kinds
            elif entry["type"] in {"function", "event"}:
                name = entry["name"]
                hashed = keccak256(f"{name}({','.join(map(_written, inputs))})".encode())
                if entry["type"] == "function":
                    self._functions[name] = Function(hashed[:4], kinds, tuple(map(_type_of, entry["outputs"])))
                else:
                    told = tuple(kind for kind, one in zip(kinds, inputs, strict=True) if not one.get("indexed"))
                    self._events[hashed] = ContractEvent(name, hashed, told)

    def call(self, name: str, *arguments: Any) -> bytes:
        """Call data. Raises Unencodable."""
        function = self._functions[name]
        return function.selector + _encoded(function.inputs, arguments)

    def constructed(self, *arguments: Any) -> bytes:
        """What follows the creation code."""
        return _encoded(self._constructor, arguments)

    def result(self, name: str, data: bytes) -> tuple[Any, ...]:
        """What a call returned. Raises codec's Malformed."""
        return _decoded(self._functions[name].outputs, data)

    def called(self, data: bytes) -> tuple[str, tuple[Any, ...]] | None:
        """The function that a call's data is of, and its arguments; None for another contract's. Raises Malformed."""
        for name, function in self._functions.items():
            if data[:4] == function.selector:
                return name, _decoded(function.inputs, data[4:])
        return None

    def selector(self, name: str) -> bytes:
        return self._functions[name].selector

    def topic(self, event: str) -> bytes:
        return next(one.topic for one in self._events.values() if one.name == event)

    def event(self, log: Log) -> tuple[str, tuple[Any, ...]] | None:
        """An event's name and what of it is not indexed; None for one of another contract. Raises Malformed."""
        found = self._events.get(log.topics[0]) if log.topics else None
        return None if found is None else (found.name, _decoded(found.data, log.data))

    def shaped(self, log: Log) -> bool:
        """Is a log's data that of one of these events, whatever its texts are? No compiler holds them to UTF-8."""
        found = self._events.get(log.topics[0]) if log.topics else None
        try:
            return found is not None and bool(_decoded(tuple(map(_untold, found.data)), log.data))
        except Malformed:
            return False


@cache
def interface(name: str) -> Interface:
    """The interface of a compiled contract: `host`, `attested` or `echo`."""
    return Interface(artefact(name).abi)


def reason_of(data: bytes) -> str:
    """The words a contract reverted with; what else it was, where there are none."""
    try:
        if data[:4] == ERROR:
            (text,) = _decoded((abi.STRING,), data[4:], MAX_REASON)
            return printable(str(text))
        if data[:4] == PANIC:
            (number,) = _decoded((abi.UINT256,), data[4:], MAX_REASON)
            return f"panic {number:#x}"
    except Malformed:
        pass
    return f"reverted with {data[:36].hex()}" if data else "reverted without words"


def _encoded(kinds: tuple[abi.Type, ...], arguments: Sequence[Any]) -> bytes:
    if len(kinds) != len(arguments):
        raise Misuse("another number of arguments")
    if not kinds:
        return b""
    made = abi.encode(abi.Tuple(kinds), tuple(arguments))
    return made[abi.WORD :] if _is_dynamic(kinds) else made  # several arguments, not one tuple of them


def _decoded(kinds: tuple[abi.Type, ...], data: bytes, limit: int = abi.DEFAULT_LIMIT) -> tuple[Any, ...]:
    if not kinds:
        if data:
            raise Malformed("bytes where nothing is returned")
        return ()
    head = abi.WORD.to_bytes(abi.WORD) if _is_dynamic(kinds) else b""
    values: tuple[Any, ...] = abi.decode(abi.Tuple(kinds), head + data, limit=limit)
    return values


def _untold(kind: abi.Type) -> abi.Type:
    """A type with bytes where it has text: they are laid out alike."""
    match kind:
        case abi.Dynamic():
            return abi.BYTES
        case abi.Array(item):
            return abi.Array(_untold(item))
        case abi.Tuple(items):
            return abi.Tuple(tuple(map(_untold, items)))
    return kind


def _is_dynamic(kinds: tuple[abi.Type, ...]) -> bool:
    return any(
        _is_dynamic(kind.items) if isinstance(kind, abi.Tuple) else not isinstance(kind, abi.Uint) for kind in kinds
    )


def _type_of(entry: dict[str, Any]) -> abi.Type:
    kind: str = entry["type"]
    if kind.endswith("[]"):
        return abi.Array(_type_of({**entry, "type": kind[:-2]}))
    if kind == "tuple":
        return abi.Tuple(tuple(map(_type_of, entry["components"])))
    number = _UINT.match(kind)
    return abi.Uint(int(number[1])) if number else _SIMPLE[kind]


def _written(entry: dict[str, Any]) -> str:
    """A type as signatures have it."""
    kind: str = entry["type"]
    if kind.startswith("tuple"):
        return f"({','.join(map(_written, entry['components']))}){kind[5:]}"
    return kind


__all__ = ("ContractEvent", "Function", "Interface", "interface", "reason_of")
