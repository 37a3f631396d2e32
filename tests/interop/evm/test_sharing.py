"""Applications that share a host: ports, limits of their own, and batches with a bad packet in them (S20)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from web3.logs import DISCARD

from lockgate.ibc import host
from lockgate.ibc.packet import Packet
from tests.interop.evm.test_applications import ANSWER, GAS, GUZZLE, REVERT, Hostile, encoded, hostile
from tests.interop.evm.test_packets import ask
from tests.interop.evm.world import Node, Refused, World, answered, compiled, deploy, make_world, sent

__all__ = ("hostile",)  # a fixture
pytestmark = pytest.mark.interop

BODY = b"\x01" * 128
APPS = Path(__file__).parent / "apps"
HOUR = 3_600


def other_application(world: World) -> Hostile:
    source = APPS / "hostile.vy"
    app = deploy(world.web3, compiled(source), world.host.address)
    world.do(app.functions.bind(GAS))
    return Hostile(world, app)


def skipped(world: World, receipt: Any) -> dict[int, str]:
    events = world.host.events.Skipped().process_receipt(receipt, errors=DISCARD)
    assert all(event["args"]["clientId"] == world.web3.keccak(text=world.client_id) for event in events)
    return {event["args"]["sequence"]: event["args"]["reason"] for event in events}


def received(world: World, sequence: int) -> bool:
    return world.commitment_at(host.packet_receipt(world.client_id, sequence)) != bytes(32)


def is_open(world: World, packet: Packet) -> bool:
    return world.commitment_at(host.packet_commitment(packet.source_client, packet.sequence)) != bytes(32)


# --- ports


def test_a_port_is_its_applications_address(world: World, hostile: Hostile) -> None:
    assert world.echo.functions.port().call() == world.port
    receipt = world.do(deployed(world).functions.bind(GAS))
    (event,) = world.host.events.PortBound().process_receipt(receipt)
    address = event["args"]["app"]
    assert event["args"]["port"] == address.lower(), "forty small hexadecimal digits"
    assert event["args"]["gas_max"] == GAS


def deployed(world: World) -> Any:
    return deploy(world.web3, compiled(APPS / "hostile.vy"), world.host.address)


def test_every_digit_of_a_port_is_the_addresss(world: World) -> None:
    """Twelve addresses hold every digit in nearly every place."""
    for _ in range(12):
        app = deployed(world)
        assert app.functions.bind(GAS).call() == app.address.lower()


def test_a_port_is_bound_once_and_within_bounds(world: World, hostile: Hostile) -> None:
    with pytest.raises(Refused, match=r"port\.taken"):
        world.do(hostile.app.functions.bind(GAS + 1))
    app = deployed(world)
    for gas in (0, 5_000_001):
        with pytest.raises(Refused, match=r"port\.invalid"):
            world.do(app.functions.bind(gas))
    world.do(app.functions.bind(5_000_000))


def test_nobody_sends_from_anothers_port_or_from_none(world: World, hostile: Hostile) -> None:
    for port in (world.port, "echo", "", hostile.port.upper(), world.echo.address):
        message = (world.client_id, world.now() + 60, (port, "remote", "1", "raw", b"x"))
        with pytest.raises(Refused, match=r"port\.sender"):
            world.do(hostile.app.functions.send(message))
    stranger = deployed(world)
    message = (world.client_id, world.now() + 60, (stranger.address.lower(), "remote", "1", "raw", b"x"))
    with pytest.raises(Refused, match=r"port\.sender"):
        world.do(stranger.functions.send(message))


# --- limits


def hostile_send(hostile: Hostile) -> Any:
    world = hostile.world
    return hostile.app.functions.send((world.client_id, world.now() + HOUR, (hostile.port, "remote", "1", "raw", b"x")))


def echo_send(world: World) -> Any:
    return world.echo.functions.ask(world.client_id, "remote", BODY, world.now() + HOUR)


@pytest.fixture
def narrow(node: Node) -> Hostile:
    """A lane with room for two packets an hour each way, for each who was admitted; and a hostile application."""
    return other_application(make_world(node, in_max=2, out_max=2))


def admit(world: World, port: str) -> None:
    world.do(world.host.functions.admit(world.client_id, port, True))
    world.advance(HOUR)


def test_a_hostile_application_spends_no_others_limit(narrow: Hostile) -> None:
    world = narrow.world
    admit(world, world.port)
    for _ in range(2):
        world.do(hostile_send(narrow))
    world.refuses(hostile_send(narrow), r"lane\.limit")
    for _ in range(2):
        world.do(echo_send(world))
    world.refuses(echo_send(world), r"lane\.limit")
    world.advance(HOUR + 1)
    world.do(echo_send(world))


def test_what_comes_for_a_hostile_application_spends_no_others_limit(narrow: Hostile) -> None:
    world = narrow.world
    admit(world, world.port)
    narrow.be(ANSWER, encoded(b"yes"))
    for sequence in (1, 2):
        narrow.receive(sequence)
    for packet in (narrow.incoming(3), world.incoming(4)._replace(payloads=narrow.incoming(4).payloads)):
        world.refuses(world.receive(packet, *world.proof([sent(packet)])), r"lane\.limit")
    for sequence in (5, 6):
        packet = world.incoming(sequence)
        world.do(world.receive(packet, *world.proof([sent(packet)])))
    packet = world.incoming(7)
    world.refuses(world.receive(packet, *world.proof([sent(packet)])), r"lane\.limit")


def test_all_who_were_not_admitted_share_one_limit(narrow: Hostile) -> None:
    world = narrow.world
    world.do(hostile_send(narrow))
    world.do(echo_send(world))
    world.refuses(echo_send(world), r"lane\.limit")
    world.refuses(hostile_send(narrow), r"lane\.limit")
    shared = world.host.functions.getShare(world.client_id, "").call()
    assert (shared >> 40) & 0xFFFFFFFF == 2, "what everybody shares is told"
    assert world.host.functions.getShare(world.client_id, world.port).call() == 0
    nobody = world.incoming(1)._replace(payloads=(world.incoming(1).payloads[0]._replace(destination_port="nobody"),))
    for sequence in (1, 2):  # nor does a port that is nobody's have a limit of its own
        packet = nobody._replace(sequence=sequence)
        world.do(world.receive(packet, *world.proof([sent(packet)])))
    packet = nobody._replace(sequence=3)
    world.refuses(world.receive(packet, *world.proof([sent(packet)])), r"lane\.limit")


def test_p16_admission_is_delayed_and_dismissal_immediate(narrow: Hostile) -> None:
    world = narrow.world
    admitting = world.host.functions.admit
    with pytest.raises(Refused, match=r"lane\.guardian"):
        world.do(admitting(world.client_id, narrow.port, True), **{"from": world.web3.eth.accounts[5]})
    world.do(hostile_send(narrow))
    world.do(hostile_send(narrow))
    world.do(admitting(world.client_id, world.port, True))
    world.refuses(echo_send(world), r"lane\.limit")
    world.advance(HOUR - 60)
    world.refuses(echo_send(world), r"lane\.limit")
    world.do(admitting(world.client_id, narrow.port, False))
    world.advance(61)
    world.do(hostile_send(narrow))  # another window of what everybody shares
    world.do(hostile_send(narrow))
    world.do(echo_send(world))
    world.do(admitting(world.client_id, world.port, False))
    world.refuses(echo_send(world), r"lane\.limit")
    world.do(admitting(world.client_id, world.port, True))
    world.refuses(echo_send(world), r"lane\.limit")


# --- batches


def test_a_packet_that_is_too_late_holds_up_no_batch(world: World) -> None:
    late = world.incoming(1, timeout=world.now() + 30)
    packets = [late, world.incoming(2), world.incoming(3, timeout=world.now() + 30)]
    world.advance(31)
    proof, height = world.proof([sent(packet) for packet in packets])
    receipt = world.do(world.receive_many(packets, proof, height))
    assert skipped(world, receipt) == {1: "packet.expired", 3: "packet.expired"}
    assert [received(world, sequence) for sequence in (1, 2, 3)] == [False, True, False]


def test_a_batch_takes_what_the_limit_lets_pass(narrow: Hostile) -> None:
    world = narrow.world
    admit(world, world.port)
    packets = [world.incoming(1), narrow.incoming(2), world.incoming(3), world.incoming(4), narrow.incoming(5)]
    proof, height = world.proof([sent(packet) for packet in packets])
    receipt = world.do(world.receive_many(packets, proof, height))
    assert skipped(world, receipt) == {4: "lane.limit"}
    assert [received(world, packet.sequence) for packet in packets] == [True, True, True, False, True]
    share = world.host.functions.getShare(world.client_id, world.port).call()
    assert (share >> 72) & 0xFFFFFFFF == 2


def outgoing(hostile: Hostile, echoes: int) -> list[Packet]:
    """Packets of the example application's, with one of the hostile one's between them."""
    world = hostile.world
    packets = [ask(world, bytes([number + 1]) * 8) for number in range(echoes)]
    timeout = world.now() + HOUR
    world.do(hostile.app.functions.send((world.client_id, timeout, (hostile.port, "remote", "1", "raw", b"x"))))
    payload = (
        packets[0]
        .payloads[0]
        ._replace(source_port=hostile.port, version="1", encoding="raw", value=b"x", destination_port="remote")
    )
    bad = packets[0]._replace(sequence=echoes + 1, timeout=timeout, payloads=(payload,))  # type: ignore[arg-type]
    return [packets[0], bad, *packets[1:]]


@pytest.mark.parametrize("mood", [REVERT, GUZZLE], ids=["reverts", "burns"])
def test_an_application_that_takes_no_answer_holds_up_no_batch(hostile: Hostile, mood: int) -> None:
    world = hostile.world
    packets = outgoing(hostile, 3)
    hostile.be(mood, b"\x5a" * 16_000)
    answers = [bytes([number + 1]) for number in range(4)]
    proof, height = world.proof([answered(*pair) for pair in zip(packets, answers, strict=True)])
    receipt = world.do(world.acknowledge_many(packets, answers, proof, height))
    assert skipped(world, receipt) == {packets[1].sequence: "app.reverted"}
    assert [is_open(world, packet) for packet in packets] == [False, True, False, False]
    assert hostile.calls == 0
    told = world.host.events.AckPacket().process_receipt(receipt, errors=DISCARD)
    assert [event["args"]["acknowledgement"] for event in told] == [answers[0], *answers[2:]]
    hostile.be(ANSWER)
    world.do(world.acknowledge_many(packets, answers, proof, height))
    assert not is_open(world, packets[1])
    assert hostile.calls == 1


def test_a_settled_packet_and_another_one_hold_up_no_batch(world: World) -> None:
    packets = [ask(world, bytes([number + 1]) * 8) for number in range(3)]
    answers = [b"a", b"b", b"c"]
    proof, height = world.proof([answered(packets[0], b"a")])
    world.do(world.acknowledge_many(packets[:1], answers[:1], proof, height))
    other = packets[1]._replace(payloads=(packets[1].payloads[0]._replace(value=b"?"),))
    batch = [packets[0], other, packets[2]]
    proof, height = world.proof([answered(*pair) for pair in zip(batch, answers, strict=True)])
    receipt = world.do(world.acknowledge_many(batch, answers, proof, height))
    assert skipped(world, receipt) == {packets[1].sequence: "packet.mismatch"}
    assert len(world.host.events.Noop().process_receipt(receipt, errors=DISCARD)) == 1
    assert [is_open(world, packet) for packet in packets] == [False, True, False]


def test_a_batch_of_which_nothing_can_be_done_is_refused(hostile: Hostile) -> None:
    """So that a relayer who asks first pays nothing for it."""
    world = hostile.world
    packets = outgoing(hostile, 1)
    hostile.be(REVERT)
    other = packets[0]._replace(payloads=(packets[0].payloads[0]._replace(value=b"?"),))
    batch, answers = [other, packets[1]], [b"a", b"b"]
    proof, height = world.proof([answered(*pair) for pair in zip(batch, answers, strict=True)])
    world.refuses(world.acknowledge_many(batch, answers, proof, height), r"app\.reverted")
    late = [world.incoming(number, timeout=world.now() + 30) for number in (1, 2)]
    world.advance(31)
    proof, height = world.proof([sent(packet) for packet in late])
    world.refuses(world.receive_many(late, proof, height), r"packet\.expired")


def test_a_refusal_among_others_is_an_answer_and_not_left_out(world: World) -> None:
    packets = [world.incoming(1), world.incoming(2, b"\x00"), world.incoming(3)]
    proof, height = world.proof([sent(packet) for packet in packets])
    receipt = world.do(world.receive_many(packets, proof, height))
    assert skipped(world, receipt) == {}
    events = world.host.events.WriteAcknowledgement().process_receipt(receipt, errors=DISCARD)
    refused = hashlib.sha256(b"UNIVERSAL_ERROR_ACKNOWLEDGEMENT").digest()
    assert [event["args"]["acknowledgements"] == [refused] for event in events] == [False, True, False]
