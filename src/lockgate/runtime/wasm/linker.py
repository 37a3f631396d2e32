"""Host functions of the world `lockgate:guest`, linked once per engine.

wasmtime calls back on the thread that made the call, so the call in progress is found through a
thread-local. A host function that stops the guest, or that fails, leaves its reason with the call and
tells wasmtime to unwind; no Python exception crosses the C frames.

Host work costs fuel as well: it is charged after each import by a published price, so that a flood
of host calls runs into the same deterministic limit as a loop.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from wasmtime import Engine, WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime.component import Linker, LinkerInstance

from lockgate.host.ports import TrapKind
from lockgate.runtime.imports import Imports
from lockgate.runtime.results import Stopped
from lockgate.runtime.wasm import values
from lockgate.runtime.wasm.world import VERSION

CALL_FUEL: Final = 8_000  # of one host call: about 12 µs of host time at 640 fuel per µs of guest time
BYTE_FUEL: Final = 16  # of one byte that crosses: about 25 ns
PENDING_FUEL: Final = 640  # of one pending write that a scan sorts: about 1 µs

# Any: ctypes values and pointers of wasmtime-py. A body reads its arguments, writes its result, and
# returns how many bytes crossed.
Body = Callable[[Imports, Any, Any], int]


class ActiveCall:
    """The call in progress on this thread: its imports, and why it must end, if it must."""

    def __init__(self, imports: Imports) -> None:
        self.imports = imports
        self.stopped: Stopped | None = None
        self.failure: BaseException | None = None


class HostFunctions:
    """A linker with every import of the world, and the callbacks it needs kept alive."""

    def __init__(self, engine: Engine) -> None:
        self._active = threading.local()
        self.linker = Linker(engine)
        self._callbacks: list[object] = []
        with self.linker.root() as root:
            for interface, bodies in _BODIES.items():
                with root.add_instance(f"lockgate:guest/{interface}@{VERSION}") as instance:
                    for name, body in bodies.items():
                        self._add(instance, name, body)

    def enter(self, call: ActiveCall) -> ActiveCall | None:
        """Make `call` the one in progress on this thread; return the one it suspends."""
        suspended: ActiveCall | None = getattr(self._active, "call", None)
        self._active.call = call
        return suspended

    def leave(self, suspended: ActiveCall | None) -> None:
        self._active.call = suspended

    def _add(self, instance: LinkerInstance, name: str, body: Body) -> None:
        callback = ffi.wasmtime_component_func_callback_t(self._callback(body))
        encoded = name.encode()
        error = ffi.wasmtime_component_linker_instance_add_func(
            instance.ptr(), ctypes.create_string_buffer(encoded), len(encoded), callback, None, _NO_FINALIZER
        )
        if error:
            raise WasmtimeError._from_ptr(error)
        self._callbacks.append(callback)

    def _callback(self, body: Body) -> Callable[..., int]:
        active = self._active

        def call_host(_data: Any, context: Any, _type: Any, arguments: Any, _n: Any, results: Any, _m: Any) -> int:
            call: ActiveCall = active.call
            try:
                moved = body(call.imports, arguments, results)
                _charge(context, CALL_FUEL + moved * BYTE_FUEL)
            except Stopped as stopped:
                call.stopped = stopped
            except BaseException as failure:  # raised again by the call, after wasmtime has unwound
                call.failure = failure
            else:
                return 0
            return _unwind()

        return call_host


def _charge(context: Any, cost: int) -> None:
    left = ctypes.c_uint64(0)
    ffi.wasmtime_context_get_fuel(context, ctypes.byref(left))
    if left.value <= cost:
        ffi.wasmtime_context_set_fuel(context, 0)
        raise Stopped(TrapKind.FUEL, "all fuel consumed by host calls")
    ffi.wasmtime_context_set_fuel(context, left.value - cost)


def _unwind() -> int:
    error = WasmtimeError("the host ended the call")
    return ctypes.cast(error._consume(), ctypes.c_void_p).value or 0


def _send(host: Imports, arguments: Any, results: Any) -> int:
    body = values.get_bytes(arguments[2])
    sent = host.send(values.get_text(arguments[0]), values.get_text(arguments[1]), body, values.get_u32(arguments[3]))
    values.put_result(results[0], sent)
    return len(body)


def _answer(host: Imports, arguments: Any, results: Any) -> int:
    body = values.get_bytes(arguments[1])
    values.put_bool(results[0], host.answer(values.get_bytes(arguments[0]), body))
    return len(body)


def _decline(host: Imports, arguments: Any, results: Any) -> int:
    id_, code, detail = (
        values.get_bytes(arguments[0]),
        values.get_text(arguments[1]),
        values.get_text(arguments[2]),
    )
    values.put_bool(results[0], host.decline(id_, code, detail))
    return len(code) + len(detail)


def _get(host: Imports, arguments: Any, results: Any) -> int:
    found = host.get(values.get_bytes(arguments[0]))
    values.put_option(results[0], found)
    return len(found or b"")


def _set(host: Imports, arguments: Any, results: Any) -> int:
    value = values.get_bytes(arguments[1])
    host.set(values.get_bytes(arguments[0]), value)
    return len(value)


def _delete(host: Imports, arguments: Any, results: Any) -> int:
    host.delete(values.get_bytes(arguments[0]))
    return 0


def _scan(host: Imports, arguments: Any, results: Any) -> int:
    start, end = values.get_bytes(arguments[0]), values.get_bytes(arguments[1])
    pairs = host.scan(start, end, values.get_u32(arguments[2]))
    values.put_pairs(results[0], pairs)
    return sum(len(key) + len(value) for key, value in pairs) + host.pending * PENDING_FUEL // BYTE_FUEL


def _time(host: Imports, arguments: Any, results: Any) -> int:
    values.put_u64(results[0], host.time())
    return 0


def _public_random(host: Imports, arguments: Any, results: Any) -> int:
    drawn = host.public_random(values.get_u32(arguments[0]))
    values.put_bytes(results[0], drawn)
    return len(drawn)


def _secret_random(host: Imports, arguments: Any, results: Any) -> int:
    drawn = host.secret_random(values.get_u32(arguments[0]))
    values.put_bytes(results[0], drawn)
    return len(drawn)


def _log(host: Imports, arguments: Any, results: Any) -> int:
    text = values.get_text(arguments[1])
    host.log(values.get_u8(arguments[0]), text)
    return len(text)


_NO_FINALIZER: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(0)
_BODIES: Final[Mapping[str, Mapping[str, Body]]] = {
    "messages": {"send": _send, "answer": _answer, "decline": _decline},
    "state": {"get": _get, "set": _set, "delete": _delete, "scan": _scan},
    "ledger": {"time": _time},
    "random": {"public-random": _public_random, "secret-random": _secret_random},
    "log": {"log": _log},
}

__all__ = ("BYTE_FUEL", "CALL_FUEL", "PENDING_FUEL", "ActiveCall", "HostFunctions")
