"""`python -m bench [--quick] all|TOPIC`: every measurement beside its reference, or one topic alone.

Each topic runs in a process of its own and ends by itself or after its time; one that fails does not keep the next from
running. `--quick` does a few rounds of less and leaves the kept results alone: it shows that everything runs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import Final

MINUTES: Final = {  # what a topic may take: about four times what it takes on two quiet cores
    "lifecycle": 30,
    "durable": 10,
    "growth": 30,
    "merkle": 10,
    "verification": 15,  # the first build of the Go verifier included
    "envelope": 10,
    "session": 5,
    "handshake": 10,
    "bulk": 20,
    "backlog": 15,
    "rotation": 15,
    "startup": 10,
    "gas": 10,
    "cluster": 40,
    "abci": 5,
    "attested": 10,
}
TOPICS: Final = tuple(MINUTES)
END_S: Final = 60  # a cluster of four validators takes seconds


def run(topic: str) -> str:
    """Run one topic to its end; says how it ended."""
    begun = time.monotonic()
    with subprocess.Popen([sys.executable, "-m", f"bench.{topic}"], start_new_session=True) as child:
        try:
            code = child.wait(60 * MINUTES[topic])
        except subprocess.TimeoutExpired:
            end(child)
            return f"did not end within {MINUTES[topic]} minutes"
        except KeyboardInterrupt:
            end(child)
            raise
    took = f"{time.monotonic() - begun:.0f} s"
    return took if code == 0 else f"failed after {took}, code {code}"


def end(child: subprocess.Popen[bytes]) -> None:
    """Let a topic end what it has started, and then whatever is left of its own session."""
    os.killpg(child.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(END_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    wanted = [argument for argument in arguments if argument != "--quick"] or ["all"]
    if len(wanted) != 1 or wanted[0] not in ("all", *TOPICS):
        print(f"usage: python -m bench [--quick] all|{'|'.join(TOPICS)}")
        return 2
    if "--quick" in arguments:
        os.environ["LOCKGATE_BENCH_QUICK"] = "1"
    ended = {}
    for topic in TOPICS if wanted == ["all"] else wanted:
        print(f"\n== bench.{topic}", flush=True)
        ended[topic] = run(topic)
    print("\n== ended")
    for topic, how in ended.items():
        print(f"{topic:<14}{how}")
    return int(any(not how[0].isdigit() for how in ended.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
