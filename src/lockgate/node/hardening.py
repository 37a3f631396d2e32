"""What a process with keys takes from itself at its start: core dumps, and being read by others of its user (S10).

A core dump writes every key to the disk. On Linux a process that is not dumpable also cannot be attached to by another
process of the same user, and its /proc files belong to root. Root can do all of it still.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from typing import Final

PR_SET_DUMPABLE: Final = 4  # prctl(2)


def harden() -> bool:
    """No core dumps from here on, in children neither. Whether the process is also closed to others of its user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return False
    try:
        failed: int = ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    except (OSError, AttributeError):  # a C library without prctl
        return False
    return not failed


__all__ = ("harden",)
