"""How a process of this folder reads a ledger: over the folder's own node, further ones, and how many must agree.

Where several nodes are configured two must agree, unless `required` says otherwise; one is read as it always was.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from lockgate.courier.ports import ChainUnavailable
from lockgate.hosting.work import Report
from lockgate.node.folder import Folder, NotInitialised
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import BadAnswer, Rpc
from lockgate.relay.sources import STUMBLES, Source, Sources, SourcesMisconfigured
from lockgate.relay.sources_chain import SourcedChain

USUAL: Final = 2  # where there are several


class BadSources(Refused):
    code = "config.sources"
    summary = "The nodes of a ledger, or how many of them must agree, are not configured in a way that can hold."
    untouched = "Nothing was started."
    next_step = "Name different nodes, and require no more of them than there are: `--rpc LEDGER=URL`, `--required`."


@dataclass(frozen=True, slots=True)
class Nodes:
    """Nodes of one ledger beside the folder's own, by address; `required` 0 stands for the usual number."""

    further: tuple[str, ...] = ()
    required: int = 0

    def least(self, count: int) -> int:
        """How many of `count` nodes must agree."""
        return self.required or min(USUAL, count)

    def count(self, folder: Folder, name: str) -> int:
        """How many nodes there are, the folder's own among them."""
        return len(self.further) + (folder.ledger(name).is_dir() or not self.further)

    def with_more(self, further: Iterable[str], required: int) -> Nodes:
        """What is said for one run, beside what is configured."""
        return Nodes((*self.further, *further), required or self.required)


def nodes_of(record: dict[str, Any], name: str) -> Nodes:
    """A ledger's nodes in `relay.json`. Raises NotInitialised."""
    further, required = record.get("sources", {}), record.get("required_sources", {})
    try:
        found = Nodes(tuple(map(str, further.get(name, ()))), int(required.get(name, 0)))
    except (AttributeError, TypeError, ValueError) as error:
        raise NotInitialised("sources are addresses by ledger, required_sources numbers", ledger=name) from error
    return found


def options(pairs: Iterable[str], least: Iterable[str] = ()) -> dict[str, Nodes]:
    """`--rpc LEDGER=URL` and `--required LEDGER=N`, each as often as needed. Raises BadSources."""
    further: dict[str, list[str]] = {}
    required: dict[str, int] = {}
    for text in pairs:
        name, mark, address = text.partition("=")
        if not (name and mark and address.startswith(("http://", "https://"))):
            raise BadSources("an --rpc is LEDGER=URL", given=text)
        further.setdefault(name, []).append(address)
    for text in least:
        name, mark, number = text.partition("=")
        if not (name and mark and number.isdigit() and int(number)):
            raise BadSources("a --required is LEDGER=N", given=text)
        required[name] = int(number)
    names = {*further, *required}
    return {name: Nodes(tuple(further.get(name, ())), required.get(name, 0)) for name in names}


async def open_ledger(
    folder: Folder, name: str, nodes: Nodes, report: Report, chain_id: str | None = None
) -> CometBftChain:
    """A ledger as it is to be read; closing `chain.rpc` closes all of it.

    Without `chain_id` it is what the required number of nodes say. Raises BadSources, ChainUnavailable.
    """
    names, rpcs = list(nodes.further), [Rpc(address) for address in nodes.further]
    if nodes.count(folder, name) > len(names):
        names.insert(0, "own node")
        rpcs.insert(0, Rpc(partial(folder.ledger_address, name)))
    try:
        required = nodes.least(len(rpcs))
        if len(rpcs) == required == 1:
            return CometBftChain(rpcs[0], chain_id or await _network(rpcs[0]))
        if not chain_id:
            chain_id = await _common_network(rpcs, required)
        sources = [Source(label, CometBftChain(rpc, chain_id)) for label, rpc in zip(names, rpcs, strict=True)]
        try:
            return SourcedChain(Sources(chain_id, sources, required, report))
        except SourcesMisconfigured as error:
            raise BadSources(str(error), ledger=name, nodes=len(rpcs), required=required) from error
    except BaseException:
        await asyncio.gather(*(rpc.close() for rpc in rpcs), return_exceptions=True)
        raise


async def _network(rpc: Rpc) -> str:
    status = await rpc.call("status")
    try:
        return str(status["node_info"]["network"])
    except (KeyError, TypeError) as error:
        raise BadAnswer("status has another shape") from error


async def _common_network(rpcs: list[Rpc], required: int) -> str:
    answers = await asyncio.gather(*map(_network, rpcs), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, STUMBLES):
            raise answer
    said = Counter(answer for answer in answers if isinstance(answer, str))
    enough = [network for network, count in said.items() if count >= required]
    if len(enough) != 1:
        failures = [str(answer) for answer in answers if isinstance(answer, LockgateError)]
        raise ChainUnavailable("too few nodes say which chain they run", said=dict(said), failures=failures)
    return enough[0]


__all__ = ("BadSources", "Nodes", "nodes_of", "open_ledger", "options")
