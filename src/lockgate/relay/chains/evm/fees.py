"""What a transaction may cost: the operator's word, which no node's raises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lockgate.primitives.errors import Refused

GWEI: Final = 10**9
BUMP: Final = (9, 8)  # nodes replace a waiting transaction for a tenth more; an eighth is what others use
GAS_MARGIN: Final = (13, 10)  # over an estimate: the state moves on until the block
PLAIN_GAS: Final = 21_000  # of a transaction that does nothing


class FeeAboveCeiling(Refused):
    code = "evm.fee"
    summary = "The chain asks more for gas than this account is to pay."
    untouched = "Nothing was signed and nothing was paid."
    next_step = "Wait until gas is cheaper, or raise the ceiling (`--max-fee`)."


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei per gas: `tip` goes to who makes the block, `fee` is the whole, tip included."""

    tip: int
    fee: int


@dataclass(frozen=True, slots=True)
class FeeRules:
    """Bounds in wei per gas, and of gas in one transaction."""

    ceiling: int
    most_tip: int = 2 * GWEI  # also of what replaces a transaction: who makes blocks may hold it back
    most_gas: int = 15_000_000  # half of a block of Ethereum's

    def fees(self, base_fee: int, tip: int) -> Fees:
        """For a block of this base fee: six more full blocks may raise it before it is too little.

        Raises FeeAboveCeiling when not even the next block would take it.
        """
        if base_fee > self.ceiling:
            raise FeeAboveCeiling(base_fee=base_fee, ceiling=self.ceiling)
        tip = min(tip, -(-self.most_tip // 2))  # the other half is for replacing it
        fee = min(2 * base_fee + tip, self.ceiling)
        return Fees(min(tip, fee), fee)

    def bumped(self, old: Fees, now: Fees) -> Fees | None:
        """What replaces a transaction that waits for `old`; None where that would pass the ceiling or `most_tip`."""
        tip = max(now.tip, -(-old.tip * BUMP[0] // BUMP[1]), old.tip + 1)
        fee = max(now.fee, -(-old.fee * BUMP[0] // BUMP[1]), old.fee + 1)
        return Fees(tip, fee) if tip <= min(self.most_tip, fee) and fee <= self.ceiling else None

    def gas(self, estimate: int, block_limit: int, beside: int = 0, *, divisible: bool = False) -> int | None:
        """What is set for an estimate, where applications may take so much beside it.

        None where the estimate does not fit, and where all of it does not and less can be done at once.
        """
        most = min(self.most_gas, block_limit)
        if estimate > most or (divisible and estimate + beside > most):
            return None
        return min(max(-(-estimate * GAS_MARGIN[0] // GAS_MARGIN[1]), estimate + beside), most)


__all__ = ("GWEI", "PLAIN_GAS", "FeeAboveCeiling", "FeeRules", "Fees")
