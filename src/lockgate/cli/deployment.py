"""`lockgate up` and `lockgate demo`: whole deployments."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, run


def up(
    config: Annotated[Path | None, typer.Argument(help="TOML file of the deployment; none gives the default.")] = None,
) -> None:
    """Start a whole deployment: ledgers, hosts, relayer. Ctrl-C stops it."""
    from lockgate.node import up as deployment

    async def work() -> None:
        running = await deployment.start(
            Settings.folder, deployment.read_spec(config), lambda step: output.errors.print(f"… {step}"), _quiet
        )
        try:
            rows = [[name, address] for name, address in running.addresses.items()]
            output.table("Ledgers", ["name", "RPC"], rows)
            output.console.print("Running. In another terminal: lockgate send, inbox, trace. Ctrl-C stops.")
            await asyncio.Event().wait()
        finally:
            await running.processes.stop()

    run(work)


def _quiet(name: str, kind: str, fields: dict[str, Any]) -> None:
    if kind in {"fenced", "two_histories", "parked", "trap", "item_failed", "rejected"}:
        output.errors.print(f"{name}: {kind} {fields}", markup=False)


def demo(
    input: Annotated[Path | None, typer.Option(help="CSV of option quotes; none computes a chain.")] = None,
    bundles: Annotated[Path | None, typer.Option(help="Where proof bundles go.")] = None,
    keep: Annotated[bool, typer.Option(help="Keep the demo's data folder.")] = False,
) -> None:
    """Stream option quotes between two ledgers: sealed, proven, answered; then verify proofs offline."""
    from lockgate.cli.demo import run_demo

    run(lambda: run_demo(input, bundles, keep=keep, as_json=Settings.as_json))
