"""Where a figure was made, and where it is kept: `bench/results/NAME.json` and the table in `bench/README.md`."""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

QUICK = bool(os.environ.get("LOCKGATE_BENCH_QUICK"))  # few rounds of less: that everything runs, not how fast
RESULTS = Path(tempfile.gettempdir()) / "lockgate-bench-quick" if QUICK else Path(__file__).parent / "results"
README = Path(__file__).with_name("README.md")
T = TypeVar("T")


def full_or(full: T, quick: T) -> T:
    """What a measurement takes, and what a quick run of it does."""
    return quick if QUICK else full


def machine() -> dict[str, Any]:
    """The machine and what else it was doing when the run began."""
    return {
        "python": platform.python_version(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def shown(values: dict[str, float], digits: int = 2) -> str:
    """`median (least–most)`."""
    return f"{values['median']:.{digits}f} ({values['least']:.{digits}f}–{values['most']:.{digits}f})"


def keep(name: str, report: dict[str, Any], table: Sequence[str]) -> None:
    """Write the results, print the table, and put it between its two marks in the README."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    where = report["machine"]
    note = f"CPython {where['python']}, {where['cpu']}, {where['cores']} cores, load {where['load']} at the start."
    text = "\n".join((*table, "", note))
    print(text, flush=True)
    if QUICK:
        return
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, _, rest = README.read_text().partition(begin)
    _, found, after = rest.partition(end)
    if found:
        README.write_text(f"{before}{begin}{text}\n{end}{after}")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
