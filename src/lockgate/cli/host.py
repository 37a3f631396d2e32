"""`lockgate host`: run an endpoint's host, and ask it."""

from __future__ import annotations

from typing import Annotated

import typer

from lockgate.cli import output
from lockgate.cli.context import Reports, RequiredOption, RpcOption, Settings, ask, await_, guard, reporter, run, show
from lockgate.cli.names import complete_host

Name = Annotated[str, typer.Argument(help="A host of this folder.", autocompletion=complete_host)]
app = typer.Typer(help="Run an endpoint's host, and ask it.", no_args_is_help=True)


@app.command("run")
def host_run(name: Name, reports: Reports = False, rpc: RpcOption = None, required: RequiredOption = None) -> None:
    """Run the host of an endpoint."""
    from lockgate.node import host
    from lockgate.node.sources import options

    more = guard(lambda: options(rpc or (), required or ()))
    run(lambda: host.run(Settings.folder, name, reporter(reports), more))


@app.command("status")
def host_status(name: Name) -> None:
    """Show a host's endpoint, fence, state root and messages."""
    show(ask(name, "status"))


@app.command("accept-rules")
def host_accept_rules(
    name: Name,
    ledger: Annotated[str, typer.Option(help="Only this ledger; without it, each whose rules are not accepted.")] = "",
    digest: Annotated[
        list[str] | None, typer.Option(help="Accept these announced rules beforehand, beside those in force.")
    ] = None,
) -> None:
    """Show the rules that a host's ledgers prove, and accept them. The host may run; it takes them up at once."""
    from lockgate.node import rules

    found = await_(lambda: rules.accept(Settings.folder, name, ledger, tuple(digest or ())))
    if Settings.as_json:
        output.print_json(found)
        return
    for row in found:
        output.table(str(row["ledger"]), ["", ""], rules.lines(row))


@app.command("rotate")
def host_rotate(name: str) -> None:
    """Replace an endpoint's keys by the next ones: identity, sealing key and account. The host must run."""
    show(ask(name, "rotate"))
