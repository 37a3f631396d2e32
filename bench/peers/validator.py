"""One validator of our cluster, with the application of the measurement beside the endpoints.

python -m bench.peers.validator FOLDER LEDGER INDEX
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from bench.cycle import Mock
from lockgate.node.folder import Folder
from lockgate.node.validator import run


async def main(folder: str, name: str, index: str) -> None:
    running = asyncio.ensure_future(
        run(Folder(Path(folder)), name, int(index), lambda *_: None, applications={"mock": Mock()})
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
