"""What an adversary is, the one that does nothing, and what all of them can read: the ledgers, in public."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import ClassVar

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.hosting.traffic import messages_of
from lockgate.lab.draws import Draws
from lockgate.lab.faults import Cast
from lockgate.lab.ledgers import LabAccount
from lockgate.lab.origin import HostOrigin, Origin
from lockgate.lab.parties import LedgerParty, Surroundings, submitter_of
from lockgate.primitives.errors import LockgateError
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.submitter import AccountSubmitter
from lockgate.storage.ledger import LedgerStore


class Adversary:
    """Acts a few seconds apart during the stormy part of a run. `name` stands in the event log."""

    name: ClassVar[str]
    victim: HostOrigin | None = None  # whose account key is in other hands
    pause_ms: ClassVar[tuple[int, int]] = (200, 3_000)  # between two acts

    def __init__(self, cast: Cast, origin: Origin, world: Surroundings, draws: Draws) -> None:
        self.cast = cast
        self.origin = origin
        self.world = world
        self.draws = draws

    async def run(self, ticks: int) -> None:
        """Act for `ticks` seconds of virtual time, then never again."""
        loop = asyncio.get_running_loop()
        end = loop.time() + ticks
        await self.begin()
        while loop.time() < end:
            await asyncio.sleep(self.draws.delay_s(*self.pause_ms))
            try:
                await self.act()
            except LockgateError as error:
                self.report("failed", code=error.code)
        await self.end()

    async def begin(self) -> None:
        """Before the first act."""

    async def act(self) -> None:
        """Do one thing."""

    async def end(self) -> None:
        """After the last act."""

    def report(self, what: str, **fields: object) -> None:
        self.world.log.add(self.name, what, fields)

    def chain(self, ledger: LedgerParty) -> CometBftChain:
        """The ledger over a link of its own; adversaries do not crash."""
        link = self.world.network.link(self.name, ledger.name, self.world.always)
        return CometBftChain(link, ledger.origin.genesis.chain_id)

    def submitter(self, ledger: LedgerParty, holder: LabAccount, lane: int) -> AccountSubmitter:
        return submitter_of(self.chain(ledger), ledger.origin.genesis.domain_id, holder, lane)


class Nobody(Adversary):
    """Everybody is honest; things only break."""

    name = "nobody"

    async def run(self, ticks: int) -> None:
        """Do nothing."""


def public_messages(ledger: LedgerParty, from_height: int) -> Iterator[tuple[int, bytes, str, bytes]]:
    """(height, transaction, type, protobuf bytes) of every IBC message in the blocks from a height on."""
    store = LedgerStore(ledger.disk, None)
    while (row := store.block(from_height)) is not None:
        for data in wire.Block.FromString(row.block).data.txs:
            for kind, content in messages_of(data):
                if isinstance(content, bytes):
                    yield from_height, data, kind, content
        from_height += 1


__all__ = ("Adversary", "Nobody", "public_messages")
