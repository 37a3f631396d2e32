"""A host that is killed after a chosen effect, and started again from what is on disk.

An effect is what outlives the process: a transaction of its database, a save of its book of sessions, a change of its
keys, a transaction that it hands to its ledger. Between two of them nothing outside the process changes, and a database
rolls back what a kill interrupts; so the kills after each effect are all that there are.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lockgate.hosting.host import Host
from lockgate.lab.disk import PowerCut, unplugged
from lockgate.lab.rpc import LabRpc
from lockgate.lab.session_checkers import sealed_in, sealed_twice
from lockgate.machine.identity import KeyRecord, SignedRecord
from lockgate.storage.host import HostStore
from tests.support.hosts import HostWorld, LabCabinet, Side


@dataclass
class Effects:
    """What one process has done, and after how many effects it dies."""

    last: int = 0  # 0: it lives
    done: list[str] = field(default_factory=list)
    dead: bool = False

    def arm(self, count: int) -> None:
        """Die after so many effects from now."""
        self.last = len(self.done) + count

    def alive(self) -> None:
        if self.dead:
            raise PowerCut

    def add(self, what: str) -> None:
        self.alive()
        self.done.append(what)
        if len(self.done) == self.last:
            self.dead = True
            raise PowerCut


class MortalStore(HostStore):
    """A host's store whose transactions are effects."""

    def __init__(self, connection: Any, effects: Effects) -> None:
        super().__init__(connection, None)
        self._effects = effects

    @contextmanager
    def commit(self, *, durable: bool = False) -> Iterator[None]:
        self._effects.alive()
        with super().commit(durable=durable):
            yield
        self._effects.add("database")


@dataclass
class MortalVault:
    """Meets `hosting.sessions.Vault` over a cell that outlives the process."""

    cell: dict[str, bytes]
    effects: Effects

    def load(self) -> bytes | None:
        return self.cell.get("book")

    def save(self, book: bytes, /) -> None:
        self.effects.alive()
        self.cell["book"] = book
        self.effects.add("sessions")


class MortalCabinet(LabCabinet):
    """Keys whose making and erasing are effects."""

    def __init__(self, side: Side, held: set[int], effects: Effects) -> None:
        super().__init__(side.endpoint)
        self.held, self._side, self._effects = held, side, effects

    def next_record(self, current: KeyRecord, /, sealing: int = 0, signing: int = 0) -> SignedRecord:
        self._effects.alive()
        made = self._side.endpoint.generation == current.index
        record = super().next_record(current, sealing, signing)
        if made:
            self._effects.add("keys made")
        return record

    def forget(self, index: int, /) -> None:
        self._effects.alive()
        super().forget(index)
        self._effects.add("keys erased")


class MortalNode:
    """A node's calls, of which posting is an effect; what was posted is kept."""

    def __init__(self, rpc: LabRpc, effects: Effects, posted: list[bytes]) -> None:
        self._rpc, self._effects, self._posted = rpc, effects, posted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rpc, name)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._effects.alive()
        if not method.startswith("broadcast"):
            return await self._rpc.call(method, **params)
        self._posted.append(base64.b64decode(params["tx"]))
        try:
            return await self._rpc.call(method, **params)
        finally:
            self._effects.add("posted")


class Mortals:
    """Both hosts of a world, each of which can be killed; all that they ever posted."""

    def __init__(self, world: HostWorld) -> None:
        self.world = world
        self.posted: list[bytes] = []
        self.effects = {side.name: Effects() for side in world.sides}
        self.cells: dict[str, dict[str, bytes]] = {side.name: {} for side in world.sides}
        self._held: dict[str, set[int]] = {side.name: {0} for side in world.sides}
        self._starts = 0

    async def start(self, side: Side, kill_after: int = 0) -> None:
        """A process of its own, from what the one before left. Raises PowerCut."""
        effects = self.effects[side.name] = Effects()
        if kill_after:
            effects.arm(kill_after)
        side.store = MortalStore(unplugged(side.store.connection), effects)
        side.host = self._made(side, effects)
        await side.host.start()

    def _made(self, side: Side, effects: Effects) -> Host:
        self._starts += 1  # entropy is never the same twice
        self.world.vaults[side.name] = MortalVault(self.cells[side.name], effects)  # type: ignore[assignment]
        return self.world.make(
            side,
            own=MortalNode(side.rpc, effects, self.posted),
            cabinet=MortalCabinet(side, self._held[side.name], effects),
            seed=b"start %d" % self._starts,
        )

    def sealed_twice(self) -> list[tuple[object, ...]]:
        """Keys under which two unlike envelopes were sealed, of all that was ever handed to a ledger."""
        return sealed_twice(one for transaction in self.posted for one in sealed_in(transaction))


__all__ = ("Effects", "Mortals", "PowerCut")
