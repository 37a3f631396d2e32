"""`lockgate ledger validators`: who signs a cluster's blocks, and the authority's changes of that."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, await_, guard, show
from lockgate.cli.names import complete_ledger

Name = Annotated[str, typer.Argument(help="A ledger of this folder.", autocompletion=complete_ledger)]
Validator = Annotated[str, typer.Argument(help="A node's number, or an Ed25519 public key in hex or base64.")]
Power = Annotated[int, typer.Option(min=1, help="Voting power from then on.")]
app = typer.Typer(help="Validators of a ledger on CometBFT.", no_args_is_help=True)
COLUMNS = ("validator", "address", "public_key", "power", "then", "offence")


@app.command("list")
def validators_list(name: Name) -> None:
    """Show who signs now, and what was decided for a block to come."""
    from lockgate.node import validators

    rows = await_(lambda: validators.listed(Settings.folder, name))
    if Settings.as_json:
        output.print_json(rows)
    else:
        heads = [column.replace("_", " ") for column in COLUMNS]
        output.table("Validators", heads, [[str(row[column]) for column in COLUMNS] for row in rows])


@app.command("join")
def validators_join(name: Name) -> None:
    """Make one more node of a cluster. It follows until `add` gives it power."""
    from lockgate.node import cometbft

    node = guard(lambda: cometbft.join(Settings.folder, name))
    key = cometbft.public_key(node).hex()
    if Settings.as_json:
        output.print_json({"validator": node.index, "public_key": key})
    else:
        output.say(f"validator {node.index} of {name}: key {key}")
        output.say(f"start it: lockgate ledger run {name} --validator {node.index}")


@app.command("add")
def validators_add(name: Name, validator: Validator, power: Power = 10) -> None:
    """Have the authority give a key power: a new validator, or another power of one."""
    _change(name, validator, power)


@app.command("remove")
def validators_remove(name: Name, validator: Validator) -> None:
    """Have the authority take a validator out. Four stay."""
    _change(name, validator, 0)


def _change(name: str, validator: str, power: int) -> None:
    from lockgate.node import validators

    say = output.remark if Settings.as_json else output.say
    done = await_(lambda: validators.change(Settings.folder, name, {validator: power}, say))
    if Settings.as_json:
        show(asdict(done))
