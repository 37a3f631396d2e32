"""`lockgate ledger suites`: which suites a ledger's endpoints may use, and the authority's changes of that."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, await_, guard, show
from lockgate.cli.names import complete_ledger

if TYPE_CHECKING:
    from lockgate.node.recover import Authority

Name = Annotated[str, typer.Argument(help="A ledger of this folder.", autocompletion=complete_ledger)]
Suite = Annotated[str, typer.Argument(help="KIND:NUMBER, such as seal:17.")]
At = Annotated[int, typer.Option("--height", min=0, help="Height of it; 0: as soon as the delay is over.")]
app = typer.Typer(help="Suites that a ledger lets its endpoints use.", no_args_is_help=True)
COLUMNS = ("ledger", "suite", "name", "families", "state", "heights")


@app.command("list")
def suites_list(name: Annotated[str | None, typer.Argument(help="One ledger; all of them without.")] = None) -> None:
    """Show every suite: the families it stands on, whether it is active, from when and until when."""
    from lockgate.node import suites
    from lockgate.node.ledgers import Ledgers

    async def look() -> list[dict[str, Any]]:
        async with Ledgers(Settings.folder) as opened:
            return await suites.listed(list(opened.found.values()) if name is None else [opened.named(name)])

    rows = await_(look)
    if Settings.as_json:
        output.print_json(rows)
        return
    cells = [{**row, "families": ", ".join(row["families"]), "heights": _heights(row)} for row in rows]
    output.table("Suites", list(COLUMNS), [[row[column] for column in COLUMNS] for row in cells])


@app.command("activate")
def suites_activate(name: Name, suite: Suite, height: At = 0) -> None:
    """Have the authority announce that a suite becomes active."""
    from lockgate.node.suites import ACTIVATE

    _change(name, ACTIVATE, suite, height)


@app.command("sunset")
def suites_sunset(name: Name, suite: Suite, height: At = 0) -> None:
    """Have the authority announce the height at which a suite ends."""
    from lockgate.node.suites import SUNSET

    _change(name, SUNSET, suite, height)


@app.command("stop")
def suites_stop(
    name: Name, suite: Suite, note: Annotated[str, typer.Option(help="Why, for everybody to read.")] = ""
) -> None:
    """Have the authority end a suite at once. Only an announced activation brings it back."""
    from lockgate.node import suites

    wanted = guard(lambda: suites.named(suite))

    async def work(by: Authority) -> int:
        return await suites.stop(by, wanted, note)

    at: int = await_(lambda: suites.by_authority(Settings.folder, name, work))
    if Settings.as_json:
        output.print_json({"ledger": name, "suite": suite, "stopped_at": at})
    else:
        output.say(f"{suite} ended on {name} at block {at}")


def _change(name: str, action: str, suite: str, height: int) -> None:
    from lockgate.node import suites

    wanted = guard(lambda: suites.named(suite))

    async def work(by: Authority) -> suites.Changed:
        return await suites.change(by, action, wanted, height)

    done: suites.Changed = await_(lambda: suites.by_authority(Settings.folder, name, work))
    if Settings.as_json:
        show(asdict(done))
        return
    output.say(f"announced at block {done.announced_at}; it takes effect at block {done.due}")
    output.say(f"before that, for each host: lockgate host accept-rules HOST --ledger {name} --digest {done.digest}")


def _heights(row: dict[str, Any]) -> str:
    """From where to where a suite is active, as far as that is said."""
    return f"{row['active_from']}…{row['sunset'] or ''}" if row["state"] != "not there" else ""
