"""Option quotes for the demo: read from CSV as vendors write it, or computed when there is none.

Money in millionths, days since 1970-01-01; the wire form is the guests' `option-quote@1.0`.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import erf, log, sqrt
from pathlib import Path
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.primitives.errors import PeerFault

SCHEMA: Final = "option-quote@1.0"
MILLION: Final = 1_000_000
EPOCH: Final = dt.date(1970, 1, 1)
MAX_ROWS: Final = 100_000
NEEDED: Final = ("optionroot", "type", "expiration", "quotedate", "strike", "bid", "ask", "underlying_last")


class BadQuotes(PeerFault):
    code = "demo.bad_input"
    summary = "The file is not a table of option quotes."
    untouched = "Nothing was sent."
    next_step = "Use a CSV with the columns optionroot, type, expiration, quotedate, strike, bid, ask, underlying_last."


@dataclass(frozen=True, slots=True)
class Quote:
    """One quote: series, kind, prices in millionths, dates in days."""

    series: str
    kind: str
    spot: int
    strike: int
    bid: int
    ask: int
    quoted: int
    expires: int

    def encode(self) -> bytes:
        return cbor.encode(
            {
                "series": self.series,
                "kind": self.kind,
                "spot": self.spot,
                "strike": self.strike,
                "bid": self.bid,
                "ask": self.ask,
                "quoted": self.quoted,
                "expires": self.expires,
            }
        )


def read_csv(path: Path) -> list[Quote]:
    """Every row of a file of quotes. Raises BadQuotes with the line."""
    try:
        with path.open(newline="") as file:
            rows = csv.DictReader(file)
            names = {name.strip(): name for name in rows.fieldnames or ()}
            missing = [name for name in NEEDED if name not in names]
            if missing:
                raise BadQuotes("columns are missing", missing=", ".join(missing), file=str(path))
            quotes = [_quote(row, names, line) for line, row in enumerate(rows, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadQuotes(str(error), file=str(path)) from error
    if not 0 < len(quotes) <= MAX_ROWS:
        raise BadQuotes("the file has no rows, or too many", rows=len(quotes))
    return quotes


def computed_chain() -> list[Quote]:
    """An option chain of the project's own: 3 expiries, 11 strikes, calls and puts, a smile of volatility."""
    quotes = []
    quoted = (dt.date(2026, 1, 5) - EPOCH).days
    spot = 100.0
    for days in (30, 91, 182):
        for strike in range(75, 130, 5):
            years = days / 365
            volatility = 0.18 + 0.6 * (log(strike / spot) ** 2)
            for kind in ("call", "put"):
                price = _black_scholes(kind == "call", spot, float(strike), years, volatility)
                half = max(0.005, price * 0.004)
                quotes.append(
                    Quote(
                        f"LGX{days:03d}{kind[0].upper()}{strike:05d}",
                        kind,
                        round(spot * MILLION),
                        strike * MILLION,
                        round(max(price - half, 0.0) * MILLION),
                        round((price + half) * MILLION),
                        quoted,
                        quoted + days,
                    )
                )
    return quotes


def describe(answer: bytes) -> tuple[str, str]:
    """Kind of an answer (solved, no solution, expired, unreadable) and its words."""
    try:
        value: Any = cbor.decode(answer)
        ((kind, detail),) = value.items()
        if kind == "volatility":
            return "solved", f"{int(detail) / 1e9:.4f}"
        if kind == "no_solution":
            return "no solution", f"{detail['bound']} bound {int(detail['limit']) / MILLION:.4f}"
        if kind == "expired":
            return "expired", f"{detail} days"
    except (ValueError, TypeError, AttributeError, KeyError, PeerFault):
        pass
    return "unreadable", answer.hex()[:40]


def batches(quotes: Iterable[Quote], size: int) -> list[list[Quote]]:
    found = list(quotes)
    return [found[i : i + size] for i in range(0, len(found), size)]


def _quote(row: dict[str, str], names: dict[str, str], line: int) -> Quote:
    def cell(name: str) -> str:
        return (row.get(names[name]) or "").strip()

    try:
        kind = cell("type").lower()
        if kind not in {"call", "put"}:
            raise ValueError(kind)
        quoted, expires = _day(cell("quotedate")), _day(cell("expiration"))
        money = {name: _money(cell(name)) for name in ("underlying_last", "strike", "bid", "ask")}
    except (ValueError, InvalidOperation) as error:
        raise BadQuotes("a row does not read", line=line) from error
    return Quote(
        cell("optionroot"),
        kind,
        money["underlying_last"],
        money["strike"],
        money["bid"],
        money["ask"],
        quoted,
        expires,
    )


def _money(text: str) -> int:
    value = Decimal(text) * MILLION
    if value < 0 or value != value.to_integral_value():
        raise ValueError(text)
    return int(value)


def _day(text: str) -> int:
    return (dt.date.fromisoformat(text[:10]) - EPOCH).days


def _black_scholes(call: bool, spot: float, strike: float, years: float, volatility: float) -> float:
    deviation = volatility * sqrt(years)
    d1 = (log(spot / strike) + deviation * deviation / 2) / deviation
    normal = [0.5 * (1 + erf(d / sqrt(2))) for d in (d1, d1 - deviation)]
    value = spot * normal[0] - strike * normal[1]
    return value if call else value - spot + strike
