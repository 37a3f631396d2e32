"""`lockgate send`, `inbox`, `outbox`: messages of a running host."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, ask, await_, guard
from lockgate.cli.names import complete_host

SETTLE_S = 90  # beyond the timeout: an answer's grace, and its way back
Host = Annotated[str, typer.Argument(help="A host of this folder.", autocompletion=complete_host)]


def send(
    host: Host,
    to: Annotated[str, typer.Argument(help="A peer, by the name the host knows it.")],
    text: Annotated[str | None, typer.Argument(help="The message as text.")] = None,
    file: Annotated[Path | None, typer.Option(help="Send any file; - is standard input.")] = None,
    schema: Annotated[str, typer.Option(help="Schema of the body, id@major.minor.")] = "bytes@1.0",
    timeout: Annotated[int, typer.Option(help="Seconds until the packet times out.", min=1, max=86_400)] = 600,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answer and print it.")] = False,
) -> None:
    """Send one sealed message to a peer."""
    from lockgate.node.api import Reply, Sent, connect

    if str(file) == "-":
        body: bytes | Path = sys.stdin.buffer.read()
    else:
        body = file or (text or "").encode()

    async def work() -> tuple[Sent, Reply | None]:
        async with connect(Settings.folder.root, host) as gate:
            sent = await gate.send(to, body, schema=schema, timeout=timeout)
            if not wait:
                return sent, None
            return sent, (await gate.wait(sent, patience=timeout + SETTLE_S)).result()

    sent, reply = await_(work)
    if Settings.as_json:
        answer = {} if reply is None else {"reply": reply.body.hex()}
        output.print_json({**asdict(sent), **answer})
    elif reply is None:
        output.console.print(f"sent as {sent.packet}\nWatch it: lockgate trace {sent.packet} --follow", markup=False)
    else:
        output.console.print(output.text_of(reply.body, most=len(reply.body) * 2), markup=False)


def inbox(
    host: Host,
    limit: Annotated[int, typer.Option(min=1, max=1_000)] = 20,
    save: Annotated[str | None, typer.Option(help="A packet of the list: write its body whole.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where --save writes; by default to standard output.")
    ] = None,
) -> None:
    """Show what a host received and how its guest answered."""
    if save is not None:
        _save(host, save, out)
        return
    rows = _messages(host, "inbox", limit)
    output.table(
        f"Inbox of {host}",
        ["packet", "from", "state", "bytes", "body", "answer"],
        [
            [
                r["packet"],
                _short(r["peer"]),
                r["state"],
                r["bytes"],
                "in a file: --save" if r["file"] else _text(r["body"]),
                _answer(r),
            ]
            for r in rows
        ],
    )


def _save(host: str, packet: str, out: Path | None) -> None:
    from lockgate.node.desk import MAX_LISTED, NoMessage
    from lockgate.node.folder import copy_file, write_file

    rows = ask(host, "inbox", limit=MAX_LISTED)["messages"]
    row = next((row for row in rows if row["packet"] == packet), None)

    def write() -> None:
        if row is None:
            raise NoMessage("not among the newest", packet=packet)
        found = ask(host, "body", client=row["client"], sequence=row["sequence"])
        file = None if found["file"] is None else Path(found["file"])
        if out is not None and file is not None:
            copy_file(out, file)
        elif out is not None:
            write_file(out, bytes.fromhex(found["body"]))
        elif file is not None:
            with file.open("rb") as body:
                shutil.copyfileobj(body, sys.stdout.buffer)
        else:
            sys.stdout.buffer.write(bytes.fromhex(found["body"]))

    guard(write)


def outbox(host: Host, limit: Annotated[int, typer.Option(min=1, max=1_000)] = 20) -> None:
    """Show what a host sent and how it ended."""
    rows = _messages(host, "outbox", limit)
    output.table(
        f"Outbox of {host}",
        ["packet", "to", "state", "body", "answer"],
        [[r["packet"] or "not yet", _short(r["to"]), r["state"], _text(r["body"]), _answer(r)] for r in rows],
    )


def _messages(host: str, verb: str, limit: int) -> list[dict[str, Any]]:
    """Rows of a host's list; as JSON they are printed here, and nothing is left to show."""
    rows: list[dict[str, Any]] = ask(host, verb, limit=limit)["messages"]
    if Settings.as_json:
        output.print_json(rows)
        raise typer.Exit
    return rows


def _answer(row: dict[str, Any]) -> str:
    if row["reply"] is not None:
        return _text(row["reply"])
    return " ".join(text for text in (row["code"], row.get("detail")) if text)


def _short(peer: str) -> str:
    return f"{peer[:16]}…" if len(peer) == 64 else peer


def _text(hexed: str) -> str:
    return output.text_of(bytes.fromhex(hexed))
