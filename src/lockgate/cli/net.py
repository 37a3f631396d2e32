"""`lockgate net`: a local cluster on CometBFT, and what a network does to one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, await_, guard, run
from lockgate.cli.names import complete_ledger

app = typer.Typer(help="A local cluster on CometBFT: run it, kill and cut it, watch it.", no_args_is_help=True)
Ledger = Annotated[
    str | None, typer.Option(help="Of several clusters, the one of this ledger.", autocompletion=complete_ledger)
]
Validators = Annotated[list[int], typer.Argument(help="Numbers of validators, from 0.")]


@app.command("up")
def net_up(
    validators: Annotated[int | None, typer.Option(help="How many: 1, or 4 and more; 4 where nothing is said.")] = None,
    ledger: Annotated[str, typer.Option(help="Name of the ledger in the data folder.")] = "net",
    chain_id: Annotated[str | None, typer.Option(help="Of a new ledger; else its name and -1.")] = None,
    keep_blocks: Annotated[
        int | None, typer.Option(help="Blocks that each node keeps, from now on: 0 keeps all, else at least 100,000.")
    ] = None,
    foreground: Annotated[bool, typer.Option(help="Stay here until ctrl-C, which ends the cluster.")] = False,
    detached: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Start a cluster, make it where there is none, and return when every validator answers."""
    if foreground or detached:
        _stay(ledger, chain_id or f"{ledger}-1", validators, keep_blocks, detached=detached)
    else:
        _leave(ledger, chain_id or f"{ledger}-1", validators, keep_blocks)


@app.command("status")
def net_status(ledger: Ledger = None) -> None:
    """Show every validator, the links between them, and whether blocks can be made."""
    _show_status(_ask(ledger, "status"))


@app.command("kill")
def net_kill(
    validators: Validators,
    half: Annotated[str, typer.Option(help="node, application or both; either ends with the other.")] = "both",
    ledger: Ledger = None,
) -> None:
    """Kill validators (SIGKILL); each stays down until `net restart`."""
    if half not in {"node", "application", "both"}:
        raise typer.BadParameter("node, application or both", param_hint="--half")
    for index in validators:
        found = _ask(ledger, "kill", validator=index, half=half)
        _said(found, f"validator {index} is killed; {found['up']} of {found['validators']} are up")


@app.command("restart")
def net_restart(
    validators: Validators,
    empty: Annotated[bool, typer.Option(help="Without its blocks and state, which it gets from the others.")] = False,
    wait: Annotated[bool, typer.Option(help="Until it has caught up, before the next one.")] = True,
    ledger: Ledger = None,
) -> None:
    """Start validators that are down, or stop and start running ones, one after the other."""
    for index in validators:
        if not Settings.as_json:
            output.remark(f"… validator {index}")
        found = _ask(ledger, "restart", validator=index, empty=empty, wait=wait)
        begun = {"snapshot": ", from a snapshot of the others", "blocks": ", from the first block on"}
        words = begun.get(found.get("from", ""), "") + (", and has caught up" if found["caught_up"] else "")
        _said(found, f"validator {index} runs, at height {found['height']}{words} ({found['seconds']} s)")


@app.command("partition")
def net_partition(
    validators: Annotated[str, typer.Argument(help="A group to cut off from the others: 0,1")], ledger: Ledger = None
) -> None:
    """Cut the links between some validators and the others, both ways, until `net heal`."""
    try:
        group = [int(index) for index in validators.split(",")]
    except ValueError as error:
        raise typer.BadParameter("numbers with commas between them, as 0,1", param_hint="VALIDATORS") from error
    found = _ask(ledger, "partition", validators=group)
    _said(found, f"cut: {_groups(found['groups'])}")


@app.command("heal")
def net_heal(ledger: Ledger = None) -> None:
    """Make every link whole again."""
    _said(_ask(ledger, "heal"), "every link is whole")


@app.command("down")
def net_down(ledger: Ledger = None) -> None:
    """End the cluster that `net up` left running; its ledger stays, for the next `net up`."""
    from lockgate.node import net

    found = await_(lambda: net.down(Settings.folder, ledger))
    _said(found, f"the cluster {found['ledger']} has ended")


def _ask(ledger: str | None, verb: str, **arguments: Any) -> dict[str, Any]:
    from lockgate.node import net

    async def work() -> dict[str, Any]:
        return await net.ask(await net.find(Settings.folder, ledger), verb, **arguments)

    return await_(work)


def _said(found: dict[str, Any], words: str) -> None:
    if Settings.as_json:
        output.print_json(found)
    else:
        output.say(words)


def _show_status(found: dict[str, Any]) -> None:
    if Settings.as_json:
        output.print_json(found)
        return
    columns = ["validator", "state", "height", "peers", "RPC", "processes"]
    rows = [
        [
            row["validator"],
            row["state"],
            row["height"],
            row["peers"],
            row["rpc"].removeprefix("http://"),
            _processes(row),
        ]
        for row in found["nodes"]
    ]
    output.table(f"{found['ledger']}, run by `lockgate {found['by']}`, process {found['pid']}", columns, rows)
    if found["cut"]:
        output.say(f"cut: {_groups(found['groups'])}")
    if not found["quorum"]:
        output.say("too few validators reach each other to make a block: the ledger waits, and loses nothing")
    if found["compared_at"]:
        same = "the same state root" if found["agree"] else "DIFFERENT state roots"
        output.say(f"all show {same} at height {found['compared_at']}")


def _processes(row: dict[str, Any]) -> str:
    return f"{row['application']}, {row['node']}" if row["application"] else ""


def _groups(groups: list[list[int]]) -> str:
    return " | ".join(",".join(map(str, group)) for group in groups)


def _stay(ledger: str, chain_id: str, validators: int | None, keep_blocks: int | None, *, detached: bool) -> None:
    """Be the process that runs the cluster."""
    from lockgate.node.spawner import Spawner

    spawner = Spawner.start()  # it loads the children's program while this process loads its own
    from lockgate.cli.deployment import _quiet
    from lockgate.node import cluster

    def say(step: str) -> None:
        if detached:
            output.print_report("step", {"step": step})
        else:
            output.remark(f"… {step}")

    def ready() -> None:
        if detached:
            output.print_report("ready", {})
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whoever waited for it goes away now
        else:
            output.say("Running. In another terminal: lockgate net status, kill, restart, partition. Ctrl-C stops.")

    run(lambda: cluster.run(Settings.folder, ledger, chain_id, validators, say, _quiet, ready, spawner, keep_blocks))


def _leave(ledger: str, chain_id: str, validators: int | None, keep_blocks: int | None) -> None:
    """Start that process, wait until it says that the cluster is ready, and leave it."""
    log = Settings.folder.root / "logs" / f"net-{ledger}.log"
    command = [sys.executable, "-m", "lockgate.cli.main", "--json", "--data", str(Settings.folder.root), "net", "up"]
    command += ["--ledger", ledger, "--chain-id", chain_id, "--detached"]
    command += [] if validators is None else ["--validators", str(validators)]
    command += [] if keep_blocks is None else ["--keep-blocks", str(keep_blocks)]
    with guard(lambda: _opened(log)) as errors:
        process = subprocess.Popen(  # noqa: S603  # this very program
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    interrupted: list[int] = []

    def stop(number: int, _: object) -> None:
        interrupted.append(number)
        process.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    assert process.stdout is not None
    if not _until_ready(process.stdout):
        code = process.wait()
        if interrupted:
            raise typer.Exit(output.EXIT_INTERRUPTED)
        if code < 0 or code in {0, 1, 2}:
            output.remark(f"the process that runs the cluster ended before it was ready; its log is {log}")
        raise typer.Exit(code if code > 2 else output.EXIT_UNAVAILABLE)
    _show_status(_ask(ledger, "status"))


def _opened(log: Path) -> IO[bytes]:
    from lockgate.node.folder import writing

    with writing(log):
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return log.open("ab")


def _until_ready(reports: IO[bytes]) -> bool:
    """Show what the cluster's process says; False when it ends before the cluster is ready, with its reason shown."""
    for line in reports:
        said = json.loads(line)
        if "error" in said:
            output.show_words(said["error"], as_json=Settings.as_json)
        elif said["report"] == "ready":
            return True
        elif not Settings.as_json:
            output.remark(f"… {said['step']}")
    return False
