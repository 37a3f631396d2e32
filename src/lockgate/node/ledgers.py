"""The ledgers a tool can reach: those of a data folder that run, and nodes named by their address.

Read-only, and from public data alone: no key is opened, no host is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from lockgate.machine.genesis import Genesis
from lockgate.machine.records import Lane
from lockgate.node.cometbft import address_now
from lockgate.node.folder import Folder, NotInitialised
from lockgate.node.provision import lanes_of, open_chain
from lockgate.primitives.errors import LockgateError, Unavailable
from lockgate.primitives.ids import DomainId
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import Rpc


class LedgerDown(Unavailable):
    code = "node.ledger_down"
    summary = "A ledger that is needed does not answer."
    next_step = "Start it with `lockgate up` or `lockgate ledger run NAME`, or name a node of it with --rpc."


@dataclass(frozen=True, slots=True)
class Ledger:
    """One reachable ledger of ours."""

    name: str
    chain: CometBftChain
    genesis: Genesis
    lanes: tuple[Lane, ...]

    @property
    def domain(self) -> DomainId:
        return self.genesis.domain_id

    @property
    def ledger_class(self) -> str:
        return self.genesis.ledger_class.value

    def lane(self, client: str) -> Lane | None:
        """The lane over a local client."""
        return next((lane for lane in self.lanes if lane.local_client == client), None)


@dataclass(slots=True)
class Ledgers:
    """Reachable ledgers by name, and the names of known ones that are not. Use as an async context manager."""

    folder: Folder | None = None
    addresses: Sequence[str] = ()
    found: dict[str, Ledger] = field(default_factory=dict)
    down: dict[DomainId, str] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        try:
            named = self._recorded()
            opened = await asyncio.gather(*(self._open(name, address) for name, address in named))
            for address in self.addresses:
                opened.append(await self._open("", address, required=True))
            self.found = {ledger.name: ledger for ledger in opened if ledger is not None}
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await asyncio.gather(*(ledger.chain.rpc.close() for ledger in self.found.values()))

    def named(self, name: str) -> Ledger:
        """A ledger by its name in the folder or its chain id. Raises LedgerDown, NotInitialised."""
        for ledger in self.found.values():
            if name in {ledger.name, ledger.chain.chain_id}:
                return ledger
        if name in self.down.values():
            raise LedgerDown("the ledger does not answer", ledger=name)
        raise NotInitialised("no such ledger", name=name)

    def of_domain(self, domain: DomainId) -> Ledger | None:
        return next((ledger for ledger in self.found.values() if ledger.domain == domain), None)

    def name_of(self, domain: DomainId) -> str:
        """What people call a domain: the ledger's name, or the start of its id."""
        ledger = self.of_domain(domain)
        return ledger.name if ledger is not None else self.down.get(domain, f"domain {domain.hex()[:16]}…")

    def _recorded(self) -> list[tuple[str, Callable[[], str]]]:
        """Names of the folder's ledgers that say where they listen, and how to find that out; the others are down."""
        named: list[tuple[str, Callable[[], str]]] = []
        for name in self.folder.names("ledgers") if self.folder is not None else ():
            assert self.folder is not None
            home = self.folder.ledger(name)
            try:
                address_now(self.folder, name)
            except LockgateError:
                self._mark_down(name, home)
            else:
                named.append((name, partial(address_now, self.folder, name)))
        return named

    def _mark_down(self, name: str, home: Path) -> None:
        path = home / "genesis.cbor"
        if path.exists():
            self.down[Genesis.from_bytes(path.read_bytes()).domain_id] = name

    async def _open(self, name: str, address: str | Callable[[], str], *, required: bool = False) -> Ledger | None:
        rpc = Rpc(address)
        try:
            chain = await open_chain(rpc)
            genesis = Genesis.from_bytes(await chain.genesis())
            return Ledger(name or chain.chain_id, chain, genesis, tuple(await lanes_of(chain)))
        except LockgateError as error:
            await rpc.close()
            if required:
                raise LedgerDown("the node does not answer as a ledger of ours", node=rpc.address) from error
            if self.folder is not None:
                self._mark_down(name, self.folder.ledger(name))
            return None
        except BaseException:
            await rpc.close()
            raise


__all__ = ("Ledger", "LedgerDown", "Ledgers")
