"""`lockgate send`, `inbox`, `outbox`: messages of a running host."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, ask, await_, guard, socket_of
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
        output.say(f"sent as {sent.packet}\nWatch it: lockgate trace {sent.packet} --follow")
    else:
        output.say(output.text_of(reply.body, most=len(reply.body) * 2))


def inbox(host: Host, limit: Annotated[int, typer.Option(min=1, max=1_000)] = 20) -> None:
    """Show what a host received and how its guest answered."""
    rows: list[dict[str, Any]] = ask(host, "inbox", limit=limit)["messages"]
    if Settings.as_json:
        output.print_json(rows)
        return
    output.table(
        f"Inbox of {host}",
        ["packet", "from", "state", "bytes", "body", "answer"],
        [
            [
                r["packet"],
                _short(r["peer"]),
                r["state"],
                r["bytes"],
                "in a file: lockgate save" if r["file"] else _body(r),
                _answer(r),
            ]
            for r in rows
        ],
    )


def save(
    host: Host,
    packet: Annotated[str, typer.Argument(help="A received message, as `lockgate inbox` names it.")],
    file: Annotated[Path, typer.Argument(help="Where to write its body; must not exist.")],
    remove: Annotated[bool, typer.Option("--remove", help="Then remove the host's own copy of a large body.")] = False,
) -> None:
    """Write the body of a received message to a file, whole or not at all."""
    from lockgate.node.bulk import save_body

    found = ask(host, "body", packet=packet)
    size = guard(lambda: save_body(found, file))
    if remove:
        ask(host, "drop_body", packet=packet)
    if Settings.as_json:
        output.print_json({"file": str(file), "bytes": size})
    else:
        output.say(f"wrote {size:,} bytes to {file}")


def outbox(
    host: Host,
    limit: Annotated[int, typer.Option(min=1)] = 20,
    before: Annotated[str, typer.Option(metavar="PACKET", help="Only older ones than this: a packet, or a ref.")] = "",
) -> None:
    """Show what a host sent and how it ended."""
    from lockgate.node import outbox as pages

    rows = await_(lambda: pages.outbox(socket_of(host), limit, before))
    if Settings.as_json:
        output.print_json(rows)
        return
    output.table(
        f"Outbox of {host}",
        ["packet", "to", "state", "body", "answer"],
        [[r["packet"] or "not yet", _short(r["to"]), r["state"], _body(r), _answer(r)] for r in rows],
    )


def _body(row: dict[str, Any]) -> str:
    return "(erased)" if row.get("erased") else _text(row["body"])


def _answer(row: dict[str, Any]) -> str:
    if row["reply"] is not None:
        return _text(row["reply"])
    return " ".join(text for text in (row["code"], row.get("detail")) if text)


def _short(peer: str) -> str:
    return f"{peer[:16]}…" if len(peer) == 64 else peer


def _text(hexed: str) -> str:
    return output.text_of(bytes.fromhex(hexed))
