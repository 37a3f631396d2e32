"""`lockgate relay`: run a relayer, see what waits."""

from __future__ import annotations

import typer

from lockgate.cli.context import Reports, Settings, guard, reporter, run, show

app = typer.Typer(help="Run a relayer, see what waits, clear a backlog.", no_args_is_help=True)


@app.command("run")
def relay_run(name: str, reports: Reports = False) -> None:
    """Run a relayer."""
    from lockgate.node import relay

    run(lambda: relay.run(Settings.folder, name, reporter(reports)))


@app.command("status")
def relay_status(name: str) -> None:
    """Show packets in flight, who must act on those that wait, and what is parked."""
    from lockgate.node.folder import read_json

    show(guard(lambda: read_json(Settings.folder.relay(name) / "status.json"))["directions"])
