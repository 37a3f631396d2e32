"""Two hosts on two lab ledgers in one process: the good world that tests of hosts spoil.

Hosts, readers, submitters, ledgers, proofs and envelopes are the real ones; only sockets, disks and time
are not. Nothing moves by itself but blocks: tests turn the hosts and relay packets by hand.

@in_world()
async def test_a_message(world: HostWorld) -> None:
    await world.command(world.a, send("b", body))
    await world.settle()
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from lockgate.codec import cbor
from lockgate.crypto.suites import SEAL_X25519, SIGN_ED25519
from lockgate.engines.embedded.results import BlockResults
from lockgate.host.keyring import AccountKey, KeyCabinet, KeyRing, Opener
from lockgate.host.ports import Guest
from lockgate.host.staging import GuestTree
from lockgate.hosting.bulk import Bulk
from lockgate.hosting.config import EpochLimits, HostConfig, LedgerRef, PeerRef
from lockgate.hosting.host import Host
from lockgate.hosting.reader import ProvenReader
from lockgate.hosting.sessions import ForgetfulVault
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.ibc.ports import Application
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.ledgers import LabAccount, LabLedger
from lockgate.lab.paths import (
    End,
    acknowledge_message,
    expect,
    receive_message,
    timeout_message,
    update_message,
)
from lockgate.lab.rpc import LabRpc, service_of
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.machine import keys
from lockgate.machine.genesis import Parameters
from lockgate.machine.identity import KeyRecord, SignedRecord
from lockgate.machine.machine import TxResult
from lockgate.machine.suite_table import DEFAULT, SuiteTable
from lockgate.machine.transaction import Message
from lockgate.primitives.state import Event
from lockgate.primitives.time import seconds
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import Calls
from lockgate.relay.submitter import AccountSubmitter
from lockgate.runtime.inprocess import InProcessGuest
from lockgate.storage.host import HostStore, Seen, Sent
from lockgate.storage.nodes import SqliteNodes
from tests.support.guests import PROBE_ID
from tests.support.lab import World, account
from tests.support.probe import Probe

NONCE_LANE = 2
ROUNDS = 40  # turns until a world must have come to rest


def probe() -> Guest:
    return InProcessGuest(PROBE_ID, Probe)


class KeptEvidence:
    """Meets `hosting.forks.Evidence` in memory."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}

    def keep(self, kind: str, document: bytes, /) -> str:
        path = f"evidence/{kind}-{hashlib.sha256(document).hexdigest()[:16]}.cbor"
        self.documents[path] = cbor.decode(document)
        return path


def by_header(on: End, of: LabLedger) -> list[Message]:
    return [update_message(on, of, of.height)]


@dataclass
class Side:
    """One ledger with its host: what a test looks at and what it spoils."""

    name: str
    end: End
    account: LabAccount
    endpoint: LabEndpoint
    rpc: LabRpc
    host: Host = None  # type: ignore[assignment]  # set by HostWorld.host
    store: HostStore = field(default_factory=HostStore.in_memory)
    evidence: KeptEvidence = field(default_factory=KeptEvidence)
    reports: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    updates: Callable[[End, LabLedger], list[Message]] = by_header  # what brings its client to the newest height
    relayed: int = 0  # height up to which its events were relayed

    def reported(self, what: str) -> list[dict[str, Any]]:
        return [said for name, said in self.reports if name == what]

    def get(self, key: bytes) -> bytes | None:
        """A key of the guest's proven state."""
        return self.host.parts.tree.get(key)

    def seen(self, sequence: int = 1) -> Seen:
        """What it knows of the message that arrived with a sequence."""
        found = self.store.seen(self.end.client, sequence)
        assert found is not None
        return found

    def sent(self, sequence: int = 1) -> Sent:
        """What it knows of the message it sent with a sequence."""
        found = self.store.sent_by_packet(self.end.client, sequence)
        assert found is not None
        return found


class HostWorld:
    """A and B, each with a ledger and a host; `a` knows the other as "b", and `b` as "a"."""

    def __init__(
        self,
        guest_a: Callable[[], Guest] = probe,
        guest_b: Callable[[], Guest] = probe,
        parameters: Parameters | None = None,
        applications: Mapping[str, Application] | None = None,
        join: Callable[[End, End], None] | None = None,
        sessions: bool = False,
        suites: SuiteTable = DEFAULT,
        keys_of: tuple[int, int] = (SIGN_ED25519.id, SEAL_X25519.id),
    ) -> None:
        self.sessions = sessions
        self.epochs = EpochLimits()
        self.vaults: dict[str, ForgetfulVault] = {"a": ForgetfulVault(), "b": ForgetfulVault()}
        self.lab = World.make(parameters, applications, join=join, suites=suites, keys_of=keys_of)
        self.clock = self.lab.clock
        self._services = [service_of(end.ledger) for end in (self.lab.a, self.lab.b)]
        rpcs = [LabRpc.of(service) for service in self._services]
        self.a = Side("a", self.lab.a, self.lab.host_a, self.lab.sender, rpcs[0])
        self.b = Side("b", self.lab.b, self.lab.host_b, self.lab.receiver, rpcs[1])
        self._guests = {"a": guest_a, "b": guest_b}
        self.anchors: dict[str, int] = {}  # heights of other fingerprints than the first, by side
        self.rules = {side.name: rules_of(side) for side in self.sides}  # what both operators accepted at first
        self._tasks: list[asyncio.Task[None]] = []
        self.bulk: dict[str, Bulk] = {}  # by side, for tests that set one and make the host anew

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(service.run()) for service in self._services]
        for side in self.sides:
            side.relayed = side.end.ledger.height
            side.host = self.make(side)
            await side.host.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.a, self.b

    def other(self, side: Side) -> Side:
        return self.b if side is self.a else self.a

    def make(
        self,
        side: Side,
        store: HostStore | None = None,
        *,
        own: Calls | None = None,
        remote: Calls | None = None,
        ring: KeyRing | None = None,
        cabinet: KeyCabinet | None = None,
        signer: LabAccount | None = None,
        seed: bytes = b"",
    ) -> Host:
        """A host of this side, over its store or a copy of it; nodes and keys may be replaced."""
        far = self.other(side)
        chain, far_chain = self.chain(side, own), self.chain(far, remote)
        readers = {
            side.name: ProvenReader(chain, self.ref(side).follower(), self.clock),
            far.name: ProvenReader(far_chain, self.ref(far).follower(), self.clock),
        }
        key = (signer or side.account).key
        domain = side.end.ledger.chain.machine.domain
        store = store or side.store
        entropy = SeededEntropy(side.name.encode() + seed)
        return Host(
            self.config(side),
            store,
            GuestTree(SqliteNodes(store.connection)),
            self._guests[side.name](),
            ring or ring_of(side.endpoint),
            entropy.fork("seal"),
            readers,
            AccountSubmitter(chain, domain, key.public_key, key.sign, NONCE_LANE),
            self.clock,
            entropy,
            side.evidence,
            lambda name, said: side.reports.append((name, said)),
            bulk=self.bulk.get(side.name),
            cabinet=cabinet,
            vault=self.vaults[side.name],
        )

    @staticmethod
    def chain(side: Side, rpc: Calls | None = None) -> CometBftChain:
        return CometBftChain(rpc or side.rpc, side.end.ledger.genesis.chain_id)

    def ref(self, side: Side) -> LedgerRef:
        ledger = side.end.ledger
        height = self.anchors.get(side.name, 2)
        digest = header_hash(ledger.chain.signed_header(height).header)
        chain_id, domain = ledger.genesis.chain_id, ledger.chain.machine.domain.hex()
        return LedgerRef(side.name, chain_id, domain, height, digest.hex(), (self.rules[side.name],))

    def config(self, side: Side) -> HostConfig:
        far = self.other(side)
        peer = PeerRef(far.endpoint.id.hex(), far.name, self.lab.lane.hex(), side.end.client, far.end.client)
        return HostConfig(
            name=side.name,
            guest="probe",
            endpoint=side.endpoint.id.hex(),
            records=tuple(signed.to_bytes().hex() for signed in side.endpoint.chain),
            local=self.ref(side),
            remotes=(self.ref(far),),
            peers={far.name: peer},
            sessions=self.sessions,
            epochs=self.epochs,
        )

    # What happens.

    async def command(self, side: Side, script: bytes) -> dict[str, Any]:
        """Give a host's guest a command, and turn the host until it stands."""
        return await self._until(side, side.host.command(script))

    async def send(
        self, side: Side, body: bytes, timeout_s: int = 600, beside: Sequence[Payload] = ()
    ) -> dict[str, Any]:
        return await self._until(side, side.host.send(self.other(side).name, "probe@1.0", body, timeout_s, beside))

    @staticmethod
    async def _until(side: Side, asked: Any) -> dict[str, Any]:
        task = asyncio.ensure_future(asked)
        await asyncio.sleep(0)
        while not task.done():
            await side.host.turn()
            await asyncio.sleep(0)
        done: dict[str, Any] = await task
        return done

    async def turn(self, side: Side) -> bool:
        """Turn one host until it finds nothing to do; tells whether it did anything."""
        moved = False
        while await side.host.turn():
            moved = True
        return moved

    async def settle(self) -> None:
        """Turn both hosts and relay until everything rests."""
        for _ in range(ROUNDS):
            moved = [await self.turn(side) for side in self.sides]
            if not any([*moved, self.relay()]):
                return
        raise AssertionError("the world does not come to rest")

    def relay(self) -> bool:
        """Bring every new packet and acknowledgement across; tells whether there were any."""
        moved = False
        for side in self.sides:
            far = self.other(side)
            for packet in self.sent(side):
                moved = True
                expect(self._deliver(far, side, receive_message, side.end, packet))
            for packet, acknowledgement in self.acknowledged(side):
                moved = True
                expect(self._deliver(far, side, acknowledge_message, side.end, packet, acknowledgement))
            side.relayed = side.end.ledger.height
        return moved

    def deliver(self, side: Side, packet: Packet) -> None:
        """Bring one packet to a side, which may have been passed over before."""
        expect(self._deliver(side, self.other(side), receive_message, self.other(side).end, packet))

    def time_out(self, side: Side, packet: Packet) -> TxResult:
        """Prove on `side` that the other ledger never received a packet."""
        far = self.other(side)
        far.end.ledger.block()
        far.end.ledger.block()
        return self._deliver(side, far, timeout_message, far.end, packet)

    def sent(self, side: Side) -> list[Packet]:
        """Packets sent since the last relay."""
        return [_packet_in(event) for event in self._new(side, "send_packet")]

    def acknowledged(self, side: Side) -> list[tuple[Packet, Acknowledgement]]:
        """Acknowledgements written since the last relay, with their packets."""
        return [
            (
                _packet_in(event),
                ibc_wire.read_acknowledgement(bytes.fromhex(event.get("encoded_acknowledgement_hex") or "")),
            )
            for event in self._new(side, "write_acknowledgement")
        ]

    def _new(self, side: Side, kind: str) -> list[Event]:
        heights = range(side.relayed + 1, side.end.ledger.height + 1)
        return [event for height in heights for event in self._events(side, height) if event.type == kind]

    @staticmethod
    def _events(side: Side, height: int) -> list[Event]:
        row = side.end.ledger.chain.store.block(height)
        assert row is not None
        results = BlockResults.from_bytes(row.results)
        return [event for tx in results.transactions if tx.code == 0 for event in tx.events] + list(results.events)

    @staticmethod
    def _deliver(on: Side, of: Side, build: Callable[..., Message], *arguments: Any) -> TxResult:
        """One relayer's transaction on `on`: bring its client of `of` up to date, then one packet message."""
        messages: list[Message] = []
        if on.end.trusted < of.end.ledger.height:
            messages += on.updates(on.end, of.end.ledger)
            on.end.trusted = of.end.ledger.height
        messages.append(build(on.end, *arguments))
        return on.end.ledger.transact(on.end.account, *messages)

    def pass_time(self, seconds_: int) -> None:
        """Let time pass on both ledgers, with a block that shows it."""
        self.clock.advance(seconds(seconds_))
        for side in self.sides:
            side.end.ledger.block()
            side.end.ledger.block()


def rules_of(side: Side) -> str:
    """The digest of the rules in force on a side's ledger, in hex."""
    return (side.end.ledger.chain.view().get(keys.RULES, keys.RULES_DIGEST) or b"").hex()


def _packet_in(event: Event) -> Packet:
    return ibc_wire.read_packet(bytes.fromhex(event.get("encoded_packet_hex") or ""))


def ring_of(endpoint: LabEndpoint, generation: int | None = None) -> KeyRing:
    """The private keys of an endpoint's newest record, or of an earlier one."""
    at = endpoint.generation if generation is None else generation
    record = endpoint.record if at == endpoint.generation else _record(endpoint, at)
    return KeyRing(endpoint.signer(at), Opener(record, endpoint.opener(at)))


def _record(endpoint: LabEndpoint, index: int) -> KeyRecord:
    return KeyRecord.from_body(endpoint.chain[index].body)


class LabCabinet:
    """Meets `host.keyring.KeyCabinet` over a lab endpoint: its keys follow from its seed."""

    def __init__(self, endpoint: LabEndpoint) -> None:
        self._endpoint = endpoint
        self.held = {0}  # indices of sealing keys that were not erased

    def ring(self, chain: Sequence[KeyRecord], /) -> KeyRing:
        newest = ring_of(self._endpoint, chain[-1].index)
        self.held.add(chain[-1].index)
        older = [ring_of(self._endpoint, r.index).current for r in reversed(chain[:-1]) if r.index in self.held]
        key = self._account(chain[-1].index).key
        return KeyRing(newest.signer, newest.current, tuple(older), AccountKey(key.public_key, key.sign))

    def next_record(self, current: KeyRecord, /, sealing: int = 0, signing: int = 0) -> SignedRecord:
        if self._endpoint.generation == current.index:
            if signing:
                self._endpoint.signed_from[current.index + 2] = signing
            self._endpoint.sealed_to = sealing or current.sealing.suite
            self._endpoint.accounts = (self._account(current.index + 1).id,)
            self._endpoint.rotated()
        return self._endpoint.chain[current.index + 1]

    def settled(self, record: KeyRecord, /) -> None: ...

    def forget(self, index: int, /) -> None:
        self.held = {held for held in self.held if held >= index}

    def _account(self, index: int) -> LabAccount:
        name = self._endpoint.seed.decode()
        first = {"sender": "host a", "receiver": "host b"}[name]
        return account(first if index == 0 else f"{name} account {index}")


def copy_of(store: HostStore) -> HostStore:
    """A host's file as a backup has it: everything committed so far."""
    made = HostStore.in_memory()
    store.connection.backup(made.connection)
    return made


def in_world(**settings: Any) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Callable[..., None]]:
    """Run a test's coroutine in a fresh world, which it gets as its first argument."""

    def decorate(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
        def run(*arguments: Any, **named: Any) -> None:
            async def within() -> None:
                async with HostWorld(**settings) as world:
                    await test(world, *arguments, **named)

            asyncio.run(within())

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        signature = inspect.signature(test)
        run.__signature__ = signature.replace(  # type: ignore[attr-defined]  # pytest asks it for the fixtures
            parameters=list(signature.parameters.values())[1:]
        )
        return run

    return decorate
