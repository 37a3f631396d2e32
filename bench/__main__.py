"""`python -m bench all|lifecycle`: every measurement beside its reference, or only the packet life cycle."""

from __future__ import annotations

import subprocess
import sys

SCRIPTS = ("bench.lifecycle", "bench.durable", "bench.growth", "bench.merkle", "bench.envelope")


def main() -> int:
    wanted = sys.argv[1:] or ["all"]
    if wanted not in (["all"], ["lifecycle"]):
        print("usage: python -m bench all|lifecycle")
        return 2
    names = SCRIPTS if wanted == ["all"] else SCRIPTS[:1]
    failed = 0
    for name in names:
        print(f"== {name}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", name], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
