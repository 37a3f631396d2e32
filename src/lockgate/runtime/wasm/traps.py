"""Which `TrapKind` a failed call was.

wasmtime's C API gives a component's trap as text only. The text holds a backtrace with names the
guest chose, so only its last line, wasmtime's own, is read. Spent fuel is read from the store.
"""

from __future__ import annotations

from typing import Final

from lockgate.host.ports import GuestTrap, TrapKind
from lockgate.runtime.results import MAX_TRAP_DETAIL, shown

# Beginnings of wasmtime 50's own words.
_TRAPS: Final = (
    ("all fuel consumed", TrapKind.FUEL),
    ("interrupt", TrapKind.EPOCH),
    ("out of bounds memory access", TrapKind.MEMORY),
    ("allocation size too large", TrapKind.MEMORY),
    ("undefined element: out of bounds table access", TrapKind.TABLE),
    ("uninitialized element", TrapKind.TABLE),
    ("indirect call type mismatch", TrapKind.TABLE),
    ("call stack exhausted", TrapKind.STACK),
    ("wasm `unreachable` instruction executed", TrapKind.UNREACHABLE),
    ("integer divide by zero", TrapKind.ARITHMETIC),
    ("integer overflow", TrapKind.ARITHMETIC),
    ("invalid conversion to integer", TrapKind.ARITHMETIC),
)
# A minimum size beyond a limit ends the instantiation, without a trap.
_LIMITS: Final = (
    ("memory minimum size", TrapKind.MEMORY),
    ("table minimum size", TrapKind.TABLE),
    ("resource limit exceeded: memory", TrapKind.MEMORY),
    ("resource limit exceeded: table", TrapKind.TABLE),
)
# Raised while the result, or the arguments of an import, are lifted out of the guest's memory.
_LIFTING: Final = (
    "out of bounds",
    "out-of-bounds",
    "not aligned",
    "discriminant",
    "invalid utf-8",
    "invalid char",
    "bits should be unset",
    "realloc return",
)
_TOO_MUCH: Final = "too much data is being copied"


def classify(message: str, fuel_left: int) -> GuestTrap:
    """Return the trap for wasmtime's error text and what fuel was left."""
    last = message.rstrip().rpartition("\n")[2].strip()
    detail = shown(last, MAX_TRAP_DETAIL)
    if fuel_left == 0:
        return GuestTrap(TrapKind.FUEL, "all fuel consumed")
    _, trapped, reason = last.rpartition("wasm trap: ")
    if trapped:
        for beginning, kind in _TRAPS:
            if reason.startswith(beginning):
                return GuestTrap(kind, detail)
    if last.startswith(_TOO_MUCH):
        return GuestTrap(TrapKind.OUTPUT_TOO_LARGE, detail)
    for beginning, kind in _LIMITS:
        if last.startswith(beginning):
            return GuestTrap(kind, detail)
    if any(word in last for word in _LIFTING):
        # With a backtrace the guest was still running: what it got wrong was a call to its host.
        running = message.startswith("error while executing")
        return GuestTrap(TrapKind.BAD_CALL if running else TrapKind.BAD_RESULT, detail)
    return GuestTrap(TrapKind.OTHER, detail)


__all__ = ("classify",)
