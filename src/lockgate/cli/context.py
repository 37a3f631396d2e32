"""What every verb uses: the options before the verb, and how failures and signals end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from lockgate.cli import output
from lockgate.node.folder import Folder
from lockgate.primitives.errors import LockgateError

T = TypeVar("T")
DEFAULT_DATA = Path(".lockgate")


class Settings:
    """Options that stand before the verb."""

    folder = Folder(DEFAULT_DATA)
    as_json = False


Reports = Annotated[bool, typer.Option("--reports", hidden=True)]
RpcOption = Annotated[
    list[str] | None, typer.Option("--rpc", help="LEDGER=URL: read this node of it as well. As often as needed.")
]
RequiredOption = Annotated[
    list[str] | None, typer.Option("--required", help="LEDGER=N: so many of its nodes must agree; else two of several.")
]


def reporter(reports: bool) -> Callable[[str, dict[str, object]], None]:
    if reports:
        return output.print_report

    def say(kind: str, fields: dict[str, object]) -> None:
        shown = "  ".join(f"{name}={_plain(str(value))}" for name, value in fields.items())
        output.remark(f"{kind}  {shown}")

    return say


def _plain(text: str) -> str:
    """On one line, and without what moves a terminal: a stranger's words are in reports, too."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def ask(host: str, verb: str, **arguments: Any) -> dict[str, Any]:
    """Ask a host of the folder through its socket."""
    from lockgate.node.socket import call

    return await_(lambda: call(socket_of(host), verb, **arguments))


def socket_of(host: str) -> Path:
    """Where a host of the folder is asked. Raises NotInitialised."""
    from lockgate.node.folder import NotInitialised

    home = Settings.folder.host(host)
    if not home.is_dir():
        raise NotInitialised("no such host", host=host, folder=str(Settings.folder.root))
    return home / "host.sock"


def show(value: dict[str, Any]) -> None:
    if Settings.as_json:
        output.print_json(value)
    else:
        output.table("", ["", ""], [[name, shown] for name, shown in value.items()])


def await_(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end and return what it found."""
    try:
        return guard(lambda: asyncio.run(work()))
    except KeyboardInterrupt:
        raise typer.Exit(output.EXIT_INTERRUPTED) from None


def guard(work: Callable[[], T]) -> T:
    """Turn a typed failure into a sentence and its exit code."""
    try:
        return work()
    except LockgateError as error:
        raise typer.Exit(output.show_error(error, as_json=Settings.as_json)) from error


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run until done, ctrl-C or SIGTERM; all end cleanly."""
    has_parent = "--reports" in sys.argv and not sys.stdin.isatty()

    async def supervised() -> None:
        task = asyncio.ensure_future(work())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        if has_parent:
            loop.add_reader(sys.stdin.fileno(), _parent_gone, task)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    guard(lambda: asyncio.run(supervised()))


def take_roots() -> None:
    """The parent's first line: what it stretched the passphrase to, so that no child does it again."""
    from lockgate.keystore.stretch import roots_from_bytes

    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(sys.stdin.fileno(), 4096)
        if not piece:
            raise typer.Exit(0)
        line += piece
    Settings.folder.roots.update(roots_from_bytes(bytes.fromhex(line.decode())))


def _parent_gone(task: asyncio.Future[None]) -> None:
    if not os.read(sys.stdin.fileno(), 1):
        task.cancel()
