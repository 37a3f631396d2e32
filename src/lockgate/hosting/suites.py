"""Which suites count between this host and a peer: those active on both ledgers that their lane allows (S61, S66).

Table, stops and the lane's rule are proven on each ledger, ten seconds ago at most, and judged at the newest header
that is held of it: by whoever seals, when it sends, and by whoever opens, when it answers (as revocation is, P19). So a
sunset ends what is not answered by its height, and what was sealed before is opened until then. A reply was judged with
the message it answers: it is under the same keys, and to refuse it would say of a message that ran that it did not.

A suite that this build does not know is passed over: it is not used here. One whose families a record misstates makes
the whole table a lie, and nothing is done by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.crypto.suites import seal_suite, signature_suite
from lockgate.hosting.config import PeerRef
from lockgate.hosting.peers import Peers
from lockgate.hosting.reader import ProvenReader
from lockgate.machine import keys
from lockgate.machine.identity import KeyRecord
from lockgate.machine.suite_policy import BelowPolicy, SuitePolicy, check_all
from lockgate.machine.suite_table import KNOWN, SuiteKind, SuiteName, SuiteTable
from lockgate.machine.suites import SuiteNotActive, names_of, read_policy, read_stops, read_table
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import Height
from lockgate.primitives.ports import Clock
from lockgate.session import Session
from lockgate.session.meeting import suites_of

FRESH_FOR_NS: Final = 10_000_000_000  # as key records
NOT_ALLOWED: Final = (SuiteNotActive, BelowPolicy)


class NoSuiteLeft(Refused):
    code = "suites.none_left"
    summary = "No suite that two endpoints share is active on both ledgers and allowed by their lane (S87)."
    untouched = "Nothing was sealed: messages wait, and nothing goes below what the lane asks for (P14)."
    next_step = "The authority activates a suite, or an endpoint rotates to keys of one: `lockgate ledger suites list`."


@dataclass(frozen=True, slots=True)
class _Ledger:
    """What one ledger has of it, and a height to judge by."""

    name: str
    table: SuiteTable
    policy: SuitePolicy
    height: int


@dataclass(frozen=True, slots=True)
class Allowed:
    """What both ledgers of a lane allow."""

    ledgers: tuple[_Ledger, _Ledger]

    def check(self, name: SuiteName) -> None:
        """Raises SuiteNotActive, BelowPolicy."""
        for ledger in self.ledgers:
            if not ledger.table.active(name, ledger.height):
                raise SuiteNotActive("not active", suite=name, ledger=ledger.name, height=ledger.height)
        check_all((ledger.policy for ledger in self.ledgers), name, KNOWN[name])

    def check_records(self, *records: KeyRecord) -> None:
        """Both suites of each key record are allowed. Raises SuiteNotActive, BelowPolicy."""
        for record in records:
            for name in names_of(record):
                self.check(name)

    def check_session(self, number: int) -> None:
        """The handshake suite that a session came of is allowed. Raises SuiteNotActive, BelowPolicy."""
        self.check(SuiteName(SuiteKind.HANDSHAKE, number))

    def handshakes(self, own: KeyRecord, peer: KeyRecord) -> tuple[int, ...]:
        """Handshake suites for two key records, the strongest first. Raises NoSuiteLeft, and WrongSuite where their
        identities have none in common."""
        both = suites_of(own.identity, peer.identity)
        found = [number for number in both if self._allows(SuiteName(SuiteKind.HANDSHAKE, number))]
        if not found:
            raise NoSuiteLeft("no handshake suite", ours=both, who="the ledgers' authorities")
        return tuple(sorted(found, key=lambda number: -len(KNOWN[SuiteName(SuiteKind.HANDSHAKE, number)])))

    def _allows(self, name: SuiteName) -> bool:
        try:
            self.check(name)
        except NOT_ALLOWED:
            return False
        return True


class Suites:
    """What the ledgers of this host say of suites, each proven lately."""

    def __init__(self, local: str, peers: Peers, reader: ProvenReader, clock: Clock) -> None:
        self._local = local
        self._peers = peers
        self._reader = reader
        self._clock = clock
        self._proven: dict[tuple[str, str], tuple[int, SuiteTable, SuitePolicy]] = {}

    async def of(self, peer: PeerRef, *, fresh: bool = False) -> Allowed:
        """What counts over the lane to a peer now. Raises BadSuiteRecord, and what reading raises."""
        own = await self._ledger(self._local, self._reader, peer.lane, fresh=fresh)
        return Allowed((own, await self._ledger(peer.ledger, self._peers.reader(peer), peer.lane, fresh=fresh)))

    async def check(self, peer: PeerRef, records: Iterable[KeyRecord], session: Session | None = None) -> Allowed:
        """What counts now, which these records and the session's handshake are. A no is looked up once more, since what
        is held may be of before an activation. Raises SuiteNotActive, BelowPolicy, and as `of` does."""
        records = tuple(records)
        for fresh in (False, True):
            allowed = await self.of(peer, fresh=fresh)
            try:
                allowed.check_records(*records)
                if session is not None:
                    allowed.check_session(session.suite)
            except NOT_ALLOWED:
                if fresh:
                    raise
            else:
                break
        return allowed

    async def _ledger(self, name: str, reader: ProvenReader, lane: str, *, fresh: bool) -> _Ledger:
        now, known = self._clock.monotonic(), self._proven.get((name, lane))
        if known is None or fresh or now - known[0] >= FRESH_FOR_NS:
            known = self._proven[name, lane] = now, *await _prove(reader, bytes.fromhex(lane))
        return _Ledger(name, known[1], known[2], reader.newest.height)


async def check_rotation(reader: ProvenReader, record: KeyRecord, sealing: int, signing: int) -> None:
    """The own ledger has the suites active of the keys that would be made after a record; 0 is the one there is.

    An identity is checked where another suite is asked for: it counts a rotation later. Raises SuiteNotActive,
    UnknownSuite.
    """
    wanted = [SuiteName(SuiteKind.SEAL, seal_suite(sealing or record.sealing.suite).id)]
    wanted += [SuiteName(SuiteKind.SIGNATURE, signature_suite(signing).id)] if signing else []
    height = await reader.latest()
    table = await _table(reader, height)
    for name in wanted:
        if not table.active(name, height):
            raise SuiteNotActive("not active", suite=name, height=height)


async def _prove(reader: ProvenReader, lane: bytes) -> tuple[SuiteTable, SuitePolicy]:
    height = await reader.latest()
    policy = read_policy(await reader.value(keys.LANE, keys.lane_suites(lane), height))
    return await _table(reader, height), policy


async def _table(reader: ProvenReader, height: int) -> SuiteTable:
    """The table in force that a trusted header carries."""
    at = Height(reader.chain.revision, height)
    names = (keys.RULES_SUITES, keys.RULES_STOPS)
    proofs = await reader.chain.prove_many(keys.RULES, names, at)
    found: list[bytes | None] = []
    for key, proof in zip(names, proofs, strict=True):
        if isinstance(proof, Exception):
            raise proof
        found.append(reader.check(keys.RULES, key, proof))
    table, stops = (_known_of(data) for data in found)
    return read_table(table).stopped(read_stops(stops))


def _known_of(data: bytes | None) -> bytes | None:
    """The rows about suites that this build knows; others are for builds that come later."""
    if data is None:
        return None
    rows: Any = cbor.decode(data)
    return cbor.encode([row for row in rows if _is_known(row)]) if isinstance(rows, Iterable) else data


def _is_known(row: Any) -> bool:
    return isinstance(row, tuple) and any((name.kind.value, name.number) == row[:2] for name in KNOWN)


__all__ = ("NOT_ALLOWED", "Allowed", "NoSuiteLeft", "Suites", "check_rotation")
