"""A Cosmos SDK chain with ibc-go v11, as a courier's `Chain` (I10).

It speaks the RPC and the queries that our own ledgers answer, so this is their adapter with what such a chain
does otherwise: a packet's receipt is told twice, since ibc-go writes the events of the application's context
twice, and there is no Lockgate document, store or query to ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lockgate.codec.wire import cosmos_pb2 as wire
from lockgate.primitives.errors import Refused
from lockgate.primitives.state import Event
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import BadAnswer, RpcError, b64, number

ACCOUNT: Final = "/cosmos.auth.v1beta1.Query/Account"
SIMULATE: Final = "/cosmos.tx.v1beta1.Service/Simulate"
NOT_FOUND: Final = "not found"  # sdk/22 in words; a query's code does not reach us
ONCE: Final = frozenset({"recv_packet"})


class AccountAbsent(Refused):
    code = "cosmos.account_absent"
    summary = "The chain knows no account of this address: nobody has sent it anything yet."
    untouched = "Nothing was signed."
    next_step = "Send the address some of the chain's coins, then try again."


class CosmosChain(CometBftChain):
    """Reads one Cosmos SDK chain over one node. Meets `courier.ports.Chain`."""

    async def events(self, heights: Sequence[int]) -> list[tuple[Event, ...]]:
        """As for any ledger, but what ibc-go says twice is there once."""
        return [once(events) for events in await super().events(heights)]

    async def account(self, address: str) -> tuple[int, int]:
        """Account number and next sequence, as committed. Raises AccountAbsent."""
        request = wire.QueryAccountRequest(address=address)
        try:
            answer = await self.query(ACCOUNT, request.SerializeToString())
        except RpcError as error:
            if NOT_FOUND in str(error):
                raise AccountAbsent("no such account", address=address, chain=self.chain_id) from error
            raise
        held = self._parsed(wire.QueryAccountResponse, b64(answer.get("value"))).account
        found = self._parsed(wire.BaseAccount, held.value)
        if found.address != address:
            raise BadAnswer("the node answered for another account", asked=address)
        return found.account_number, found.sequence

    async def gas_of(self, transaction: bytes) -> int:
        """Gas that a signed transaction uses on the newest state. Raises RpcError where it would be refused."""
        answer = await self.query(SIMULATE, wire.SimulateRequest(tx_bytes=transaction).SerializeToString())
        return int(self._parsed(wire.SimulateResponse, b64(answer.get("value"))).gas_info.gas_used)

    async def block_bounds(self) -> tuple[int, int]:
        """Most bytes and most gas of a block, as the chain's own parameters say; -1 is no bound."""
        at = (await self.tip()).height.height  # without a height a node may look for one it is still making
        answer = await self.rpc.call("consensus_params", height=str(at))
        try:
            block = answer["consensus_params"]["block"]
            return number(block["max_bytes"]), number(block["max_gas"])
        except (KeyError, TypeError) as error:
            raise BadAnswer("the consensus parameters have another shape") from error


def once(events: Sequence[Event]) -> tuple[Event, ...]:
    """Drop repetitions of what is told of a packet at most once."""
    seen: set[Event] = set()
    found = []
    for event in events:
        if event.type in ONCE:
            if event in seen:
                continue
            seen.add(event)
        found.append(event)
    return tuple(found)


__all__ = ("AccountAbsent", "CosmosChain", "once")
