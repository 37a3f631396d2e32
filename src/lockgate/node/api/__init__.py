"""The Python API: a typed connection to a deployment, async and sync. Offered as `lockgate.connect`."""

from lockgate.node.api.connection import Connection, connect, verify
from lockgate.node.api.errors import (
    BodyTooLarge,
    CommandRefused,
    MessageRefused,
    MessageTimedOut,
    MessageTrapped,
    NoHost,
    StillOpen,
)
from lockgate.node.api.sync import SyncConnection, connect_sync
from lockgate.node.api.values import MAX_INLINE, Ended, Received, Reply, Sent

__all__ = (
    "MAX_INLINE",
    "BodyTooLarge",
    "CommandRefused",
    "Connection",
    "Ended",
    "MessageRefused",
    "MessageTimedOut",
    "MessageTrapped",
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
