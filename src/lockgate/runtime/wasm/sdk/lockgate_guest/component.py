"""The border of the component: WIT bindings on one side, a `Guest` on the other. Built into every guest.

The builder makes the component from a two-line module that calls `component`. Importing this module
maps what Python takes for granted and a sandbox does not have (I11). `time.time()` would trap, the
stubbed clock has no answer, and gives ledger time instead, as do the other clocks: within a call no
time passes. `os.urandom` gives `secret-random`. `random` would repeat one sequence baked in when the
guest was built, so it is seeded anew from `secret-random` when a call first draws from it.
`datetime.now()` asks the clock from C and cannot be mapped: use `ledger.time_ns()`.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any

# The bindings exist only while componentize-py builds the component, and inside it.
from componentize_py_types import Err  # type: ignore[import-not-found]
from wit_world import exports  # type: ignore[import-not-found]
from wit_world.exports import handler  # type: ignore[import-not-found]
from wit_world.imports import (  # type: ignore[import-not-found]
    ledger,
    log,
    messages,
    state,
)
from wit_world.imports import random as randomness

from . import _host
from .guest import Defer, Guest, Message, Refused

_TRACED = 8  # innermost frames of a traceback in the log: a deep recursion would drown the rest


class _Bindings:
    """The component's imports as a `Host`."""

    answer = staticmethod(messages.answer)
    decline = staticmethod(messages.decline)
    get = staticmethod(state.get)
    set = staticmethod(state.set)
    delete = staticmethod(state.delete)
    scan = staticmethod(state.scan)
    time = staticmethod(ledger.time)
    public_random = staticmethod(randomness.public_random)
    secret_random = staticmethod(randomness.secret_random)
    log = staticmethod(log.log)

    @staticmethod
    def send(to: str, schema: str, body: bytes, timeout_s: int) -> bytes | str:
        try:
            sent: bytes = messages.send(to, schema, body, timeout_s)
        except Err as failed:
            return str(failed.value)
        return sent


def component(guest: Guest) -> type:
    """Return the class componentize-py looks for under the name `Handler`."""

    class Handler(exports.Handler):  # type: ignore[misc]  # a binding
        def handle(self, message: Any) -> Any:
            received = Message(message.id, message.sender, message.schema, message.body, message.deadline)
            try:
                result = _called(lambda: guest.handle(received))
            except Refused as refused:
                return handler.Reaction_Refuse(handler.Refusal(refused.code, refused.detail))
            if isinstance(result, Defer):
                return handler.Reaction_Defer()
            return handler.Reaction_Reply(result)

        def acknowledged(self, sent: bytes, reply: bytes) -> None:
            _called(lambda: guest.acknowledged(sent, reply))

        def timed_out(self, sent: bytes) -> None:
            _called(lambda: guest.timed_out(sent))

        def refused(self, sent: bytes, code: str) -> None:
            _called(lambda: guest.refused(sent, code))

        def command(self, input: bytes) -> bytes:
            try:
                reply: bytes = _called(lambda: guest.command(input))
            except Refused as refused:
                raise Err(handler.Refusal(refused.code, refused.detail)) from None
            return reply

    return Handler


def _called(run: Any) -> Any:
    """Run a handler with the host bound. An exception of its own is logged, then ends the instance."""
    _host.bind(_Bindings)  # static methods of a class, not of an instance
    _generator.stale = True
    try:
        return run()
    except Refused:
        raise
    except Exception as failure:
        for line in _trace(failure):
            log.log(3, line)
        raise


def _trace(failure: Exception) -> list[str]:
    """Say where an exception came from. `traceback` would look for source files, and there are no files."""
    lines = []
    step = failure.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        lines.append(f"{os.path.basename(code.co_filename)}:{step.tb_lineno} in {code.co_qualname}")
        step = step.tb_next
    return [*lines[-_TRACED:], f"{type(failure).__name__}: {failure}"]


def _urandom(count: int) -> bytes:
    drawn: bytes = randomness.secret_random(count)
    return drawn


def _seconds() -> float:
    return ledger.time() / 1_000_000_000  # type: ignore[no-any-return]  # a binding


def _nanoseconds() -> int:
    now: int = ledger.time()
    return now


class _CallRandom(random.Random):
    """Python's generator. Seeding takes a tenth of a small call, so it waits for the first draw."""

    stale = True

    def seed(self, *arguments: Any, **named: Any) -> None:
        self.stale = False
        super().seed(*arguments, **named)

    def random(self) -> float:
        self._freshen()
        return super().random()

    def getrandbits(self, k: int, /) -> int:
        self._freshen()
        return super().getrandbits(k)

    def _freshen(self) -> None:
        if self.stale:
            self.seed(int.from_bytes(_urandom(32), "big"))


_generator = _CallRandom(0)
for _name in random.__all__:
    if getattr(getattr(random, _name), "__self__", None) is random._inst:
        setattr(random, _name, getattr(_generator, _name))
random._inst = _generator
os.urandom = _urandom
random._urandom = _urandom  # type: ignore[attr-defined]  # SystemRandom, and so `secrets`
for _clock in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
    setattr(time, _clock, _seconds)
    setattr(time, f"{_clock}_ns", _nanoseconds)
