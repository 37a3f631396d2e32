"""`lockgate demo`: progress while it runs, one honest line at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lockgate.cli import output
from lockgate.node import demo, net
from lockgate.node.engine import Engine
from lockgate.node.folder import Folder
from lockgate.node.quotes import computed_chain, read_csv
from lockgate.node.spawner import Spawner


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the verb."""

    keep: bool
    as_json: bool
    engine: Engine
    chaos: bool


async def run_demo(source: Path | None, bundles: Path | None, asked: Asked, spawner: Spawner, around: Folder) -> None:
    """`around`: the data folder whose cluster, where one runs, orders the first ledger's blocks."""
    age_s = _age_s()
    quotes = computed_chain() if source is None else read_csv(source)
    root = Path(tempfile.mkdtemp(prefix="lockgate-demo-"))
    out = bundles or Path("bundles")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        if asked.engine is Engine.COMETBFT:
            await _cluster(Folder(root), around)
        with Progress(*columns, console=output.errors, transient=True, disable=asked.as_json) as progress:
            task = progress.add_task("starting", total=len(quotes))
            tally = await demo.run(
                Folder(root),
                quotes,
                out,
                lambda step: progress.update(task, description=step),
                lambda done, total: progress.update(task, completed=done, total=total),
                spawner,
                age_s,
                asked.engine,
                asked.chaos,
            )
    finally:
        if not asked.keep:
            shutil.rmtree(root, ignore_errors=True)
    if asked.as_json:
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
                "killed": tally.killed,
            }
        )
        return
    output.say(tally.line())
    if tally.killed:
        output.say(f"meanwhile {tally.killed} times a validator was killed, and started again")
    output.say(
        f"first message acknowledged after {tally.first_s:.1f} s, all after {tally.total_s:.1f} s; "
        f"{tally.bundles} proof bundles in {out}, {tally.verified} verified offline"
    )


async def _cluster(folder: Folder, around: Folder) -> None:
    """Take the cluster that runs around here, or say where that of the demo will be."""
    try:
        record = await net.find(around)
    except net.NetNotRunning:
        output.remark(f"a cluster of its own; meanwhile: lockgate --data {folder.root} net status")
    else:
        demo.borrow(folder, record, around)
        output.remark(f"over the cluster {record.ledger} of {around.root}, process {record.pid}")


def _age_s() -> float:
    """Seconds since this process was started, by the kernel's account: loading Python counts."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])  # proc(5): starttime
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
