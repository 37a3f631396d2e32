"""The processes of a run: ledgers, hosts, relayers. Each starts from its disk, crashes, and starts again.

What runs inside is the product's own code. A crash takes everything but the disk: the tasks end where
they wait, and from that moment nothing of that start reaches disk or network. A process that ends by
itself, with a named failure, is started again by its supervisor, as an operator's would; one that was
fenced off stays down.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lockgate.engines.embedded.chain import EmbeddedChain, NewBlock
from lockgate.engines.embedded.recovery import StoreBehind, recover
from lockgate.engines.embedded.roster import LocalValidator
from lockgate.engines.embedded.service import LedgerService
from lockgate.host.keyring import KeyRing, Opener
from lockgate.host.recovery import Fenced
from lockgate.host.staging import GuestTree
from lockgate.hosting.host import Host
from lockgate.hosting.reader import ProvenReader
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.disk import (
    Fuse,
    SignStateDisk,
    SimulatedHostStore,
    SimulatedLedgerStore,
    SimulatedSigningState,
    SimulatedVault,
    disk_from,
    image_of,
    unplugged,
)
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.events import EventLog
from lockgate.lab.guests import guest
from lockgate.lab.journal import Journal
from lockgate.lab.ledgers import LabAccount
from lockgate.lab.loop import TaskOwner, spawn
from lockgate.lab.network import Network
from lockgate.lab.origin import HostOrigin, LedgerOrigin, Origin
from lockgate.lab.rpc import LabRpc
from lockgate.machine import keys as stores
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ports import Clock
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.driver import EndPoint, Relayer
from lockgate.relay.submitter import AccountSubmitter
from lockgate.storage.host import HostStore
from lockgate.storage.nodes import SqliteNodes

HEARTBEAT_S: Final = 5.0
RESTART_S: Final = 1.0  # a supervisor's pause
HOST_LANE: Final = 2
RELAY_LANE: Final = 3
STAYS_DOWN: Final = (Fenced, StoreBehind)  # an operator must look first


@dataclass(slots=True)
class Surroundings:
    """What every process of a run shares."""

    clock: SimulatedClock
    log: EventLog
    entropy: SeededEntropy
    network: Network
    journal: Journal
    always: Fuse  # of what never crashes


class Party(ABC):
    """One process: `start`, `crash`, and what it does while it lives."""

    def __init__(self, name: str, world: Surroundings) -> None:
        self.name = name
        self.world = world
        self.starts = 0
        self.stopped: LockgateError | None = None  # why it stays down
        self.fuse = Fuse(lambda: None)
        self.owner = TaskOwner()
        self._supervisor: asyncio.Task[None] | None = None
        self._down = asyncio.Event()
        self._pause_s = RESTART_S

    @property
    def up(self) -> bool:
        return self._supervisor is not None and not self._supervisor.done() and not self.fuse.blown

    def start(self) -> None:
        """Start, and start again after every end, until stopped."""
        if self._supervisor is None or self._supervisor.done():
            self.stopped = None
            self._supervisor = spawn(None, self._supervise())

    def crash(self, pause_s: float) -> None:
        """End the process where it is; its supervisor starts it again after `pause_s`."""
        self._pause_s = pause_s
        self.fuse.blow()

    async def stop(self) -> None:
        """End the process for good."""
        self.fuse.blow()
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait({self._supervisor})

    async def _supervise(self) -> None:
        while self.stopped is None:
            self.starts += 1
            self.owner = TaskOwner()
            self.fuse = Fuse(self._power_off)
            self.report("start", {"start": self.starts})
            life = spawn(self.owner, self._live(self.fuse))
            try:
                await asyncio.wait({life})
            finally:
                crashed = self.fuse.blown
                self.fuse.blow()
            self._ended(life, crashed)
            if self.stopped is None:
                pause_s, self._pause_s = self._pause_s, RESTART_S
                await asyncio.sleep(pause_s)

    def _ended(self, life: asyncio.Task[None], crashed: bool) -> None:
        error = None if life.cancelled() else life.exception()
        if error is None or crashed:
            self.report("crashed", {})
        elif isinstance(error, LockgateError):
            self.report("ended", {"code": error.code, "detail": error})
            self.stopped = error if isinstance(error, STAYS_DOWN) else None
        else:
            raise error  # a bug of ours: the run must not hide it

    def _power_off(self) -> None:
        self.owner.cancel()
        self.down()

    def down(self) -> None:  # noqa: B027  # a relayer has nothing else to lose
        """What else ends with the process."""

    def report(self, what: str, fields: Mapping[str, object]) -> None:
        self.world.log.add(self.name, what, fields)

    @property
    def failure(self) -> BaseException | None:
        """What broke the supervisor itself: a failure that is not one of ours by name."""
        task = self._supervisor
        return task.exception() if task is not None and task.done() and not task.cancelled() else None

    @abstractmethod
    async def _live(self, fuse: Fuse) -> None: ...


class StoredParty(Party):
    """A process with a disk."""

    disk: sqlite3.Connection

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Has this start come through its recovery?"""

    def down(self) -> None:
        self.disk = unplugged(self.disk)


class _WatchedChain(EmbeddedChain):
    """An embedded chain that says in the event log what it made."""

    on_block: Callable[[NewBlock], None]

    def produce(self, transactions: Sequence[bytes]) -> NewBlock:
        block = super().produce(transactions)
        self.on_block(block)
        return block


class LedgerParty(StoredParty):
    """A ledger's process over its disk and its sign-state. Meets `lab.network.Serves`."""

    def __init__(self, origin: LedgerOrigin, world: Surroundings) -> None:
        super().__init__(origin.name, world)
        self.origin = origin
        self.disk = disk_from(origin.image)
        self.signed = SignStateDisk(*origin.signed)
        self.clock: Clock = world.clock  # another one where this machine's is off
        self.rpc: LabRpc | None = None

    @property
    def ready(self) -> bool:
        return self.rpc is not None

    def down(self) -> None:
        self.rpc = None
        super().down()

    async def _live(self, fuse: Fuse) -> None:
        store = SimulatedLedgerStore(self.disk, fuse)
        key = self.origin.validator
        state = SimulatedSigningState(self.signed, fuse)
        nodes = MultiStore(stores.STORES, SqliteNodes(self.disk))
        recover(self.origin.genesis, store, nodes, [(key.public_key, state)])
        validator = LocalValidator(key.public_key, key.sign, state)
        chain = _WatchedChain(self.origin.genesis, store, nodes, [validator], self.clock, accept_clock=True)
        self.prepare(chain)
        chain.on_block = self._made
        service = LedgerService(chain, heartbeat_s=HEARTBEAT_S)
        self.rpc = LabRpc.of(service)
        await service.run()

    def prepare(self, chain: EmbeddedChain) -> None:
        """What else is done to a chain before it runs; nothing to an honest one."""

    def _made(self, block: NewBlock) -> None:
        codes = [result.code for result in block.results.transactions]
        self.report("block", {"height": block.height, "app": block.app_hash, "codes": codes})


class KeptEvidence:
    """Meets `hosting.forks.Evidence` in memory."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}

    def keep(self, kind: str, document: bytes, /) -> str:
        name = f"{kind}-{hashlib.sha256(document).hexdigest()[:16]}"
        self.documents[name] = document
        return name


class HostParty(StoredParty):
    """A host's process over its disk. `label` sets a copy of a host apart from the one it was copied from."""

    def __init__(
        self,
        origin: HostOrigin,
        world: Surroundings,
        disk: sqlite3.Connection | None = None,
        vault: Mapping[str, bytes] | None = None,
    ) -> None:
        name = origin.config.name
        super().__init__(name if disk is None else f"{name}-copy", world)
        self.origin = origin
        self.disk = HostStore.in_memory().connection if disk is None else disk
        self.vault = dict(vault or {})
        self.host: Host | None = None
        self.evidence = KeptEvidence()

    @property
    def ready(self) -> bool:
        return self.host is not None and self.host.ready.is_set()

    def down(self) -> None:
        self.host = None
        super().down()

    @property
    def store(self) -> HostStore:
        """The disk as an onlooker reads it, whether the process runs or not."""
        return HostStore(self.disk, None)

    def copy(self) -> HostParty:
        """Another process with this one's keys, from a copy of its disk as it is now: all of it, its sessions too."""
        return HostParty(self.origin, self.world, disk_from(image_of(self.disk)), self.vault)

    async def _live(self, fuse: Fuse) -> None:
        config, endpoint, world = self.origin.config, self.origin.endpoint, self.world
        store = SimulatedHostStore(self.disk, fuse)
        tree = GuestTree(SqliteNodes(self.disk))
        readers = {}
        for ref in (config.local, *config.remotes):
            chain = CometBftChain(world.network.link(self.name, ref.name, fuse), ref.chain_id)
            readers[ref.name] = ProvenReader(chain, ref.follower(), world.clock)
            await readers[ref.name].latest()
        local = readers[config.local.name]
        submitter = submitter_of(local.chain, local.follower.anchor.domain, self.origin.account, HOST_LANE)
        entropy = world.entropy.fork(f"{self.name}/{self.starts}")
        ring = KeyRing(endpoint.signer(0), Opener(endpoint.record, endpoint.opener(0)))
        self.host = Host(
            config,
            store,
            tree,
            guest(config.name, world.journal),
            ring,
            entropy.fork("seal"),
            readers,
            submitter,
            world.clock,
            entropy,
            self.evidence,
            self.report,
            vault=SimulatedVault(self.vault, fuse),
        )
        await self.host.run()


class RelayerParty(Party):
    """A relayer's process: it has no disk."""

    def __init__(self, name: str, start: Origin, accounts: Mapping[str, LabAccount], world: Surroundings) -> None:
        super().__init__(name, world)
        self._ledgers, self._order = start.ledgers, start.order
        self._accounts = accounts

    async def _live(self, fuse: Fuse) -> None:
        ends = []
        for name, ledger in self._ledgers.items():
            chain = CometBftChain(self.world.network.link(self.name, name, fuse), ledger.genesis.chain_id)
            submitter = submitter_of(chain, ledger.genesis.domain_id, self._accounts[name], RELAY_LANE)
            ends.append(EndPoint(chain, submitter, ledger.client, order=self._order))
        relayer = Relayer(ends[0], ends[1], self.report, self.world.entropy.fork(f"{self.name}/{self.starts}"))
        await relayer.run()


def submitter_of(chain: CometBftChain, domain: Any, holder: LabAccount, lane: int) -> AccountSubmitter:
    return AccountSubmitter(chain, domain, holder.key.public_key, holder.key.sign, lane)


__all__ = ("HostParty", "LedgerParty", "Party", "RelayerParty", "StoredParty", "Surroundings", "submitter_of")
