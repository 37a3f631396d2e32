"""How a message ended is proven by the receiver's ledger, whatever a node says (P3, P4)."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.hosting import traffic
from lockgate.hosting.traffic import BlockTraffic, Returned, TimedOut
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import ERROR_ACKNOWLEDGEMENT, Acknowledgement
from lockgate.lab.paths import expect
from lockgate.primitives.time import seconds
from tests.support import probe
from tests.support.hosts import HostWorld, in_world

Spoil = Callable[[Any], Any]


def lying(world: HostWorld, spoil: Spoil) -> Callable[[], None]:
    """Make the node of A serve another end of its packets; returns what makes it honest again."""
    blocks = world.a.host._endings._blocks
    honest = blocks.block

    async def block(height: int) -> BlockTraffic:
        found = await honest(height)
        return BlockTraffic(found.received, {key: spoil(end) for key, end in found.ended.items()})

    blocks.block = block  # type: ignore[method-assign]  # the node is the one who lies
    return lambda: setattr(blocks, "block", honest)


async def refused_to_believe(world: HostWorld, honest: Callable[[], None]) -> str:
    """The host must hold the item, tell its guest nothing, and act on it once the node is honest."""
    await world.turn(world.a)
    assert world.a.sent().state == "sent"
    assert world.a.get(b"told") is None
    held = world.a.reported("held")
    assert held
    assert held[-1]["kind"] == "ended"
    honest()
    world.clock.advance(seconds(61))
    await world.settle()
    assert world.a.sent().state != "sent"
    code: str = held[-1]["code"]
    return code


async def answered(world: HostWorld) -> None:
    """B has answered and the answer is back on A's ledger; A's host has not looked yet."""
    await world.send(world.a, probe.output(probe.write(b"told", b"yes")))
    world.relay()
    await world.turn(world.b)
    world.relay()


@pytest.mark.parametrize("script", [probe.output(b""), probe.refuse("no.credit"), probe.defer()])
def test_P4_the_end_of_another_packet_is_not_believed(script: bytes) -> None:
    """[P4] Every proof holds, for the other packet: the host compares with the commitment it computed itself.

    A node shows the end of message 2 as that of message 1: acknowledged, refused, timed out.
    """

    @in_world()
    async def scenario(world: HostWorld) -> None:
        await world.send(world.a, probe.output(probe.write(b"told", b"yes")), timeout_s=30)
        (first,) = world.sent(world.a)
        await world.send(world.a, script, timeout_s=30)
        _, second = world.sent(world.a)
        timed_out = script == probe.defer()
        if timed_out:
            world.pass_time(31)
            expect(world.time_out(world.a, second))
        else:
            world.relay()
            await world.turn(world.b)
            world.relay()
        one, two = world.a.store.all_sent()
        await world.a.host._queue.look()
        with world.a.store.commit():
            world.a.store.connection.execute("UPDATE outbox SET sequence = NULL, client = NULL")

        def swap(end: Any) -> Any:
            if end.packet.sequence != 2:
                return end
            packet = first._replace(sequence=2)
            return dataclasses.replace(end, packet=packet, commitment=commit_packet(packet))

        blocks = world.a.host._endings._blocks
        honest = blocks.block

        async def block(height: int) -> BlockTraffic:
            found = await honest(height)
            ended = {key: swap(end) for key, end in found.ended.items() if key[1] == 2}
            return BlockTraffic(found.received, ended)

        blocks.block = block  # type: ignore[method-assign]
        await world.turn(world.a)
        states = {row.ref: row.state for row in world.a.store.all_sent()}
        assert states == {one.ref: "sent", two.ref: "sent"}
        assert world.a.reported("held")[-1]["code"] == "host.not_proven"
        assert (world.a.get(b"told"), world.a.get(b"refused"), world.a.get(b"timed-out")) == (None, None, None)

    scenario()


@in_world()
async def test_an_altered_acknowledgement_is_not_believed(world: HostWorld) -> None:
    await answered(world)

    def alter(end: Any) -> Any:
        element = end.acknowledgement.elements[0]
        return Returned(end.packet, end.commitment, Acknowledgement((element + b"x",)), end.proof, end.proof_height)

    await refused_to_believe(world, lying(world, alter))
    assert world.a.get(b"told") == b"yes"


@in_world()
async def test_an_invented_refusal_is_not_believed(world: HostWorld) -> None:
    await answered(world)

    def refuse(end: Any) -> Any:
        return Returned(end.packet, end.commitment, ERROR_ACKNOWLEDGEMENT, end.proof, end.proof_height)

    await refused_to_believe(world, lying(world, refuse))
    assert world.a.sent().state == "acknowledged"


@in_world()
async def test_an_end_that_is_not_in_its_block_is_not_believed(world: HostWorld) -> None:
    await answered(world)
    world.a.host._endings._blocks._blocks.clear()
    blocks = world.a.host._endings._blocks
    honest = blocks.block

    async def empty(_: int) -> BlockTraffic:
        return BlockTraffic()

    blocks.block = empty  # type: ignore[method-assign]
    code = await refused_to_believe(world, lambda: setattr(blocks, "block", honest))
    assert code == "host.not_proven"


@in_world()
async def test_a_timeout_is_told_when_it_is_proven(world: HostWorld) -> None:
    await world.send(world.a, probe.output(b""), timeout_s=30)
    (packet,) = world.sent(world.a)
    world.pass_time(31)
    expect(world.time_out(world.a, packet))
    await world.turn(world.a)
    assert world.a.sent().state == "timed_out"
    assert world.a.get(b"timed-out") == world.a.sent().ref


@in_world()
async def test_an_invented_timeout_is_not_believed(world: HostWorld) -> None:
    """The proof stands for another header, earlier than the timeout: nothing is told."""
    await world.send(world.a, probe.output(probe.write(b"told", b"yes")), timeout_s=600)
    (packet,) = world.sent(world.a)
    early = world.b.end.ledger
    early.block()
    early.block()
    at = early.height
    key = traffic.host.packet_receipt(packet.destination_client, packet.sequence)
    proof = early.prove("ibc", key, at).merkle_proof
    world.relay()
    await world.turn(world.b)
    world.relay()

    def pretend(end: Any) -> Any:
        return TimedOut(packet, end.commitment, proof, early.at(at))

    code = await refused_to_believe(world, lying(world, pretend))
    assert code == "host.not_proven"
    assert world.a.sent().state == "acknowledged"


@in_world()
async def test_a_timeout_of_a_packet_that_was_received_is_not_believed(world: HostWorld) -> None:
    """The header is late enough, and the proof of absence is another key's."""
    await answered(world)
    (sent,) = world.a.store.all_sent()
    world.pass_time(601)
    ledger = world.b.end.ledger
    absent = traffic.host.packet_receipt(world.b.end.client, 99)
    proof, at = ledger.prove("ibc", absent, ledger.height).merkle_proof, ledger.at(ledger.height)

    def pretend(end: Any) -> Any:
        return TimedOut(end.packet, end.commitment, proof, at)

    await refused_to_believe(world, lying(world, pretend))
    assert world.a.store.sent(sent.ref) is not None
    assert world.a.sent().state == "acknowledged"


@in_world()
async def test_a_node_that_names_another_packet_for_a_message_settles_nothing(world: HostWorld) -> None:
    """Events say which sequence a message has; the commitment decides."""
    await world.send(world.a, probe.output(probe.write(b"told", b"one")))
    await world.send(world.a, probe.output(b""))
    store = world.a.store
    one, two = store.all_sent()
    with store.commit():
        for row, sequence in ((one, 7), (two, 1)):
            store.connection.execute("UPDATE outbox SET sequence = ? WHERE ref = ?", (sequence, row.ref))
    world.relay()
    await world.turn(world.b)
    world.relay()
    await world.turn(world.a)
    states = {row.ref: (row.sequence, row.state) for row in store.all_sent()}
    assert states[two.ref] == (2, "acknowledged")
    assert states[one.ref][1] == "sent", "what the node said of the first does not fit: held"
    assert world.a.get(b"told") is None


def test_a_blocks_traffic_is_read_out_of_its_transactions() -> None:
    """Bytes that are no transaction of ours carry no packet."""
    assert traffic.messages_of(b"") == ()
    assert traffic.messages_of(base64.b64decode("AAAA")) == ()
