"""RecvPacket where the answer comes later, and what the ledger's gate may do (P2, P3, P15)."""

from __future__ import annotations

import pytest

from lockgate.codec import type_urls as urls
from lockgate.ibc import host, wire
from lockgate.ibc.commitment import SENTINEL_COMMITMENT
from lockgate.ibc.errors import (
    DeferredAmongSeveral,
)
from lockgate.ibc.packet import Packet
from lockgate.ibc.ports import Deferred, Held, Passed, Rejected
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.state import Outcome
from tests.support.ibc_fakes import RELAYER, FakeProofWrong
from tests.support.ibc_world import Pair, payload
from tests.support.values import replace


def refused(pair: Pair, refusal: type[LockgateError], data: bytes, account: str = RELAYER) -> None:
    before = pair.b.state.snapshot()
    with pytest.raises(refusal):
        pair.b.deliver(urls.MSG_RECV_PACKET, data, account)
    assert pair.b.state.snapshot() == before


def acknowledgement_of(pair: Pair, packet: Packet) -> bytes | None:
    return pair.b.state.get("ibc", host.packet_acknowledgement(packet.destination_client, packet.sequence))


def receipt_of(pair: Pair, packet: Packet) -> bytes | None:
    return pair.b.state.get("ibc", host.packet_receipt(packet.destination_client, packet.sequence))


# Holding.


def held_value(pair: Pair, packet: Packet) -> bytes | None:
    return pair.b.state.get("ibc", host.async_packet(packet.destination_client, packet.sequence))


def test_a_deferred_payload_is_held() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    pair.b.app.answers[b"hello"] = Deferred()
    done = pair.receive(packet)
    assert done.outcome.response == b"\x08\x02"
    assert done.received is not None
    assert done.received.held
    assert held_value(pair, packet) == wire.encode_packet(packet)
    assert receipt_of(pair, packet) == b"\x02"
    assert acknowledgement_of(pair, packet) is None
    assert pair.b.state.get("app", b"app/receive/1/0") is not None
    assert pair.receive(packet).is_noop


def test_one_of_several_payloads_cannot_defer() -> None:
    pair = Pair.connected()
    pair.own_lane()
    packet = pair.in_flight(payload(b"one"), payload(b"two"))
    pair.b.app.answers[b"two"] = Deferred()
    refused(pair, DeferredAmongSeveral, pair.receive_message(packet))


def test_the_gate_holds_a_packet_as_a_whole() -> None:
    """P2: receive validates and holds; no application runs."""
    pair = Pair.connected()
    pair.own_lane()
    packet = pair.in_flight(payload(b"one"), payload(b"two"))
    entry = Outcome()
    entry.set("inbox", b"entry", b"\x01")
    pair.b.gate.admission = Held(entry)
    done = pair.receive(packet)
    assert done.received is not None
    assert done.received.held
    assert pair.b.app.calls == []
    assert pair.b.state.get("inbox", b"entry") == b"\x01"
    assert held_value(pair, packet) == wire.encode_packet(packet)


def test_held_packets_can_wait_outside_the_proven_store() -> None:
    pair = Pair.connected()
    pair.b.wiring = replace(pair.b.wiring, held_store="bodies")
    packet = pair.in_flight()
    pair.b.gate.admission = Held()
    pair.receive(packet)
    assert held_value(pair, packet) is None
    key = host.async_packet(packet.destination_client, packet.sequence)
    assert pair.b.state.get("bodies", key) == wire.encode_packet(packet)


# The gate.


def test_the_gate_may_refuse_the_packet() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    pair.b.gate.admission = Rejected("test.no_grant")
    done = pair.receive(packet)
    assert done.received is not None
    assert done.received.rejected == Rejected("test.no_grant")
    assert acknowledgement_of(pair, packet) == SENTINEL_COMMITMENT
    assert pair.b.app.calls == []


def test_what_the_gate_wrote_goes_with_a_refusal_of_the_application() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    pair.b.app.answers[b"hello"] = Rejected("test.refused")
    done = pair.receive(packet)
    assert pair.b.gate.seen == [("receive", 1)]
    assert ("guard", b"receive/1") not in done.outcome.writes


def test_a_gate_may_answer_with_one_value_for_all() -> None:
    """What applications write never ends up in the gate's own outcome."""
    pair = Pair.connected()
    passed = Passed()
    pair.b.gate.admission = passed
    pair.receive(pair.in_flight())
    assert passed == Passed()


def test_the_gate_sees_proven_packets_only() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    height = pair.b.light.latest_height(pair.b.state, pair.b.client)
    refused(pair, FakeProofWrong, wire.encode_receive(packet, b"x", height, RELAYER))
    assert pair.b.gate.seen == []
