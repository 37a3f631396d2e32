"""Why a guest cannot be built, loaded or cached. What happens inside a call is a `GuestTrap` instead."""

from __future__ import annotations

from lockgate.primitives.errors import Misuse, Refused, Unavailable


class ForeignImport(Refused):
    code = "guest.foreign_import"
    summary = "The component imports something outside the world lockgate:guest."
    untouched = "Nothing of the component ran, and nothing of it was kept."
    next_step = "Build the guest without it; Python guests need componentize-py --stub-wasi (`lockgate guest build`)."


class WorldMismatch(Refused):
    code = "guest.world_mismatch"
    summary = "The component's imports or exports do not have the types of the world lockgate:guest@0.1.0."
    untouched = "Nothing of the component ran, and nothing of it was kept."
    next_step = "Build the guest against the guest.wit of this version of Lockgate."


class BadComponent(Refused):
    code = "guest.bad_component"
    summary = "The bytes are not a WebAssembly component that this sandbox accepts."
    untouched = "Nothing of the component ran, and nothing of it was kept."
    next_step = "Build it again; threads, shared memory, GC and 64-bit memories are switched off on purpose."


class CacheNotPrivate(Refused):
    code = "guest.cache_not_private"
    summary = "The folder or key of the compiled-code cache belongs to somebody else."
    untouched = "No compiled code was loaded."
    next_step = "Choose a folder of your own for the cache; loading compiled code runs it."


class BuilderMissing(Unavailable):
    code = "guest.builder_missing"
    summary = "componentize-py, the builder of Python guests, is not installed."
    untouched = "Nothing was built."
    next_step = 'Install it: pip install "lockgate[guests]".'


class BuildFailed(Refused):
    code = "guest.build_failed"
    summary = "The guest did not build."
    untouched = "The previous build, if any, is still there."
    next_step = "Correct the guest; the builder's own words are above."


class BadProject(Refused):
    code = "guest.bad_project"
    summary = "A guest project's guest.toml or tests.toml cannot be used."
    untouched = "Nothing was built."
    next_step = "Compare with a fresh one: lockgate guest new."


class NotBuilt(Unavailable):
    code = "guest.not_built"
    summary = "A shipped guest has not been built yet."
    untouched = "Nothing ran."
    next_step = "Run `make install`, or python -m lockgate.runtime.wasm.build."


class SandboxClosed(Misuse):
    code = "guest.sandbox_closed"
    summary = "A guest was called after its sandbox was closed."
    next_step = "Report this as a bug of the host."


__all__ = (
    "BadComponent",
    "BadProject",
    "BuildFailed",
    "BuilderMissing",
    "CacheNotPrivate",
    "ForeignImport",
    "NotBuilt",
    "SandboxClosed",
    "WorldMismatch",
)
