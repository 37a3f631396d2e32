"""What goes wrong in a run: a plan drawn from the seed, and the hand that carries it out.

Each fault is one line of the event log, so that a failing run can be read. Which kinds a run has is
drawn too: a run with everything in it at once would mostly test its first accident.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.lab.disk import Moment, disk_from, image_of
from lockgate.lab.draws import Draws
from lockgate.lab.parties import HostParty, LedgerParty, Party, RelayerParty, StoredParty

OUTAGE_MS: Final = (50, 9_000)  # how long a crashed process or a cut lasts
SILENCE_AFTER_MS: Final = (6_000, 14_000)  # sessions stand by then, mostly
SILENCE_MS: Final = (25_000, 60_000)  # longer than most messages of a run wait for their answer


class Fault(enum.Enum):
    CRASH = "crash"  # at whatever await it stands
    POWER_CUT = "power-cut"  # at one of its next writes
    CUT_OFF = "cut-off"  # one process cannot reach one ledger
    CLOCK_BACK = "clock-back"
    RESTORE_HOST = "restore-host"  # started from an old backup, then from the newest disk again
    RESTORE_LEDGER = "restore-ledger"
    CLONE_HOST = "clone-host"


COMMON: Final = (Fault.CRASH, Fault.POWER_CUT, Fault.CUT_OFF)
RARE: Final = (Fault.CLOCK_BACK, Fault.RESTORE_HOST, Fault.RESTORE_LEDGER, Fault.CLONE_HOST)


@dataclass(slots=True)
class Cast:
    """The processes that faults happen to."""

    ledgers: list[LedgerParty]
    hosts: list[HostParty]
    relayers: list[RelayerParty]

    @property
    def stored(self) -> list[StoredParty]:
        return [*self.ledgers, *self.hosts]

    @property
    def parties(self) -> list[Party]:
        return [*self.ledgers, *self.hosts, *self.relayers]


class Faults:
    """Carries out a plan for a span of virtual time; `heal` ends what is still wrong."""

    def __init__(self, cast: Cast, draws: Draws) -> None:
        self._cast = cast
        self._draws = draws
        self.kinds: Sequence[Fault] = self._choose()
        self._backups = {party.name: image_of(party.disk) for party in cast.stored}
        self._network = cast.ledgers[0].world.network

    def _choose(self) -> list[Fault]:
        draws = self._draws
        kinds = [kind for kind in COMMON if draws.chance(600)]
        return kinds + ([draws.choice(RARE)] if draws.chance(500) else [])

    async def run(self, seconds: int) -> None:
        """Let things go wrong, a few seconds apart."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self.kinds:
            await asyncio.sleep(self._draws.delay_s(500, 6_000))
            if loop.time() >= end:
                return
            if self._draws.chance(250):
                self._back_up()
            await self._happen(self._draws.choice(self.kinds))

    async def silence(self, draws: Draws) -> None:
        """No relayer runs until most of what was sent has expired."""
        await asyncio.sleep(draws.delay_s(*SILENCE_AFTER_MS))
        for relayer in self._cast.relayers:
            relayer.report("fault", {"kind": "silence"})
            await relayer.stop()
        await asyncio.sleep(draws.delay_s(*SILENCE_MS))
        for relayer in self._cast.relayers:
            relayer.start()

    def heal(self) -> None:
        """End what is still wrong: cuts, and writes that were still to fail."""
        self._network.cut.clear()
        for party in self._cast.parties:
            party.fuse.disarm()

    async def _happen(self, kind: Fault) -> None:
        draws, cast = self._draws, self._cast
        outage = draws.delay_s(*OUTAGE_MS)
        match kind:
            case Fault.CRASH:
                party = draws.choice(cast.parties)
                party.report("fault", {"kind": kind.value})
                party.crash(outage)
            case Fault.POWER_CUT:
                stored = draws.choice(cast.stored)
                moment, writes = draws.choice(tuple(Moment)), draws.between(1, 4)
                stored.report("fault", {"kind": kind.value, "at": moment.value, "writes": writes})
                stored.fuse.arm(writes, moment)
            case Fault.CUT_OFF:
                await self._cut_off(outage)
            case Fault.CLOCK_BACK:
                clock = cast.ledgers[0].world.clock
                clock.step_wall(-draws.between(1, 3_000) * 1_000_000)
                cast.ledgers[0].report("fault", {"kind": kind.value})
            case Fault.RESTORE_HOST:
                await self._restore(draws.choice(cast.hosts))
            case Fault.RESTORE_LEDGER:
                await self._restore(draws.choice(cast.ledgers))
            case Fault.CLONE_HOST:
                self._clone(draws.choice(cast.hosts))

    async def _cut_off(self, outage: float) -> None:
        pair = (self._draws.choice([*self._cast.hosts, *self._cast.relayers]), self._draws.choice(self._cast.ledgers))
        names = (pair[0].name, pair[1].name)
        pair[0].report("fault", {"kind": Fault.CUT_OFF.value, "from": names[1]})
        self._network.cut[names] = None
        await asyncio.sleep(outage)
        self._network.cut.pop(names, None)

    def _back_up(self) -> None:
        party = self._draws.choice(self._cast.stored)
        self._backups[party.name] = image_of(party.disk)
        party.report("backup", {})

    async def _restore(self, party: StoredParty) -> None:
        """An operator starts a process from an old backup, sees what comes of it, and puts the disk back."""
        party.report("fault", {"kind": "restore"})
        await party.stop()
        newest = party.disk
        party.disk = disk_from(self._backups[party.name])
        party.start()
        while party.stopped is None:
            await asyncio.sleep(1)
            if party.ready:
                return  # nothing had moved since the backup, so it is as good as the newest disk
        await party.stop()
        party.disk = newest
        party.report("put-back", {})
        party.start()

    def _clone(self, party: HostParty) -> None:
        if any(host.name.endswith("-copy") for host in self._cast.hosts):
            return
        party.report("fault", {"kind": Fault.CLONE_HOST.value})
        copy = party.copy()
        self._cast.hosts.append(copy)
        copy.start()


__all__ = ("Cast", "Fault", "Faults")
