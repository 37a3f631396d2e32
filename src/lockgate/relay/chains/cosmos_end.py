"""A Cosmos SDK chain put together: its nodes, of which so many must agree, and an account on it."""

from __future__ import annotations

from collections.abc import Sequence

from lockgate.relay.chains.cosmos import CosmosChain
from lockgate.relay.chains.cosmos_submitter import CosmosSubmitter, GasPrice
from lockgate.relay.chains.cosmos_tx import CosmosKey
from lockgate.relay.mover import Report
from lockgate.relay.rpc import Rpc
from lockgate.relay.sources import Source, Sources
from lockgate.relay.sources_chain import SourcedChain


class SourcedCosmos(SourcedChain, CosmosChain):
    """A Cosmos SDK chain read through several nodes."""


def cosmos_chain(nodes: Sequence[tuple[str, Rpc]], chain_id: str, required: int, report: Report) -> CosmosChain:
    """A chain through one node or several, each with the name it is told by. Raises SourcesMisconfigured."""
    if len(nodes) == 1:
        return CosmosChain(nodes[0][1], chain_id)
    sources = [Source(name, CosmosChain(rpc, chain_id)) for name, rpc in nodes]
    return SourcedCosmos(Sources(chain_id, sources, required, report))


def cosmos_account(chain: CosmosChain, scalar: bytes, prefix: str, price: tuple[int, int, str]) -> CosmosSubmitter:
    """An account by its secret; `price` is an amount, for so many units of gas, of a denomination. Raises BadKey."""
    return CosmosSubmitter(chain, CosmosKey.of(scalar, prefix), GasPrice(*price))


__all__ = ("CosmosChain", "CosmosSubmitter", "SourcedCosmos", "cosmos_account", "cosmos_chain")
