"""`lockgate demo`: progress while it runs, one honest line at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lockgate.cli import output
from lockgate.node import demo
from lockgate.node.engine import Engine
from lockgate.node.folder import Folder
from lockgate.node.quotes import computed_chain, read_csv
from lockgate.node.spawner import Spawner


async def run_demo(
    source: Path | None, bundles: Path | None, *, keep: bool, as_json: bool, spawner: Spawner, engine: Engine
) -> None:
    age_s = _age_s()
    quotes = computed_chain() if source is None else read_csv(source)
    root = Path(tempfile.mkdtemp(prefix="lockgate-demo-"))
    out = bundles or Path("bundles")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=output.errors, transient=True, disable=as_json) as progress:
            task = progress.add_task("starting", total=len(quotes))
            tally = await demo.run(
                Folder(root),
                quotes,
                out,
                lambda step: progress.update(task, description=step),
                lambda done, total: progress.update(task, completed=done, total=total),
                spawner,
                age_s,
                engine,
            )
    finally:
        if not keep:
            shutil.rmtree(root, ignore_errors=True)
    if as_json:
        output.print_json(
            {
                "sent": tally.sent,
                "delivered": tally.delivered,
                "acknowledged": tally.acknowledged,
                "refused": tally.refused,
                "lost": tally.lost,
                "answers": dict(tally.answers),
                "bundles": tally.bundles,
                "verified": tally.verified,
                "first_acknowledged_s": round(tally.first_s, 3),
                "total_s": round(tally.total_s, 3),
            }
        )
        return
    output.say(tally.line())
    output.say(
        f"first message acknowledged after {tally.first_s:.1f} s, all after {tally.total_s:.1f} s; "
        f"{tally.bundles} proof bundles in {out}, {tally.verified} verified offline"
    )


def _age_s() -> float:
    """Seconds since this process was started, by the kernel's account: loading Python counts."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])  # proc(5): starttime
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
