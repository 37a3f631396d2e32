"""`lockgate ledger`: run and make embedded ledgers."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from lockgate.cli import output
from lockgate.cli.context import Reports, Settings, guard, reporter, run
from lockgate.cli.lane import ledger_list
from lockgate.cli.names import complete_ledger

Name = Annotated[str, typer.Argument(help="A ledger of this folder.", autocompletion=complete_ledger)]
app = typer.Typer(help="Run and check embedded ledgers.", no_args_is_help=True)


@app.command("run")
def ledger_run(
    name: Name,
    port: Annotated[int, typer.Option(help="RPC port; 0 finds a free one.")] = 0,
    heartbeat: Annotated[float, typer.Option(help="Seconds between blocks when nothing happens.")] = 5.0,
    durable: Annotated[bool, typer.Option(help="Sync the database at every block, against power loss.")] = False,
    accept_clock: Annotated[bool, typer.Option(help="Confirm a clock that jumped ahead (once).")] = False,
    keep_versions: Annotated[int, typer.Option(help="Past states that answer queries and proofs.")] = 10_000,
    keep_blocks: Annotated[int, typer.Option(help="Past blocks; 0 keeps all, and what is open keeps its own.")] = 0,
    reports: Reports = False,
) -> None:
    """Run an embedded ledger that `up` or `ledger create` made."""
    from lockgate.engines.embedded.retention import Retention
    from lockgate.node import ledger

    report = reporter(reports)

    async def work() -> None:
        running = asyncio.create_task(
            ledger.run(
                Settings.folder,
                name,
                port=port,
                heartbeat_s=heartbeat,
                durable=durable,
                accept_clock=accept_clock,
                keep=Retention(keep_versions, keep_blocks),
            )
        )
        path = Settings.folder.ledger(name) / "address.json"
        while not path.exists() and not running.done():
            await asyncio.sleep(0.01)
        if not running.done():
            report("ready", {"ledger": name})
        await running

    run(work)


@app.command("create")
def ledger_create(name: str, chain_id: str) -> None:
    """Make the keys and genesis of a one-signer ledger."""
    from lockgate.node import ledger

    genesis = guard(lambda: ledger.create(Settings.folder, name, chain_id))
    output.say(f"{name}: chain {genesis.chain_id}, domain {genesis.domain_id.hex()}")


app.command("list")(ledger_list)
