"""Write `docs/reference/errors.md` from the error classes: `python tools/generate_errors.py [--check]`.

The page and `lockgate explain CODE` come from the same class attributes, so they cannot differ.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from itertools import groupby
from pathlib import Path

import lockgate
from lockgate.primitives.errors import LockgateError, Misuse, PeerFault, Refused, Unavailable, error_codes

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "errors.md"
GUEST_SIDE = "lockgate.runtime.wasm.sdk"  # runs inside a guest only: its imports exist nowhere else
KINDS: dict[type[LockgateError], tuple[str, str]] = {
    PeerFault: ("peer fault", "the other side broke the protocol; it is counted and dropped, never retried"),
    Refused: ("refused", "the request was well formed and the answer is no"),
    Unavailable: ("unavailable", "the world failed; trying again later may succeed"),
    Misuse: ("misuse", "the caller has a bug"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    text = page()
    if parser.parse_args().check:
        if PAGE.exists() and PAGE.read_text() == text:
            return 0
        print("docs/reference/errors.md differs from the error classes; run make generate")
        return 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text)
    return 0


def page() -> str:
    load_every_module()
    codes = error_codes()
    lines = [
        "# Errors",
        "",
        "Generated from the error classes by `make generate`. `lockgate explain CODE` prints one of these entries.",
        "",
        *(f"- *{name}*: {meaning}" for name, meaning in KINDS.values()),
        "",
    ]
    for package, entries in groupby(codes.items(), key=lambda entry: entry[0].partition(".")[0]):
        lines += [f"## {package}", ""]
        for code, error in entries:
            lines += entry_lines(code, error)
    return "\n".join(lines).rstrip() + "\n"


def entry_lines(code: str, error: type[LockgateError]) -> list[str]:
    kind = next((name for base, (name, _) in KINDS.items() if issubclass(error, base)), "internal")
    wire = f", `{error.wire[0]}/{error.wire[1]}` on the wire" if error.wire else ""
    return [
        f"### `{code}`",
        "",
        f"*{kind}*{wire}. {error.summary}",
        "",
        error.untouched,
        "",
        f"Next: {error.next_step}",
        "",
    ]


def load_every_module() -> list[str]:
    """Import all of Lockgate and return the names: an error class registers its code when its module is read."""
    names = [module.name for module in pkgutil.walk_packages(lockgate.__path__, "lockgate.")]
    names = [name for name in names if not name.endswith("__main__") and not name.startswith(GUEST_SIDE)]
    for name in names:
        importlib.import_module(name)
    return names


if __name__ == "__main__":
    sys.exit(main())
