"""Lanes to chains that are not ours, as a deployment starts them: opened, with attestors and one relayer each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lockgate.hosting.work import Report
from lockgate.node import attestor
from lockgate.node.folder import Folder, write_json
from lockgate.node.foreign import cosmos, sets
from lockgate.node.foreign.lane import open_evm
from lockgate.node.foreign.records import relay_name
from lockgate.node.foreign.spec import BadChain, ChainSpec, CosmosSpec, EvmSpec
from lockgate.node.processes import Deployment
from lockgate.node.sources import Nodes

Say = Callable[[str], None]


class Read(Protocol):
    """How a deployment file has a ledger read."""

    @property
    def name(self) -> str: ...

    @property
    def sources(self) -> tuple[str, ...]: ...

    @property
    def required_sources(self) -> int: ...


def named(chains: Sequence[ChainSpec], name: str | None, kind: type[ChainSpec] = ChainSpec) -> ChainSpec:
    """The chain of this name, or the only one of a kind where none is named. Raises BadChain."""
    found = [chain for chain in chains if isinstance(chain, kind) and name in {None, chain.name}]
    if len(found) != 1:
        raise BadChain("name one of the file's chains", known=", ".join(chain.name for chain in chains) or "none")
    return found[0]


async def open_lane(
    folder: Folder, spec: ChainSpec, ledger: Read, batch_most: int, say: Say, report: Report
) -> dict[str, Any]:
    """The lane to a chain, opened where it is not, and its relayer's record. Its ledger runs."""
    nodes = Nodes(ledger.sources, ledger.required_sources)
    record: dict[str, Any] = {"between": [spec.ledger, spec.name], "chain": spec.name, "batch_most": batch_most}
    match spec:
        case EvmSpec():
            lane = await open_evm(folder, spec, nodes, say, report)
            record["attestors"] = {spec.name: [attestor.address(folder, name) for name in sets.names_of(spec)]}
        case CosmosSpec():
            lane = await cosmos.open_lane(folder, spec, nodes, say, report)
        case _:
            raise BadChain("there is no such kind", chain=spec.name, kind=spec.kind)
    if ledger.sources:
        record["sources"] = {spec.ledger: list(ledger.sources)}
        record["required_sources"] = {spec.ledger: ledger.required_sources}
    name = relay_name(spec.ledger, spec.name)
    write_json(folder.relay(name) / "relay.json", record)
    return {**lane, "relay": name}


async def start(
    folder: Folder,
    chains: Sequence[ChainSpec],
    ledgers: Sequence[Read],
    batch_most: int,
    processes: Deployment,
    say: Say,
) -> None:
    """Open every lane, and run its attestors and its relayer. What is reported on the way stands in their logs."""
    by_name = {ledger.name: ledger for ledger in ledgers}
    for chain in chains:
        say(f"the lane to {chain.name}")
        lane = await open_lane(folder, chain, by_name[chain.ledger], batch_most, say, lambda *_: None)
        if isinstance(chain, EvmSpec):
            names = sets.names_of(chain)
            await asyncio.gather(*(processes.start(f"attestor {name}", "attestor", "run", name) for name in names))
        await processes.start(f"relay {lane['relay']}", "relay", "run", lane["relay"])


__all__ = ("named", "open_lane", "start")
