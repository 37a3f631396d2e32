"""Pieces of a host's work: what waits, and what is staged for the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lockgate.primitives.errors import Refused
from lockgate.storage.host import Sent

Report = Callable[[str, dict[str, object]], None]


class StepRefused(Refused):
    code = "host.step_refused"
    summary = "The ledger refused the step that this call asked for."
    untouched = "The endpoint's state is what it was; nothing was sent."
    next_step = "Read the ledger's words in the host's log."


@dataclass(slots=True)
class Item:
    """One piece of work. `done` is there when somebody waits for it."""

    kind: str  # inbox, ended, command, send
    client: str = ""
    sequence: int = 0
    height: int = 0
    how: str = ""
    input: bytes = b""
    to: str = ""
    schema: str = ""
    timeout_s: int = 0
    done: asyncio.Future[dict[str, Any]] | None = None

    def finish(self, result: dict[str, Any]) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(result)

    def fail(self, error: BaseException) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_exception(error)


@dataclass(slots=True)
class Staged:
    """A step that waits for the ledger: its message, what it sent, and what to record when it stands."""

    item: Item
    version: int
    root: bytes
    message: tuple[str, dict[str, Any]]
    sends: list[Sent]
    record: Callable[[], None]
    result: dict[str, Any]
