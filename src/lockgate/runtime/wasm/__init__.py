"""Guests as WebAssembly components.

Running: `guest` (`Sandbox`, `WasmGuest`), on `engine` (configuration, epochs), `world` and `shapes` (what
a component may import and must export), `linker` and `values` (host functions, values across the
border), `traps` (why a call ended), `cache` (compiled code on disk).
Making: `project` (guest.toml), `build`, `authoring` (`new`, `build`, `test`), `shipped` (the guests that
come with Lockgate), `wit/` and `sdk/` (what a guest is written against).
"""

from lockgate.runtime.wasm.cache import CodeCache, Found
from lockgate.runtime.wasm.engine import EngineSettings
from lockgate.runtime.wasm.guest import Loaded, Sandbox, WasmGuest, component_bytes

__all__ = ("CodeCache", "EngineSettings", "Found", "Loaded", "Sandbox", "WasmGuest", "component_bytes")
