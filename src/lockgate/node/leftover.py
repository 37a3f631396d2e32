"""A CometBFT that outlives its application: found by its record, waited for, and ended where it does not end by itself.

It notices that its application is gone and stops. Now and then it does not finish stopping, and would keep its files
and its ports from the next one for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Final

from lockgate.node.cometbft import Node, processes_of

ENDS_S: Final = 10.0  # a node whose application was killed ends by itself
POLL_S: Final = 0.1


def node_pid(node: Node) -> int:
    """Process of a validator's CometBFT; 0 where it does not run. The number may be another program's by now."""
    pid = processes_of(node).get("node", 0)
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return 0
    return pid if str(node.home).encode() in words else 0


async def gone(node: Node) -> None:
    """Wait until a node that lost its application has ended, so that the next one finds its files free."""
    ends = asyncio.get_running_loop().time() + ENDS_S
    while pid := node_pid(node):
        if asyncio.get_running_loop().time() > ends:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(POLL_S)


__all__ = ("gone", "node_pid")
