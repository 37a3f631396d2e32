"""What the tool prints: tables and sentences for people, JSON for programs, and stable exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from lockgate.primitives.errors import LockgateError, Misuse, PeerFault, Refused, Unavailable

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 3
EXIT_PEER_FAULT: Final = 4
EXIT_UNAVAILABLE: Final = 5
EXIT_MISUSE: Final = 70
EXIT_INTERRUPTED: Final = 130

EXIT_CODES: Final[tuple[tuple[type[LockgateError], int], ...]] = (
    (Refused, EXIT_REFUSED),
    (PeerFault, EXIT_PEER_FAULT),
    (Unavailable, EXIT_UNAVAILABLE),
    (Misuse, EXIT_MISUSE),
)
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def exit_code(error: LockgateError) -> int:
    """One table from kinds of failure to exit codes."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


def show_error(error: LockgateError, *, as_json: bool) -> int:
    """Say what failed, what was left untouched, what to do next."""
    code = str(error.fields.get("code", error.code)) if error.code == "socket.refused" else error.code
    if as_json:
        print_json({"error": {"code": code, "detail": str(error), "next": error.next_step}})
    else:
        errors.print(f"[bold red]{code}[/] {error.detail or error.summary}")
        extra = "  ".join(f"{name}={value}" for name, value in error.fields.items() if name != "code")
        if extra:
            errors.print(f"  {extra}", style="dim", markup=False)
        errors.print(f"  {error.untouched}")
        errors.print(f"  Next: {error.next_step}")
    return exit_code(error)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, sort_keys=True) + "\n")
    sys.stdout.flush()


def print_report(kind: str, fields: dict[str, Any]) -> None:
    """One line a supervising process reads."""
    print_json({"report": kind, **fields})


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    shown = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(str(cell) for cell in row))
    console.print(shown)


def text_of(body: bytes, most: int = 60) -> str:
    """A body as people can read it: text where it is text, else hex, cut short."""
    try:
        text = body.decode()
        if not text.isprintable():
            raise ValueError
    except ValueError:
        text = body.hex()
    return text if len(text) <= most else text[: most - 1] + "…"
