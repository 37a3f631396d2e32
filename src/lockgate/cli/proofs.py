"""`lockgate verify`: proofs, checked without any node."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, guard, show


def verify(
    bundle: Annotated[Path | None, typer.Argument(help="A proof bundle, checked without any node.")] = None,
    trusted: Annotated[str | None, typer.Option(help="Hash of the header trust starts from (hex).")] = None,
    store: Annotated[
        str | None, typer.Option(help="Check a ledger's whole store instead; names the first bad height.")
    ] = None,
) -> None:
    """Verify a proof bundle offline, or a ledger's store."""
    from lockgate.node import check

    if store is not None:
        show(guard(lambda: check.store(Settings.folder, store)))
        return
    if bundle is None:
        raise typer.BadParameter("name a bundle, or a ledger with --store")
    finding = guard(lambda: check.bundle(bundle, trusted))
    if Settings.as_json:
        output.print_json(asdict(finding))
    else:
        output.console.print(finding.sentence())
