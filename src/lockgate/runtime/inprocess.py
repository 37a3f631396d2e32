"""A guest that is plain Python in this process: the port's fake, for tests and the lab.

It meets the port in results and in what it leaves behind, through the same metered imports as the
real sandbox. It is *no* sandbox: nothing stops a loop, and the program can reach the whole process.
`node` never builds one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, assert_never, final

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
    Message,
    MessageRef,
    Refusal,
    RefusedByPeer,
    Reply,
    TimedOut,
    TrapKind,
)
from lockgate.runtime.imports import Imports
from lockgate.runtime.results import Stopped, checked, shown


class Program(Protocol):
    """What an in-process guest answers to: the exports of the world, with its imports handed in."""

    def handle(self, message: Message, host: Imports, /) -> Reply | Refusal | Deferred: ...

    def acknowledged(self, sent: MessageRef, reply: bytes, host: Imports, /) -> None: ...

    def timed_out(self, sent: MessageRef, host: Imports, /) -> None: ...

    def refused(self, sent: MessageRef, code: str, host: Imports, /) -> None: ...

    def command(self, data: bytes, host: Imports, /) -> Reply | Refusal: ...


@final
class InProcessGuest:
    """Runs a fresh program for each call, as a sandbox makes a fresh instance."""

    def __init__(self, identity: GuestId, program: Callable[[], Program]) -> None:
        self._identity = identity
        self._program = program

    @property
    def identity(self) -> GuestId:
        return self._identity

    def call(self, invocation: Invocation, state: GuestState, env: GuestEnv, /) -> GuestOutcome:
        imports = Imports(state, env)
        try:
            result = checked(invocation, _run(self._program(), invocation, imports), env.limits)
        except Stopped as stopped:
            return imports.outcome(stopped.trap, fuel_used=0)
        except Exception as uncaught:
            if imports.failure is not None:
                raise imports.failure from None
            detail = shown(f"{type(uncaught).__name__}: {uncaught}", 200)
            return imports.outcome(GuestTrap(TrapKind.UNREACHABLE, detail), fuel_used=0)
        if imports.failure is not None:
            raise imports.failure
        return imports.outcome(result, fuel_used=0)


def _run(program: Program, invocation: Invocation, host: Imports) -> object:
    match invocation:
        case Handle(message):
            return program.handle(message, host)
        case Acknowledged(sent, reply):
            program.acknowledged(sent, reply, host)
        case TimedOut(sent):
            program.timed_out(sent, host)
        case RefusedByPeer(sent, code):
            program.refused(sent, code, host)
        case Command(data):
            return program.command(data, host)
        case _:
            assert_never(invocation)
    return Done()


__all__ = ("InProcessGuest", "Program")
