"""One validator whose application dies at a chosen point of a chosen block: `python -m … FOLDER NAME POINT HEIGHT`.

It is the application that runs in production, around the same node; at the point the whole process is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from lockgate.engines.cometbft.application import CometBftApplication
from lockgate.node import validator
from lockgate.node.folder import Folder

POINTS = ("before finalize", "after finalize", "before commit", "inside commit", "after commit")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal(CometBftApplication):
    """Dies once, at `point` of block `at`."""

    point = ""
    at = 0

    def answer(self, request: Any) -> Any:
        kind = request.WhichOneof("value")
        due = self.height + 1 == self.at
        if due and (kind, self.point) in {("finalize_block", "before finalize"), ("commit", "before commit")}:
            die()
        if due and (kind, self.point) == ("commit", "inside commit"):
            self.store.add_bodies = lambda _: die()  # type: ignore[attr-defined]  # the last write before the end
        response = super().answer(request)
        if due and (kind, self.point) in {("finalize_block", "after finalize"), ("commit", "after commit")}:
            die()
        return response


def main() -> None:
    folder, name, Mortal.point, at = sys.argv[1:]
    Mortal.at = int(at)
    validator.CometBftApplication = Mortal  # type: ignore[misc]  # the one that is run
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(validator.run(Folder(Path(folder)), name, 0, lambda *_: None))


if __name__ == "__main__":
    main()
