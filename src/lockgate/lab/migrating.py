"""A story: two hosts talk all the time while their ledgers bring a suite in, and then end it at once.

    MigratingLane(seed).run().check(*EVERY, Moved())

The lane begins under the second-best handshake suite. The authorities activate the best one, whose digests the
operators accept ahead, and messages move to it; then one ledger stops it, and they move back. No message is lost or
refused, and none waits for anybody (S61, S87).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lockgate.envelope.binding import SenderChoice
from lockgate.envelope.outside import inspect_envelope
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.disk import Fuse
from lockgate.lab.draws import Draws
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.events import EventLog
from lockgate.lab.guests import order
from lockgate.lab.history import History
from lockgate.lab.journal import Journal
from lockgate.lab.ledgers import lab_authority
from lockgate.lab.loop import run as run_loop
from lockgate.lab.loop import spawn
from lockgate.lab.network import Network
from lockgate.lab.origin import HYBRID, account, origin
from lockgate.lab.outcome import Outcome
from lockgate.lab.parties import HostParty, LedgerParty, RelayerParty, Surroundings, submitter_of
from lockgate.lab.session_checkers import MESSAGE as SENT
from lockgate.lab.session_checkers import sealed_on
from lockgate.machine.authority import authorize
from lockgate.machine.governance import rules_digest
from lockgate.machine.records import LaneOrder
from lockgate.machine.suite_table import DEFAULT, KNOWN, SuiteKind, SuiteName, SuiteRecord, SuiteTable
from lockgate.machine.suites import ACTIVATE, STOP
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, seconds
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.session.edhoc.suites import HYBRID_AES, HYBRID_CHACHA
from lockgate.storage.host import MESSAGE

NAME: Final = "migrating"
BEST: Final = SuiteName(SuiteKind.HANDSHAKE, HYBRID_AES.id)
FIRST: Final = SuiteTable(tuple(record for record in DEFAULT if record.name != BEST))
ACTIVATES_AT_S: Final = 8  # of the talk
STOPS_AT_S: Final = 40
TALKS_S: Final = 70
TIMEOUT_S: Final = 60
LANE: Final = 9
BOUND_S: Final = 120
LOOK_S: Final = 2.0


class MigratingLane:
    """One seed of the story. `run` carries it out, once."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        entropy = SeededEntropy(b"lockgate story %s %d" % (NAME.encode(), seed))
        self.draws = Draws(entropy.fork("plan"))
        start = origin(HYBRID, LaneOrder.UNORDERED, FIRST).with_sessions(True)
        self.clock = SimulatedClock(UnixNanos(start.time + seconds(1)))
        self.log = EventLog(self.clock)
        self.journal = Journal(b"in-the-clear-" + self.draws.bytes(6).hex().encode())
        ledgers: dict[str, LedgerParty] = {}
        network = Network(ledgers, self.draws.fork("network"), self.log, self.journal)
        self.world = Surroundings(self.clock, self.log, entropy, network, self.journal, Fuse(lambda: None))
        ledgers.update({name: LedgerParty(ledger, self.world) for name, ledger in start.ledgers.items()})
        self.ledgers = list(ledgers.values())
        self.hosts = [HostParty(host, self.world) for host in start.hosts.values()]
        self.relayer = RelayerParty(
            "relayer", start, {name: account(f"relayer {name}") for name in ledgers}, self.world
        )
        self.numbers = dict.fromkeys(ledgers, 0)  # of the authority's actions
        self.log.add("run", "seed", {"seed": seed, "story": NAME})

    def run(self) -> Outcome:
        """Carry the story out and return what is to be checked."""
        return run_loop(self.clock, self._run)

    async def _run(self) -> Outcome:
        parties = [*self.ledgers, *self.hosts, self.relayer]
        for party in parties:
            party.start()
        await asyncio.gather(*(spawn(None, self._talk(host)) for host in self.hosts), spawn(None, self._govern()))
        history = History(self.ledgers, self.hosts)
        waited = 0.0
        while not (settled := history.settled()) and waited < BOUND_S:
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S
        self.log.add("run", "end", {"settled": settled})
        for party in parties:
            if party.failure is not None:
                raise party.failure
            await party.stop()
        self.log.close()
        return Outcome(self.seed, TALKS_S, self.log, self.journal, history, "nobody", LaneOrder.UNORDERED, NAME)

    async def _talk(self, host: HostParty) -> None:
        """A message about every second and a half, for the whole story."""
        draws, number = self.draws.fork(f"talk/{host.name}"), 0
        loop = asyncio.get_running_loop()
        end = loop.time() + TALKS_S
        to = next(iter(host.origin.config.peers))
        while loop.time() < end:
            await asyncio.sleep(draws.delay_s(1_000, 2_000))
            spawn(None, self._send(host, to, number))
            number += 1

    async def _send(self, party: HostParty, to: str, number: int) -> None:
        words = "|".join((self.journal.marker.decode(), party.name, to, str(number), "reply"))
        if party.host is None:
            return
        try:
            answer = await party.host.command(order(to, words.encode(), TIMEOUT_S))
        except LockgateError as error:
            self.log.add(party.name, "not-sent", {"code": error.code})
        else:
            self.log.add(party.name, "sent", answer)

    async def _govern(self) -> None:
        named = {"kind": BEST.kind.value, "suite": BEST.number}
        await asyncio.sleep(ACTIVATES_AT_S)
        for ledger in self.ledgers:
            announce = {"action": ACTIVATE, "arguments": {**named, "height": 0}}
            due = await self._act(ledger, "gov.announce", announce)
            self._accept_ahead(ledger, due)
        await asyncio.sleep(STOPS_AT_S - ACTIVATES_AT_S)
        stopped = self.draws.fork("stop").choice(self.ledgers)
        await self._act(stopped, STOP, {**named, "note": "broken"})

    def _accept_ahead(self, ledger: LedgerParty, due: int) -> None:
        """Both operators accept the rules that the announcement leads to, before it takes effect."""
        genesis = ledger.origin.genesis
        table = FIRST.with_record(SuiteRecord(BEST, KNOWN[BEST], due))
        digests = [rules_digest(rules, genesis).hex() for rules in (genesis, replace(genesis, suites=table))]
        for host in self.hosts:
            assert host.host is not None, "nobody crashes in this story"
            host.host.accept_rules(ledger.name, digests)

    async def _act(self, ledger: LedgerParty, name: str, fields: Mapping[str, Any]) -> int:
        """The authority's message, by an account of nobody's; returns the height of an announcement."""
        genesis = ledger.origin.genesis
        chain = CometBftChain(self.world.network.link("authority", ledger.name, self.world.always), genesis.chain_id)
        until = UnixSeconds(self.clock.now() // NANOS_PER_SECOND + 600)
        signer, number = lab_authority("authority", HYBRID.identity), self.numbers[ledger.name]
        signed = authorize(signer, genesis.domain_id, genesis.revision, (name, fields), number, until)
        self.numbers[ledger.name] += 1
        clerk = submitter_of(chain, genesis.domain_id, account(f"clerk {ledger.name}"), LANE)
        done = await clerk.submit([signed])
        assert done.code == 0, done.log
        self.log.add(ledger.name, name, {"height": done.height.height})
        return next((int(event.get("due") or 0) for event in done.events if event.type == "gov_announced"), 0)


class Moved:
    """Messages travel under the first suite, then the best, then the first again, and every one is acknowledged."""

    def complaints(self, outcome: Outcome, /) -> Sequence[str]:
        found = [line for line in outcome.log.lines if " not-sent " in line]
        suites = _suites_of_sessions(outcome.log.lines)
        for ledger in outcome.history.ledgers:
            used = [suites[choice.session] for choice in _choices(ledger) if choice.session is not None]
            moves = [name for at, name in enumerate(used) if not at or used[at - 1] != name]
            if moves != [HYBRID_CHACHA.name, HYBRID_AES.name, HYBRID_CHACHA.name]:
                found.append(f"{ledger.name}: messages went {' → '.join(moves) or 'nowhere'}")
        for host in outcome.history.acting():
            rows = [row for row in host.store.all_sent() if row.purpose == MESSAGE]
            found += [f"{host.name}: {row.ref.hex()[:8]} is {row.state}" for row in rows if row.state != "acknowledged"]
            if len(rows) < TALKS_S // 3:
                found.append(f"{host.name}: sent {len(rows)} messages only")
        return found


def _suites_of_sessions(lines: Sequence[str]) -> dict[bytes, str]:
    """The handshake suite of every session that hosts reported."""
    made = (line.split(" session=", 1)[1].split(" suite=", 1) for line in lines if " session peer=" in line)
    return {bytes.fromhex(name): suite for name, suite in made}


def _choices(ledger: LedgerParty) -> list[SenderChoice]:
    """What every message that was sent on a ledger names on its outside, in the order of its blocks."""
    return [inspect_envelope(envelope).choice for kind, envelope in sealed_on(ledger) if kind == SENT]


__all__ = ("NAME", "MigratingLane", "Moved")
