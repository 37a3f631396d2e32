"""The Python API: a typed connection to a deployment, async and sync. Offered as `lockgate.connect`."""

from lockgate.node.api.connection import Connection, connect, verify
from lockgate.node.api.errors import (
    CommandRefused,
    MessageRefused,
    MessageTimedOut,
    MessageTrapped,
    NoBody,
    NoHost,
    StillOpen,
)
from lockgate.node.api.sync import SyncConnection, connect_sync
from lockgate.node.api.values import MAX_INLINE, Ended, Received, Reply, Sent

__all__ = (
    "MAX_INLINE",
    "CommandRefused",
    "Connection",
    "Ended",
    "MessageRefused",
    "MessageTimedOut",
    "MessageTrapped",
    "NoBody",
    "NoHost",
    "Received",
    "Reply",
    "Sent",
    "StillOpen",
    "SyncConnection",
    "connect",
    "connect_sync",
    "verify",
)
