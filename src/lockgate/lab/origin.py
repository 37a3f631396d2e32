"""The world as every run of a suite finds it: two ledgers, a lane, an endpoint on each, granted both ways.

Making it costs as much as a run, and it is the same for every seed of a suite: so it is made once in
a process and each run starts from copies of its two disks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Self

from lockgate.crypto import ed25519
from lockgate.crypto.suites import SEAL_X25519, SEAL_XWING_AES, SIGN_ED25519, SIGN_ED25519_MLDSA65
from lockgate.hosting.config import HostConfig, LedgerRef, PeerRef
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.disk import image_of
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.ledgers import LabAccount, LabLedger, lab_authority
from lockgate.lab.paths import End, connect, expect
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.machine import keys, lanes
from lockgate.machine.genesis import Genesis, Parameters
from lockgate.machine.records import LaneOrder
from lockgate.machine.suite_table import DEFAULT, SuiteTable
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, seconds
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes

START: Final = UnixNanos(1_750_000_000 * NANOS_PER_SECOND)
GRACE_S: Final = 15  # answer deadline; short, so that runs meet it
MOST_OPEN: Final = 64


@dataclass(frozen=True, slots=True)
class Suite:
    """Which algorithms a run uses (I13)."""

    name: str
    identity: int
    sealing: int


CLASSIC: Final = Suite("classic", SIGN_ED25519.id, SEAL_X25519.id)
HYBRID: Final = Suite("hybrid", SIGN_ED25519_MLDSA65.id, SEAL_XWING_AES.id)


@dataclass(frozen=True, slots=True)
class LedgerOrigin:
    """One ledger's disk and keys."""

    name: str
    genesis: Genesis
    image: bytes
    signed: tuple[int, bytes]  # sign-state: height and sign bytes
    validator: ed25519.SigningKey
    client: ClientId  # of the other ledger
    ref: LedgerRef


@dataclass(frozen=True, slots=True)
class HostOrigin:
    """One endpoint: its keys, its account, and what its host is told."""

    endpoint: LabEndpoint
    account: LabAccount
    config: HostConfig


@dataclass(frozen=True, slots=True)
class Origin:
    """Two ledgers and the hosts on them, by name."""

    time: UnixNanos
    suite: Suite
    order: LaneOrder
    ledgers: dict[str, LedgerOrigin]
    hosts: dict[str, HostOrigin]

    def with_sessions(self, sessions: bool) -> Self:
        """The same, with hosts whose messages travel in sessions, or under long-term keys."""
        hosts = {
            name: replace(host, config=replace(host.config, sessions=sessions)) for name, host in self.hosts.items()
        }
        return replace(self, hosts=hosts)


def account(name: str) -> LabAccount:
    """An account whose key anyone who knows the name can make: the lab's only."""
    return LabAccount(ed25519.SigningKey(name.encode().ljust(32, b"\0")[:32]))


@cache
def origin(suite: Suite, order: LaneOrder = LaneOrder.UNORDERED, suites: SuiteTable = DEFAULT) -> Origin:
    """The world of a suite, over a lane of this order, on ledgers with this table. The same bytes in every process."""
    clock = SimulatedClock(START)
    names = ("alpha", "beta")
    ledgers, stores = zip(*(laid(name, clock, suite, suites=suites) for name in names), strict=True)
    ends = [End(ledger, account(f"operator {name}")) for name, ledger in zip(names, ledgers, strict=True)]
    connect(*ends, order=order)
    lane = lanes.lane_of(ledgers[0].chain.view(), ends[0].client)
    assert lane is not None, "the lane was opened"
    people = ("alice", "bob")
    accounts = [account(f"host {person}") for person in people]
    endpoints = [
        LabEndpoint(person.encode(), (holder.id,), suite.identity, suite.sealing)
        for person, holder in zip(people, accounts, strict=True)
    ]
    refs = [ref_of(name, ledger) for name, ledger in zip(names, ledgers, strict=True)]
    hosts = {}
    for here, there in ((0, 1), (1, 0)):
        own = endpoints[here]
        expect(
            ledgers[here].transact(accounts[here], own.register(), own.grant(lane.lane_id, endpoints[there], MOST_OPEN))
        )
        peer = PeerRef(endpoints[there].port, names[there], lane.lane_id.hex(), ends[here].client, ends[there].client)
        config = HostConfig(
            name=people[here],
            guest="lab",
            endpoint=own.port,
            records=tuple(record.to_bytes().hex() for record in own.chain),
            local=refs[here],
            remotes=(refs[there],),
            peers={people[there]: peer},
        )
        hosts[people[here]] = HostOrigin(own, accounts[here], config)
    found = {
        name: frozen(name, ledger, store, end.client, ref)
        for name, ledger, store, end, ref in zip(names, ledgers, stores, ends, refs, strict=True)
    }
    return Origin(clock.now(), suite, order, found, hosts)


def laid(
    name: str,
    clock: SimulatedClock,
    suite: Suite,
    parameters: Parameters | None = None,
    suites: SuiteTable = DEFAULT,
) -> tuple[LabLedger, LedgerStore]:
    """A new ledger of the lab, on a disk."""
    store = LedgerStore.in_memory()
    ledger = LabLedger(
        f"{name}-1",
        clock,
        authority=(lab_authority("authority", suite.identity).key,),
        parameters=parameters or Parameters(default_grace_ns=seconds(GRACE_S)),
        store=store,
        state=MultiStore(keys.STORES, SqliteNodes(store.connection)),
        suites=suites,
    )
    return ledger, store


def frozen(name: str, ledger: LabLedger, store: LedgerStore, client: ClientId, ref: LedgerRef) -> LedgerOrigin:
    """A ledger as it stands now: what every run of it starts from."""
    signed = (ledger.signing[0].height, ledger.signing[0].sign_bytes)
    return LedgerOrigin(name, ledger.genesis, image_of(store.connection), signed, ledger.keys[0], client, ref)


def ref_of(name: str, ledger: LabLedger) -> LedgerRef:
    header = ledger.chain.signed_header(2).header
    rules = ledger.chain.view().get(keys.RULES, keys.RULES_DIGEST) or b""
    return LedgerRef(
        name, ledger.genesis.chain_id, ledger.genesis.domain_id.hex(), 2, header_hash(header).hex(), (rules.hex(),)
    )


__all__ = (
    "CLASSIC",
    "HYBRID",
    "HostOrigin",
    "LedgerOrigin",
    "Origin",
    "Suite",
    "account",
    "frozen",
    "laid",
    "origin",
    "ref_of",
)
