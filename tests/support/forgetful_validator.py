"""One validator that trusts headers for seconds and keeps few blocks: `python -m … FOLDER NAME INDEX [--state-sync]`.

It is the application that runs in production, with the bounds of `retention` lowered so far that a test sees blocks go.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from lockgate.engines.cometbft import retention
from lockgate.node import statesync, validator
from lockgate.node.folder import Folder
from lockgate.primitives.time import seconds


async def main(folder: str, name: str, index: str, *options: str) -> None:
    retention.EVIDENCE_BLOCKS = 10  # type: ignore[misc]  # lowered for a test
    retention.EVERY = 5  # type: ignore[misc]
    retention.TRUSTED = seconds(4)  # type: ignore[misc]
    prepare = statesync.prepare if "--state-sync" in options else None
    running = asyncio.ensure_future(
        validator.run(Folder(Path(folder)), name, int(index), lambda *_: None, prepare=prepare)
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
