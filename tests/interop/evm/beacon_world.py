"""Anvil's blocks under a beacon chain, a ledger that follows it, and the contracts between: nobody believes Anvil.

Time is the beacon chain's: a slot at a time, as fast as a test likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.courier.plan import Track
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.lab.beacon import Beacon, minimal_network
from lockgate.lab.beacon_node import BeaconNode, EvmSlots, FinalityTags
from lockgate.lab.beacon_rest import application, serving
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.execution import COMMITMENTS_SLOT
from lockgate.lab.ledgers import LabLedger, responses
from lockgate.lab.paths import End, expect, packets_of
from lockgate.lightclients import evm_attestation as words
from lockgate.machine.machine import TxResult
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, floor_seconds, seconds
from lockgate.relay.beacon_start import create_message, first_states
from lockgate.relay.chains.beacon import BeaconApi
from lockgate.relay.chains.evm.chain import EvmChain, chain_name
from lockgate.relay.chains.evm.history import Finality
from lockgate.relay.chains.evm.node import EvmCalls, EvmNode
from lockgate.relay.chains.evm.packets import packet_of
from lockgate.relay.kinds import kind_of
from lockgate.relay.messages import News, Path, Stage, look, messages
from lockgate.relay.updaters.ethereum import EthereumUpdater, FinalizedGround
from tests.interop.evm.world import Node, World, attestation, deploy, fields, keys_of, set_fields, signing_set
from tests.support.lab import account
from tests.support.notes import PORT, Notes

NETWORK = 31_337
SIZE = 32  # keys of a committee
HERE = ClientId("ethereum-0")  # on our ledger
THERE = ClientId("client-0")  # at the host contract
LAPSES_S = 30 * 86_400


class Told(Exception):
    """A proof showed something else than what was asked for."""


@dataclass
class Contracts(World):
    """The contracts, whose attested client is of our ledger."""

    source: bytes = b""

    @property
    def binding(self) -> words.Binding:
        return replace(super().binding, source=self.source)


@dataclass
class BeaconWorld:
    """The good world that tests spoil."""

    evm: Contracts
    slots: EvmSlots
    beacon: BeaconNode
    api: BeaconApi
    clock: SimulatedClock
    a: End
    node: EvmCalls
    alarms: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def report(self, name: str, fields: dict[str, object]) -> None:
        self.alarms.append((name, fields))

    # Time.

    async def advance(self, count: int = 1, *, empty: int = 0) -> None:
        """Blocks of the beacon chain, and the ledger's clock with them."""
        for _ in range(count):
            await self.slots.advance(empty=empty)
            late = UnixNanos(self.slots.time * NANOS_PER_SECOND) - self.clock.now()
            self.clock.advance(seconds(1) if late <= 0 else late)

    async def finalised(self, number: int | None = None) -> None:
        """Go on until an execution block is final, the newest one unless another is named."""
        wanted = self.beacon.beacon.blocks[self.slots.slot].header.execution.block_number if number is None else number
        while self.final_number < wanted:
            await self.advance()

    @property
    def final_number(self) -> int:
        newest = self.beacon.finality_update()
        return -1 if newest is None else newest.finalized_header.execution.block_number

    # The contracts.

    async def do(self, call: Any, **options: Any) -> Any:
        """Have a call included in the next block; its receipt."""
        options = {"from": self.evm.web3.eth.accounts[0], "gas": 10_000_000, **options}
        await asyncio.to_thread(call.call, options)  # a refusal has words here, and none in a receipt
        sent = await asyncio.to_thread(call.transact, options)
        await self.advance()
        receipt = await asyncio.to_thread(self.evm.web3.eth.get_transaction_receipt, sent)
        assert receipt["status"] == 1
        return receipt

    async def ask(self, body: bytes = b"question", *, timeout_s: int = 3_600) -> Packet:
        """Have the example application send a packet to our ledger."""
        call = self.evm.echo.functions.ask(THERE, PORT, body, self.slots.time + timeout_s)
        (log,) = self.evm.host.events.SendPacket().process_receipt(await self.do(call))
        shown = log["args"]["packet"]
        return packet_of((*list(shown.values())[:4], [tuple(one.values()) for one in shown["payloads"]]))

    def attested(self) -> dict[str, Any]:
        """What the attestors say of our ledger's newest header."""
        header = self.ledger.chain.signed_header(self.ledger.height).header
        time = floor_seconds(header.time)
        return {"height": header.height, "time": time, "state_root": header.app_hash}

    async def attest(self) -> None:
        """Bring the contract's client to our ledger's newest header."""
        statement = self.evm.statement([words.Leaf(bytes(32), bytes(32))], **self.attested())
        await self.do(self.evm.client.functions.update(attestation(statement, self.evm.signed(statement))))

    @staticmethod
    def fields(packet: Packet) -> tuple[Any, ...]:
        return fields(packet)

    # The ledger.

    @property
    def now(self) -> UnixSeconds:
        return floor_seconds(self.clock.now())

    @property
    def ledger(self) -> LabLedger:
        return self.a.ledger

    def transact(self, *messages: Message) -> TxResult:
        self.ledger.block()  # a transaction is signed for the time of the newest one
        return self.ledger.transact(self.a.account, *messages)

    def send(self, body: bytes = b"hello", *, timeout_s: int = 600) -> Packet:
        """Send a packet to the example application."""
        self.ledger.block()
        payload = Payload(
            source_port=PORT,
            destination_port=self.evm.echo.address.lower(),
            version="echo-1",
            encoding="application/octet-stream",
            value=body,
        )
        request = ibc_wire.SendMessage(HERE, self.now + timeout_s, (payload,), self.a.account.id)
        return packets_of(expect(self.transact((urls.MSG_SEND_PACKET, ibc_wire.encode_send(request)))))[0]

    async def relay(
        self, stage: Stage, packet: Packet, updater: EthereumUpdater | None = None, answer: bytes = b""
    ) -> TxResult:
        """Take a packet's next step on our ledger, as the relayer does, in one transaction. Raises as `proven`."""
        ground, message = await self.proven(stage, packet, updater, answer)
        return self.transact(*ground.updates(HERE, self.a.account.id), message)

    async def proven(
        self, stage: Stage, packet: Packet, updater: EthereumUpdater | None = None, answer: bytes = b""
    ) -> tuple[FinalizedGround, Message]:
        """The ground of a packet's next step, and its message. Raises what the updater refuses, and Told."""
        updater = updater or self.updater()
        ground = await updater.reach(self.tracked(), (await updater.chain.tip()).height, self.clock.now())
        path = Path(THERE, HERE) if stage is Stage.RECEIVE else Path(HERE, THERE)
        raw = ibc_wire.encode_packet(packet)
        track = Track(sequence=packet.sequence, timeout=packet.timeout, packet=raw, sent_height=Height(0, 0))
        if answer:
            track = replace(track, acknowledgement=ibc_wire.encode_acknowledgement(Acknowledgement((answer,))))
        (found,) = await look(path, stage, [track], ground)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, News):
            raise Told(found.value)
        (message,) = messages(stage, [found], ground, self.a.account.id)
        return ground, message

    def tracked(self, client: ClientId = HERE) -> Any:
        """The client on our ledger, as a relayer reads it."""
        view, kind = self.ledger.chain.view(), kind_of(client)
        module = self.ledger.chain.machine.packets.clients.of(view, client)
        raw = view.get("ibc", b"clients/%s/clientState" % client.encode())
        assert raw is not None
        state = kind.client_state(raw)
        known = view.get("ibc", b"clients/%s/consensusStates/%s" % (client.encode(), str(state.latest_height).encode()))
        assert known is not None
        return kind.tracked(client, module.status(view, client, self.ledger.chain.time), state, known)

    def status(self, client: ClientId = HERE) -> str:
        chain = self.ledger.chain
        return chain.machine.packets.kinds.status(chain.view(), client, chain.time)

    # What a relayer reads.

    def chain(self, wrap: Callable[[EvmCalls], EvmCalls] = lambda node: node) -> EvmChain:
        node = wrap(FinalityTags(self.node, self.beacon))
        host = bytes.fromhex(self.evm.host.address[2:])
        return EvmChain(node, NETWORK, host, Finality(tag="finalized"), self.report, followed="alpha-1")

    def updater(self, *beacons: BeaconApi, wrap: Callable[[EvmCalls], EvmCalls] = lambda node: node) -> EthereumUpdater:
        return EthereumUpdater(self.chain(wrap), beacons or (self.api,), self.report)


async def create_client(w: BeaconWorld, root: bytes) -> ClientId:
    """A client on our ledger from a beacon block that is trusted by its root."""
    host = bytes.fromhex(w.evm.host.address[2:])
    network = w.beacon.network
    terms = {"chain_id": chain_name(NETWORK), "host": host, "commitments": COMMITMENTS_SLOT}
    state, consensus = await first_states(w.api, network, root, w.clock.now(), **terms)
    result = expect(w.transact(create_message(state, consensus, w.a.account.id)))
    return ClientId(client_wire.MsgCreateClientResponse.FromString(responses(result)[0]).client_id)


def register_message(client: ClientId, counterparty: ClientId, signer: str) -> Message:
    """A host contract's paths have one element, so its prefix is one empty string."""
    message = client_wire.MsgRegisterCounterparty(
        client_id=client, counterparty_merkle_prefix=[b""], counterparty_client_id=counterparty, signer=signer
    )
    return urls.MSG_REGISTER_COUNTERPARTY, message.SerializeToString(deterministic=True)


@asynccontextmanager
async def beacon_world(node: Node, web3: Any) -> AsyncIterator[BeaconWorld]:
    """Contracts on a node that makes no blocks by itself, the beacon over it, and a ledger that follows."""
    started = newest_time(web3)
    clock = SimulatedClock(UnixNanos(started * NANOS_PER_SECOND))
    ledger = LabLedger("alpha-1", clock, applications={PORT: Notes()})
    keys = keys_of(1)
    contracts = await asyncio.to_thread(_deployed, web3, ledger.genesis.domain_id, keys, started)
    web3.provider.make_request("evm_setAutomine", [False])
    beacon = BeaconNode(Beacon(minimal_network(newest_time(web3))))  # its slots come after what was made before it
    evm = Contracts(web3, *contracts, THERE, keys, source=ledger.genesis.domain_id)
    async with EvmNode(node.url) as calls, serving(application(beacon)) as address:
        api = BeaconApi(address, SIZE)
        slots = EvmSlots(calls, beacon.beacon)
        w = BeaconWorld(evm, slots, beacon, api, clock, End(ledger, account("operator")), calls)
        try:
            await w.advance(3)
            await w.advance(1, empty=4)  # so that slots and block numbers differ
            await w.finalised(w.beacon.beacon.blocks[3].header.execution.block_number)
            newest = w.beacon.finality_update()
            assert newest is not None
            made = await create_client(w, newest.finalized_header.beacon.root)
            assert made == HERE
            expect(w.transact(register_message(HERE, THERE, w.a.account.id)))
            await w.attest()
            yield w
        finally:
            web3.provider.make_request("evm_setAutomine", [True])
            await api.close()


def newest_time(web3: Any) -> int:
    return int(web3.eth.get_block("latest")["timestamp"])


def _deployed(web3: Any, domain: bytes, keys: Sequence[Any], now: int) -> tuple[Any, Any, Any]:
    """Host, attested client of our ledger, and the example application, with a lane between both ledgers' clients."""
    host = deploy(web3, "host")
    client = deploy(web3, "attested", host.address, domain, set_fields(signing_set(keys, now + LAPSES_S)))
    echo = deploy(web3, "echo", host.address)
    for call in (host.functions.addClient(HERE, client.address, 1_000, 1_000, 3_600), echo.functions.open(THERE)):
        sent = call.transact({"from": web3.eth.accounts[0], "gas": 10_000_000})
        assert web3.eth.wait_for_transaction_receipt(sent)["status"] == 1
    return host, client, echo


__all__ = ("HERE", "NETWORK", "SIZE", "THERE", "BeaconWorld", "Height", "beacon_world", "create_client")
