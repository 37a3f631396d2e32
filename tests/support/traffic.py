"""Many messages through both lab ledgers, in batches, from endpoint to endpoint and back."""

from __future__ import annotations

from collections.abc import Sequence

from lockgate.ibc.packet import Packet
from lockgate.lab.paths import (
    acknowledge_message,
    acknowledgements_of,
    expect,
    packets_of,
    receive_message,
    update,
)
from tests.support.lab import World

BATCH = 50


def send_many(world: World, count: int, *, timeout_s: int = 3_600) -> list[Packet]:
    packets: list[Packet] = []
    while len(packets) < count:
        sends = [
            world.sender.sending(world.a.client, world.receiver, world.now_s + timeout_s, b"sealed" * 20)
            for _ in range(min(BATCH, count - len(packets)))
        ]
        packets += packets_of(expect(world.a.ledger.transact(world.host_a, world.sender.advance(*sends))))
    return packets


def finish(world: World, packets: Sequence[Packet]) -> None:
    """Deliver, answer, acknowledge."""
    if world.b.trusted < world.a.ledger.height:
        update(world.b, world.a.ledger)
    expect(world.b.ledger.transact(world.b.account, *[receive_message(world.b, world.a, packet) for packet in packets]))
    answers = [world.receiver.answer(world.b.client, packet.sequence, ack=b"reply") for packet in packets]
    answered = acknowledgements_of(expect(world.b.ledger.transact(world.host_b, *answers)).events)
    update(world.a, world.b.ledger)
    messages = [acknowledge_message(world.a, world.b, packet, answered[packet.sequence]) for packet in packets]
    expect(world.a.ledger.transact(world.a.account, *messages))


def run_through(world: World, count: int) -> None:
    """Send and finish `count` messages."""
    for done in range(0, count, BATCH):
        finish(world, send_many(world, min(BATCH, count - done)))
