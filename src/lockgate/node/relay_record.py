"""What the record of a relayer, `relay.json`, says beside the pair it serves."""

from __future__ import annotations

from typing import Any

from lockgate.courier.batches import BATCH_MOST
from lockgate.node.folder import NotInitialised


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


__all__ = ("batch_most", "max_gas_prices")
