"""`lockgate attestor`: make one, have it sign for a set, run it; hand a client's set over to the next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Reports, RequiredOption, RpcOption, Settings, await_, guard, reporter, run, show
from lockgate.cli.names import complete_attestor, complete_ledger

if TYPE_CHECKING:
    from lockgate.lightclients.attested import Signer, SignerSet

Name = Annotated[str, typer.Argument(help="An attestor of this folder.", autocompletion=complete_attestor)]
Ledger = Annotated[str, typer.Option(help="A ledger by name.", autocompletion=complete_ledger)]
app = typer.Typer(help="Attest a ledger for clients that rest on a quorum.", no_args_is_help=True)


@app.command("create")
def attestor_create(
    name: Annotated[str, typer.Argument(help="Its name in this folder.")],
    ledger: Ledger,
    operator: Annotated[str, typer.Option(help="Who runs it, as the signer set names him.")],
    source: Annotated[str, typer.Option(help="Where it reads the ledger, as the signer set names it.")],
    height: Annotated[int, typer.Option(help="Header that trust starts from; 0: the newest its node shows.")] = 0,
    depth: Annotated[int, typer.Option(help="Blocks that must lie above one before it is signed.")] = 0,
    listen: Annotated[list[str] | None, typer.Option(help="tcp:127.0.0.1:PORT beside its Unix socket.")] = None,
    weight: Annotated[int, typer.Option(help="Of its signature in the set.")] = 1,
    days: Annotated[int, typer.Option(help="How long the delegation lasts.")] = 365,
) -> None:
    """Make an attestor of a ledger, and print what goes into a signer set."""
    from lockgate.node import attestor
    from lockgate.node.ledgers import Ledgers
    from lockgate.node.provision import fingerprint

    async def work() -> dict[str, Any]:
        async with Ledgers(Settings.folder) as opened:
            watched = opened.named(ledger)
            ref = await fingerprint(watched.name, watched.chain, watched.genesis, height)
        attestor.create(Settings.folder, name, ref, depth=depth, listen=tuple(listen or ()))
        made = attestor.member(Settings.folder, name, operator, source, weight, days)
        return attestor.shown(Settings.folder, name, made)

    typer.echo(json.dumps(await_(work), indent=1))


@app.command("compose")
def attestor_compose(
    members: Annotated[list[Path], typer.Argument(help="What `attestor create` printed, a file for each member.")],
    threshold: Annotated[int, typer.Option(help="Weight that makes a quorum.")],
    epoch: Annotated[int, typer.Option(help="1 at first; the present one and one more for a rotation.")] = 1,
) -> None:
    """Print the signer set of these members, once it is one that a client may rest on."""
    import time

    from lockgate.lightclients.attested.signers import check_set
    from lockgate.node import signer_sets
    from lockgate.primitives.time import UnixNanos

    def read(path: Path) -> Signer:
        value = signer_sets.read_file(path)
        known = value if isinstance(value, dict) else {}
        return signer_sets.read_member({name: known[name] for name in signer_sets.FIELDS & known.keys()})

    def work() -> SignerSet:
        made = signer_sets.compose(epoch, threshold, [read(path) for path in members])
        check_set(made, UnixNanos(time.time_ns()))
        return made

    typer.echo(json.dumps(signer_sets.to_json(guard(work)), indent=1))


@app.command("accept")
def attestor_accept(name: Name, file: Annotated[Path, typer.Argument(help="A signer set, as a JSON file.")]) -> None:
    """Have an attestor sign for a set, and hand over to it. Read first who is in it. It may run."""
    from lockgate.node import attestor, signer_sets
    from lockgate.node.foreign import attestors, sets

    given = guard(lambda: signer_sets.read_file(file))
    if isinstance(given, dict) and "members" in given:  # of a contract on an EVM
        epoch, signing = guard(lambda: sets.read(given))
        path = guard(lambda: attestors.accept_set(Settings.folder, name, epoch, signing))
        shown = ", ".join("0x" + one.signer.hex() for one in signing.members)
        show({"accepted": epoch, "signers": shown, "file": str(path)})
        return
    made = guard(lambda: signer_sets.read_set(given))
    path = guard(lambda: attestor.accept(Settings.folder, name, made))
    operators = ", ".join(sorted(made.operators))
    show({"accepted": made.hash.hex(), "epoch": made.epoch, "operators": operators, "file": str(path)})


@app.command("rotate")
def attestor_rotate(
    client: Annotated[str, typer.Argument(help="An attested client, such as `attested-1`.")],
    file: Annotated[Path, typer.Argument(help="The next signer set, as a JSON file that its members accepted.")],
    ledger: Annotated[str, typer.Option(help="The ledger the client is on.", autocompletion=complete_ledger)],
    attestor_address: Annotated[
        list[str] | None,
        typer.Option("--attestor", help="Address of one of the present set; else those of the folder."),
    ] = None,
) -> None:
    """Collect the present quorum's signatures for the next signer set, and have the ledger take it."""
    from lockgate.node import attestor, signer_sets

    made = guard(lambda: signer_sets.read_set(signer_sets.read_file(file)))
    where = tuple(attestor_address or ())
    show(await_(lambda: attestor.rotate(Settings.folder, ledger, client, made, where, reporter(False))))


@app.command("run")
def attestor_run(name: Name, reports: Reports = False, rpc: RpcOption = None, required: RequiredOption = None) -> None:
    """Run an attestor."""
    from lockgate.node import attestor
    from lockgate.node.foreign import attestors
    from lockgate.node.sources import options

    more = guard(lambda: options(rpc or (), required or ()))
    watched = guard(lambda: attestors.chain_of(Settings.folder, name))
    work = attestor.run if watched is None else attestors.run
    run(lambda: work(Settings.folder, name, reporter(reports), more))


@app.command("status")
def attestor_status(
    where: Annotated[list[str] | None, typer.Argument(help="Addresses; all attestors of this folder without.")] = None,
) -> None:
    """Ask attestors who they are and how far they see."""
    from lockgate.node import attestor

    rows = await_(lambda: attestor.status(Settings.folder, tuple(where or ())))
    if Settings.as_json:
        output.print_json(rows)
    else:
        columns = ("attestor", "state", "ledger", "newest", "key")
        output.table("Attestors", list(columns), [[str(row.get(column, "")) for column in columns] for row in rows])
