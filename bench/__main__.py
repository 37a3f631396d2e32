"""`python -m bench all|TOPIC`: every measurement beside its reference, or one topic alone."""

from __future__ import annotations

import subprocess
import sys

TOPICS = (
    "lifecycle",
    "durable",
    "growth",
    "merkle",
    "verification",
    "envelope",
    "bulk",
    "backlog",
    "startup",
    "gas",
    "cluster",
)


def main() -> int:
    wanted = sys.argv[1:] or ["all"]
    if len(wanted) != 1 or wanted[0] not in ("all", *TOPICS):
        print(f"usage: python -m bench all|{'|'.join(TOPICS)}")
        return 2
    failed = 0
    for topic in TOPICS if wanted == ["all"] else wanted:
        print(f"== bench.{topic}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"bench.{topic}"], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
