"""The `lockgate` command: every verb, by name. A verb loads what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lockgate.cli import (
    attestor,
    client,
    deployment,
    doctor,
    evm,
    explain,
    guest,
    host,
    keys,
    lane,
    ledger,
    messages,
    net,
    new,
    packets,
    profile,
    relay,
    token,
)
from lockgate.cli.context import DEFAULT_DATA, Settings, take_roots
from lockgate.node.folder import Folder
from lockgate.node.hardening import harden
from lockgate.primitives.version import VERSION

app = typer.Typer(
    help="Sealed, proven messages between isolated execution environments and their ledgers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def main_options(
    data: Annotated[
        Path, typer.Option(help="The deployment's data folder.", envvar="LOCKGATE_DATA_FOLDER")
    ] = DEFAULT_DATA,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    opened: Annotated[bool, typer.Option("--opened", hidden=True, help="Stdin opens the key files.")] = False,
) -> None:
    Settings.folder = Folder(data.absolute())
    Settings.as_json = json
    if opened:
        take_roots()


@app.command()
def version() -> None:
    """Print the version, and the app version of the ledgers that this build makes and opens."""
    from lockgate.machine.machine import APP_VERSION

    typer.echo(f"{VERSION}\napp version {APP_VERSION}")


app.command()(deployment.up)
app.command()(deployment.demo)
app.command()(messages.send)
app.command()(messages.inbox)
app.command()(messages.outbox)
app.command()(messages.save)
app.command()(packets.trace)
app.command()(packets.prove)
app.command()(packets.verify)
app.command()(explain.explain)
app.command()(doctor.doctor)
app.add_typer(ledger.app, name="ledger")
app.add_typer(host.app, name="host")
app.add_typer(relay.app, name="relay")
app.add_typer(keys.app, name="keys")
app.add_typer(token.app, name="token")
app.add_typer(net.app, name="net")
app.add_typer(evm.app, name="evm")
app.add_typer(attestor.app, name="attestor")
app.add_typer(lane.app, name="lane")
app.add_typer(client.app, name="client")
app.add_typer(profile.app, name="profile")
app.add_typer(new.app, name="new")
app.add_typer(guest.app, name="guest")


def main() -> None:
    harden()  # before any key is read; what is forked or started from here inherits the limit
    app()


if __name__ == "__main__":
    main()
