"""Lanes over attested clients: opened by the same four proofs, closed by the same evidence (P9, P14, P20)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_query_pb2 as q
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.packet import Payload
from lockgate.ibc.queries import answer
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import (
    End,
    create_client,
    expect,
    open_lane_message,
    packets_of,
    receive_message,
    register,
    update,
)
from lockgate.lightclients.attested import messages, states
from lockgate.lightclients.attested.messages import MISBEHAVIOUR
from lockgate.machine import lanes
from lockgate.machine.machine import TxResult
from lockgate.machine.records import LanePhase
from lockgate.primitives.state import Block
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from tests.support.attested_lab import attest, attestation, attested_state, client_message, create_attested
from tests.support.lab import START, account
from tests.support.notes import PORT, Notes


class Lane:
    """A follows B by five attesters; B follows A by its headers. Neither lane is open yet."""

    def __init__(self, threshold: int = 4) -> None:
        clock = SimulatedClock(START)
        self.a = End(LabLedger("alpha-1", clock, applications={PORT: Notes()}), account("operator a"))
        self.b = End(LabLedger("beta-1", clock, applications={PORT: Notes()}), account("operator b"))
        self.state = attested_state(self.b.ledger, threshold)
        create_attested(self.a, self.b.ledger, self.state)
        create_client(self.b, self.a.ledger)
        register(self.a, self.b.client)
        register(self.b, self.a.client)

    def attest(self) -> TxResult:
        """Bring A's client to B's newest header."""
        height = self.b.ledger.height
        result = attest(self.a, self.b.ledger, self.state, height)
        self.a.trusted = height
        return result

    def open(self, **spoilt: Any) -> TxResult:
        """Open the lane on A, over the attested client."""
        expect(self.attest())
        name, fields = open_lane_message(self.a, self.b)
        return self.a.ledger.transact(self.a.account, (name, {**fields, **spoilt}))

    def status(self) -> str:
        chain = self.a.ledger.chain
        return chain.machine.packets.kinds.status(chain.view(), self.a.client, chain.time)

    def phase(self) -> LanePhase:
        lane = lanes.lane_of(self.a.ledger.chain.view(), self.a.client)
        assert lane is not None
        return lane.phase


def test_p9_a_lane_opens_over_an_attested_client_on_both_sides() -> None:
    w = Lane()
    assert w.a.client == "attested-0"
    expect(w.open())
    update(w.b, w.a.ledger)
    expect(w.b.ledger.transact(w.b.account, open_lane_message(w.b, w.a)))
    assert w.phase() is LanePhase.OPEN


def test_p9_a_client_that_attests_another_domain_is_no_end_of_a_lane() -> None:
    """The remote client of us has our chain id, and another genesis: a fork, or a look-alike (C1)."""
    w = Lane()
    expect(w.open())
    w.state = replace(w.state, domain=b"\x05" * 32)
    create_attested(w.a, w.b.ledger, w.state)
    assert w.a.client == "attested-1"
    other = End(w.b.ledger, account("another"))
    create_client(other, w.a.ledger)
    register(other, w.a.client)
    register(w.a, other.client)
    update(other, w.a.ledger)
    result = w.b.ledger.transact(other.account, open_lane_message(other, w.a))
    assert "follows another ledger" in result.log


def test_b3_value_crosses_only_where_forging_takes_more_than_two_thirds() -> None:
    weak = Lane(threshold=3)
    assert "2/3" in weak.open(value_cap=1).log
    expect(weak.open(value_cap=0))
    expect(Lane(threshold=4).open(value_cap=1))


def test_p20_two_attestations_freeze_the_client_and_every_other_that_believes_them_and_close_the_lane() -> None:
    w = Lane()
    expect(w.open())
    second = End(w.a.ledger, account("somebody else"))
    create_attested(second, w.b.ledger, w.state)
    height = w.b.ledger.height
    one = attestation(w.b.ledger, w.state, height)
    other = attestation(w.b.ledger, w.state, height, root=b"\x02" * 32)
    raw = messages.encode_misbehaviour(messages.Misbehaviour(one, other))
    expect(w.a.ledger.transact(second.account, client_message(second, MISBEHAVIOUR, raw)))
    chain = w.a.ledger.chain
    assert chain.machine.packets.kinds.status(chain.view(), second.client, chain.time) == "Frozen"
    assert w.status() == "Frozen"
    assert w.phase() is LanePhase.CLOSED
    assert "not active" in w.attest().log or "suspended" in w.attest().log


def test_a_foreign_packet_is_received_over_an_attested_root() -> None:
    w = Lane()
    payload = Payload(
        source_port=PORT, destination_port=PORT, version="notes-1", encoding="application/octet-stream", value=b"x"
    )
    timeout = UnixSeconds(w.b.ledger.chain.time // NANOS_PER_SECOND + 600)
    request = ibc_wire.SendMessage(w.b.client, timeout, (payload,), w.b.account.id)
    send = urls.MSG_SEND_PACKET, ibc_wire.encode_send(request)
    packet = packets_of(expect(w.b.ledger.transact(w.b.account, send)))[0]
    for _ in range(2):
        w.b.ledger.block()
    expect(w.attest())
    received = expect(w.a.ledger.transact(w.a.account, receive_message(w.a, w.b, packet)))
    assert [event.type for event in received.events if event.type == "recv_packet"] == ["recv_packet"]


def test_an_attested_client_is_queried_as_any_other() -> None:
    w = Lane()
    chain = w.a.ledger.chain
    block = Block("alpha-1", w.a.ledger.at(w.a.ledger.height), chain.time)

    def ask(path: str, request: bytes) -> bytes:
        return answer(chain.machine.packets.kinds, chain.view(), block, path, request)

    found = q.QueryClientStateResponse.FromString(
        ask(urls.QUERY_CLIENT_STATE, q.QueryClientStateRequest(client_id=w.a.client).SerializeToString())
    )
    assert states.decode_client_state(found.client_state.SerializeToString()) == w.state
    status = ask(urls.QUERY_CLIENT_STATUS, q.QueryClientStatusRequest(client_id=w.a.client).SerializeToString())
    assert q.QueryClientStatusResponse.FromString(status).status == "Active"
