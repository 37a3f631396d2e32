"""The packet layer of the machine: IBC core wired with our light clients, lanes and endpoints.

Endpoints are applications whose port is their id. What they receive is held for their Answer; what
they send comes out of an Answer or Advance only, which is why there are two wirings that differ in
the gate alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from lockgate.codec.type_urls import (
    MSG_ACKNOWLEDGEMENT,
    MSG_RECV_PACKET,
    MSG_SEND_PACKET,
    MSG_TIMEOUT,
    MSG_UPDATE_CLIENT,
)
from lockgate.codec.wire import ics23_pb2
from lockgate.ibc import answering, dispatch, host, packet_bytes, sending, wire
from lockgate.ibc import client as ibc_client
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.counterparty import find_counterparty
from lockgate.ibc.errors import ClientNotActive
from lockgate.ibc.packet import SENTINEL, Payload
from lockgate.ibc.ports import Application, Call, Reception, Rejected
from lockgate.ibc.router import Router
from lockgate.ibc.runs import RUNNERS, Messages
from lockgate.ibc.wiring import Wiring
from lockgate.machine import answers, deviations, endpoints, equivocation, keys, lanes, ordering, pruning, settlement
from lockgate.machine.clients import ClientModule, Clients
from lockgate.machine.context import Context, OwnHeader, field, only_fields
from lockgate.machine.errors import BadMessage, LaneProof, NotPrunable, SendOutsideAnswer
from lockgate.machine.gas import Meter
from lockgate.machine.gate import PAYLOAD_ENCODING, PAYLOAD_VERSION, LaneGate, LaneTerms
from lockgate.machine.records import Entry, LaneOrder, StateDamaged
from lockgate.merkle import ics23
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Draft, Outcome, Overlay, View

GOVERNANCE: Final = "governance"  # who acts when an action is due; no account's id, so nobody signs as it
PACKET_MESSAGES: Final = frozenset({MSG_SEND_PACKET, MSG_RECV_PACKET, MSG_ACKNOWLEDGEMENT, MSG_TIMEOUT})


class Redundant(Refused):
    code = "tx.redundant"
    summary = "Every packet message of the transaction has been done already."
    untouched = "The transaction was not admitted; its sequence was not consumed."
    next_step = "Nothing: another relayer was first."
    wire = ("channel", 22)


class EndpointPort:
    """Meets `ibc.ports.Application` for every endpoint id. The gate has done the checks."""

    def on_send(self, view: View, call: Call, /) -> Outcome:
        return Outcome()

    def on_receive(self, view: View, call: Call, /) -> Reception:
        # The gate holds or rejects every packet to an endpoint before an application is asked.
        return Rejected(SendOutsideAnswer.code)

    def on_acknowledgement(self, view: View, call: Call, acknowledgement: bytes, /) -> Outcome:
        ended = "refused" if acknowledgement == SENTINEL else "acknowledged"
        return answers.message_ended(call.packet, call.payload, ended)

    def on_timeout(self, view: View, call: Call, /) -> Outcome:
        return answers.message_ended(call.packet, call.payload, "timed_out")


class EndpointRouter(Router):
    """A router that also knows every endpoint's port."""

    __slots__ = ("_endpoint",)

    def __init__(self, applications: Mapping[str, Application]) -> None:
        super().__init__(applications)
        self._endpoint = EndpointPort()

    def find(self, port: str) -> Any:
        if len(port) == endpoints.ENDPOINT_PORT and endpoints.endpoint_of_port(port) is not None:
            return self._endpoint
        return super().find(port)


class PacketLayer:
    """IBC for one machine. `context` of the running message is set by the machine around each call."""

    def __init__(self, applications: Mapping[str, Application]) -> None:
        self._context: Context | None = None
        self.clients = Clients()
        self.kinds = self.clients.kinds
        self._in_turn = False  # while a packet is received whose place `receive_in_order` has proven
        self._applications = applications
        self._outside = self._wiring(from_answer=False)
        self._inside = self._wiring(from_answer=True)

    def _wiring(self, *, from_answer: bool) -> Wiring:
        return Wiring(
            clients=self.kinds,
            router=EndpointRouter(self._applications),
            gate=LaneGate(self._current, from_answer=from_answer, in_turn=lambda: self._in_turn),
            lanes=LaneTerms(self._current),
            authority=self,
            held_store=keys.BODIES,
        )

    def _current(self) -> Context:
        assert self._context is not None, "the machine sets the context before any message runs"
        return self._context

    def is_authority(self, view: View, account: str, /) -> bool:
        """No account is: what IBC leaves to an authority is done by announced actions alone (P16)."""
        return account == GOVERNANCE

    def dispatch(self, view: View, context: Context, name: str, data: bytes, meter: Meter) -> dispatch.Dispatched:
        """Run one IBC message; a refused packet's reason is recorded beside its sentinel (P3).

        What the message costs is charged already; `meter` is for what follows from it.
        """
        self._context = context
        try:
            done = dispatch.dispatch(self._outside, view, context.block, context.signer, name, data)
        except ClientNotActive as failure:
            if name in PACKET_MESSAGES:
                self._suspended(view, failure)
            raise
        if name == MSG_UPDATE_CLIENT and equivocation.froze(done.outcome):
            current = Overlay(view, done.outcome.writes)
            done.outcome.then(equivocation.spread(current, context.block, self.clients, data, meter))
        if done.received is not None and done.received.rejected is not None:
            received = done.received
            assert received.rejected is not None
            done.outcome.then(
                answers.reason(
                    received.packet.destination_client,
                    received.packet.sequence,
                    received.commitment,
                    received.rejected.code,
                    received.rejected.detail,
                )
            )
            current = Overlay(view, done.outcome.writes)
            done.outcome.then(deviations.refused(current, context, received.packet, received.commitment))
        return done

    def run(
        self, view: Draft, context: Context, messages: Messages, first: int, last: int
    ) -> tuple[Outcome, list[tuple[str, bytes]]]:
        """Handle messages[first:], before `last`, in one pass as far as they are plainly good and go one way.

        Returns what they decided and their responses, one for each; none when the first must go to `dispatch`.
        """
        self._context = context
        name = messages[first][0]
        outcome, responses = RUNNERS[name](self._outside, view, context.block, context.signer, messages, first, last)
        url = dispatch.response_url(name)
        return outcome, [(url, response) for response in responses]

    def receive_in_order(self, view: View, context: Context, message: Mapping[str, Any]) -> Outcome:
        """`lane.receive`: a MsgRecvPacket, and under the same header the claim of its place among its sender's."""
        only_fields(message, "packet", "claim", "proof")
        received = field(message, "packet", bytes)
        relayed = wire.read_receive(received)
        packet = relayed.packet
        client = ClientId(packet.destination_client)
        lane = lanes.lane_of(view, client)
        if lane is None or lane.order is LaneOrder.UNORDERED:
            raise BadMessage("no ordered lane leads over this client", field="packet")
        outcome = Outcome()
        receipt = host.packet_receipt(client, packet.sequence)
        if packet.sequence > pruning.watermark(view, client) and not view.get(host.STORE, receipt):
            lanes.check_open(lane)
            value = field(message, "claim", bytes)
            key = keys.order_claim(lane.remote_client, packet.sequence)
            self.verify(view, client, relayed.proof_height, field(message, "proof", bytes), keys.LANE, key, value)
            outcome.then(ordering.take(view, lane, ordering.Claim.read(value), context.block.time))
        self._in_turn = True
        try:
            nothing_follows = Meter(0)
            done = self.dispatch(Overlay(view, outcome.writes), context, MSG_RECV_PACKET, received, nothing_follows)
        finally:
            self._in_turn = False
        outcome.then(done.outcome)
        outcome.response = done.outcome.response
        return outcome

    @staticmethod
    def _suspended(view: View, failure: ClientNotActive) -> None:
        """Say in our own words why a lane's packet must wait (P14); a foreign client's refusal stays as it is."""
        lane = lanes.lane_of(view, str(failure.fields["client"]))
        if lane is not None:
            lanes.check_open(lane)
            status = str(failure.fields["status"]).lower()
            raise lanes.suspended(lane, f"the client is {status}", "the authority: client.recover") from failure

    # What answers need.

    def acknowledge(
        self, view: View, context: Context, client: str, sequence: int, entry: Entry, ack: bytes
    ) -> tuple[Outcome, str | None]:
        """Answer a held packet whole: the endpoint's payload brings its reply, the others' applications run now.

        IBC puts the packet's commitment in front of every element (P4). When an application refuses,
        nothing of any payload remains, the sentinel and the reason are written, and its code is returned (P2).
        """
        self._context = context
        self._check_body(view, client, sequence, entry)
        given = {entry.index: ack}
        done = answering.answer(self._inside, view, context.block, client, sequence, context.signer, given=given)
        if done.rejected is None:
            return done.outcome, None
        code = done.rejected.code
        done.outcome.then(answers.reason(client, sequence, done.commitment, code, done.rejected.detail))
        return done.outcome, code

    def refuse(self, view: View, context: Context, client: str, sequence: int, entry: Entry) -> Outcome:
        self._context = context
        self._check_body(view, client, sequence, entry)
        return answering.refuse(self._inside, view, client, sequence).outcome

    def _check_body(self, view: View, client: str, sequence: int, entry: Entry) -> None:
        """Require that the waiting packet is the one whose commitment the tree holds (I4).

        The table it lies in is under no root. A ledger whose table was altered stops here.
        """
        try:
            packet = answering.held_packet(self._inside, view, client, sequence)
        except (PeerFault, Refused) as failure:
            raise StateDamaged("a waiting packet does not read", client=client, sequence=sequence) from failure
        # A commitment binds neither the sequence nor the source client: the counterparty record binds the latter.
        place = (packet.destination_client, packet.sequence)
        if place != (client, sequence) or commit_packet(packet) != entry.commitment:
            raise StateDamaged("a waiting packet is another", client=client, sequence=sequence)

    def send(self, view: View, context: Context, endpoint: bytes, message: answers.Sending) -> tuple[int, Outcome]:
        self._context = context
        payload = Payload(
            source_port=endpoint.hex(),
            destination_port=message.destination,
            version=PAYLOAD_VERSION,
            encoding=PAYLOAD_ENCODING,
            value=message.value,
        )
        payloads = (payload, *message.beside)
        request = wire.SendMessage(message.client, message.timeout, payloads, context.signer)
        try:
            sent = sending.send(self._inside, view, context.block, request)
        except ClientNotActive as failure:
            self._suspended(view, failure)
            raise
        return sent.packet.sequence, sent.outcome

    # What lanes need.

    def remote_counterparty(self, view: View, client: ClientId) -> ClientId:
        record = find_counterparty(view, client)
        if record is None:
            raise LaneProof("the client has no counterparty", client=client)
        return ClientId(record.client_id)

    def verify(
        self, view: View, client: ClientId, height: Height, proof: bytes, store: str, key: bytes, value: bytes
    ) -> None:
        self.clients.of(view, client).verify_membership(view, client, height, proof, (store.encode(), key), value)

    def check_client_state(self, value: bytes, client: ClientId, context: Context) -> Height:
        """The newest height that the other ledger's client of us has, if it is one of us. Raises LaneProof."""
        height = self._of_ours(client).follows(value, context.block.chain_id, context.domain)
        if height is None:
            raise LaneProof("the remote client follows another ledger", client=client)
        return height

    def consensus_state(self, header: OwnHeader, client: ClientId) -> bytes:
        return self._of_ours(client).own_consensus(header.time, header.app_hash, header.next_validators_hash)

    def followed_chain(self, view: View, client: ClientId) -> str:
        """What the ledger that a client follows calls itself."""
        return self.clients.of(view, client).subject(view, client).chain_id

    def bears_value(self, view: View, client: ClientId) -> bool:
        """Whether forging a header for this client takes more than two thirds of its signers (B3)."""
        return self.clients.of(view, client).subject(view, client).above_two_thirds

    def _of_ours(self, client: ClientId) -> ClientModule:
        module = self.clients.of_type(client)
        if module is None:
            raise LaneProof("the remote client is of no kind we know", client=client)
        return module

    # What governance and pruning need.

    def recover(self, view: View, context: Context, subject: str, substitute: str) -> Outcome:
        return ibc_client.recover(self._outside, view, context.block, subject, substitute)

    def configure(self, view: View, context: Context, client: str, allowed_relayers: Sequence[str]) -> Outcome:
        self._context = context
        return ibc_client.update_config(self._outside, view, GOVERNANCE, client, allowed_relayers)

    def check_settlement(self, view: View, arguments: Mapping[str, Any]) -> None:
        settlement.check(view, self.clients, arguments)

    def settle(self, view: View, context: Context, arguments: Mapping[str, Any], announced: int) -> Outcome:
        self._context = context
        return settlement.carry_out(view, context.block, self._inside, self.clients, arguments, announced)

    def received_keys(self, client: ClientId, sequence: int) -> tuple[bytes, bytes]:
        return host.packet_receipt(client, sequence), host.packet_acknowledgement(client, sequence)

    def prove_commitments_gone(
        self, view: View, client: ClientId, first: int, last: int, height: Height, proof: bytes
    ) -> None:
        """Check one absence proof of the last commitment whose left neighbour lies before the first.

        The verified neighbours are adjacent leaves, so no key stands between them.
        """
        remote = self.remote_counterparty(view, client)
        key = host.packet_commitment(remote, last)
        module = self.clients.of(view, client)
        module.verify_non_membership(view, client, height, proof, (host.STORE.encode(), key))
        innermost = ics23.parse_merkle_proof(proof).proofs[0]
        absent = _absence(innermost)
        before = absent.left.key if absent.HasField("left") else b""
        if before >= host.packet_commitment(remote, first):
            raise NotPrunable("a commitment of the run still stands", client=client, first=first, last=last)

    # What the machine needs.

    @staticmethod
    def redundant() -> Redundant:
        return Redundant("all of it is done")

    @staticmethod
    def message_data(responses: Sequence[tuple[str, bytes]]) -> bytes:
        """TxMsgData: one response per message. Source: cosmos.base.abci.v1beta1.TxMsgData."""
        return b"".join([_response(url, value) for url, value in responses])


def _response(url: str, value: bytes) -> bytes:
    """Field 2 of TxMsgData, an Any, as the protobuf library writes it."""
    name, size = _named(url), len(value)
    whole = len(name) + size + 2
    if size > 0 and whole < 0x80:
        return b"".join((b"\x12", whole.to_bytes(), name, b"\x12", size.to_bytes(), value))
    return packet_bytes.message(b"\x12", name + packet_bytes.field(b"\x12", value))


@lru_cache(256)  # of names: dozens
def _named(url: str) -> bytes:
    return packet_bytes.field(b"\x0a", url.encode())


def _absence(proof: ics23_pb2.CommitmentProof) -> ics23_pb2.NonExistenceProof:
    if not proof.HasField("nonexist"):
        raise NotPrunable("the proof must be a single absence proof")
    return proof.nonexist


__all__ = ("EndpointPort", "PacketLayer", "Redundant")
