"""A revoked endpoint: from which block on it neither sends nor receives, and how what was open ends (P5, P19, S13)."""

from __future__ import annotations

import pytest

from lockgate.ibc import SENTINEL, host
from lockgate.lab.paths import acknowledgements_of, expect, receive_message
from lockgate.machine import keys
from lockgate.machine.machine import TxResult
from lockgate.machine.records import Reason
from lockgate.machine.transaction import Message
from lockgate.primitives.time import seconds
from tests.support.lab import World


def announced(world: World) -> int:
    """Announce the revocation of the receiver; the height at whose start it stands."""
    revoke = {"action": "endpoint.revoke", "arguments": {"endpoint": world.receiver.id}}
    done = expect(world.b.ledger.govern(world.gov, "gov.announce", revoke))
    return next(int(event.get("due") or 0) for event in done.events if event.type == "gov_announced")


def up_to(world: World, height: int) -> None:
    """The next block is of this height."""
    while world.b.ledger.height < height - 1:
        world.b.ledger.block()


def first(world: World, *messages: Message) -> TxResult:
    """A transaction of the receiver's host in the next block."""
    return world.b.ledger.block(world.b.ledger.signed(world.host_b, messages)).results.transactions[0]


def act(world: World, what: str) -> Message:
    if what == "send":
        sending = world.receiver.sending(world.b.client, world.sender, world.now_s + 600, b"sealed")
        return world.receiver.advance(sending)
    if what == "grant":
        return world.receiver.grant(world.lane, world.sender)
    if what == "rotate":
        return "endpoint.rotate", {"record": world.receiver.rotated().to_bytes()}
    return world.receiver.take_fence()


@pytest.mark.parametrize("what", ["send", "grant", "rotate", "fence"])
@pytest.mark.parametrize("late", [False, True])
def test_the_last_block_before_takes_it_and_the_block_that_is_due_does_not(what: str, late: bool) -> None:
    world = World.make()
    due = announced(world)
    up_to(world, due if late else due - 1)
    result = first(world, act(world, what))
    assert result.log.split(":")[0] == ("endpoint.revoked" if late else "")


@pytest.mark.parametrize("late", [False, True])
def test_the_same_of_what_it_receives_and_answers(late: bool) -> None:
    world = World.make()
    waiting, coming = world.send(), world.send()
    expect(world.deliver(waiting))
    due = announced(world)
    up_to(world, due if late else due - 1)
    ledger = world.b.ledger
    answer = ledger.signed(world.host_b, [world.receiver.answer(world.b.client, waiting.sequence, ack=b"reply")])
    receive = ledger.signed(world.b.account, [receive_message(world.b, world.a, coming)])
    answered, received = ledger.block(answer, receive).results.transactions
    assert answered.log.split(":")[0] == ("endpoint.revoked" if late else "")
    refused = [event.get("code") for event in received.events if event.type == "packet_refused"]
    assert (received.code, refused) == (0, ["endpoint.revoked"] if late else [])


def test_what_waits_in_its_inbox_ends_as_a_typed_refusal_and_settles_at_the_sender() -> None:
    world = World.make()
    packet = world.send()
    expect(world.deliver(packet))
    up_to(world, announced(world) + 1)
    world.clock.advance(seconds(61))  # past the grace: nobody else may answer for it
    swept = world.b.ledger.block().results.events
    world.b.ledger.block()
    view = world.b.ledger.chain.view()
    reason = view.get(keys.REASON, keys.reason(world.b.client, packet.sequence))
    assert reason is not None
    assert Reason.from_bytes(reason).code_text == "inbox.not_answered"

    acknowledgement = acknowledgements_of(swept)[packet.sequence]
    assert acknowledgement.elements == (SENTINEL,)
    expect(world.acknowledge(packet, acknowledgement))
    assert world.a.ledger.chain.view().get("ibc", host.packet_commitment(world.a.client, packet.sequence)) is None


def test_it_is_for_good() -> None:
    world = World.make()
    up_to(world, announced(world) + 1)
    again = announced(world)
    up_to(world, again)
    events = world.b.ledger.block().results.events
    assert [event.get("code") for event in events if event.type == "gov_failed"] == ["endpoint.revoked"]
    assert world.b.ledger.transact(world.host_b, world.receiver.register()).log.split(":")[0] == "endpoint.exists"
