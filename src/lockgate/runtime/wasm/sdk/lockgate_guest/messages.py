"""Messages to other endpoints. Nothing leaves before the ledger has accepted the call's outcome."""

from __future__ import annotations

from ._host import host


class SendFailed(Exception):  # named for what happened
    """The host does not take the message: unknown-peer, bad-schema, bad-timeout or too-large."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


def send(to: str, schema: str, body: bytes, timeout_s: int = 600) -> bytes:
    """Send `body` to the peer the host knows as `to`.

    Returns the reference with which the acknowledgement, timeout or refusal will come back.
    """
    sent = host().send(to, schema, body, timeout_s)
    if isinstance(sent, str):
        raise SendFailed(sent)
    return sent


def answer(message_id: bytes, body: bytes) -> bool:
    """Answer a message that was deferred; False if it is not open (any more)."""
    return host().answer(message_id, body)


def decline(message_id: bytes, code: str, detail: str = "") -> bool:
    """Refuse a message that was deferred; False if it is not open (any more)."""
    return host().decline(message_id, code, detail)
