"""`lockgate new`: something to start from."""

from __future__ import annotations

from pathlib import Path

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, guard

app = typer.Typer(help="Write something to start from.", no_args_is_help=True)


@app.command("app")
def new_app(folder: Path) -> None:
    """Write a small sender in Python."""
    from lockgate.node.new_app import write

    path = guard(lambda: write(folder))
    if Settings.as_json:
        output.print_json({"file": str(path)})
    else:
        output.say(f"wrote {path}\nRun it beside `lockgate up`: python {path}")


@app.callback()
def new() -> None:
    """Write something to start from."""
