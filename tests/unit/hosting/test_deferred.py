"""Deferred answers: owed in the endpoint's state, given in a later call, or taken over by the machine (P1, I6)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from lockgate.host import memory
from lockgate.host.ports import Guest
from lockgate.runtime.wasm import Sandbox, component_bytes
from tests.support import probe
from tests.support.hosts import HostWorld, Side, copy_of, in_world


def ref(side: Side, sequence: int = 1) -> bytes:
    """The name under which a guest was handed a message."""
    return hashlib.sha256(b"lockgate/call/1" + side.endpoint.id + side.seen(sequence).commitment).digest()


def owed(side: Side) -> list[bytes]:
    return [key for key, _ in side.host.parts.tree.host_scan(memory.DEFERRED)]


async def deferred(world: HostWorld, count: int = 1) -> None:
    for number in range(count):
        await world.send(world.a, probe.write(b"asked%d" % number, b"yes") + probe.defer())
    await world.settle()
    assert world.a.sent().state == "sent"
    assert world.b.seen().state == "deferred"


@in_world()
async def test_a_deferred_message_is_answered_by_a_command(world: HostWorld) -> None:
    await deferred(world)
    assert world.b.get(b"asked0") == b"yes"
    assert world.b.host.status()["deferred"] == 1
    reply = probe.write(b"told", b"late")
    result = await world.command(world.b, probe.answer(ref(world.b), reply))
    assert bytes.fromhex(result["output"]) == b"\x01"
    assert owed(world.b) == []
    await world.settle()
    assert (world.a.sent().state, world.a.get(b"told")) == ("acknowledged", b"late")
    assert (world.b.seen().state, world.b.seen().reply) == ("answered", reply)
    assert world.b.seen().body == probe.write(b"asked0", b"yes") + probe.defer()


@in_world()
async def test_a_deferred_message_is_declined_with_the_guests_words(world: HostWorld) -> None:
    await deferred(world)
    await world.command(world.b, probe.decline(ref(world.b), "not.today", "closed"))
    await world.settle()
    row = world.a.sent()
    assert (row.state, row.code, row.detail) == ("refused", "not.today", "closed")


@in_world()
async def test_answers_come_out_of_another_message_and_out_of_an_acknowledgement(world: HostWorld) -> None:
    await deferred(world, 2)
    await world.send(world.a, probe.answer(ref(world.b), b""))
    await world.settle()
    assert [world.a.sent(n).state for n in (1, 2, 3)] == ["acknowledged", "sent", "acknowledged"]
    # B asks A, and answers the second one when A's reply comes back.
    await world.send(world.b, probe.output(probe.answer(ref(world.b, 2), b"")))
    await world.settle()
    assert [world.a.sent(n).state for n in (1, 2, 3)] == ["acknowledged"] * 3
    assert owed(world.b) == []


@in_world()
async def test_many_late_answers_of_one_call_stand_together(world: HostWorld) -> None:
    await deferred(world, 5)
    await world.command(world.b, b"".join(probe.answer(ref(world.b, n), b"") for n in range(1, 6)))
    await world.settle()
    assert {world.a.sent(n).state for n in range(1, 6)} == {"acknowledged"}


@in_world()
async def test_an_answer_counts_once(world: HostWorld) -> None:
    await deferred(world)
    script = probe.answer(ref(world.b), b"")
    await world.command(world.b, script)
    again = await world.command(world.b, script)
    assert bytes.fromhex(again["output"]) == b"\x00"


@in_world()
async def test_after_the_deadline_the_machine_has_answered(world: HostWorld) -> None:
    await deferred(world)
    name = ref(world.b)
    world.pass_time(61)
    await world.settle()
    assert (world.a.sent().state, world.a.sent().code) == ("refused", "inbox.not_answered")
    late = await world.command(world.b, probe.answer(name, b"") + probe.write(b"k", b"v"))
    assert bytes.fromhex(late["output"]) == b"\x00", "the guest is told that it is too late"
    assert owed(world.b) == []
    assert (world.b.seen().state, world.b.seen().code) == ("refused", "inbox.not_answered")


@in_world()
async def test_what_is_owed_survives_a_restart(world: HostWorld) -> None:
    await deferred(world)
    name = ref(world.b)
    world.b.store = copy_of(world.b.store)
    world.b.host = world.make(world.b)
    await world.b.host.start()
    await world.command(world.b, probe.answer(name, b""))
    await world.settle()
    assert world.a.sent().state == "acknowledged"


@in_world()
async def test_a_trap_after_answering_answers_nothing(world: HostWorld) -> None:
    await deferred(world)
    result = await world.command(world.b, probe.answer(ref(world.b), b"") + probe.op("Z"))
    assert result["trapped"]
    assert len(owed(world.b)) == 1


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def test_a_guest_in_the_sandbox_defers_and_answers(sandbox: Sandbox) -> None:
    """End to end with a real component: defer, restart, answer, acknowledged."""
    guest: Guest = sandbox.load(component_bytes(probe.WAT.read_bytes())).guest

    @in_world(guest_b=lambda: guest)
    async def scenario(world: HostWorld, *_: Any) -> None:
        await deferred(world)
        await world.command(world.b, probe.answer(ref(world.b), probe.write(b"told", b"late")))
        await world.settle()
        assert world.a.get(b"told") == b"late"

    scenario()
