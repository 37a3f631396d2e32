"""Ledgers that speak IBC v2 with nothing faked but the engine: real trees, headers, signatures, proofs."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2
from lockgate.ibc import dispatch, events, host, wire
from lockgate.ibc.modules import ClientModules
from lockgate.ibc.packet import Packet, Payload
from lockgate.ibc.ports import ClientKind
from lockgate.ibc.router import Router
from lockgate.ibc.wiring import Wiring
from lockgate.lightclients.tendermint import TendermintClient
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Block, Event
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos, UnixNanos, UnixSeconds
from tests.support.chain import BLOCK_TIME, TestLedger, client_states_of, header_message
from tests.support.ibc_fakes import RELAYER, SENDER, LaneTable, OneAuthority, Recorder, ScriptedGate

STORES = ("app", "guard", "ibc")


class Ledger:
    """One ledger. A block's state is committed to by the header of the block after it."""

    def __init__(self, chain_id: str) -> None:
        self.chain = TestLedger(chain_id)
        self.store = MultiStore(STORES)
        for name in STORES:
            self.store.apply({(name, b"schema"): b"\x01"})
        self.store.commit(1)
        self.chain.produce()
        self.app, self.gate, self.lanes = Recorder(), ScriptedGate(), LaneTable()
        self.client = ""
        self.events: list[Event] = []
        self.wiring = Wiring(
            clients=ClientModules(
                [
                    ClientKind(
                        client_type="07-tendermint",
                        client_state_url=urls.TENDERMINT_CLIENT_STATE,
                        consensus_state_url=urls.TENDERMINT_CONSENSUS_STATE,
                        module=TendermintClient(),
                    )
                ]
            ),
            router=Router({"alpha": self.app}),
            gate=self.gate,
            lanes=self.lanes,
            authority=OneAuthority(),
        )

    @property
    def block(self) -> Block:
        height = self.chain.latest.height + 1
        time = UnixNanos(self.chain.latest.header.time + BLOCK_TIME)
        return Block(self.chain.chain_id, Height(self.chain.revision, height), time)

    def deliver(self, url: str, data: bytes, account: str = RELAYER) -> dispatch.Dispatched:
        done = dispatch.dispatch(self.wiring, self.store, self.block, account, url, data)
        self.store.apply(done.outcome.writes)
        self.events += done.outcome.events
        return done

    def commit(self, after: DurationNanos = BLOCK_TIME) -> None:
        """Commit the block the messages were in, then the empty one whose header carries its root."""
        self.chain.produce(self.store.app_hash, after=after)
        self.store.commit(self.store.version + 1)
        self.chain.produce(self.store.app_hash)
        self.store.commit(self.store.version + 1)

    def follow(self, other: Ledger) -> None:
        """Update our client with the other's newest header."""
        trusted = self.wiring.clients.latest_height(self.store, self.client)
        if trusted.height == other.chain.latest.height:
            return
        header = header_message(other.chain.latest, other.chain.block(trusted.height))
        message = ibc_client_pb2.MsgUpdateClient(
            client_id=self.client,
            client_message=AnyMessage(type_url=urls.TENDERMINT_HEADER, value=header),
            signer=RELAYER,
        )
        self.deliver(urls.MSG_UPDATE_CLIENT, message.SerializeToString())

    def prove(self, key: bytes) -> tuple[bytes, Height]:
        """Proof of presence or absence in the newest state, for the newest header."""
        proof = self.store.prove("ibc", key, self.chain.latest.height - 1).merkle_proof
        return proof, Height(self.chain.revision, self.chain.latest.height)

    def event(self, kind: str, name: str) -> bytes:
        found = next(event for event in reversed(self.events) if event.type == kind)
        return bytes.fromhex(found.get(name) or "")


@dataclass
class Ledgers:
    """Two ledgers with clients of each other."""

    a: Ledger
    b: Ledger

    @classmethod
    def connected(cls) -> Ledgers:
        pair = cls(Ledger("ledger-a-1"), Ledger("ledger-b-4"))
        for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
            client_state, consensus_state = map(AnyMessage.FromString, client_states_of(other.chain.latest))
            message = ibc_client_pb2.MsgCreateClient(
                client_state=client_state, consensus_state=consensus_state, signer=SENDER
            )
            done = one.deliver(urls.MSG_CREATE_CLIENT, message.SerializeToString(), SENDER)
            one.client = ibc_client_pb2.MsgCreateClientResponse.FromString(done.outcome.response).client_id
        for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
            record = ibc_client_pb2.MsgRegisterCounterparty(
                client_id=one.client,
                counterparty_merkle_prefix=[b"ibc", b""],
                counterparty_client_id=other.client,
                signer=SENDER,
            )
            one.deliver(urls.MSG_REGISTER_COUNTERPARTY, record.SerializeToString(), SENDER)
        pair.sync()
        return pair

    def sync(self, after_b: DurationNanos = BLOCK_TIME) -> None:
        """Commit on both sides, and let each follow the other."""
        self.a.commit()
        self.b.commit(after_b)
        self.a.follow(self.b)
        self.b.follow(self.a)

    def send(self, *payloads: Payload, seconds: int = 100) -> Packet:
        timeout = UnixSeconds(self.a.block.time // NANOS_PER_SECOND + seconds)
        message = wire.SendMessage(self.a.client, timeout, payloads, SENDER)
        self.a.deliver(urls.MSG_SEND_PACKET, wire.encode_send(message), SENDER)
        return wire.read_packet(self.a.event(events.SEND_PACKET, events.ENCODED_PACKET))

    def receive_message(self, packet: Packet) -> bytes:
        proof, height = self.a.prove(host.packet_commitment(packet.source_client, packet.sequence))
        return wire.encode_receive(packet, proof, height, RELAYER)

    def acknowledge_message(self, packet: Packet) -> bytes:
        proof, height = self.b.prove(host.packet_acknowledgement(packet.destination_client, packet.sequence))
        encoded = self.b.event(events.WRITE_ACKNOWLEDGEMENT, events.ENCODED_ACKNOWLEDGEMENT)
        return wire.encode_acknowledge(packet, wire.read_acknowledgement(encoded), proof, height, RELAYER)

    def timeout_message(self, packet: Packet) -> bytes:
        proof, height = self.b.prove(host.packet_receipt(packet.destination_client, packet.sequence))
        return wire.encode_timeout(packet, proof, height, RELAYER)
