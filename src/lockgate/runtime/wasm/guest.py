"""WASM components behind the port `Guest`: a fresh instance for each call, and nothing left of it.

Theory of operation. A `Sandbox` owns one engine, its epoch thread and one linker with the world's
imports. `load` checks a component against the world, takes its machine code from the cache or
compiles it, and gives a `WasmGuest`. A call makes a store with its own fuel, epoch deadline and
limits, instantiates (start functions run under the same limits), calls one export, and drops the
store. What the guest decided is in `Imports`; the guest's memory is gone, whatever it did to it.
"""

from __future__ import annotations

import ctypes
import hashlib
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, assert_never, final

from wasmtime import Store, WasmtimeError, wat2wasm
from wasmtime import _ffi as ffi
from wasmtime.component import Component, ExportIndex

from lockgate.host.ports import (
    Acknowledged,
    Command,
    Deferred,
    Done,
    GuestEnv,
    GuestId,
    GuestOutcome,
    GuestState,
    GuestTrap,
    Handle,
    Invocation,
    Refusal,
    RefusedByPeer,
    Reply,
    Result,
    TimedOut,
    TrapKind,
)
from lockgate.primitives.ids import Hash32
from lockgate.runtime.errors import BadComponent, SandboxClosed
from lockgate.runtime.imports import Imports
from lockgate.runtime.results import Stopped, checked
from lockgate.runtime.wasm import values
from lockgate.runtime.wasm.cache import CodeCache, Found
from lockgate.runtime.wasm.engine import EngineSettings, EpochTicker, new_engine, ticks
from lockgate.runtime.wasm.linker import ActiveCall, HostFunctions
from lockgate.runtime.wasm.traps import classify
from lockgate.runtime.wasm.world import EXPORTS, HANDLER, check_world

MAX_COMPONENT: Final = 64 << 20  # bytes; a Python guest is 18 MB, and compiling takes memory in proportion
# Of one component: a Python guest has 32 core instances, 2 tables and 1 memory.
MAX_INSTANCES: Final = 64
MAX_TABLES: Final = 8
MAX_MEMORIES: Final = 4


@dataclass(frozen=True, slots=True)
class Loaded:
    """A guest ready to be called, and where its machine code came from."""

    guest: WasmGuest
    code: Found


@final
class Sandbox:
    """One engine for any number of guests. Calls may come from several threads."""

    def __init__(self, settings: EngineSettings | None = None, cache: CodeCache | None = None) -> None:
        self.settings = settings or EngineSettings()
        self._engine = new_engine(self.settings)
        self._ticker = EpochTicker(self._engine)
        self._functions = HostFunctions(self._engine)
        self._cache = cache
        self._closed = False

    def load(self, component: bytes) -> Loaded:
        """Check, compile (or take from the cache) and link a component.

        Raises ForeignImport, WorldMismatch or BadComponent; nothing of the component has run then.
        """
        if len(component) > MAX_COMPONENT:
            raise BadComponent("larger than a guest may be", bytes=len(component), most=MAX_COMPONENT)
        identity = GuestId(Hash32(hashlib.sha256(component).digest()))
        try:
            code, found = self._machine_code(component, identity)
        except WasmtimeError as failure:
            raise BadComponent(str(failure).partition("\n")[0][:200], guest=identity) from None
        check_world(self._engine, code)
        return Loaded(WasmGuest(self, code, identity), found)

    def close(self) -> None:
        """Stop the epoch thread; calling a guest afterwards is Misuse."""
        self._closed = True
        self._ticker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _machine_code(self, component: bytes, identity: GuestId) -> tuple[Component, Found]:
        if self._cache is None:
            return Component(self._engine, component), Found.ABSENT
        machine_code, found = self._cache.read(identity, self.settings.text())
        if machine_code is not None:
            try:
                return Component.deserialize(self._engine, machine_code), found
            except WasmtimeError:
                found = Found.STALE  # authentic, but of another wasmtime or CPU than its key says
        compiled = Component(self._engine, component)
        check_world(self._engine, compiled)  # what is not of the world is not kept either
        self._cache.write(identity, self.settings.text(), bytes(compiled.serialize()))
        return compiled, found

    def _run(
        self, code: Component, exports: dict[str, ExportIndex], invocation: Invocation, call: ActiveCall, env: GuestEnv
    ) -> tuple[object, int]:
        """Return the raw result (a GuestTrap if wasmtime ended the call) and the fuel used."""
        if self._closed:
            raise SandboxClosed("closed")
        limits = env.limits
        with Store(self._engine) as store:
            store.set_limits(
                memory_size=limits.memory_bytes,
                table_elements=limits.table_elements,
                instances=MAX_INSTANCES,
                tables=MAX_TABLES,
                memories=MAX_MEMORIES,
            )
            store.set_fuel(limits.fuel)
            store.set_epoch_deadline(ticks(limits.wall_ms))
            suspended = self._functions.enter(call)
            try:
                with self._ticker.ticking():
                    result = _call_export(self._functions, store, code, exports, invocation, env)
            except WasmtimeError as failure:
                left = store.get_fuel()
                return classify(str(failure), left), limits.fuel - left
            finally:
                self._functions.leave(suspended)
            return result, limits.fuel - store.get_fuel()


@final
class WasmGuest:
    """A loaded component. Meets the port `Guest`."""

    def __init__(self, sandbox: Sandbox, code: Component, identity: GuestId) -> None:
        self._sandbox = sandbox
        self._code = code
        self._identity = identity
        handler = code.get_export_index(HANDLER)
        assert handler is not None, "the world was checked"
        self._exports: dict[str, ExportIndex] = {}
        for name in EXPORTS:
            index = code.get_export_index(name, handler)
            assert index is not None, "the world was checked"
            self._exports[name] = index

    @property
    def identity(self) -> GuestId:
        return self._identity

    def call(self, invocation: Invocation, state: GuestState, env: GuestEnv, /) -> GuestOutcome:
        imports = Imports(state, env)
        call = ActiveCall(imports)
        raw, fuel_used = self._sandbox._run(self._code, self._exports, invocation, call, env)
        if call.failure is not None:
            raise call.failure
        result: Result
        try:
            if call.stopped is not None:
                raise call.stopped
            result = raw if isinstance(raw, GuestTrap) else checked(invocation, raw, env.limits)
        except Stopped as stopped:
            result = stopped.trap
        return imports.outcome(result, fuel_used)


def component_bytes(text_or_bytes: bytes) -> bytes:
    """Return the binary form of a component given as text (WAT) or as bytes already."""
    if text_or_bytes.startswith(b"\0asm"):
        return text_or_bytes
    try:
        return bytes(wat2wasm(text_or_bytes))
    except WasmtimeError as failure:
        raise BadComponent(str(failure)[:400]) from None


def _call_export(
    functions: HostFunctions,
    store: Store,
    code: Component,
    exports: dict[str, ExportIndex],
    invocation: Invocation,
    env: GuestEnv,
) -> object:
    name, arguments = _arguments(invocation)
    instance = functions.linker.instantiate(store, code)
    function = instance.get_func(store, exports[name])
    assert function is not None, "the world was checked"
    count = len(arguments)
    parameters = (values.Val * count)()
    result = values.Val()
    has_result = name in ("handle", "command")
    try:
        for slot, argument in zip(parameters, arguments, strict=True):
            _put(slot, argument)
        error = ffi.wasmtime_component_func_call(
            ctypes.byref(function._func),
            store._context(),
            parameters,
            count,
            ctypes.byref(result) if has_result else None,
            int(has_result),
        )
        if error:
            raise WasmtimeError._from_ptr(error)
        return _lifted(name, result, env)
    finally:
        for slot in parameters:
            values.delete(slot)
        values.delete(result)


Argument = bytes | str | tuple[tuple[str, bytes | str | int], ...]


def _arguments(invocation: Invocation) -> tuple[str, tuple[Argument, ...]]:
    match invocation:
        case Handle(message):
            record = (
                ("id", message.id),
                ("sender", message.sender),
                ("schema", message.schema),
                ("body", message.body),
                ("deadline", message.deadline),
            )
            return "handle", (record,)
        case Acknowledged(sent, reply):
            return "acknowledged", (sent, reply)
        case TimedOut(sent):
            return "timed-out", (sent,)
        case RefusedByPeer(sent, code):
            return "refused", (sent, code)
        case Command(data):
            return "command", (data,)
        case _:
            assert_never(invocation)


def _put(slot: Any, argument: Argument) -> None:
    if isinstance(argument, bytes):
        values.put_bytes(slot, argument)
    elif isinstance(argument, str):
        values.put_text(slot, argument)
    else:
        values.put_record(slot, argument)


def _lifted(name: str, result: Any, env: GuestEnv) -> object:
    if name == "handle":
        case, payload = values.get_case(result)
        if case == "defer":
            return Deferred()
        return _reply(payload, env) if case == "reply" else _refusal(payload)
    if name == "command":
        ok, payload = values.get_result(result)
        return _reply(payload, env) if ok else _refusal(payload)
    return Done()


def _reply(payload: Any, env: GuestEnv) -> Reply | GuestTrap:
    length = values.bytes_length(payload)
    if length > env.limits.reply_bytes:
        return GuestTrap(TrapKind.OUTPUT_TOO_LARGE, f"a reply of {length} bytes")
    return Reply(values.get_bytes(payload))


def _refusal(payload: Any) -> Refusal:
    fields = values.get_fields(payload)
    return Refusal(values.get_text(fields["code"]), values.get_text(fields["detail"]))


__all__ = ("MAX_COMPONENT", "Loaded", "Sandbox", "WasmGuest", "component_bytes")
