"""`make check`: every static check, each named, all run, one exit code. `--write` writes the generated files instead.

A generator is listed once: with `--check` it compares and writes nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
GENERATORS = (
    ("generated protobuf", "tools/generate_proto.py"),
    ("generated error pages", "tools/generate_errors.py"),
    ("compiled contracts", "tools/generate_contracts.py"),
)
CHECKS: tuple[tuple[str, Sequence[object]], ...] = (
    ("lint", [BIN / "ruff", "check", "."]),
    ("format", [BIN / "ruff", "format", "--check", "."]),
    ("types", [BIN / "mypy"]),
    ("types of the tools", [BIN / "mypy", "tools"]),
    ("types of the measurements", [BIN / "mypy", "-p", "bench"]),
    ("import contracts", [BIN / "lint-imports"]),
    *((name, [BIN / "python", script, "--check"]) for name, script in GENERATORS),
    ("documentation", [BIN / "python", "tools/check_docs.py"]),
    ("requirements", [BIN / "python", "tools/pin_requirements.py", "--check"]),
)
SHOWN_CHARACTERS = 6000  # of a failing check: its end says what to do


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the generated files, check nothing")
    if parser.parse_args().write:
        return max(subprocess.call([sys.executable, script], cwd=REPO) for _, script in GENERATORS)
    failed = [name for name, command in CHECKS if not passes(name, [str(part) for part in command])]
    print("failed: " + ", ".join(failed) if failed else "every check passed")
    return 1 if failed else 0


def passes(name: str, command: list[str]) -> bool:
    start = time.monotonic()
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    good = done.returncode == 0
    print(f"{name:24} {'ok' if good else 'FAILED':6} {time.monotonic() - start:6.1f} s", flush=True)
    if not good:
        print((done.stdout + done.stderr)[-SHOWN_CHARACTERS:])
    return good


if __name__ == "__main__":
    sys.exit(main())
