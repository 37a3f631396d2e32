"""`lockgate guest`: write guests."""

from __future__ import annotations

from pathlib import Path

import typer

from lockgate.cli import output
from lockgate.cli.context import guard

app = typer.Typer(help="Write guests: new project, build, test.", no_args_is_help=True)


@app.command("new")
def guest_new(folder: Path) -> None:
    """Write a guest project that builds and passes its tests."""
    from lockgate.runtime.wasm import authoring

    output.say(f"wrote {guard(lambda: authoring.new(folder))}")


@app.command("build")
def guest_build(folder: Path) -> None:
    """Build and compile a guest's component."""
    from lockgate.runtime.wasm import authoring

    built = guard(lambda: authoring.build(folder))
    output.say(f"{built.component}  {built.identity.hex()}")


@app.command("test")
def guest_test(folder: Path) -> None:
    """Build a guest if need be and run its cases in the sandbox."""
    from lockgate.runtime.wasm import authoring

    report = guard(lambda: authoring.test(folder))
    rows = [[c.name, "ok" if c.passed else "FAILED", c.expected, c.found] for c in report.cases]
    output.table(report.built.name, ["case", "", "expected", "found"], rows)
    if not report.passed:
        raise typer.Exit(1)
