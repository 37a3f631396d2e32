"""`lockgate keys`: the keys of a folder's parties. Private keys are shown by no verb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, await_, guard, show
from lockgate.cli.names import complete_party

Party = Annotated[str, typer.Argument(help="KIND/NAME, as `keys list` shows it.", autocompletion=complete_party)]
Key = Annotated[str, typer.Argument(help="Which key, where a party has several that rotate.")]
app = typer.Typer(help="Keys of hosts, ledgers, relayers and attestors.", no_args_is_help=True)


@app.command("list")
def keys_list(
    party: Annotated[str, typer.Argument(help="Only this party.", autocompletion=complete_party)] = "",
) -> None:
    """List the keys of every party, where they lie, and which families of cryptography all must break before one is of
    use to others. Opens nothing."""
    from lockgate.node import keys

    rows = guard(lambda: keys.listed(Settings.folder, party))
    if Settings.as_json:
        output.print_json(rows)
        return
    heads = ["party", "key", "role", "suite", "stands on", "key id", "where", "rotates (unix)"]
    listed = [
        [r["party"], r["key"], r["role"], r["suite"], " and ".join(r["families"]), r["key_id"][:12], _where(r), _due(r)]
        for r in rows
    ]
    output.table("", heads, listed)


@app.command("show")
def keys_show(party: Party) -> None:
    """Open a party's keystore, look every key up where it lies, and show what is public."""
    from lockgate.node import keys

    _party(guard(lambda: keys.shown(Settings.folder, party)))


@app.command("new")
def keys_new(
    party: Party,
    keystore: Annotated[str, typer.Option(help="file, pkcs11:…, tpm:… or tpm-sealed:…")] = "",
) -> None:
    """Make a party's first keys. Where there are keys, nothing is made."""
    from lockgate.node import keys

    _party(guard(lambda: keys.made(Settings.folder, party, keystore)))


@app.command("export-public")
def keys_export_public(party: Party, key: Annotated[str, typer.Argument(help="Only this key.")] = "") -> None:
    """Print public keys whole, as JSON; of a host its signed inception record too."""
    from lockgate.node import keys

    output.print_json(guard(lambda: keys.exported(Settings.folder, party, key)))


@app.command("import")
def keys_import(
    party: Party,
    file: Annotated[Path, typer.Argument(help="A key file from elsewhere.")],
    passphrase_file: Annotated[
        Path | None, typer.Option(help="What opens it, in a file of mode 0600; else you are asked.")
    ] = None,
) -> None:
    """Take a key file from elsewhere, and seal it anew for this folder. Never over keys that are there."""
    from lockgate.keystore.pin import read_pin
    from lockgate.keystore.stretch import Passphrase
    from lockgate.node import keys

    def work() -> dict[str, Any]:
        path = None if passphrase_file is None else str(passphrase_file)
        text = read_pin(path, f"the key file {file.name}").reveal().decode()
        return keys.imported(Settings.folder, party, file, Passphrase(text))

    _party(guard(work))


@app.command("rotate")
def keys_rotate(
    party: Party,
    key: Key = "",
    seal_suite: Annotated[int, typer.Option(help="A host's: the seal suite of the next sealing key.")] = 0,
    sign_suite: Annotated[
        int, typer.Option(help="A host's: the signature suite of the identity that the rotation after this one brings.")
    ] = 0,
) -> None:
    """Replace keys by the next ones, on the ledgers, which must run: a host's all together, of others the one named.

    A host that is stopped is rotated, too, by an account of this folder.
    """
    from lockgate.node import keys

    show(await_(lambda: keys.rotate(Settings.folder, party, key, seal_suite, output.remark, sign_suite)))


@app.command("apart")
def keys_apart(
    party: Party,
    folder: Annotated[str, typer.Argument(help="Where to: a folder on a medium of its own, or `none`: back.")],
) -> None:
    """Keep a host's next identity apart, so that a copy of its key file cannot rotate it. The host must not run."""
    from lockgate.node import keys, reserve

    show(guard(lambda: reserve.set_apart(Settings.folder, keys.existing(Settings.folder, party), folder)))


@app.command("revoke")
def keys_revoke(
    party: Party,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: a revoked endpoint stays revoked.")] = False,
) -> None:
    """Have the ledger's authority revoke a host's endpoint, for good. Waits until that stands."""
    from lockgate.node import keys

    if not yes:
        typer.confirm(f"Revoke {party} for good? Its endpoint id can never be used again", abort=True, err=True)
    show(await_(lambda: keys.revoke(Settings.folder, party, output.remark)))


@app.command("schedule")
def keys_schedule(
    party: Party,
    key: Key = "",
    every: Annotated[str, typer.Option(help="Set it: hours or days, `90 d`, or `never`.")] = "",
) -> None:
    """Show when keys rotate by themselves, and when next. Whoever runs takes a change up within a minute."""
    from lockgate.node import keys

    show(guard(lambda: keys.scheduled(Settings.folder, party, every, key)))


@app.command("exposure")
def keys_exposure(party: Party) -> None:
    """Say what a thief of each of a party's keys can still do, and what ends it. Read from records and the ledger."""
    from dataclasses import asdict

    from lockgate.node import keys

    standing, found = await_(lambda: keys.exposed(Settings.folder, party))
    if Settings.as_json:
        output.print_json({"standing": standing, "exposures": [asdict(each) for each in found]})
        return
    output.table("", ["stolen", "good for", "until"], [[e.stolen, e.good_for, e.until] for e in found])


def _party(shown: dict[str, Any]) -> None:
    if Settings.as_json:
        output.print_json(shown)
        return
    rows = [[name, k["role"], k["suite_name"], k["key_id"], _where(k)] for name, k in sorted(shown["keys"].items())]
    output.table(f"{shown['party']}, {shown['place']}", ["key", "role", "suite", "key id", "where"], rows)
    for sentence in shown["custody"]:
        output.say(sentence)
    for label in shown.get("unnamed_in_device", ()):
        output.remark(f"In the device and named by no key file: {label}")


def _due(row: dict[str, Any]) -> str:
    return "" if row["next_rotation"] is None else str(row["next_rotation"])


def _where(facts: dict[str, Any]) -> str:
    return ", ".join(f"{half['algorithm']}: {half['where']}" for half in facts["halves"])
