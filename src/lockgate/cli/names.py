"""Completion of names from the data folder, for the shell: paths only, nothing is opened or loaded."""

from __future__ import annotations

from pathlib import Path

import typer

from lockgate.cli.context import DEFAULT_DATA


def complete_ledger(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, "ledgers", incomplete)


def complete_host(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, "hosts", incomplete)


def complete_relay(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, "relays", incomplete)


def complete_attestor(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, "attestors", incomplete)


def complete_party(ctx: typer.Context, incomplete: str) -> list[str]:
    kinds = ("host", "ledger", "relay", "attestor")
    names = [f"{kind}/{name}" for kind in kinds for name in _names(ctx, f"{kind}s", "")]
    return [name for name in names if name.startswith(incomplete)]


def complete_code(incomplete: str) -> list[str]:
    from lockgate.node.explain import load_codes
    from lockgate.primitives.errors import error_codes

    load_codes()
    return [code for code in error_codes() if code.startswith(incomplete)]


def _names(ctx: typer.Context, kind: str, incomplete: str) -> list[str]:
    folder = Path(ctx.find_root().params.get("data") or DEFAULT_DATA) / kind
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name.startswith(incomplete))
