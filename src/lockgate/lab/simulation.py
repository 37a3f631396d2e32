"""A seed is a run: the whole system in one process, with everything drawn from the seed that can vary.

    Simulation(seed).run(ticks).check(ExactlyOnce(), Settled())

`ticks` is the stormy part, in seconds of virtual time: messages are sent while the network misbehaves
and processes crash. Then the weather clears, what is down comes up, and the run goes on until every
packet has ended, or until the bound, which the checker `Settled` then complains about.
"""

from __future__ import annotations

import asyncio
from typing import Final

from lockgate.lab import adversaries
from lockgate.lab.clock import SimulatedClock, SkewedClock
from lockgate.lab.disk import Fuse
from lockgate.lab.draws import Draws
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.events import EventLog
from lockgate.lab.faults import Cast, Faults
from lockgate.lab.guests import order
from lockgate.lab.history import History
from lockgate.lab.journal import Journal
from lockgate.lab.ledgers import LabAccount
from lockgate.lab.loop import run as run_loop
from lockgate.lab.loop import spawn
from lockgate.lab.network import CALM, STORM, Network
from lockgate.lab.origin import CLASSIC, HYBRID, account, origin
from lockgate.lab.outcome import Outcome
from lockgate.lab.parties import HostParty, LedgerParty, Party, RelayerParty, Surroundings
from lockgate.machine.records import LaneOrder
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import UnixNanos, seconds

TICKS: Final = 20
BOUND_S: Final = 240  # virtual seconds after the storm within which every packet must have ended
LOOK_S: Final = 2.0
REST_S: Final = 12.0  # idle hosts see a heartbeat or two meanwhile, and forget what has ended
HYBRID_ONE_IN: Final = 10
LONG_TERM_ONE_IN: Final = 3  # seeds whose hosts use no sessions: what they seal opens with long-term keys
ORDERS: Final = {7: LaneOrder.GAPS, 8: LaneOrder.ORDERED}  # of a seed by its last digit; the others have none
SILENT: Final = 6  # seeds with this last digit: no relayer runs for a while, and messages time out
SKEWED: Final = 5  # seeds with this last digit: one ledger's clock is off for the whole run
AHEAD_S, BEHIND_S = 30, 30  # at most: hosts and clients refuse headers from 40 s ahead of their own clock
MESSAGES: Final = {CLASSIC.name: (3, 6), HYBRID.name: (1, 2)}
WHAT: Final = ("reply", "reply", "reply", "chain", "refuse", "trap", "defer")
TIMEOUTS_S: Final = (3, 40)


class Simulation:
    """One seed. Building it draws the plan; `run` carries it out, once."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        entropy = SeededEntropy(b"lockgate simulation %d" % seed)
        draws = Draws(entropy.fork("plan"))
        self.suite = HYBRID if seed % HYBRID_ONE_IN == HYBRID_ONE_IN - 1 else CLASSIC
        self.sessions = seed % LONG_TERM_ONE_IN != 0
        start = origin(self.suite, ORDERS.get(seed % 10, LaneOrder.UNORDERED)).with_sessions(self.sessions)
        self.order = start.order
        self.clock = SimulatedClock(UnixNanos(start.time + seconds(1)))
        self.log = EventLog(self.clock)
        self.journal = Journal(b"in-the-clear-" + draws.bytes(6).hex().encode())
        ledgers: dict[str, LedgerParty] = {}
        network = Network(ledgers, draws.fork("network"), self.log, self.journal)
        self.world = Surroundings(self.clock, self.log, entropy, network, self.journal, Fuse(lambda: None))
        ledgers.update({name: LedgerParty(ledger, self.world) for name, ledger in start.ledgers.items()})
        if seed % 10 == SKEWED:
            off = Draws(entropy.fork("skew"))
            party = off.choice(list(ledgers.values()))
            skew = seconds(off.between(-BEHIND_S, AHEAD_S))
            party.clock = SkewedClock(self.clock, skew)
            self.log.add(party.name, "skewed", {"ns": skew})
        hosts = [HostParty(host, self.world) for host in start.hosts.values()]
        relayers = [
            RelayerParty(f"relayer-{number}", start, _accounts(f"relayer {number}", ledgers), self.world)
            for number in range(1, draws.between(1, 2) + 1)
        ]
        self.cast = Cast(list(ledgers.values()), hosts, relayers)
        self.draws = draws
        self.faults = Faults(self.cast, draws.fork("faults"))
        self.adversary = adversaries.draw(self.cast, start, self.world, draws.fork("adversary"))
        self.log.add(
            "run",
            "seed",
            {
                "seed": seed,
                "suite": self.suite.name,
                "sessions": self.sessions,
                "adversary": self.adversary.name,
            },
        )

    def run(self, ticks: int = TICKS) -> Outcome:
        """Carry the seed out and return what is to be checked."""
        return run_loop(self.clock, lambda: self._run(ticks))

    async def _run(self, ticks: int) -> Outcome:
        for party in self.cast.parties:
            party.start()
        self.world.network.weather = STORM
        doings = [
            spawn(None, self.faults.run(ticks)),
            spawn(None, self.adversary.run(ticks)),
            *([spawn(None, self.faults.silence(self.draws.fork("silence")))] if self.seed % 10 == SILENT else ()),
            *(spawn(None, self._traffic(host, ticks)) for host in list(self.cast.hosts)),
        ]
        await asyncio.sleep(ticks)
        self.log.add("run", "calm", {})
        async with asyncio.timeout(BOUND_S):
            await asyncio.gather(*doings)
        self.world.network.weather = CALM
        self.faults.heal()
        for party in self.cast.parties:
            _raise_what_broke(party)
        history = History(self.cast.ledgers, self.cast.hosts, self.adversary.victim)
        waited, rested = 0.0, False
        while not ((settled := history.settled()) and rested) and waited < BOUND_S:
            pause, rested = (REST_S, True) if settled else (LOOK_S, False)
            await asyncio.sleep(pause)
            waited += pause
        self.log.add("run", "end", {"settled": settled})
        for party in self.cast.parties:
            _raise_what_broke(party)
            await party.stop()
        self.log.close()
        return Outcome(self.seed, ticks, self.log, self.journal, history, self.adversary.name, self.order)

    async def _traffic(self, host: HostParty, ticks: int) -> None:
        """One guest's operator, who commands messages at drawn moments."""
        draws = self.draws.fork(f"traffic/{host.name}")
        low, high = MESSAGES[self.suite.name]
        to = next(iter(host.origin.config.peers))
        for number in range(draws.between(low, high)):
            await asyncio.sleep(draws.delay_s(0, 2_000 * ticks // high))
            words = (self.journal.marker.decode(), host.name, str(number), draws.choice(WHAT))
            spawn(None, self._command(host, order(to, "|".join(words).encode(), draws.between(*TIMEOUTS_S))))

    async def _command(self, party: HostParty, data: bytes) -> None:
        running = party.host
        if running is None:
            self.log.add(party.name, "not-asked", {})
            return
        try:
            answer = await running.command(data)
        except LockgateError as error:
            self.log.add(party.name, "not-sent", {"code": error.code})
        else:
            self.log.add(party.name, "sent", answer)


def _accounts(name: str, ledgers: dict[str, LedgerParty]) -> dict[str, LabAccount]:
    return {ledger: account(f"{name} {ledger}") for ledger in ledgers}


def _raise_what_broke(party: Party) -> None:
    failure = party.failure
    if failure is not None:
        raise failure


__all__ = ("Simulation",)
