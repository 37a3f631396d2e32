"""A simulated network between processes and the ledgers' RPC: late, lost, repeated, reordered, cut off.

Every call is a request and an answer, each drawn its own fate. A lost answer leaves the caller in
doubt, as in the world: the ledger may have acted. A repeated request arrives again later, after
others that were sent after it. What crosses is text, kept short of memory: each is searched for the
run's marker and dropped.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from lockgate.courier.ports import ChainUnavailable
from lockgate.lab.disk import Fuse
from lockgate.lab.draws import Draws
from lockgate.lab.events import EventLog
from lockgate.lab.journal import Journal
from lockgate.lab.loop import TaskOwner, spawn
from lockgate.lab.rpc import LabRpc
from lockgate.primitives.errors import LockgateError

TIMEOUT_S: Final = 1.0  # a caller's patience; what comes later is lost
TRIES: Final = 2  # a caller asks again after a lost request, as `relay.rpc` does
BROADCASTS: Final = frozenset({"broadcast_tx_sync", "broadcast_tx_async", "broadcast_tx_commit"})


@dataclass(frozen=True, slots=True)
class Weather:
    """How the network behaves: latency in milliseconds, fates in calls per thousand."""

    latency_ms: tuple[int, int] = (1, 4)
    lost: int = 0
    repeated: int = 0
    late: int = 0  # broadcasts that arrive seconds after they were sent


CALM: Final = Weather()
STORM: Final = Weather(latency_ms=(1, 60), lost=25, repeated=150, late=50)


class Serves(Protocol):
    """A ledger process as the network sees it."""

    @property
    def rpc(self) -> LabRpc | None:
        """What answers calls; None while the process is down."""
        ...

    @property
    def owner(self) -> TaskOwner:
        """Owns what the process does for its callers: that ends with it."""
        ...


Twist = Callable[[str, Mapping[str, Any], dict[str, Any]], dict[str, Any]]  # a node that lies: method, params, truth


class Network:
    """All links of a run."""

    def __init__(self, ledgers: Mapping[str, Serves], draws: Draws, log: EventLog, journal: Journal) -> None:
        self.weather = CALM
        self.cut: dict[tuple[str, str], None] = {}  # (process, ledger) pairs that cannot speak
        self.twists: dict[tuple[str, str], Twist] = {}
        self.ledgers = ledgers
        self._draws = draws
        self._links: Counter[tuple[str, str]] = Counter()
        self.log = log
        self._journal = journal
        self._forms = forms_of(journal.marker)

    def link(self, process: str, ledger: str, fuse: Fuse) -> Link:
        """A connection of one start of a process to a ledger's node: what it loses is no other start's loss."""
        number = self._links[process, ledger]
        self._links[process, ledger] += 1
        return Link(self, process, ledger, fuse, self._draws.fork(f"{process}>{ledger}/{number}"))

    def watch(self, where: str, text: str) -> None:
        """Look at what crosses for bodies in the clear, in any of the encodings that RPC uses (S8)."""
        if any(form in text for form in self._forms):
            self._journal.seen_plaintext.append(where)


class Link:
    """Meets `relay.rpc.Calls`."""

    def __init__(self, network: Network, process: str, ledger: str, fuse: Fuse, draws: Draws) -> None:
        self._network = network
        self._pair = (process, ledger)
        self._fuse = fuse
        self._draws = draws

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call one method across the network. Raises ChainUnavailable, and what the node answers."""
        request = json.dumps(params)
        self._network.watch(f"{self._pair[0]} to {self._pair[1]}: {method}", request)
        for _ in range(TRIES):
            answer = await self._ask(method, params)
            if answer is not None:
                return answer
        self._network.log.add(self._pair[0], "no-answer", {"from": self._pair[1], "method": method})
        raise ChainUnavailable("the node does not answer", node=self._pair[1], method=method)

    async def beats(self) -> AsyncIterator[None]:
        """Meets `relay.rpc.Pushes`: ends when the node goes away or cannot be reached."""
        node = self._node()
        if node is None:
            return
        async for _ in node.beats():
            if self._node() is not node:
                return
            yield None

    async def close(self) -> None:
        """Nothing is held open."""

    async def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        weather, draws = self._network.weather, self._draws
        broadcast = method in BROADCASTS
        if broadcast:  # a question that is on its way and one that was answered late come to the same
            await self._travel()
            if draws.chance(weather.repeated):
                spawn(None, self._again(method, params, draws.delay_s(10, 8_000)))
            if draws.chance(weather.late):
                # The caller gives up; the request arrives all the same.
                spawn(None, self._again(method, params, draws.delay_s(1_000, 8_000)))
                await self._lost()
                return None
        if draws.chance(weather.lost):
            await self._lost()
            return None
        try:
            answer = await self._served(method, params)
        except LockgateError:
            await self._travel()
            raise
        if answer is None:
            await self._lost()
            return None
        text = json.dumps(answer)
        self._network.watch(f"{self._pair[1]} to {self._pair[0]}: {method}", text)
        await self._travel()
        if self._node() is None or draws.chance(weather.lost):
            await self._lost()
            return None
        answer = json.loads(text)
        twist = self._network.twists.get(self._pair)
        return answer if twist is None else twist(method, params, answer)

    async def _served(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        """The node's answer; None when it is away, or goes away over it."""
        node = self._node()
        if node is None:
            return None
        if method not in BROADCASTS:
            return await node.call(method, **params)
        serving = spawn(self._network.ledgers[self._pair[1]].owner, node.call(method, **params))
        await asyncio.wait({serving})
        return None if serving.cancelled() else serving.result()

    async def _travel(self) -> None:
        await asyncio.sleep(self._draws.delay_s(*self._network.weather.latency_ms))
        self._fuse.check()

    async def _lost(self) -> None:
        await asyncio.sleep(TIMEOUT_S)
        self._fuse.check()

    async def _again(self, method: str, params: dict[str, Any], delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        try:
            answer = await self._served(method, params)
        except LockgateError as refusal:
            self._network.log.add("network", "repeated", {"to": self._pair[1], "refused": refusal.code})
        else:
            code = None if answer is None else answer.get("check_tx", answer).get("code", 0)
            self._network.log.add("network", "repeated", {"to": self._pair[1], "code": code})

    def _node(self) -> LabRpc | None:
        return None if self._pair in self._network.cut else self._network.ledgers[self._pair[1]].rpc


def forms_of(marker: bytes) -> tuple[str, ...]:
    """How bytes that hold the marker may stand in text: as they are, in hex, in base64 at each alignment."""
    shifted = [b64encode(b"\0" * shift + marker) for shift in range(3)]
    cores = [form[4 if shift else 0 : len(form) // 4 * 4 - 4].decode() for shift, form in enumerate(shifted)]
    return (marker.decode("ascii"), marker.hex(), marker.hex().upper(), *cores)


__all__ = ("CALM", "STORM", "Link", "Network", "Weather", "forms_of")
