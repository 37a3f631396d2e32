"""A world of three ledgers: a lane from the one in the middle to each of two others, and an endpoint on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from lockgate.hosting.config import HostConfig, LedgerRef, PeerRef
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.origin import (
    CLASSIC,
    GRACE_S,
    MOST_OPEN,
    START,
    HostOrigin,
    LedgerOrigin,
    Origin,
    account,
    frozen,
    laid,
    ref_of,
)
from lockgate.lab.paths import End, connect, expect
from lockgate.machine import lanes
from lockgate.machine.genesis import Parameters
from lockgate.machine.records import Lane, LaneOrder
from lockgate.primitives.time import UnixNanos, seconds

MIDDLE: Final = "alpha"
SPOKES: Final = ("beta", "gamma")
PEOPLE: Final = {"alpha": "alice", "beta": "bob", "gamma": "carol"}


@dataclass(frozen=True, slots=True)
class Star:
    """`lanes` holds the world of each lane as its relayer knows it, by the ledger at the far end."""

    time: UnixNanos
    ledgers: dict[str, LedgerOrigin]
    lanes: dict[str, Origin]
    hosts: dict[str, HostOrigin]

    def clients(self) -> dict[tuple[str, str], str]:
        """(ledger, client) → the ledger at the lane's other end."""
        found = {}
        for far, lane in self.lanes.items():
            found[MIDDLE, str(lane.ledgers[MIDDLE].client)] = far
            found[far, str(lane.ledgers[far].client)] = MIDDLE
        return found


@cache
def star(rules: Parameters | None = None) -> Star:
    """The world, made once in a process; `rules` are the parameters of the ledger in the middle."""
    clock = SimulatedClock(START)
    mine = replace(rules or Parameters(), default_grace_ns=seconds(GRACE_S))
    made = {name: laid(name, clock, CLASSIC, mine if name == MIDDLE else None) for name in (MIDDLE, *SPOKES)}
    ledgers = {name: ledger for name, (ledger, _) in made.items()}
    ends = {}
    for far in SPOKES:
        here, there = (End(ledgers[name], account(f"operator {name} {far}")) for name in (MIDDLE, far))
        connect(here, there)
        ends[far] = here, there
    opened = {far: _lane(ledgers[MIDDLE], here) for far, (here, _) in ends.items()}
    accounts = {name: account(f"host {person}") for name, person in PEOPLE.items()}
    endpoints = {
        name: LabEndpoint(person.encode(), (accounts[name].id,), CLASSIC.identity, CLASSIC.sealing)
        for name, person in PEOPLE.items()
    }
    refs = {name: ref_of(name, ledger) for name, ledger in ledgers.items()}
    hosts = {}
    for name, person in PEOPLE.items():
        own = endpoints[name]
        others = SPOKES if name == MIDDLE else (MIDDLE,)
        peers, grants = {}, []
        for far in others:
            lane = opened[far if name == MIDDLE else name]
            near, away = ends[far] if name == MIDDLE else ends[name][::-1]
            peers[PEOPLE[far]] = PeerRef(endpoints[far].port, far, lane.lane_id.hex(), near.client, away.client)
            grants.append(own.grant(lane.lane_id, endpoints[far], MOST_OPEN))
        expect(ledgers[name].transact(accounts[name], own.register(), *grants))
        hosts[person] = HostOrigin(own, accounts[name], _config(person, own, refs, name, others, peers))
    found = {
        name: frozen(name, ledger, store, ends["beta" if name == MIDDLE else name][name != MIDDLE].client, refs[name])
        for name, (ledger, store) in made.items()
    }
    now = clock.now()
    pairs = {
        far: Origin(
            now,
            CLASSIC,
            LaneOrder.UNORDERED,
            {MIDDLE: replace(found[MIDDLE], client=here.client), far: found[far]},
            {PEOPLE[name]: hosts[PEOPLE[name]] for name in (MIDDLE, far)},
        )
        for far, (here, _) in ends.items()
    }
    return Star(now, found, pairs, hosts)


def _lane(ledger: LabLedger, end: End) -> Lane:
    lane = lanes.lane_of(ledger.chain.view(), end.client)
    assert lane is not None, "the lane was opened"
    return lane


def _config(
    person: str,
    own: LabEndpoint,
    refs: dict[str, LedgerRef],
    name: str,
    others: tuple[str, ...],
    peers: dict[str, PeerRef],
) -> HostConfig:
    return HostConfig(
        name=person,
        guest="lab",
        endpoint=own.port,
        records=tuple(record.to_bytes().hex() for record in own.chain),
        local=refs[name],
        remotes=tuple(refs[far] for far in others),
        peers=peers,
        sessions=False,  # its story is about lanes, and its packets are counted
    )


__all__ = ("MIDDLE", "PEOPLE", "SPOKES", "Star", "star")
