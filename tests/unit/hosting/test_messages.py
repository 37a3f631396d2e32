"""A message between two hosts: sent, answered or refused, and known on both sides for what it was."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lockgate.host import memory
from lockgate.host.sealing import BadSchemaName
from lockgate.hosting.asked import BadTimeout
from lockgate.hosting.peers import UnknownPeer
from lockgate.hosting.work import StepRefused
from lockgate.ibc.commitment import commit_packet
from lockgate.lab.paths import expect
from lockgate.primitives.time import floor_seconds, seconds
from lockgate.runtime.inprocess import InProcessGuest
from tests.support import probe
from tests.support.guests import PROBE_ID
from tests.support.hosts import HostWorld, copy_of, in_world


class Failing(probe.Probe):
    """A guest that cannot take a message."""

    def handle(self, message: Any, host: Any) -> Any:
        host.set(b"before", b"it failed")
        raise ValueError("not what I expected")


@in_world()
async def test_a_reply_reaches_the_guest_that_asked(world: HostWorld) -> None:
    script = probe.write(b"k", b"v") + probe.output(probe.write(b"told", b"yes"))
    result = await world.command(world.a, probe.send("b", script))
    assert result["packets"] == [{"client": world.a.end.client, "sequence": 1}]
    assert world.a.sent().state == "sent"
    await world.settle()
    assert (world.b.get(b"k"), world.a.get(b"told")) == (b"v", b"yes")
    assert (world.a.sent().state, world.a.sent().reply) == ("acknowledged", probe.write(b"told", b"yes"))
    assert (world.b.seen().state, world.b.seen().body) == ("answered", script)


@in_world()
async def test_P4_a_host_computes_the_commitment_of_what_it_sends(world: HostWorld) -> None:
    """[P4] Before any ledger has seen the packet; what it received it knows by the sender's domain and commitment."""
    await world.send(world.a, probe.output(b""))
    (packet,) = world.sent(world.a)
    assert world.a.sent().commitment == commit_packet(packet)
    await world.settle()
    seen = world.b.seen()
    assert (seen.domain, seen.commitment) == (world.a.end.ledger.chain.machine.domain, commit_packet(packet))


@in_world()
async def test_P3_a_guests_own_words_reach_the_sender_sealed(world: HostWorld) -> None:
    """[P3] The reason record has the public code; the guest's code and detail open for the sender alone."""
    await world.command(world.a, probe.send("b", probe.refuse("no.credit", "ask again in May")))
    await world.settle()
    row = world.a.sent()
    assert (row.state, row.code, row.detail, row.reason) == (
        "refused", "no.credit", "ask again in May", "guest.refused",
    )  # fmt: skip
    assert world.a.get(b"refused") == b"no.credit"
    assert b"no.credit" not in b"".join(
        world.b.end.ledger.chain.view().get("reason", key) or b"" for key in _reasons(world)
    )


def _reasons(world: HostWorld) -> list[bytes]:
    return [key for key, _ in world.b.end.ledger.chain.view().scan("reason", b"", b"\xff")]


@in_world(guest_b=lambda: InProcessGuest(PROBE_ID, Failing))
async def test_a_trap_becomes_a_typed_refusal_and_leaves_nothing(world: HostWorld) -> None:
    await world.send(world.a, b"x")
    await world.settle()
    assert (world.a.sent().state, world.a.sent().code) == ("refused", "guest.trapped")
    assert world.b.get(b"before") is None
    assert world.b.reported("trap")


@in_world()
async def test_one_refused_step_does_not_harm_the_others(world: HostWorld) -> None:
    """A guest's send that no ledger takes refuses its own message; the batch around it goes on."""
    for number in (1, 2, 3):
        body = probe.write(b"k%d" % number, b"v")
        if number == 2:
            body += probe.send("a", b"x")
        await world.send(world.a, body)
    world.relay()
    note = {"lane": world.lab.lane, "note": "drill"}
    expect(world.b.end.ledger.govern(world.lab.gov, "gov.stop", note))
    await world.turn(world.b)
    assert [world.b.get(b"k%d" % n) for n in (1, 2, 3)] == [b"v", None, b"v"]
    assert [world.b.seen(n).state for n in (1, 2, 3)] == ["answered", "refused", "answered"]
    assert world.b.seen(2).code == StepRefused.code
    assert "lane.stopped" in (world.b.seen(2).detail or ""), "the ledger's own words"
    assert world.b.reported("refused")


@in_world()
async def test_what_the_operator_asks_wrongly_is_refused_and_sends_nothing(world: HostWorld) -> None:
    with pytest.raises(UnknownPeer):
        await world.a.host.send("nobody", "probe@1.0", b"x", 60)
    with pytest.raises(BadSchemaName):
        await world.a.host.send("b", "probe", b"x", 60)
    expect(world.a.end.ledger.govern(world.lab.gov, "gov.stop", {"lane": world.lab.lane, "note": "drill"}))
    with pytest.raises(StepRefused, match=r"lane\.stopped"):
        await world.send(world.a, b"x")
    assert world.a.host.parts.tree.state_bytes() == 0
    assert world.a.store.all_sent() == []


@in_world()
async def test_P13_a_timeout_counts_from_now_and_not_from_the_ledgers_last_block(world: HostWorld) -> None:
    """[P13] An idle ledger's newest header is old; the longest timeout is a day after it all the same."""
    world.clock.advance(seconds(30))
    await world.send(world.a, b"x", timeout_s=20)
    assert world.a.sent().timeout == floor_seconds(world.clock.now()) + 20
    newest = floor_seconds(world.a.host.reader.newest.header.time)
    world.clock.advance(seconds(30))
    await world.send(world.a, b"x", timeout_s=86_400)
    assert newest + 86_400 <= world.a.sent(2).timeout < floor_seconds(world.clock.now()) + 86_400
    sent = world.a.store.all_sent()
    with pytest.raises(BadTimeout):
        await world.send(world.a, b"x", timeout_s=86_400 + 1)
    assert world.a.store.all_sent() == sent


@in_world()
async def test_a_sender_that_is_no_peer_is_refused(world: HostWorld) -> None:
    await world.send(world.a, b"x")
    config = dataclasses.replace(world.b.host.config, peers={})
    world.b.host.peers._config = config  # as if the operator had removed it
    world.b.host.peers._aliases = {}
    await world.settle()
    assert world.a.sent().code == UnknownPeer.code


@in_world()
async def test_P8_a_message_id_that_was_accepted_does_not_act_again(world: HostWorld) -> None:
    """[P8] The packet is another one; the message in it is known: `host.replayed`."""
    await world.send(world.a, probe.write(b"k", b"v"))
    old = world.sent(world.a)[0]
    await world.settle()
    row = world.a.sent()
    fields = old.payloads[0]
    sending = {
        "client": old.source_client, "destination": fields.destination_port, "timeout": old.timeout,
        "value": fields.value, "fence": row.fence, "counter": row.counter,
    }  # fmt: skip
    state = world.a.host.status()
    step = {
        "endpoint": world.a.endpoint.id, "fence": state["fence"], "prev_root": bytes.fromhex(state["root"]),
        "next_root": b"\x01" * 32, "sends": [sending],
    }  # fmt: skip
    expect(world.a.end.ledger.transact(world.lab.host_a, ("endpoint.advance", step)))
    world.relay()
    await world.turn(world.b)
    assert (world.b.seen(2).state, world.b.seen(2).code) == ("refused", "host.replayed")


@in_world()
async def test_a_copy_of_the_file_knows_what_the_host_knew(world: HostWorld) -> None:
    await world.send(world.a, probe.output(b""))
    await world.settle()
    assert copy_of(world.a.store).all_sent() == world.a.store.all_sent()


@in_world()
async def test_P4_a_packet_that_was_acted_on_does_not_act_again(world: HostWorld) -> None:
    """[P4] Known by (domain, client, sequence, commitment), even where its message id would be new."""
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()
    tree = world.b.host.parts.tree
    honest = tree.host_get
    tree.host_get = lambda key: b"\x01" if key.startswith(memory.ACTED) else honest(key)  # type: ignore[method-assign]
    await world.turn(world.b)
    assert (world.b.seen().state, world.b.seen().code) == ("refused", "host.replayed")
    assert world.b.get(b"k") is None


@in_world()
async def test_marks_of_packets_go_when_no_ledger_can_receive_them_again(world: HostWorld) -> None:
    def marks() -> int:
        return len(list(world.b.host.parts.tree.host_scan(memory.ACTED)))

    for _ in range(3):
        await world.send(world.a, probe.output(b""), timeout_s=60)
    await world.settle()
    assert marks() == 3
    world.pass_time(61)
    await world.send(world.a, probe.output(b""), timeout_s=60)
    await world.settle()
    assert marks() == 1


@in_world()
async def test_P15_the_queue_knows_whose_entry_it_is(world: HostWorld) -> None:
    """[P15] Its ledger's event names lane and sender; hosts take turns by them."""
    await world.send(world.a, b"x")
    world.relay()
    await world.b.host._queue.look()
    (item,) = world.b.host._queue.take(8)
    assert (item.client, item.sender) == (world.b.end.client, world.a.endpoint.id.hex())


@pytest.mark.parametrize(
    "schema", ["a@99999999999999999999999.1", "probe", "Probe@1.0", "session/handshake@1.0", "probe@1.65536"]
)
@in_world()
async def test_a_schema_that_a_guest_makes_up_stops_and_holds_nothing(world: HostWorld, schema: str) -> None:
    """A word for the guest, in a callback as in a call: it would meet the same callback again after each start."""
    await world.send(world.a, probe.output(probe.send("b", schema=schema) + probe.write(b"told", b"yes")))
    await world.settle()
    assert world.a.sent().state == "acknowledged"
    assert world.a.get(b"told") == b"yes"
    assert world.a.reported("held") == []
    assert len(world.a.store.all_sent()) == 1
