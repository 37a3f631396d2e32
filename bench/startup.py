"""From `lockgate demo` to the first acknowledged message, and the whole demo: wall clock and CPU seconds.

Five separate processes with hybrid keys and every proof, as a newcomer starts them. The clock starts with
the command's process, so loading Python counts. CPU seconds are of the whole process tree, user and
system, from start to end: they tell a slow program from a busy machine.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.report import full_or, keep, machine, shown, spread

ROUNDS = full_or(5, 1)
FIRST_MUST_S = 5.0
DATA = Path(os.environ.get("LOCKGATE_DATA") or Path(__file__).parents[2] / "shared" / "data")
RECORDED = DATA / "option-chains" / "spx_2017_sample.csv"
ONE = """optionroot,type,expiration,quotedate,strike,bid,ask,underlying_last
LGX091C00100,call,2026-04-06,2026-01-05,100,3.5,3.6,100
"""


def once(*arguments: str) -> dict[str, float]:
    """One run of the demo in a folder of its own."""
    with tempfile.TemporaryDirectory() as bundles:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "lockgate.cli.main", "--json", "demo", "--bundles", bundles, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    tally = json.loads(done.stdout.splitlines()[-1])
    if tally["lost"] or tally["acknowledged"] != tally["sent"]:
        raise RuntimeError(f"not every message was acknowledged: {tally}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "messages": tally["sent"],
        "first_s": tally["first_acknowledged_s"],
        "all_s": tally["total_s"],
        "cpu_s": round(cpu, 3),
    }


def row(name: str, *arguments: str) -> dict[str, Any]:
    """Rounds of one kind, the first not counted: medians with their range."""
    rounds = [once(*arguments) for _ in range(ROUNDS + 1)][1:]
    found: dict[str, Any] = {"name": name, "messages": rounds[0]["messages"], "rounds": ROUNDS}
    return found | {what: spread([each[what] for each in rounds]) for what in ("first_s", "all_s", "cpu_s")}


def run() -> dict[str, Any]:
    report: dict[str, Any] = {"machine": machine(), "must_first_s": FIRST_MUST_S, "rows": []}
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "one.csv"
        one.write_text(ONE)
        kinds: list[tuple[str, tuple[str, ...]]] = [("one quote", ("--input", str(one))), ("computed chain", ())]
        if RECORDED.exists():
            kinds.append(("recorded SPX quotes", ("--input", str(RECORDED))))
        else:
            print(f"recorded quotes are absent: no {RECORDED}")
        report["rows"] = [row(name, *arguments) for name, arguments in kinds]
    table = [
        f"| input | quotes | first answer, s (must {FIRST_MUST_S:.0f}) | all answers, s | CPU of all processes, s |",
        "|---|---|---|---|---|",
    ]
    for each in report["rows"]:
        figures = " | ".join(shown(each[what]) for what in ("first_s", "all_s", "cpu_s"))
        table.append(f"| {each['name']} | {each['messages']:.0f} | {figures} |")
    keep("startup", report, table)
    return report


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
