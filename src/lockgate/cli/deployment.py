"""`lockgate up` and `lockgate demo`: whole deployments."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, run
from lockgate.node.engine import Engine
from lockgate.node.spawner import Spawner


def up(
    config: Annotated[Path | None, typer.Argument(help="TOML file of the deployment; none gives the default.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="Settings that the file leaves open; `lockgate profile list`.")
    ] = None,
    accept_clock: Annotated[bool, typer.Option(help="Confirm a clock that jumped ahead (once).")] = False,
) -> None:
    """Start a whole deployment: ledgers, hosts, relayer. Ctrl-C stops it."""
    spawner = Spawner.start()  # it loads the children's program while this process loads its own
    with _loading():
        from lockgate.node import up as deployment
        from lockgate.node.spec import read_spec

    async def work() -> None:
        spec = read_spec(config, profile)
        running = await deployment.start(Settings.folder, spec, _step, _quiet, spawner, accept_clock=accept_clock)
        try:
            rows = [[name, address] for name, address in running.addresses.items()]
            output.table("Ledgers", ["name", "RPC"], rows)
            output.say("Running. In another terminal: lockgate send, inbox, trace. Ctrl-C stops.")
            await asyncio.Event().wait()
        finally:
            await running.stop()

    run(work)


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """What loading makes stays: to look for garbage in it takes a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _step(step: str) -> None:
    output.remark(f"… {step}")


def _quiet(name: str, kind: str, fields: dict[str, Any]) -> None:
    """Of what the processes report, what a person should see."""
    if kind == "ended":
        output.remark(f"{name} ended: {fields['why']}; it is started again")
    elif kind == "given_up":
        output.remark(f"{name} ended: {fields['why']}; it stays down, its log is {fields['log']}")
    elif kind in {
        "fenced",
        "two_histories",
        "parked",
        "trap",
        "item_failed",
        "rejected",
        "alarm",
        "reorganised",
        "stuck",
    }:
        output.remark(f"{name}: {kind} {fields}")


def demo(
    input: Annotated[Path | None, typer.Option(help="CSV of option quotes; none computes a chain.")] = None,
    bundles: Annotated[Path | None, typer.Option(help="Where proof bundles go.")] = None,
    keep: Annotated[bool, typer.Option(help="Keep the demo's data folder.")] = False,
    engine: Annotated[
        Engine, typer.Option(help="Of the first ledger; cometbft: the cluster of `net up`, or one of its own.")
    ] = Engine.EMBEDDED,
    chaos: Annotated[bool, typer.Option(help="Kill one validator after the other meanwhile (cometbft).")] = False,
) -> None:
    """Stream option quotes between two ledgers: sealed, proven, answered; then verify proofs offline."""
    if chaos and engine is not Engine.COMETBFT:
        raise typer.BadParameter("there are no validators to kill without --engine cometbft", param_hint="--chaos")
    spawner = Spawner.start()
    with _loading():
        from lockgate.cli.demo import Asked, run_demo

    asked = Asked(keep, Settings.as_json, engine, chaos)
    run(lambda: run_demo(input, bundles, asked, spawner, Settings.folder))
