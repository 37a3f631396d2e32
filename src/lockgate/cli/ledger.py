"""`lockgate ledger`: run and make ledgers, of the embedded engine and on CometBFT."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from lockgate.cli import output
from lockgate.cli.context import Reports, Settings, guard, reporter, run
from lockgate.cli.lane import ledger_list
from lockgate.cli.names import complete_ledger
from lockgate.cli.suites import app as suites_app
from lockgate.cli.validators import app as validators_app
from lockgate.node.engine import Engine

if TYPE_CHECKING:
    from lockgate.machine.genesis import Genesis

Name = Annotated[str, typer.Argument(help="A ledger of this folder.", autocompletion=complete_ledger)]
app = typer.Typer(help="Make, run and check ledgers.", no_args_is_help=True)


@app.command("run")
def ledger_run(
    name: Name,
    port: Annotated[int, typer.Option(help="RPC port; 0 finds a free one.")] = 0,
    heartbeat: Annotated[float, typer.Option(help="Seconds between blocks when nothing happens.")] = 5.0,
    durable: Annotated[bool, typer.Option(help="Sync the database at every block, against power loss.")] = False,
    accept_clock: Annotated[bool, typer.Option(help="Confirm a clock that jumped ahead (once).")] = False,
    keep_versions: Annotated[int, typer.Option(help="Past states that answer queries and proofs.")] = 10_000,
    keep_blocks: Annotated[int, typer.Option(help="Past blocks; 0 keeps all. On CometBFT: net up --keep-blocks.")] = 0,
    validator: Annotated[int | None, typer.Option(help="Run one validator of a ledger on CometBFT, from 0.")] = None,
    link: Annotated[list[str] | None, typer.Option(hidden=True, help="VALIDATOR=PORT where it is reached.")] = None,
    state_sync: Annotated[
        bool, typer.Option("--state-sync", help="A validator that has nothing takes the state from the others.")
    ] = False,
    trust: Annotated[
        str, typer.Option(help="HEIGHT:HASH of the header that state sync starts from; else two others' word.")
    ] = "",
    reports: Reports = False,
) -> None:
    """Run a ledger that `up` or `ledger create` made: the embedded engine, or one validator on CometBFT."""
    from lockgate.engines.embedded.retention import Retention
    from lockgate.node import ledger

    report = reporter(reports)
    if validator is not None:
        from lockgate.node import statesync
        from lockgate.node.validator import run as run_validator

        links = {int(far): int(port) for far, _, port in (each.partition("=") for each in link or ())}
        prepare = partial(statesync.prepare, trust=trust) if state_sync or trust else None
        run(lambda: run_validator(Settings.folder, name, validator, report, links, prepare))
        return

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
def ledger_create(
    name: str,
    chain_id: str,
    engine: Annotated[Engine, typer.Option(help="What orders its blocks.")] = Engine.EMBEDDED,
    validators: Annotated[int, typer.Option(help="On CometBFT: 1, or 4 and more.")] = 4,
    parameters: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: a ledger parameter, as `10 min` where it is a time.")
    ] = None,
) -> None:
    """Make the keys and genesis of a ledger: one signer, or a cluster on CometBFT."""
    from lockgate.node.parameters import options, read
    from lockgate.node.spec import LedgerSpec
    from lockgate.node.up import create_ledger

    def make() -> Genesis:
        asked = read(options(parameters)) if parameters else None
        spec = LedgerSpec(name, chain_id, engine=engine, validators=validators, parameters=asked)
        return create_ledger(Settings.folder, spec)

    genesis = guard(make)
    output.say(f"{name}: chain {genesis.chain_id}, domain {genesis.domain_id.hex()}")


app.command("list")(ledger_list)
app.add_typer(suites_app, name="suites")
app.add_typer(validators_app, name="validators")
