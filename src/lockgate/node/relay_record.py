"""What the record of a relayer, `relay.json`, says beside the pair it serves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from lockgate.courier.batches import BATCH_MOST
from lockgate.node.folder import NotInitialised, read_json

PAIR: Final = 2
ADDRESS: Final = re.compile(r"unix:/.+|tcp:(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d{1,5}", re.DOTALL)


def read(home: Path) -> dict[str, Any]:
    """A relayer's record. Raises NotInitialised, NotRunning."""
    record: Any = read_json(home / "relay.json")
    if not isinstance(record, dict):
        raise NotInitialised("the record of a relayer is one object", file=str(home / "relay.json"))
    return record


def between(record: dict[str, Any]) -> tuple[str, str]:
    """The two ledgers it serves. Raises NotInitialised."""
    given = record.get("between")
    if not isinstance(given, list) or len(given) != PAIR or not all(type(each) is str and each for each in given):
        raise NotInitialised("between of a relayer is the names of two ledgers", given=str(given)[:100])
    one, other = given
    if one == other:
        raise NotInitialised("a relayer is between two ledgers", given=str(given)[:100])
    return one, other


def witnesses(record: dict[str, Any], ledger: str) -> tuple[str, ...]:
    """Nodes of a ledger that must show the same before anything is called misbehaviour. Raises NotInitialised."""
    named = record.get("witnesses", {})
    given = named.get(ledger, []) if isinstance(named, dict) else None
    if not isinstance(given, list) or not all(type(each) is str and each for each in given):
        raise NotInitialised("witnesses of a relayer are addresses by ledger", given=str(named)[:100])
    return tuple(given)


def attestors(record: dict[str, Any], ledger: str) -> tuple[str, ...]:
    """Who attests a ledger, for a client on the other one. Raises NotInitialised."""
    named = record.get("attestors", {})
    given = named.get(ledger, []) if isinstance(named, dict) else None
    if not isinstance(given, list) or not all(type(each) is str and ADDRESS.fullmatch(each) for each in given):
        raise NotInitialised("attestors of a relayer are addresses by ledger", given=str(named)[:100])
    return tuple(given)


def batch_most(record: dict[str, Any]) -> int:
    """How many packets go into one transaction at most. Raises NotInitialised."""
    given = record.get("batch_most", BATCH_MOST)
    if type(given) is not int or not 1 <= given <= BATCH_MOST:
        raise NotInitialised(f"batch_most of a relayer is 1 to {BATCH_MOST}", given=str(given)[:100])
    return given


def max_gas_prices(record: dict[str, Any]) -> dict[str, int]:
    """What the relayer pays for a unit of gas at most, by ledger. Raises NotInitialised."""
    prices = record.get("max_gas_price", {})
    if not isinstance(prices, dict) or any(type(price) is not int or price < 0 for price in prices.values()):
        raise NotInitialised("max_gas_price of a relayer is whole numbers by ledger", given=str(prices)[:100])
    return prices


__all__ = ("attestors", "batch_most", "between", "max_gas_prices", "read", "witnesses")
