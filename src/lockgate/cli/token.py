"""`lockgate token`: passes for programs that ask a host and are not its operator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, await_, guard, show, socket_of
from lockgate.cli.names import complete_host

app = typer.Typer(help="Passes for programs that ask a host: short, and for named verbs.", no_args_is_help=True)


@app.command("issue")
def token_issue(
    host: Annotated[str, typer.Argument(help="A host of this folder.", autocompletion=complete_host)],
    allow: Annotated[list[str], typer.Option(help="A verb that the pass allows. As often as needed.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, of mode 0600.")],
    subject: Annotated[str, typer.Option("--for", help="Whose it is: a name for the host's log.")] = "pass",
    minutes: Annotated[int, typer.Option(help="How long it is good for.", min=1, max=10)] = 5,
) -> None:
    """Issue a pass: a token and its key, in a file. Its holder names the file in LOCKGATE_TOKEN."""
    from lockgate.node import issuing, passes

    def work() -> dict[str, Any]:
        home = socket_of(host).parent
        unknown = sorted(set(allow) - issuing.GRANTS)
        if unknown:
            raise passes.UnknownVerb(verb=unknown[0], known=" ".join(sorted(issuing.GRANTS)))
        made, seed = passes.make(Settings.folder, home, subject, tuple(set(allow)), minutes * 60)
        passes.write(out, made, seed)
        return {"file": str(out), **passes.summary(made)}

    show(guard(work))


@app.command("show")
def token_show(file: Annotated[Path, typer.Argument(help="A pass.")]) -> None:
    """Show what a pass allows, of which host, and until when. Its signature is the host's to verify."""
    from lockgate.node import passes

    show(guard(lambda: passes.summary(passes.read(file))))


@app.command("revoke")
def token_revoke(
    host: Annotated[str, typer.Argument(help="The host it is for.", autocompletion=complete_host)],
    file: Annotated[Path | None, typer.Argument(help="The pass.")] = None,
    one: Annotated[
        str, typer.Option("--id", help="Or a token's id, or the hash of a key that issued tokens, in hex.")
    ] = "",
) -> None:
    """Put a pass on the list of revoked ones on the host's ledger. Hosts refuse it within seconds."""
    from lockgate.node import passes, revoked

    async def work() -> dict[str, Any]:
        socket_of(host)
        found, until = passes.revocable(file, one)
        return await revoked.revoke(Settings.folder, host, found, until)

    show(await_(work))


@app.command("rotate")
def token_rotate() -> None:
    """Replace the operator's key. Every pass it issued is refused from now on; running hosts need no restart."""
    from lockgate.node import issuing

    before = next(iter(issuing.issuers(Settings.folder)), b"")
    key = guard(lambda: issuing.rotate(Settings.folder))
    show({"issuer": issuing.issuer_name(Settings.folder), "key": key.hash.hex(), "replaced": before.hex()})
    output.remark("Passes that were issued before are refused from now on; issue new ones.")
