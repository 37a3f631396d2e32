"""`make check`: every static check, each named, all run, one exit code."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
CHECKS = (
    ("lint", [BIN / "ruff", "check", "."]),
    ("format", [BIN / "ruff", "format", "--check", "."]),
    ("types", [BIN / "mypy"]),
    ("import contracts", [BIN / "lint-imports"]),
    ("generated protobuf", [BIN / "python", "tools/generate_proto.py", "--check"]),
    ("generated error pages", [BIN / "python", "tools/generate_errors.py", "--check"]),
)


def main() -> int:
    failed = []
    for name, command in CHECKS:
        start = time.monotonic()
        done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)
        good = done.returncode == 0
        print(f"{name:24} {'ok' if good else 'FAILED'}  {time.monotonic() - start:5.1f} s", flush=True)
        if not good:
            failed.append(name)
            print((done.stdout + done.stderr)[-6000:])
    if failed:
        print("failed: " + ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
