"""`lockgate evm`: put our contracts on an EVM, see what stands there, say what a lane's guardian may."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, await_, guard, show

if TYPE_CHECKING:
    from lockgate.node.folder import Folder
    from lockgate.node.foreign.spec import EvmSpec

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


Name = Annotated[str, typer.Argument(help="A chain of this folder.")]
Out = Annotated[int | None, typer.Option("--out", help="Packets out, in a window; as it is without.")]
In = Annotated[int | None, typer.Option("--in", help="Packets in, in a window; as it is without.")]
Window = Annotated[int | None, typer.Option("--window", help="Seconds of a window; as it is without.")]


@app.command("pause")
def evm_pause(name: Name) -> None:
    """Stop everything on the lane at the contract, at once. What is under way waits."""
    from lockgate.node.foreign import rules

    _said(name, lambda folder, spec: rules.pause(folder, spec, _report))


@app.command("resume")
def evm_resume(name: Name, out: Out = None, in_: In = None, window: Window = None) -> None:
    """Announce that a paused lane goes on, under these limits; lawful after an hour, by `evm enact`."""
    from lockgate.node.foreign import rules

    limits = {"out_max": out, "in_max": in_, "window_s": window}
    _said(name, lambda folder, spec: rules.resume(folder, spec, limits, _report))


@app.command("limits")
def evm_limits(name: Name, out: Out = None, in_: In = None, window: Window = None) -> None:
    """Announce new limits of a lane that goes; lawful after an hour, by `evm enact`."""
    from lockgate.node.foreign import rules

    limits = {"out_max": out, "in_max": in_, "window_s": window}
    _said(name, lambda folder, spec: rules.limit(folder, spec, limits, _report))


@app.command("enact")
def evm_enact(name: Name) -> None:
    """Put into force what was announced an hour ago or more."""
    from lockgate.node.foreign import rules

    _said(name, lambda folder, spec: rules.enact(folder, spec, _report))


@app.command("admit")
def evm_admit(
    name: Name,
    port: Annotated[str, typer.Argument(help="The port of an application: its address.")],
    dismiss: Annotated[bool, typer.Option("--dismiss", help="Take them away again, at once.")] = False,
) -> None:
    """Give a port limits of its own, an hour from now, so that no other one spends what is its."""
    from lockgate.node.foreign import rules

    _said(name, lambda folder, spec: rules.admit(folder, spec, port, _report, admitted=not dismiss))


def _said(name: str, work: Callable[[Folder, EvmSpec], Coroutine[Any, Any, dict[str, Any]]]) -> None:
    from lockgate.node.foreign.spec import kept_evm

    folder = Settings.folder
    show(await_(lambda: work(folder, kept_evm(folder, name))))


def _step(step: str) -> None:
    output.remark(f"… {step}")


def _report(kind: str, fields: dict[str, object]) -> None:
    output.remark(f"{kind}  " + "  ".join(f"{name}={value}" for name, value in fields.items()))
