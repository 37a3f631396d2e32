"""A host's outbox, read through its socket a page at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from lockgate.node.socket import call

MAX_LISTED: Final = 1_000  # rows of one answer; who wants more asks for those before the first
EVERYTHING: Final = 1 << 62  # rows: more than any host sends


async def outbox(socket: Path, limit: int = EVERYTHING, before: str = "") -> list[dict[str, Any]]:
    """The newest `limit` messages, oldest first; with `before` (ref or packet), of those older than that one.

    Pages are counted from the newest message backwards, so what is sent meanwhile moves none of them.
    Raises UnknownRef and BadPacketName as the host does, and NotRunning.
    """
    pages: list[list[dict[str, Any]]] = []
    while limit > 0:
        asked = min(limit, MAX_LISTED)
        page: list[dict[str, Any]] = (await call(socket, "outbox", limit=asked, before=before))["messages"]
        pages.append(page)
        if len(page) < asked:
            break
        limit, before = limit - asked, page[0]["ref"]
    return [row for page in reversed(pages) for row in page]


__all__ = ("EVERYTHING", "MAX_LISTED", "outbox")
