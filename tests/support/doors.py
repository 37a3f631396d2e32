"""A host's folder with an operator, and the door of its socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lockgate.node.clock import SystemClock
from lockgate.node.door import Door, Report
from lockgate.node.folder import Folder, write_json
from lockgate.primitives.ports import Clock
from lockgate.session.tokens import Seen


def nobody() -> Seen:
    """A list that was proven a moment ago, with nothing on it."""
    return Seen(frozenset(), SystemClock().now())


def host_home(root: Path, name: str = "alice", endpoint: str = "ab" * 32) -> Path:
    """The folder of a host that was configured; its socket is `host.sock` in it."""
    home = root / "hosts" / name
    write_json(home / "endpoint.json", {"endpoint": endpoint, "local": {"domain": "cd" * 32, "chain_id": "alpha-3"}})
    return home


def door(
    home: Path,
    report: Report = lambda *_: None,
    clock: Clock | None = None,
    revoked: Callable[[], Seen | None] = nobody,
) -> Door:
    return Door.of(Folder(home.parents[1]), home, revoked, clock or SystemClock(), report)
