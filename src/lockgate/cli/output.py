"""What the tool prints: tables and sentences for people, JSON for programs, and stable exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from lockgate.primitives.errors import LockgateError, Misuse, PeerFault, Refused, Unavailable

EXIT_OK: Final = 0
EXIT_FAILED_CHECK: Final = 1  # `doctor` found a fault, a guest's test failed
EXIT_USAGE: Final = 2  # the command line itself; set by its parser
EXIT_REFUSED: Final = 3
EXIT_PEER_FAULT: Final = 4
EXIT_UNAVAILABLE: Final = 5
EXIT_MISUSE: Final = 70
EXIT_INTERRUPTED: Final = 130

# The one table from kinds of failure to exit codes; docs/reference/exit-codes.md is its page.
EXIT_CODES: Final[tuple[tuple[type[LockgateError], int], ...]] = (
    (Refused, EXIT_REFUSED),
    (PeerFault, EXIT_PEER_FAULT),
    (Unavailable, EXIT_UNAVAILABLE),
    (Misuse, EXIT_MISUSE),
)
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def exit_code(kind: type[LockgateError]) -> int:
    """The exit code of a kind of failure."""
    return next((code for base, code in EXIT_CODES if issubclass(kind, base)), EXIT_MISUSE)


def show_error(error: LockgateError, *, as_json: bool) -> int:
    """Say what failed, what was left untouched, what to do next. Returns the exit code.

    A failure that another process answered with speaks as what it was there.
    """
    kind = type(error)
    if error.code == "socket.refused":
        from lockgate.node.explain import failure

        kind = failure(str(error.fields.get("code"))) or kind
    code = kind.code
    detail = error.detail or kind.summary
    fields = {name: str(value) for name, value in error.fields.items() if name != "code" and value != ""}
    words = {"code": code, "detail": detail, "untouched": kind.untouched, "next": kind.next_step, "fields": fields}
    show_words(words, as_json=as_json)
    return exit_code(kind)


def show_words(words: dict[str, Any], *, as_json: bool) -> None:
    """A failure as `--json` prints it, to people or to programs."""
    if as_json:
        print_json({"error": words})
        return
    remark(f"{words['code']} ", style="bold red", end="")
    remark(words["detail"])
    if words["fields"]:
        remark("  " + "  ".join(f"{name}={value}" for name, value in words["fields"].items()), style="dim")
    remark(f"  {words['untouched']}")
    remark(f"  Next: {words['next']}")


def say(text: str, *, style: str = "") -> None:
    """Print words as they are: a line ends where they end it, in a file and in a pipe as well."""
    console.print(text, style=style or None, markup=False, soft_wrap=True)


def remark(text: str, *, style: str = "", end: str = "\n") -> None:
    """The same on standard error: progress, reports, failures."""
    errors.print(text, style=style or None, end=end, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, sort_keys=True) + "\n")
    sys.stdout.flush()


def print_report(kind: str, fields: dict[str, Any]) -> None:
    """One line a supervising process reads."""
    print_json({"report": kind, **fields})


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    shown = Table(title=title or None, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
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
