"""`lockgate relay`: run a relayer, see what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Reports, RequiredOption, RpcOption, Settings, guard, reporter, run
from lockgate.cli.names import complete_relay

Name = Annotated[str, typer.Argument(help="A relay of this folder.", autocompletion=complete_relay)]
app = typer.Typer(help="Run a relayer, see what waits, clear a backlog.", no_args_is_help=True)


@app.command("run")
def relay_run(name: Name, reports: Reports = False, rpc: RpcOption = None, required: RequiredOption = None) -> None:
    """Run a relayer."""
    from lockgate.node import relay
    from lockgate.node.sources import options

    more = guard(lambda: options(rpc or (), required or ()))
    run(lambda: relay.run(Settings.folder, name, reporter(reports), more))


@app.command("status")
def relay_status(name: Name) -> None:
    """Show packets in flight, who must act on those that wait, what is parked, and the clients' age."""
    from lockgate.node import relay

    _shown(relay.status(Settings.folder, name))


@app.command("clear")
def relay_clear(name: Name) -> None:
    """Scan both ledgers once, move every packet that can move, and say what is left and why."""
    from lockgate.node import relay

    _shown(relay.clear(Settings.folder, name))


def _shown(asked: Coroutine[Any, Any, dict[str, Any]]) -> None:
    from lockgate.node.relay import rows

    found = guard(lambda: asyncio.run(asked))
    if Settings.as_json:
        output.print_json(found)
    else:
        output.table("", ["", ""], rows(found))
