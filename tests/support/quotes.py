"""Recorded option quotes as the shipped guests take them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from black_scholes import Option

EPOCH = date(1970, 1, 1)


def option_chains() -> Path:
    """The folder of recorded option chains; skips the test when it is absent."""
    root = Path(os.environ.get("LOCKGATE_DATA") or Path(__file__).parents[3] / "shared" / "data")
    folder = root / "option-chains"
    if not folder.is_dir():
        pytest.skip(f"recorded option chains are absent: no {folder}")
    return folder


def recorded(file: Path) -> Iterator[tuple[str, Option, int, float]]:
    """Yield series, option, quote day, and the vendor's implied volatility."""
    with file.open(newline="") as text:
        for row in csv.DictReader(text, skipinitialspace=True):
            quoted = (date.fromisoformat(row["quotedate"]) - EPOCH).days
            option = Option(
                is_call=row["type"] == "call",
                spot=millionths(row["underlying_last"]),
                strike=millionths(row["strike"]),
                bid=millionths(row["bid"]),
                ask=millionths(row["ask"]),
                days=(date.fromisoformat(row["expiration"]) - EPOCH).days - quoted,
            )
            yield row["optionroot"], option, quoted, float(row["impliedvol"])


def millionths(text: str) -> int:
    scaled = Decimal(text) * 1_000_000
    assert scaled == int(scaled)
    return int(scaled)
