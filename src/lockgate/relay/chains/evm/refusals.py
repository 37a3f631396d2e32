"""What a contract, a node or the chain refuses of a transaction, from nodes' words and data."""

from __future__ import annotations

from typing import Final

from lockgate.primitives.errors import LockgateError, Refused
from lockgate.relay.chains.evm import answers
from lockgate.relay.chains.evm.interface import MAX_REASON, reason_of
from lockgate.relay.rpc import BadAnswer, RpcError

KNOWN: Final = ("already known", "already imported", "known transaction")  # nodes' words, in small letters
SPENT: Final = ("nonce too low", "nonce is too low")
TAKEN: Final = ("replacement transaction underpriced", "replacement underpriced")  # another of this nonce waits
# The last one answers a simulation at a price: the balance over the price is less than the call takes
POOR: Final = ("insufficient funds", "insufficient balance", "gas required exceeds allowance")


class Reverted(Refused):
    code = "evm.reverted"
    summary = "A contract refuses the transaction."
    untouched = "Nothing of it was done; in a block, its gas was paid."
    next_step = "Read the contract's word; docs/spec/evm.md says what each means."

    @property
    def reason(self) -> str:
        """The contract's own word."""
        return self.detail


class GasBeyondBound(Refused):
    code = "evm.gas"
    summary = "A transaction would take more gas than a block, or its account's rules, allow."
    untouched = "Nothing was signed and nothing was paid."
    next_step = "Send less at once."


class FundsMissing(Refused):
    code = "evm.funds"
    summary = "The account does not hold what the transaction's gas may cost."
    untouched = "Nothing was sent."
    next_step = "Send the address some of the chain's coin."


class NonceSpent(Refused):
    code = "evm.nonce_spent"
    summary = "The account's nonce was spent by a transaction that was not signed here."
    untouched = "Nothing was done by this one."
    next_step = "Give each process an account of its own."


class NoHost(Refused):
    code = "evm.no_host"
    summary = "There is no host contract at this address of the chain."
    untouched = "Nothing was signed and nothing was sent."
    next_step = "Compare address and chain; `lockgate evm deploy` deploys a host and prints its address."


def of_simulation(error: RpcError) -> LockgateError:
    """What a node's error to a simulation means; the error itself where it is no word of the contract's."""
    if _says(error, POOR):
        return FundsMissing(error.detail)
    try:
        data = answers.data(error.fields.get("data") or "0x", MAX_REASON)
    except BadAnswer:
        data = b""
    if data:
        return Reverted(reason_of(data))
    return Reverted(error.detail) if "revert" in error.detail.lower() else error


def of_sending(error: RpcError) -> LockgateError | None:
    """What a node's error to a transaction means; None where it has the same bytes already."""
    if _says(error, KNOWN):
        return None
    if _says(error, (*SPENT, *TAKEN)):
        return NonceSpent(error.detail)
    return FundsMissing(error.detail) if _says(error, POOR) else error


def _says(error: RpcError, words: tuple[str, ...]) -> bool:
    said = error.detail.lower()
    return any(word in said for word in words)


__all__ = ("FundsMissing", "GasBeyondBound", "NoHost", "NonceSpent", "Reverted", "of_sending", "of_simulation")
