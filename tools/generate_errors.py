"""Writes docs/reference/errors.md out of the error registry; `--check` compares instead."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import lockgate
from lockgate.primitives.errors import LockgateError, Misuse, PeerFault, Refused, Unavailable, error_codes

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "errors.md"
KINDS = {PeerFault: "peer fault", Refused: "refused", Unavailable: "unavailable", Misuse: "misuse"}


def load_everything() -> None:
    """Import every module, so that every error class registers itself."""
    for module in pkgutil.walk_packages(lockgate.__path__, "lockgate."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def kind_of(error: type[LockgateError]) -> str:
    return next((name for kind, name in KINDS.items() if issubclass(error, kind)), "internal")


def page() -> str:
    load_everything()
    lines = [
        "# Errors",
        "",
        "Generated from the code. `lockgate explain CODE` prints one entry. A *peer fault* is the other side's,",
        "*refused* is a well-formed request with the answer no, *unavailable* asks to try again, *misuse* is a bug of",
        "the caller.",
        "",
    ]
    for code, error in error_codes().items():
        lines += [f"## `{code}`", "", f"*{kind_of(error)}*" + (f", wire {error.wire[0]}/{error.wire[1]}" if error.wire else "")]
        lines += ["", error.summary, "", error.untouched, "", f"Next: {error.next_step}", ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    text = page()
    if "--check" in sys.argv:
        if not PAGE.exists() or PAGE.read_text() != text:
            print("docs/reference/errors.md is out of date: run tools/generate_errors.py")
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
