"""SendPacket: the order of checks of ibc-go, one spoiling each, nothing written on a refusal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_channel_pb2
from lockgate.ibc import host, wire
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.errors import (
    BadHostIdentifier,
    BadPacket,
    BadPayload,
    BadTimeout,
    ClientHeightZero,
    ClientNotActive,
    CounterpartyNotFound,
    NoRoute,
    SendSequenceMissing,
    SignerMismatch,
    TimeoutElapsed,
    TimeoutTooFar,
)
from lockgate.ibc.packet import MAX_PAYLOAD_BYTES, Payload
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.ids import Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from tests.support.ibc_fakes import SENDER, START, client_state, consensus_state, set_status
from tests.support.ibc_world import Pair, World, payload
from tests.support.values import replace

DAY = 24 * 3_600


def message(world: World, *payloads: Payload, timeout: int, client: str = "") -> bytes:
    return wire.encode_send(
        wire.SendMessage(client or world.client, UnixSeconds(timeout), payloads or (payload(),), SENDER)
    )


def now_seconds(world: World) -> int:
    return world.time // NANOS_PER_SECOND


def test_a_packet_gets_the_next_sequence_and_its_commitment_is_stored() -> None:
    pair = Pair.connected()
    first, second = pair.send(), pair.send(payload(b"more"))
    assert (first.sequence, second.sequence) == (1, 2)
    for packet in (first, second):
        stored = pair.a.state.get("ibc", host.packet_commitment(pair.a.client, packet.sequence))
        assert stored == commit_packet(packet)
    assert first.source_client == pair.a.client
    assert first.destination_client == pair.b.client
    assert pair.a.app.calls == [("send", 1, None), ("send", 2, None)]
    assert pair.a.gate.seen == [("send", 1), ("send", 2)]


def test_the_response_and_events_are_those_of_ibc_go() -> None:
    pair = Pair.connected()
    done = pair.a.deliver(urls.MSG_SEND_PACKET, pair.send_message(), SENDER)
    assert ibc_channel_pb2.MsgSendPacketResponse.FromString(done.outcome.response).sequence == 1
    assert done.response_url == "/ibc.core.channel.v2.MsgSendPacketResponse"
    event, module = done.outcome.events[:2]
    assert [name for name, _ in event.attributes] == [
        "packet_source_client", "packet_dest_client", "packet_sequence", "packet_timeout_timestamp",
        "encoded_packet_hex",
    ]  # fmt: skip
    assert event.type == "send_packet"
    assert module.attributes == (("module", "ibc_channelv2"),)
    assert not done.is_packet
    assert not done.is_noop


def forget(key: Callable[[str], bytes]) -> Callable[[World], None]:
    def spoil(world: World) -> None:
        del world.state.stores["ibc"][key(world.client)]

    return spoil


def zero_height(world: World) -> None:
    data = client_state(Height(0, 0)).SerializeToString()
    world.state.stores["ibc"][host.client_state(world.client)] = data


def remote_ahead(world: World) -> None:
    remote = world.light.latest_height(world.state, world.client)
    late = consensus_state(world.time + 100 * NANOS_PER_SECOND)
    world.state.stores["ibc"][host.consensus_state(world.client, remote)] = late.SerializeToString()


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (forget(host.counterparty), CounterpartyNotFound),
        (forget(host.next_sequence_send), SendSequenceMissing),
        (lambda world: world.apply(set_status(world.state, world.client, "Frozen")), ClientNotActive),
        (lambda world: world.apply(set_status(world.state, world.client, "Expired")), ClientNotActive),
        (zero_height, ClientHeightZero),
        (remote_ahead, TimeoutElapsed),
    ],
)
def test_a_world_that_cannot_send_refuses(spoil: Callable[[World], None], refusal: type[LockgateError]) -> None:
    pair = Pair.connected()
    spoil(pair.a)
    before = pair.a.state.snapshot()
    with pytest.raises(refusal):
        pair.send()
    assert pair.a.state.snapshot() == before


@pytest.mark.parametrize(
    ("payloads", "refusal"),
    [
        ((payload(), payload()), BadPayload),
        ((payload(b""),), BadPayload),
        ((replace(payload(), version=" "),), BadPayload),
        ((replace(payload(), source_port="a/b"),), BadHostIdentifier),
        ((payload(bytes(MAX_PAYLOAD_BYTES + 1)),), BadPacket),
        ((payload(port="gamma"),), NoRoute),
    ],
)
def test_payloads_that_cannot_be_sent_are_refused(payloads: tuple[Payload, ...], refusal: type[LockgateError]) -> None:
    pair = Pair.connected()
    before = pair.a.state.snapshot()
    with pytest.raises(refusal):
        pair.send(*payloads)
    assert pair.a.state.snapshot() == before


def test_the_client_must_be_named() -> None:
    world = Pair.connected().a
    with pytest.raises(BadHostIdentifier):
        world.deliver(urls.MSG_SEND_PACKET, message(world, timeout=1, client="a/b"), SENDER)
    data = message(world, timeout=now_seconds(world) + 5, client="99-fake-77")
    with pytest.raises(CounterpartyNotFound):
        world.deliver(urls.MSG_SEND_PACKET, data, SENDER)


def test_the_signer_must_have_signed() -> None:
    pair = Pair.connected()
    with pytest.raises(SignerMismatch):
        pair.a.deliver(urls.MSG_SEND_PACKET, pair.send_message(), "ee" * 20)


@pytest.mark.parametrize("fraction", [0, 1, NANOS_PER_SECOND - 1])
def test_the_timeout_is_later_than_the_block_in_full_resolution(fraction: int) -> None:
    world = Pair.connected().a
    world.time += fraction
    now = now_seconds(world)
    with pytest.raises(BadTimeout):
        world.deliver(urls.MSG_SEND_PACKET, message(world, timeout=0), SENDER)
    with pytest.raises(TimeoutElapsed):
        world.deliver(urls.MSG_SEND_PACKET, message(world, timeout=now), SENDER)
    world.deliver(urls.MSG_SEND_PACKET, message(world, timeout=now + 1), SENDER)


@pytest.mark.parametrize(("fraction", "farthest"), [(0, DAY), (1, DAY), (NANOS_PER_SECOND - 1, DAY)])
def test_the_timeout_is_at_most_a_day_ahead(fraction: int, farthest: int) -> None:
    world = Pair.connected().a
    world.time += fraction
    now = now_seconds(world)
    world.deliver(urls.MSG_SEND_PACKET, message(world, timeout=now + farthest), SENDER)
    with pytest.raises(TimeoutTooFar):
        world.deliver(urls.MSG_SEND_PACKET, message(world, timeout=now + farthest + 1), SENDER)
    with pytest.raises(TimeoutTooFar):
        world.deliver(urls.MSG_SEND_PACKET, message(world, timeout=START), SENDER)  # nanoseconds


@pytest.mark.parametrize(("past_second", "accepted"), [(-1, True), (0, False), (1, False)])
def test_the_remote_time_is_compared_in_whole_seconds(past_second: int, accepted: bool) -> None:
    """Remote time one nanosecond before the timeout's second, at it, and after it."""
    pair = Pair.connected()
    world = pair.a
    timeout = now_seconds(world) + 10
    remote = world.light.latest_height(world.state, world.client)
    time = consensus_state(timeout * NANOS_PER_SECOND + past_second).SerializeToString()
    world.state.stores["ibc"][host.consensus_state(world.client, remote)] = time
    if accepted:
        world.deliver(urls.MSG_SEND_PACKET, message(world, timeout=timeout), SENDER)
    else:
        with pytest.raises(TimeoutElapsed):
            world.deliver(urls.MSG_SEND_PACKET, message(world, timeout=timeout), SENDER)


class No(Refused):
    code = "test.no"
    summary = "The application or gate says no."


@pytest.mark.parametrize("who", ["application", "gate"])
def test_an_application_or_the_gate_undoes_the_send(who: str) -> None:
    pair = Pair.connected()
    if who == "gate":
        pair.a.gate.send_error = No()
    else:
        pair.a.app.raises["send"] = No()
    before = pair.a.state.snapshot()
    with pytest.raises(No):
        pair.send()
    assert pair.a.state.snapshot() == before
    pair.a.gate.send_error = None
    pair.a.app.raises.clear()
    assert pair.send().sequence == 1


def test_own_lanes_carry_several_payloads() -> None:
    pair = Pair.connected()
    pair.own_lane(max_payloads=2)
    packet = pair.send(payload(b"one"), payload(b"two", port="beta"))
    assert len(packet.payloads) == 2
    assert [len(world.calls) for world in (pair.a.app, pair.a.other_app)] == [1, 1]
    with pytest.raises(BadPayload):
        pair.send(payload(), payload(), payload())
