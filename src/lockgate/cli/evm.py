"""`lockgate evm`: put our contracts on an EVM, see what stands there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, await_, guard, show

app = typer.Typer(help="Deploy our contracts on an EVM, and see what stands there.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="TOML file of the deployment, with a [[chain]] of kind evm.")]
Chain = Annotated[str | None, typer.Option("--chain", help="Its name; the only one of the file without.")]


@app.command("deploy")
def evm_deploy(
    file: File,
    chain: Chain = None,
    echo: Annotated[bool, typer.Option("--echo", help="Deploy the example application, too.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Set what is recorded aside, and deploy anew.")] = False,
) -> None:
    """Deploy host and attested client, once, and print their addresses. What stands is not deployed again."""
    from lockgate.node.foreign.deploy import deploy
    from lockgate.node.foreign.spec import EvmSpec, keep
    from lockgate.node.foreign.start import named
    from lockgate.node.spec import read_spec
    from lockgate.node.up import create_ledger

    spec = guard(lambda: read_spec(file))
    asked = guard(lambda: named(spec.chains, chain, EvmSpec))
    assert isinstance(asked, EvmSpec), "it was asked for"
    ledger = next(each for each in spec.ledgers if each.name == asked.ledger)

    async def work() -> dict[str, Any]:
        folder = Settings.folder
        keep(folder, asked)
        genesis = create_ledger(folder, ledger)
        return await deploy(folder, asked, genesis, _step, _report, echo=echo, again=again)

    found = await_(work)
    if not Settings.as_json:
        found = {name: value for name, value in found.items() if name != "set"}
    show(found)


@app.command("status")
def evm_status(
    name: Annotated[str | None, typer.Argument(help="A chain of this folder; all of them without.")] = None,
) -> None:
    """Show nodes, blocks, the account and what it holds, contracts, and the lane."""
    from lockgate.node.foreign import spec, status

    folder = Settings.folder

    async def work() -> list[dict[str, Any]]:
        kept = [spec.kept(folder, each) for each in ([name] if name else folder.names("chains"))]
        return [await status.look(folder, each) for each in kept if isinstance(each, spec.EvmSpec)]

    rows = await_(work)
    if Settings.as_json:
        output.print_json(rows)
        return
    for row in rows:
        sources = row.pop("sources", None)
        lines = [[text.replace("_", " "), str(value)] for text, value in row.items() if value != ""]
        if sources is not None:
            lines += [[each["source"], f"{each['state']}, at {each['height']}"] for each in sources["nodes"]]
        output.table(row["chain"], ["", ""], lines)


@app.command("next-set")
def evm_next_set(
    name: Annotated[str, typer.Argument(help="A chain of this folder.")],
    days: Annotated[int, typer.Option(help="Until it lapses.")] = 365,
) -> None:
    """Print the signing set of the contract as its next one: to edit, and for every operator to accept."""
    import json

    from lockgate.node.foreign import rotation
    from lockgate.node.foreign.spec import kept_evm

    folder = Settings.folder
    typer.echo(json.dumps(guard(lambda: rotation.next_set(folder, kept_evm(folder, name), days)), indent=1))


@app.command("rotate")
def evm_rotate(
    name: Annotated[str, typer.Argument(help="A chain of this folder.")],
    file: Annotated[Path, typer.Argument(help="The next signing set, as a JSON file that the operators accepted.")],
) -> None:
    """Collect the present quorum's signatures for the next signing set, and have the contract take it."""
    from lockgate.node import signer_sets
    from lockgate.node.foreign import rotation
    from lockgate.node.foreign.spec import kept_evm

    folder = Settings.folder
    given = guard(lambda: signer_sets.read_file(file))
    show(await_(lambda: rotation.rotate(folder, kept_evm(folder, name), given, _report)))


def _step(step: str) -> None:
    output.remark(f"… {step}")


def _report(kind: str, fields: dict[str, object]) -> None:
    output.remark(f"{kind}  " + "  ".join(f"{name}={value}" for name, value in fields.items()))
