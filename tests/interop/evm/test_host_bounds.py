"""The host at the edges of what it takes: each bound from both sides, and each check of each call (S20, P13, P16)."""

from __future__ import annotations

from typing import Any

import pytest
from web3.exceptions import ContractLogicError
from web3.logs import DISCARD

from lockgate.ibc import host
from lockgate.ibc.packet import Packet
from lockgate.lightclients import evm_attestation as words
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds
from tests.interop.evm.test_applications import ANSWER, REVERT, Hostile, hostile
from tests.interop.evm.test_packets import acknowledge, ask, time_out
from tests.interop.evm.world import (
    REMOTE,
    SOURCE,
    Refused,
    World,
    answered,
    deploy,
    fields,
    sent,
    set_fields,
    signing_set,
    unreceived,
)

__all__ = ("hostile",)  # a fixture
pytestmark = pytest.mark.interop

BODY = b"\x01" * 128
HOUR = 3_600


def is_open(world: World, packet: Packet) -> bool:
    return world.commitment_at(host.packet_commitment(packet.source_client, packet.sequence)) != bytes(32)


def at(world: World, time: int) -> None:
    """Let a block have this time."""
    world.rpc("evm_setNextBlockTimestamp", time)
    world.rpc("evm_mine")


def judged(world: World, call: Any) -> str:
    """What a call comes to in the newest block: the reason of its refusal, or nothing."""
    options: Any = {"from": world.web3.eth.accounts[0], "gas": 29_000_000}
    try:
        call.call(options, "latest")
    except ContractLogicError as error:
        return str(error)
    return ""


# --- lanes


def fresh_client(world: World) -> Any:
    first = set_fields(signing_set(world.keys, world.now() + 86_400))
    return deploy(world.web3, "attested", world.host.address, SOURCE, first)


def test_a_lane_has_a_counterparty_and_a_contract(world: World) -> None:
    client, add = fresh_client(world), world.host.functions.addClient
    with pytest.raises(Refused, match=r"lane\.counterparty"):
        world.do(add("a" * 7, client.address, 1, 1, 1))
    with pytest.raises(Refused, match=r"lane\.client"):
        world.do(add("a" * 8, world.web3.eth.accounts[3], 1, 1, 1))
    receipt = world.do(add("a" * 8, client.address, 2, 3, 4))
    (event,) = world.host.events.ClientAdded().process_receipt(receipt, errors=DISCARD)
    assert event["args"] == {
        "clientId": "client-1",
        "counterparty": "a" * 8,
        "client": client.address,
        "guardian": world.web3.eth.accounts[0],
    }
    assert world.host.functions.getClient("client-1").call() == client.address
    assert world.host.functions.getLane("client-1").call() == [
        "a" * 8,
        world.web3.eth.accounts[0],
        1,
        False,
        2 | 3 << 32 | 4 << 64,
    ]
    assert "client.unknown" in judged(world, world.host.functions.getClient("client-2"))


def test_p16_new_limits_hold_from_the_very_second_and_once(world: World) -> None:
    lanes = world.host.functions
    before = lanes.getClient(world.client_id).call()
    ask(world)
    world.do(lanes.announce(world.client_id, 7, 8, 9))
    lawful_from = world.now() + HOUR
    at(world, lawful_from - 1)
    assert "lane.too_early" in judged(world, lanes.enact(world.client_id))
    at(world, lawful_from)
    world.do(lanes.enact(world.client_id))
    assert lanes.getLane(world.client_id).call()[2:] == [2, False, 7 | 8 << 32 | 9 << 64]
    assert lanes.getClient(world.client_id).call() == before
    world.refuses(lanes.enact(world.client_id), r"lane\.not_announced")


def test_a_stopped_lane_sends_receives_and_ends_nothing_and_goes_on_where_it_was(world: World) -> None:
    packet = ask(world, ahead=2 * HOUR)
    lanes = world.host.functions
    world.do(lanes.pause(world.client_id))
    world.advance(2 * HOUR + 1)
    for call in (
        time_out(world, packet),
        acknowledge(world, packet, b"yes"),
        world.acknowledge_many([packet], [b"yes"], *world.proof([answered(packet, b"yes")])),
        world.receive_many([world.incoming(1)], *world.proof([sent(world.incoming(1))])),
        world.echo.functions.ask(world.client_id, "remote", BODY, world.now() + 60),
    ):
        world.refuses(call, r"lane\.paused")
    assert is_open(world, packet)
    world.do(lanes.announce(world.client_id, 9, 9, 9))
    world.advance(HOUR)
    world.do(lanes.enact(world.client_id))
    assert ask(world).sequence == packet.sequence + 1
    world.do(time_out(world, packet))
    assert not is_open(world, packet)


def test_a_window_ends_in_its_last_second(world: World) -> None:
    world.do(world.host.functions.announce(world.client_id, 1, 1, 50))
    world.advance(HOUR)
    world.do(world.host.functions.enact(world.client_id))
    start = world.now() + 10
    world.rpc("evm_setNextBlockTimestamp", start)
    ask(world)
    again = world.echo.functions.ask(world.client_id, "remote", BODY, start + 600)
    at(world, start + 49)
    assert "lane.limit" in judged(world, again)
    at(world, start + 50)
    assert judged(world, again) == ""


# --- packets


def test_p13_a_send_is_at_most_a_day_ahead_and_after_both_clocks(world: World) -> None:
    now = world.now() + 10
    at(world, now)
    statement = world.statement([words.Leaf(bytes(32), bytes(32))], time=UnixSeconds(now + 5))
    world.rpc("evm_setNextBlockTimestamp", now + 1)
    told = [(one.position, one.r, one.vs) for one in world.signed(statement)]
    fields_ = (statement.epoch, statement.height, statement.time, statement.state_root, statement.leaves_root, told)
    world.do(world.client.functions.update(fields_))
    for timeout, reason in (
        (now + 1, "packet.expired"),
        (now + 5, "packet.expired"),
        (now + 6, ""),
        (now + 1 + 86_400, ""),
        (now + 2 + 86_400, "packet.timeout_too_far"),
    ):
        call = world.echo.functions.ask(world.client_id, "remote", BODY, timeout)
        found = judged(world, call)
        assert (reason in found) if reason else found == "", timeout - now


def test_a_packet_is_late_in_the_second_of_its_timeout(world: World) -> None:
    timeout = world.now() + 100
    packet = world.incoming(1, timeout=timeout)
    call = world.receive(packet, *world.proof([sent(packet)]))
    at(world, timeout - 1)
    assert judged(world, call) == ""
    at(world, timeout)
    assert "packet.expired" in judged(world, call)


def test_an_end_comes_from_the_lanes_counterparty_alone(world: World) -> None:
    packet = ask(world, ahead=30)._replace(destination_client=ClientId("attested-9"))
    world.advance(31)
    proof, height = world.proof([answered(packet, b"yes")])
    for call in (
        world.host.functions.ackPacket((fields(packet), b"yes", proof, height)),
        world.acknowledge_many([packet], [b"yes"], proof, height),
        time_out(world, packet),
    ):
        world.refuses(call, r"packet\.counterparty")


def test_an_end_needs_its_proof_each_way(world: World) -> None:
    packet = ask(world, ahead=30)
    world.advance(31)
    other = words.Leaf(bytes(32), bytes(32))
    for call in (
        world.host.functions.ackPacket((fields(packet), b"yes", *world.proof([other]))),
        world.acknowledge_many([packet], [b"yes"], *world.proof([other])),
        world.host.functions.timeoutPacket((fields(packet), *world.proof([other]))),
        world.receive_many([world.incoming(1)], *world.proof([other])),
    ):
        world.refuses(call, r"proof\.root")


def test_an_answer_says_something_and_no_end_names_two_payloads(world: World) -> None:
    packet = ask(world, ahead=30)
    world.advance(31)
    leaf = words.Leaf(answered(packet, b"x").path, bytes(32))
    proof, height = world.proof([leaf])
    world.refuses(world.host.functions.ackPacket((fields(packet), b"", proof, height)), r"answer\.empty")
    world.refuses(world.acknowledge_many([packet], [b""], proof, height), r"answer\.empty")
    none = world.host.functions.ackPackets(world.client_id, REMOTE, [], [], proof, height)
    world.refuses(none, r"packet\.none")
    empty = packet._replace(payloads=())
    world.refuses(world.host.functions.timeoutPacket((fields(empty), proof, height)), r"packet\.invalid")
    world.refuses(world.host.functions.ackPacket((fields(empty), b"yes", proof, height)), r"packet\.invalid")


def test_a_timeout_of_another_packet_ends_nothing(world: World) -> None:
    packet = ask(world, ahead=30)
    world.advance(31)
    other = packet._replace(payloads=(packet.payloads[0]._replace(value=b"?"),))
    proof, height = world.proof([unreceived(packet)])
    world.refuses(world.host.functions.timeoutPacket((fields(other), proof, height)), r"packet\.mismatch")
    assert is_open(world, packet)


def test_a_timeout_that_its_application_does_not_take_stays_to_be_taken(hostile: Hostile) -> None:
    world = hostile.world
    timeout = world.now() + 30
    payload = (hostile.port, "remote", "1", "raw", b"x")
    world.do(hostile.app.functions.send((world.client_id, timeout, payload)))
    like = world.incoming(1, timeout=timeout)
    packet = like._replace(
        source_client=like.destination_client,
        destination_client=like.source_client,
        payloads=(type(like.payloads[0])(*payload),),
    )
    world.advance(31)
    call = time_out(world, packet)
    hostile.be(REVERT)
    world.refuses(call, r"app\.reverted")
    assert is_open(world, packet)
    hostile.be(ANSWER)
    receipt = world.do(call)
    assert hostile.calls == 1
    assert len(world.host.events.TimeoutPacket().process_receipt(receipt, errors=DISCARD)) == 1


def test_nobody_but_the_host_has_it_deliver(hostile: Hostile) -> None:
    world = hostile.world
    with pytest.raises(Refused, match=r"host\.self"):
        world.do(world.host.functions.deliver(hostile.app.address, 100_000, b"\x01" * 4))
