"""`lockgate lane`, `client list` and `ledger list`: what connects the ledgers, read from the ledgers themselves."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, await_, guard, reporter, show
from lockgate.cli.names import complete_ledger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from lockgate.node.ledgers import Ledgers

app = typer.Typer(help="Lanes between ledgers.", no_args_is_help=True)
Nodes = Annotated[
    list[str] | None, typer.Option("--rpc", help="A ledger's node by address, beside those of the data folder.")
]

Client = Annotated[str | None, typer.Argument(help="Id of a client, such as `composite-3`; all of them without.")]


@app.command("list")
def lane_list(rpc: Nodes = None) -> None:
    """Show every lane, from each side: phase, order, clients, the other ledger and its class."""
    from lockgate.node.overview import lanes

    _table(
        "Lanes", lanes, rpc, ("ledger", "phase", "order", "client", "remote", "remote_client", "remote_class", "note")
    )


@app.command("show")
def lane_show(
    client: Annotated[str, typer.Argument(help="Id of the lane's client, such as `07-tendermint-0`.")],
    ledger: Annotated[str | None, typer.Option(help="One side: a ledger by name; every side without.")] = None,
    rpc: Nodes = None,
) -> None:
    """Show one lane in full: counterparty, order, caps, client, deviations, and what brings it back when it is kept."""
    from lockgate.node.lanes import shown

    rows = _ask(lambda opened: shown(opened, client, ledger), rpc)
    if Settings.as_json:
        output.print_json(rows)
    for row in () if Settings.as_json else rows:
        output.table(f"Lane over {client} on {row['ledger']}", ["", ""], [[n, v] for n, v in _flat(row) if v != ""])


@app.command("open")
def lane_open(
    file: Annotated[Path, typer.Argument(help="TOML file of the deployment, with a [[chain]].")],
    chain: Annotated[str | None, typer.Option("--chain", help="Its name; the only one of the file without.")] = None,
) -> None:
    """Open the lane from a running ledger to a chain that is not ours. What of it stands is not made again."""
    from lockgate.node.foreign.start import named, open_lane
    from lockgate.node.spec import read_spec

    spec = guard(lambda: read_spec(file))
    asked = guard(lambda: named(spec.chains, chain))
    ledger = next(each for each in spec.ledgers if each.name == asked.ledger)
    work = partial(open_lane, Settings.folder, asked, ledger, spec.relay.batch_most, _step, reporter(False))
    show(await_(work))


@app.command("suites")
def lane_suites(
    client: Annotated[str, typer.Argument(help="Id of the lane's client, such as `07-tendermint-0`.")],
    ledger: Annotated[str, typer.Option(help="The side that is to ask.", autocompletion=complete_ledger)],
    least: Annotated[int, typer.Option(min=1, max=2, help="Families that must all break before a suite does.")] = 1,
    family: Annotated[list[str] | None, typer.Option(help="A family that every suite stands on.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="KIND:NUMBER: of its kind, no suite but those.")] = None,
) -> None:
    """Have the authority announce what a lane asks of the suites its messages travel under."""
    from lockgate.node import suites

    fields = guard(lambda: suites.asked(least, family or (), only or ()))
    due = await_(lambda: suites.demand_on(Settings.folder, ledger, client, fields))
    if Settings.as_json:
        output.print_json({"ledger": ledger, "client": client, "due": due})
    else:
        output.say(f"announced; it takes effect on {ledger} at block {due}")


@app.command("ask")
def lane_ask(
    client: Annotated[str, typer.Argument(help="Our client of the chain, as `lane open` printed it.")],
    text: Annotated[str, typer.Argument(help="The body.")],
    ledger: Annotated[str, typer.Option(help="The ledger it is sent from.", autocompletion=complete_ledger)],
    port: Annotated[str, typer.Option(help="The application that sends.")] = "echo",
    to: Annotated[str, typer.Option(help="The port there; the example application's where none is named.")] = "",
    timeout: Annotated[int, typer.Option(help="Seconds until it times out.")] = 3_600,
    wait: Annotated[float, typer.Option(help="Seconds to wait for its end; 0: none.")] = 0.0,
) -> None:
    """Send a body from a plain application of a ledger over a lane to a chain that is not ours, as its operator."""
    from lockgate.node.asking import ask

    show(await_(lambda: ask(Settings.folder, ledger, client, (port, to), text.encode(), timeout, wait)))


def client_list(rpc: Nodes = None) -> None:
    """Show the light clients of every lane: status, height, age against the trusting period."""
    from lockgate.node.overview import clients

    _table("Clients", clients, rpc, ("ledger", "client", "of", "status", "height", "age", "trusting_period"))


def client_explain(client: Client = None, rpc: Nodes = None) -> None:
    """Say what each light client needs to believe a header, and who together could make it believe a false one."""
    from lockgate.node.overview import explained

    columns = ("ledger", "client", "follows", "status", "needs", "forged_by")
    _table("Clients, explained", lambda opened: explained(opened, client), rpc, columns)


def ledger_list(rpc: Nodes = None) -> None:
    """Show the ledgers: class, height, and the fingerprint that trust can start from (P11)."""
    from lockgate.node.overview import ledgers

    columns = ("ledger", "chain_id", "class", "height", "time", "trusted_height", "trusted_hash")
    _table("Ledgers", ledgers, rpc, columns)


def _table(
    title: str,
    look: Callable[[Ledgers], Awaitable[list[dict[str, Any]]]],
    rpc: list[str] | None,
    columns: tuple[str, ...],
) -> None:
    rows = _ask(look, rpc)
    if Settings.as_json:
        output.print_json(rows)
    else:
        heads = [column.replace("_", " ") for column in columns]
        output.table(title, heads, [[row[column] for column in columns] for row in rows])


def _ask(look: Callable[[Ledgers], Awaitable[list[dict[str, Any]]]], rpc: list[str] | None) -> list[dict[str, Any]]:
    from lockgate.node.ledgers import Ledgers

    async def work() -> list[dict[str, Any]]:
        async with Ledgers(Settings.folder, tuple(rpc or ())) as opened:
            return await look(opened)

    return await_(work)


def _step(step: str) -> None:
    output.remark(f"… {step}")


def _flat(row: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """A row's fields with those of the records in it, by names that people read."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name} ".replace("_", " "))
        else:
            yield prefix + name.replace("_", " "), value
