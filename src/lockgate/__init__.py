"""Lockgate: sealed, proven messages between isolated execution environments and their ledgers.

Read `docs/explanation/architecture.md` for the layers. Imports point down, see `pyproject.toml`. Applications use
the names below, documented in `docs/reference/python-api.md`; they load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lockgate.primitives.errors import LockgateError
from lockgate.primitives.version import VERSION

if TYPE_CHECKING:
    from lockgate.node.api import (
        Connection,
        Ended,
        MessageRefused,
        MessageTimedOut,
        MessageTrapped,
        Received,
        Reply,
        Sent,
        StillOpen,
        SyncConnection,
        connect,
        connect_sync,
        verify,
    )

__version__ = VERSION
__all__ = (
    "Connection",
    "Ended",
    "LockgateError",
    "MessageRefused",
    "MessageTimedOut",
    "MessageTrapped",
    "Received",
    "Reply",
    "Sent",
    "StillOpen",
    "SyncConnection",
    "__version__",
    "connect",
    "connect_sync",
    "verify",
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lockgate' has no attribute {name!r}")
    return getattr(importlib.import_module("lockgate.node.api"), name)
