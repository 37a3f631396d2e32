"""What the ledgers of a run recorded: packets sent, received, answered, ended, out of their block results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lockgate.engines.embedded.results import BlockResults
from lockgate.lab.origin import HostOrigin
from lockgate.lab.parties import HostParty, LedgerParty
from lockgate.machine import endpoints, keys
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.state import Event
from lockgate.storage.host import Sent
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes

Key = tuple[str, int]  # client and sequence
OPEN_STATES = ("staged", "sent")


@dataclass(slots=True)
class Record:
    """One ledger's packet events, each with every occurrence: a second one is what checkers look for."""

    sent: dict[Key, list[str]] = field(default_factory=lambda: defaultdict(list))  # by source client: packet
    received: dict[Key, list[str]] = field(default_factory=lambda: defaultdict(list))  # by destination client: packet
    answered: dict[Key, list[str]] = field(default_factory=lambda: defaultdict(list))  # acknowledgement
    acknowledged: dict[Key, list[str]] = field(default_factory=lambda: defaultdict(list))  # by source client: packet
    timed_out: dict[Key, list[str]] = field(default_factory=lambda: defaultdict(list))
    height: int = 0

    def read(self, store: LedgerStore) -> None:
        """Take in the blocks that are new."""
        while (row := store.block(self.height + 1)) is not None:
            self.height += 1
            results = BlockResults.from_bytes(row.results)
            for result in results.transactions:
                if result.code == 0:
                    self._take(result.events)
            self._take(results.events)

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            sequence = int(event.get("packet_sequence") or 0)
            source = (event.get("packet_source_client") or "", sequence)
            destination = (event.get("packet_dest_client") or "", sequence)
            packet = event.get("encoded_packet_hex") or ""
            match event.type:
                case "send_packet":
                    self.sent[source].append(packet)
                case "recv_packet":
                    self.received[destination].append(packet)
                case "write_acknowledgement":
                    self.answered[destination].append(event.get("encoded_acknowledgement_hex") or "")
                case "acknowledge_packet":
                    self.acknowledged[source].append(packet)
                case "timeout_packet":
                    self.timed_out[source].append(packet)

    def open_packets(self) -> list[Key]:
        """Packets that were sent here and have not ended."""
        return [key for key in self.sent if key not in self.acknowledged and key not in self.timed_out]


class History:
    """Both ledgers' records and both endpoints' hosts, read as a run goes on."""

    def __init__(
        self,
        ledgers: list[LedgerParty],
        hosts: list[HostParty],
        victim: HostOrigin | None = None,
        lanes: Mapping[tuple[str, str], str] | None = None,
        deviating: frozenset[str] = frozenset(),
    ) -> None:
        self.ledgers = ledgers
        self.hosts = hosts  # grows when a host is cloned
        self.lanes = lanes  # (ledger, client) → ledger at the other end; None: there are two
        self.deviating = deviating  # ledgers that do not run our machine
        self.victim = victim  # of a thief: what its own host knows is promised no more
        self.records = {party.name: Record() for party in ledgers}

    def settled(self) -> bool:
        """Has every packet ended, and does every host that may act know how its own ended?"""
        return not self.unsettled()

    def unsettled(self) -> list[str]:
        """What is still open, in words."""
        self.read()
        found = [
            f"{name}: packet {client}/{sequence}"
            for name, record in self.records.items()
            for client, sequence in record.open_packets()
        ]
        for origin in {id(host.origin): host.origin for host in self.hosts}.values():
            copies = [host for host in self.hosts if host.origin is origin and host.stopped is None]
            if origin is not self.victim and not any(held_root(host) == self.shown_root(host) for host in copies):
                found.append(f"{origin.config.name}: no copy of it that stands holds the root that its ledger shows")
        for host in self.acting():
            found += [f"{host.name}: message {row.ref.hex()[:8]} is {row.state}" for row in outbox(host) if open_(row)]
        return found

    def read(self) -> None:
        for party in self.ledgers:
            self.records[party.name].read(LedgerStore(party.disk, None))

    def acting(self) -> list[HostParty]:
        """The host that stands for each endpoint: not fenced off, and holding the root that its ledger shows."""
        return [host for host in self.hosts if host.stopped is None and held_root(host) == self.shown_root(host)]

    def shown_root(self, host: HostParty) -> bytes:
        """The root that the endpoint's ledger shows."""
        config = host.origin.config
        ledger = next(party for party in self.ledgers if party.name == config.local.name)
        state = MultiStore(keys.STORES, SqliteNodes(ledger.disk))
        return endpoints.load(state, bytes.fromhex(config.endpoint)).root

    def other(self, ledger: str, client: str) -> str:
        """Name of the ledger at the other end of the lane over a client."""
        if self.lanes is not None:
            return self.lanes[ledger, client]
        return next(party.name for party in self.ledgers if party.name != ledger)


def held_root(host: HostParty) -> bytes:
    """The root of the newest step that a host's disk holds as proven."""
    steps = host.store.steps(promoted=True)
    return steps[-1].root if steps else endpoints.EMPTY_ROOT


def outbox(host: HostParty) -> list[Sent]:
    return host.store.all_sent()


def open_(row: Sent) -> bool:
    return row.state in OPEN_STATES


__all__ = ("History", "Key", "Record", "held_root", "outbox")
