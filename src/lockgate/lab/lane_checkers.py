"""The promises about a lane whose other ledger deviates, and about every other lane (S72).

What a deviation is, and which level follows when, is worked out here once more, from the packets in the blocks and
the parameters of the genesis: no record of the machine is read for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from lockgate.engines.embedded.results import BlockResults
from lockgate.ibc import wire
from lockgate.lab.outcome import Outcome
from lockgate.lab.parties import LedgerParty
from lockgate.machine.genesis import Parameters
from lockgate.primitives.state import Event
from lockgate.primitives.time import NANOS_PER_SECOND
from lockgate.storage.ledger import LedgerStore

ENDPOINT: Final = re.compile(r"[0-9a-f]{64}")
FEWEST: Final = 20  # packets of a lane that say anything about its speed
SLOWER: Final = 1.5  # times the quiet run's latency: turns at the one host both lanes lead to, and no more


@dataclass(slots=True)
class _Lane:
    """A lane with a deviating ledger, as an onlooker with a watch and the rules sees it."""

    client: str
    rules: Parameters
    counted: list[int] = field(default_factory=list)  # times of the deviations of this window
    window_ends: int = 0
    slowed_to: int = 0
    quarantined_to: int = 0
    levels: list[str] = field(default_factory=list)
    waiting: set[int] = field(default_factory=set)
    received_after: int = 0  # packets, once a quarantine was over
    found: list[str] = field(default_factory=list)

    def take(self, now: int, event: Event) -> None:
        sequence = int(event.get("packet_sequence") or event.get("sequence") or 0)
        match event.type:
            case "recv_packet" if event.get("packet_dest_client") == self.client:
                self._received(now, sequence, event.get("encoded_packet_hex") or "")
            case "inbox" if event.get("client") == self.client:
                self._held(now, sequence)
            case "write_acknowledgement" if event.get("packet_dest_client") == self.client:
                self.waiting.discard(sequence)

    def _received(self, now: int, sequence: int, encoded: str) -> None:
        if now < self.quarantined_to:
            self.found.append(f"{self.client}/{sequence} was received in quarantine")
        if self.quarantined_to and now >= self.quarantined_to:
            self.received_after += 1
        if not deviates(encoded):
            return
        if now >= self.window_ends:
            self.counted, self.window_ends = [], now + self.rules.deviation_window_ns
        self.counted.append(now)
        if len(self.counted) >= self.rules.deviation_quarantine_at:
            self.quarantined_to = max(self.window_ends, now + self.rules.deviation_quarantined_ns)
            self.slowed_to = 0
            self.levels.append("quarantined")
        elif len(self.counted) >= self.rules.deviation_slow_at:
            self.slowed_to = now + self.rules.deviation_slowed_ns
            self.levels.append("slowed")
        else:
            self.levels.append("warned")

    def _held(self, now: int, sequence: int) -> None:
        self.waiting.add(sequence)
        room = max(self.rules.deviation_slowed_room, self.rules.inbox_reserved)
        if now < self.slowed_to and len(self.waiting) > room:
            self.found.append(f"{self.client}/{sequence} is one of {len(self.waiting)} that wait over a slowed lane")


def deviates(encoded: str) -> bool:
    """Does no machine of ours send this packet? More than one payload names an endpoint, or one names it at one end."""
    ends = [
        (ENDPOINT.fullmatch(payload.source_port), ENDPOINT.fullmatch(payload.destination_port))
        for payload in wire.read_packet(bytes.fromhex(encoded)).payloads
    ]
    named = [pair for pair in ends if any(pair)]
    return len(named) > 1 or not all(all(pair) for pair in named)


class Degraded:
    """The deviating lane goes through warned, slowed and quarantined as the rules say, and comes back by itself."""

    def complaints(self, outcome: Outcome, /) -> Sequence[str]:
        history = outcome.history
        found: list[str] = []
        for (name, client), far in (history.lanes or {}).items():
            party = next(party for party in history.ledgers if party.name == name)
            if far in history.deviating:
                found += _degraded(party, client)
            else:
                found += _left_alone(party, client)
        return found


def _degraded(party: LedgerParty, client: str) -> Iterator[str]:
    lane = _Lane(client, party.origin.genesis.parameters)
    for time, event in _events(party):
        lane.take(time, event)
    yield from lane.found
    for level in ("warned", "slowed", "quarantined"):
        if level not in lane.levels:
            yield f"{party.name}: the lane over {client} was never {level}, so the run shows nothing"
    if not lane.received_after:
        yield f"{party.name}: nothing came over {client} after its quarantine"
    said = [str(event.get("level")) for _, event in _events(party) if event.get("client") == client and _is(event)]
    if said != lane.levels:
        yield f"{party.name}: the rules say {lane.levels}, the ledger {said}"


def _left_alone(party: LedgerParty, client: str) -> Iterator[str]:
    for _, event in _events(party):
        if _is(event) and event.get("client") == client:
            yield f"{party.name}: the lane over {client} is {event.get('level')}, whose other ledger is honest"


def _is(event: Event) -> bool:
    return event.type == "lane_deviation"


def _events(party: LedgerParty) -> Iterator[tuple[int, Event]]:
    """Every event of a ledger, with the time of its block in ns."""
    store, height = LedgerStore(party.disk, None), 0
    while (row := store.block(height + 1)) is not None:
        height += 1
        results = BlockResults.from_bytes(row.results)
        time = int(row.time)
        for result in results.transactions:
            for event in result.events if result.code == 0 else ():
                yield time, event
        for event in results.events:
            yield time, event


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """Over every lane between honest ledgers each packet is acknowledged, no slower than in the quiet run."""

    quiet: Outcome

    def complaints(self, outcome: Outcome, /) -> Sequence[str]:
        before, now = latencies(self.quiet), latencies(outcome)
        found = list(_not_acknowledged(outcome))
        for lane, usual in before.items():
            times = now.get(lane, [])
            if min(len(times), len(usual)) < FEWEST:
                found.append(f"{lane}: {len(times)} packets and {len(usual)}, so the runs show nothing")
            elif percentile(times, 95) > SLOWER * percentile(usual, 95):
                slow, quick = (f"{1000 * percentile(each, 95):.0f} ms" for each in (times, usual))
                found.append(f"{lane}: p95 is {slow}, and {quick} in the quiet run")
        return found


def latencies(outcome: Outcome) -> dict[str, list[float]]:
    """Seconds from send to acknowledgement, by the sender's blocks, of each lane between honest ledgers."""
    found: dict[str, list[float]] = {}
    history = outcome.history
    for (name, client), far in _honest_lanes(outcome):
        party = next(party for party in history.ledgers if party.name == name)
        sent: dict[int, int] = {}
        times: list[float] = []
        for time, event in _events(party):
            if event.get("packet_source_client") != client:
                continue
            sequence = int(event.get("packet_sequence") or 0)
            if event.type == "send_packet":
                sent[sequence] = time
            elif event.type == "acknowledge_packet":
                times.append((time - sent[sequence]) / NANOS_PER_SECOND)
        if times:
            found[f"{name}/{client} to {far}"] = times
    return found


def _honest_lanes(outcome: Outcome) -> Iterator[tuple[tuple[str, str], str]]:
    """((ledger, client), ledger at the other end) of every lane between ledgers that run our machine."""
    for (name, client), far in (outcome.history.lanes or {}).items():
        if not {name, far} & outcome.history.deviating:
            yield (name, client), far


def _not_acknowledged(outcome: Outcome) -> Iterator[str]:
    for (name, client), far in _honest_lanes(outcome):
        record = outcome.history.records[name]
        for key in record.sent:
            if key[0] == client and key not in record.acknowledged:
                yield f"{name}: {client}/{key[1]} to {far} was not acknowledged"


def percentile(values: Sequence[float], share: int) -> float:
    """The value below which `share` percent of the others lie."""
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]


__all__ = ("Degraded", "Undisturbed", "deviates", "latencies", "percentile")
