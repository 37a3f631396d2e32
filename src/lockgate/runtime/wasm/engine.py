"""The wasmtime engine guests run on, configured so that the same call gives the same outcome.

Fuel is the deterministic limit of computation and always the one meant to bite. Epochs are the
backstop in wall-clock time, for what fuel does not see: one thread moves the epoch on while calls
are running, and sleeps otherwise. Everything of WebAssembly that a guest does not need is switched
off: less to trust, and nothing whose result depends on the machine (threads, relaxed SIMD, NaN bits).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Final

from wasmtime import Config, Engine
from wasmtime import _ffi as ffi

TICK_MS: Final = 10  # one epoch; a call may overrun its wall-clock limit by two of them
IDLE_TICKS: Final = 100  # one second: a busy host never pays for waking the thread, an idle one is left alone


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What shapes compiled code; part of the key under which compiled code is cached."""

    max_wasm_stack: int = 1 << 20  # bytes; CPython's own recursion limit is reached before it
    consume_fuel: bool = True
    epoch_interruption: bool = True
    cranelift_nan_canonicalization: bool = True
    wasm_relaxed_simd_deterministic: bool = True

    def text(self) -> str:
        """Return the settings in one canonical line."""
        parts = [f"{f.name}={getattr(self, f.name)}" for f in fields(self)]
        return ";".join(parts + [f"{name}=False" for name in OFF_BY_SETTER + OFF_BY_FFI])


OFF_BY_SETTER: Final = (
    "wasm_threads",
    "shared_memory",
    "wasm_relaxed_simd",
    "wasm_memory64",
    "wasm_multi_memory",
    "wasm_tail_call",
    "wasm_exceptions",
    "wasm_function_references",
    "wasm_gc",
    "wasm_stack_switching",
    "wasm_wide_arithmetic",
    "wasm_custom_page_sizes",
)
# wasmtime-py has no setter for these; the C API does.
OFF_BY_FFI: Final = (
    "wasm_component_model_async",
    "wasm_component_model_async_stackful",
    "wasm_component_model_more_async_builtins",
    "concurrency_support",
)


def new_engine(settings: EngineSettings) -> Engine:
    """Build an engine; raises WasmtimeError for a contradictory configuration."""
    config = Config()
    for f in fields(settings):
        setattr(config, f.name, getattr(settings, f.name))
    for name in OFF_BY_SETTER:
        setattr(config, name, False)
    for name in OFF_BY_FFI:
        getattr(ffi, f"wasmtime_config_{name}_set")(config.ptr(), False)
    return Engine(config)


class EpochTicker:
    """Moves an engine's epoch on every `TICK_MS` while calls are running, and parks when none are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wake = threading.Condition()
        self._closing = threading.Event()
        self._running = 0
        self._parked = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def ticking(self) -> Iterator[None]:
        with self._wake:
            self._running += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._tick, name="guest-epochs", daemon=True)
                self._thread.start()
            elif self._parked:
                self._wake.notify()
        try:
            yield
        finally:
            with self._wake:
                self._running -= 1

    def close(self) -> None:
        """Stop the thread. Calls still running lose their wall-clock limit, not their fuel limit."""
        self._closing.set()
        with self._wake:
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def _tick(self) -> None:
        idle = 0
        while not self._closing.wait(TICK_MS / 1000):
            self._engine.increment_epoch()
            with self._wake:
                idle = 0 if self._running else idle + 1
                if idle > IDLE_TICKS and not self._closing.is_set():
                    self._parked = True
                    self._wake.wait()
                    self._parked, idle = False, 0


def ticks(wall_ms: int) -> int:
    """Return the epochs a call may see: never fewer than its wall-clock limit holds."""
    return -(-wall_ms // TICK_MS) + 1


__all__ = ("TICK_MS", "EngineSettings", "EpochTicker", "new_engine", "ticks")
