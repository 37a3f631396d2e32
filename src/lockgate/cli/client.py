"""`lockgate client`: the light clients by which ledgers follow each other, and bringing them back."""

from __future__ import annotations

import typer

from lockgate.cli import lane, output
from lockgate.cli.context import Settings, run

app = typer.Typer(help="Light clients, by which one ledger follows another.", no_args_is_help=True)
app.command("list")(lane.client_list)
app.command("explain")(lane.client_explain)


@app.command("recover")
def client_recover() -> None:
    """Announce and wait for the recovery of every expired client, on ledgers whose authority is in the data folder."""
    from lockgate.node import recover

    async def work() -> None:
        found = await recover.recover(Settings.folder, _say)
        if Settings.as_json:
            output.print_json({"recovered": [{"ledger": each.on, "client": each.client} for each in found]})

    run(work)


def _say(step: str) -> None:
    output.remark(f"… {step}")
