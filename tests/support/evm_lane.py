"""A lane between a lab ledger and a host contract on a real EVM node: attestors on both sides, and relayers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.crypto.recoverable import EvmKey
from lockgate.engines.embedded.results import BlockResults
from lockgate.engines.embedded.service import LedgerService
from lockgate.hosting.attestor import Watched
from lockgate.hosting.evm_attestor import EvmAttestorService, StatementSigner
from lockgate.hosting.reader import ProvenReader
from lockgate.ibc import wire
from lockgate.ibc.packet import Payload
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import End, expect
from lockgate.lab.rpc import LabRpc
from lockgate.lightclients.attested import ClientState, ConsensusState, SignerSet, states
from lockgate.lightclients.evm_attestation import Member as EvmMember
from lockgate.lightclients.evm_attestation import SigningSet
from lockgate.lightclients.evm_storage import chain_name, domain_of
from lockgate.primitives.state import Event
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, seconds
from lockgate.relay.attestors import Attestors
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.chains.evm.account import EvmAccount, Waits
from lockgate.relay.chains.evm.chain import EvmChain
from lockgate.relay.chains.evm.clients import KIND
from lockgate.relay.chains.evm.deployment import LaneLimits, add_client, deploy, deploy_attested, invoke, port_of
from lockgate.relay.chains.evm.fees import GWEI, FeeRules
from lockgate.relay.chains.evm.history import Finality
from lockgate.relay.chains.evm.journal import Journal
from lockgate.relay.chains.evm.node import EvmNode, ask
from lockgate.relay.chains.evm.submitter import EvmSubmitter
from lockgate.relay.driver import EndPoint, Relayer
from lockgate.relay.evm_attestors import EvmAttestors
from lockgate.relay.evm_guard import EvmGuard
from lockgate.relay.submitter import AccountSubmitter
from lockgate.relay.updaters.attested_evm import AttestedEvmUpdater
from lockgate.relay.updaters.evm_attested import EvmAttestedUpdater
from lockgate.storage.attested import AttestedState
from tests.support.attested_lab import create
from tests.support.attesters import attester, ordered, signer
from tests.support.attestors import Member, fingerprint
from tests.support.relays import Answering, account

NETWORK = 31_337
COUNT, NEEDED = 5, 3
RELAYER = EvmKey(b"\x55" * 32)
OWNER = EvmKey(b"\x56" * 32)
OPERATORS = tuple(EvmKey(bytes([0x60 + number]) * 32) for number in range(COUNT))


class ShiftedClock:
    """The real clock, moved ahead: as an EVM node's is when it is told that time has passed."""

    def __init__(self) -> None:
        self.ahead_s = 0

    def now(self) -> UnixNanos:
        return UnixNanos(time.time_ns() + self.ahead_s * NANOS_PER_SECOND)

    def monotonic(self) -> int:
        return time.monotonic_ns() + self.ahead_s * NANOS_PER_SECOND


@dataclass
class EvmLane:
    """Ledger alpha, and a host contract with the example application; attestors of each, and clients of each other."""

    url: str
    folder: Path
    finality: str = "1"
    clock: ShiftedClock = field(default_factory=ShiftedClock)
    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    accounts: list[EvmAccount] = field(default_factory=list)
    states: dict[str, AttestedState] = field(default_factory=dict)
    nodes: list[EvmNode] = field(default_factory=list)
    kept: dict[str, dict[str, object]] = field(default_factory=dict)  # evidence
    operators: Sequence[EvmKey] = OPERATORS  # who answers, of alpha's attestors

    def __post_init__(self) -> None:
        self.ledger = LabLedger("alpha-1", self.clock, applications={"app": Answering()})
        self.end = End(self.ledger, account("operator alpha-1"))
        self.service = LedgerService(self.ledger.chain, heartbeat_s=0.1)

    async def rpc(self, method: str, *arguments: Any) -> Any:
        return await ask(self.node, method, *arguments)

    async def mine(self, count: int = 1) -> None:
        await self.rpc("anvil_mine", hex(count))

    async def pass_time(self, seconds_: int) -> None:
        """On both."""
        self.clock.ahead_s += seconds_
        await self.rpc("evm_increaseTime", seconds_)
        await self.mine()

    def report(self, name: str, fields: dict[str, object]) -> None:
        self.told.append((name, fields))

    def said(self, name: str) -> list[dict[str, object]]:
        return [fields for kind, fields in self.told if kind == name]

    def new_node(self) -> EvmNode:
        self.nodes.append(EvmNode(self.url))
        return self.nodes[-1]

    def evm_chain(self, finality: str | None = None) -> EvmChain:
        return EvmChain(
            self.new_node(),
            NETWORK,
            self.host,
            Finality.parse(self.finality if finality is None else finality),
            self.report,
            followed="alpha-1",
        )

    def evm_account(self, key: EvmKey, chain: EvmChain) -> EvmAccount:
        journal = Journal(self.folder / f"{key.address.hex()}.json", NETWORK, key.address)
        waits = Waits(poll=0.05, stuck=20.0, confirm=30.0)
        self.accounts.append(EvmAccount(chain, key, FeeRules(500 * GWEI), journal, self.report, waits))
        return self.accounts[-1]

    async def build(self) -> None:
        """Deploy, and let each follow the other."""
        self.host = bytes(20)
        self.node = self.new_node()
        for key in (RELAYER, OWNER):
            await self.rpc("anvil_setBalance", "0x" + key.address.hex(), hex(10**21))
        self.owner = self.evm_account(OWNER, self.evm_chain("50"))
        self.host = await deploy(self.owner, "host")
        self.owner.chain.host = self.host
        lapses = UnixSeconds(self.clock.now() // NANOS_PER_SECOND + 30 * 86_400)
        members = tuple(EvmMember(number + 1, key.address, 1) for number, key in enumerate(OPERATORS))
        first = SigningSet(members, NEEDED, NEEDED, lapses)
        self.contract = await deploy_attested(self.owner, self.host, self.ledger.genesis.domain_id, first)
        self.echo = await deploy(self.owner, "echo", int.from_bytes(self.host))
        await self.mine(2)
        await self._follow_the_evm()
        self.client = await add_client(self.owner, self.host, self.end.client, self.contract, LaneLimits())
        await invoke(self.owner, self.echo, "echo", "open", self.client)
        self._register()

    async def _follow_the_evm(self) -> None:
        until = UnixNanos(self.clock.now() + seconds(86_400 * 300))
        signers = ordered([signer(number, until=until) for number in range(COUNT)])
        self.signers = SignerSet(epoch=1, threshold=NEEDED, signers=signers)
        chain = self.evm_chain("0")
        tip = await chain.tip()
        state = ClientState(
            domain=domain_of(NETWORK, self.host),
            chain_id=chain_name(NETWORK),
            signers=self.signers,
            trusting_period=seconds(86_400 * 14),
            max_clock_drift=seconds(40),
            latest_height=tip.height,
        )
        first = ConsensusState(tip.time, await chain.storage_root(tip.height.height))
        expect(create(self.end, states.encode_client_state(state), states.encode_consensus_state(first)))

    def _register(self) -> None:
        message = client_wire.MsgRegisterCounterparty(
            client_id=self.end.client,
            counterparty_merkle_prefix=[b""],
            counterparty_client_id=self.client,
            signer=self.end.account.id,
        )
        expect(self.ledger.transact(self.end.account, (urls.MSG_REGISTER_COUNTERPARTY, message.SerializeToString())))

    def _state(self, name: str, domain: bytes) -> AttestedState:
        if name not in self.states:
            path = self.folder / f"{name}.said"
            AttestedState.create(path, domain)
            self.states[name] = AttestedState.open(path, domain)
        return self.states[name]

    def our_chain(self) -> CometBftChain:
        return CometBftChain(LabRpc.of(self.service), "alpha-1")

    def statement_signers(self) -> list[StatementSigner]:
        """Attestors of alpha, for the contract."""
        domain = self.ledger.genesis.domain_id
        return [
            StatementSigner(
                f"operator {number}",
                ProvenReader(self.our_chain(), fingerprint(self.ledger).follower(), self.clock),
                key,
                self._state(f"alpha-{number}", domain),
                lambda: [(NETWORK, self.contract, self.client)],
                domain,
                lambda *_: None,
            )
            for number, key in enumerate(self.operators)
        ]

    def evm_attestors(self) -> list[Member]:
        """Attestors of the EVM, for alpha: each with a reader of its own."""
        made = []
        for number in range(COUNT):
            chain = self.evm_chain()
            state = self._state(f"evm-{number}", domain_of(NETWORK, self.host))
            watched = Watched(chain.chain_id, domain_of(NETWORK, self.host), 0)
            service = EvmAttestorService(
                watched, chain, attester(number), state, lambda: [self.signers], self.clock, lambda *_: None
            )
            made.append(Member(number, service, state))
        return made

    def relayer(self, name: str = "relayer", *, guarded: bool = False) -> Relayer:
        """A relayer; only one of them at a time, as they share an account."""
        ours, theirs = self.our_chain(), self.evm_chain()
        key = account(name).key
        submitter = AccountSubmitter(ours, self.ledger.genesis.domain_id, key.public_key, key.sign, 3)
        domain = self.ledger.genesis.domain_id
        to_evm = EvmAttestedUpdater(ours, NETWORK, domain, EvmAttestors(self.statement_signers(), self.report))
        to_ours = AttestedEvmUpdater(theirs, Attestors(self.evm_attestors(), self.report))
        here = EndPoint(ours, submitter, self.end.client, own_lane=False, updaters={KIND: to_evm})
        there = EndPoint(
            theirs,
            EvmSubmitter(self.evm_account(RELAYER, theirs)),
            self.client,
            own_lane=False,
            updaters={"attested": to_ours},
        )
        beside = []
        if guarded:
            asked = EvmAttestors(self.statement_signers(), self.report)
            account_there = there.submitter.account  # type: ignore[attr-defined]  # it is an EvmSubmitter
            guard = EvmGuard(here, there, account_there, domain, asked, self.report, self.keep)
            beside = [("words to the contract", guard.step)]
        return Relayer(here, there, self.report, SeededEntropy(name.encode()), beside=beside)

    def keep(self, what: str, evidence: dict[str, object]) -> None:
        self.kept[what] = evidence

    def send(self, body: bytes, ahead_s: int = 3_600) -> None:
        """A packet of ours to the example application."""
        timeout = UnixSeconds(self.now_s + ahead_s)
        payload = Payload("app", port_of(self.echo), "echo-1", "application/octet-stream", body)
        message = wire.encode_send(wire.SendMessage(self.end.client, timeout, (payload,), self.end.account.id))
        data = self.ledger.signed(self.end.account, [(urls.MSG_SEND_PACKET, message)])
        _, result = self.service.submit(data)
        assert result.code == 0, result.log

    async def ask(self, body: bytes, ahead_s: int = 3_600) -> None:
        """A packet of the example application's to ours."""
        await invoke(self.owner, self.echo, "echo", "ask", self.client, "app", body, self.now_s + ahead_s)

    @property
    def now_s(self) -> int:
        return max(self.clock.now(), self.ledger.chain.time) // NANOS_PER_SECOND

    def events(self, kind: str) -> list[Event]:
        """Of our ledger."""
        found: list[Event] = []
        for height in range(1, self.ledger.height + 1):
            row = self.ledger.chain.store.block(height)
            assert row is not None
            results = BlockResults.from_bytes(row.results)
            found += [event for result in results.transactions for event in result.events] + list(results.events)
        return [event for event in found if event.type == kind]

    async def evm_open(self) -> set[int]:
        """Packets of the EVM's that have not ended."""
        chain = self.evm_chain("0")
        return await chain.still_open(self.client, range(1, await chain.last_sent(self.client) + 1))


@contextlib.asynccontextmanager
async def evm_lane(url: str, folder: Path, finality: str = "1") -> AsyncIterator[EvmLane]:
    """Built, with our ledger running inside, and blocks of the EVM made as time goes."""
    lane = EvmLane(url, folder, finality)
    tasks: list[asyncio.Task[None]] = []
    try:
        await lane.build()
        tasks = [asyncio.create_task(lane.service.run())]
        yield lane
    finally:
        for each in lane.accounts:
            await each.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for state in lane.states.values():
            state.close()
        for node in lane.nodes:
            await node.close()


async def until(done: Callable[[], Any], lane: EvmLane, deadline_s: float = 60.0, *, mining: bool = True) -> None:
    """Wait for something, while the EVM makes blocks."""
    async with asyncio.timeout(deadline_s):
        while True:
            found = done()
            if await found if asyncio.iscoroutine(found) else found:
                return
            if mining:
                await lane.mine()
            await asyncio.sleep(0.2)


__all__ = ("EvmLane", "ShiftedClock", "evm_lane", "until")
