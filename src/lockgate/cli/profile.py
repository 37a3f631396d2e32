"""`lockgate profile`: named sets of settings, for deployment files and `lockgate up --profile`."""

from __future__ import annotations

from typing import Annotated

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, guard

app = typer.Typer(help="Named sets of settings.", no_args_is_help=True)


@app.command("list")
def profile_list() -> None:
    """Show the profiles: what each is for, and what it costs."""
    from lockgate.node.profiles import PROFILES

    rows = [{"profile": each.name, "for": each.purpose, "costs": each.costs} for each in PROFILES.values()]
    if Settings.as_json:
        output.print_json(rows)
    else:
        output.table("Profiles", ["profile", "for", "costs"], [list(row.values()) for row in rows])


@app.command("show")
def profile_show(name: Annotated[str, typer.Argument(help="A profile, such as `low-latency`.")]) -> None:
    """Show every setting that a profile changes, where it stands in a deployment file, and its default."""
    from lockgate.node.profiles import named
    from lockgate.node.spec import default_of

    profile = guard(lambda: named(name))
    rows = [[table, key, value, default_of(table, key)] for table, key, value in profile.rows()]
    if Settings.as_json:
        columns = ("table", "setting", "value", "default")
        output.print_json({"profile": profile.name, "for": profile.purpose, "costs": profile.costs,
                           "settings": [dict(zip(columns, row, strict=True)) for row in rows]})  # fmt: skip
        return
    output.say(f"{profile.name}: for {profile.purpose}. It costs {profile.costs}.")
    output.table("", ["table", "setting", "value", "default"], rows)
