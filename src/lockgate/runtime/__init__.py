"""Execution environments that meet the port `Guest` (`lockgate.host.ports`).

- `imports`: what a guest may ask of its host during one call, metered
- `results`: what a guest may return, checked
- `inprocess`: plain Python in this process, for tests and the lab
- `wasm`: WebAssembly components in wasmtime, and how guests are written and built
- `errors`: why a guest cannot be built, loaded or cached
"""

from lockgate.runtime.imports import Imports
from lockgate.runtime.inprocess import InProcessGuest, Program

__all__ = ("Imports", "InProcessGuest", "Program")
