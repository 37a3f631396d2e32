"""`lockgate send`, `inbox`: messages of a running host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, ask


def send(
    host: Annotated[str, typer.Argument(help="The sending host.")],
    to: Annotated[str, typer.Argument(help="A peer, by the name the host knows it.")],
    text: Annotated[str | None, typer.Argument(help="The message as text.")] = None,
    file: Annotated[Path | None, typer.Option(help="Send a file's bytes.")] = None,
    schema: Annotated[str, typer.Option(help="Schema of the body, id@major.minor.")] = "bytes@1.0",
    timeout: Annotated[int, typer.Option(help="Seconds until the packet times out.")] = 600,
) -> None:
    """Send one sealed message to a peer."""
    body = file.read_bytes() if file is not None else (text or "").encode()
    if not body:
        raise typer.BadParameter("give the message as text or with --file")
    result = ask(host, "send", to=to, schema=schema, body=body.hex(), timeout_s=timeout)
    if Settings.as_json:
        output.print_json(result)
        return
    for packet in result.get("packets", ()):
        output.console.print(
            f"sent as {packet['client']}/{packet['sequence']}; its end shows in `lockgate host status {host}`"
        )


def inbox(host: str, limit: int = 20) -> None:
    """Show what a host received and how it answered."""
    rows = ask(host, "inbox", limit=limit)["messages"]
    if Settings.as_json:
        output.print_json(rows)
        return
    output.table(
        f"Inbox of {host}",
        ["packet", "from", "state", "body", "answer"],
        [
            [
                f"{r['client']}/{r['sequence']}",
                r["peer"],
                r["state"],
                output.text_of(bytes.fromhex(r["body"])),
                output.text_of(bytes.fromhex(r["reply"])) if r["reply"] else r["code"] or "",
            ]
            for r in rows
        ],
    )
