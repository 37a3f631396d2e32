"""`lockgate doctor`: what is here, what runs, what to do."""

from __future__ import annotations

from dataclasses import asdict

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, await_


def doctor() -> None:
    """Check the installation, the data folder and what runs; exit code 1 when something is wrong."""
    from lockgate.node.doctor import Level, examine

    checks = await_(lambda: examine(Settings.folder))
    if Settings.as_json:
        output.print_json([asdict(check) for check in checks])
    else:
        output.table("", ["", "", "found", "to do"], [[c.level, c.name, c.found, c.next_step] for c in checks])
    if any(check.level is Level.FAIL for check in checks):
        raise typer.Exit(output.EXIT_FAILED_CHECK)
