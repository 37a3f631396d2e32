"""`lockgate explain`: a failure code in words."""

from __future__ import annotations

from typing import Annotated

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings
from lockgate.cli.names import complete_code
from lockgate.primitives.errors import LockgateError, Refused, error_codes


class UnknownCode(Refused):
    code = "explain.unknown_code"
    summary = "No failure has that code."
    next_step = "List every code with `lockgate explain`."


def explain(
    code: Annotated[
        str | None, typer.Argument(help="A failure's code; none lists them all.", autocompletion=complete_code)
    ] = None,
) -> None:
    """Say in words what a failure code means and what to do."""
    from lockgate.node.explain import load_codes

    load_codes()
    known = error_codes()
    if code is None:
        if Settings.as_json:
            output.print_json([_entry(each) for each in known.values()])
        else:
            output.table("Failure codes", ["code", "meaning"], [[name, e.summary] for name, e in known.items()])
        return
    error = known.get(code)
    if error is None:
        raise typer.Exit(output.show_error(UnknownCode("no such code", code=code), as_json=Settings.as_json))
    if Settings.as_json:
        output.print_json(_entry(error))
        return
    output.say(code, style="bold")
    output.say(f"{error.summary}\n{error.untouched}\nNext: {error.next_step}")


def _entry(error: type[LockgateError]) -> dict[str, str]:
    return {"code": error.code, "summary": error.summary, "untouched": error.untouched, "next": error.next_step}
