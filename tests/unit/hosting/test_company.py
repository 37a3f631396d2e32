"""An envelope that shares its packet with payloads of applications: opened, answered, and dropped whole (P2, P17)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.codec.registry import SchemaName, Version
from lockgate.envelope.binding import Role
from lockgate.host import ports as guest_ports
from lockgate.host.memory import Deferred
from lockgate.host.sealing import Place
from lockgate.hosting import steps as sealing_steps
from lockgate.hosting.asked import TooManyPayloads
from lockgate.hosting.work import StepRefused
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import Packet, Payload
from lockgate.lab.paths import expect, receive_message
from lockgate.primitives.time import UnixNanos, UnixSeconds
from tests.support import probe
from tests.support.hosts import HostWorld, Side, copy_of, in_world
from tests.support.notes import PORT, REFUSED, Notes, note_key
from tests.unit.hosting.test_deferred import owed, ref

with_notes = in_world(applications={PORT: Notes()})


def note(value: bytes) -> Payload:
    return Payload(source_port=PORT, destination_port=PORT, version="notes-1", encoding="text/plain", value=value)


def kept(side: Side, how: str, index: int, sequence: int = 1) -> bytes | None:
    return side.end.ledger.chain.view().get("app", note_key(how, sequence, index))


@with_notes
async def test_P2_a_message_with_company_is_opened_answered_and_acknowledged(world: HostWorld) -> None:
    """[P2, P17] Each side seals and opens at its place in the packet; the notes are kept with the answer."""
    script = probe.write(b"k", b"v") + probe.output(probe.write(b"told", b"yes"))
    await world.command(world.a, probe.write(b"told", b"no"))
    await world.send(world.a, script, beside=[note(b"one"), note(b"two")])
    (packet,) = world.sent(world.a)
    assert (len(packet.payloads), world.a.sent().commitment) == (3, commit_packet(packet))
    await world.settle()
    assert (world.b.get(b"k"), world.a.get(b"told")) == (b"v", b"yes")
    assert (world.b.seen().state, world.a.sent().state) == ("answered", "acknowledged")
    assert (kept(world.b, "received", 1), kept(world.b, "received", 2)) == (b"one", b"two")
    assert kept(world.a, "acknowledged", 2) == b"kept"


@with_notes
async def test_P2_a_guests_words_reach_the_sender_of_a_message_with_company(world: HostWorld) -> None:
    """[P2, P3] The sealed refusal has the message's place; no note is kept."""
    await world.send(world.a, probe.refuse("no.credit", "in May"), beside=[note(b"one")])
    await world.settle()
    assert (world.a.sent().code, world.a.sent().detail) == ("no.credit", "in May")
    assert kept(world.b, "received", 1) is None


@with_notes
async def test_P2_an_application_that_refuses_drops_the_guests_step_too(world: HostWorld) -> None:
    """[P2] Nothing of it stands on either side, no fence is taken for it, and what came around it is not harmed."""
    bodies = (probe.write(b"k1", b"v"), probe.write(b"k2", b"v") + probe.send("a", b"x"), probe.write(b"k3", b"v"))
    for body, beside in zip(bodies, ([], [note(b"refuse me")], []), strict=True):
        await world.send(world.a, body, beside=beside)
    fence = world.b.host.status()["fence"]
    await world.settle()
    assert [world.b.get(key) for key in (b"k1", b"k2", b"k3")] == [b"v", None, b"v"]
    assert [world.b.seen(n).state for n in (1, 2, 3)] == ["answered", "refused", "answered"]
    assert (world.b.seen(2).code, world.b.seen(2).reply) == (REFUSED, None)
    assert [world.a.sent(n).state for n in (1, 2, 3)] == ["acknowledged", "refused", "acknowledged"]
    assert world.a.sent(2).code == REFUSED
    assert world.b.store.all_sent() == [], "what the step would have sent did not leave"
    assert world.b.host.status()["fence"] == fence
    assert [said["code"] for said in world.b.reported("undone")] == [REFUSED]
    await world.command(world.b, probe.write(b"after", b"v"))


@with_notes
async def test_P2_a_late_answer_that_an_application_refuses_leaves_the_call_that_gave_it(world: HostWorld) -> None:
    """[P1, P2] The command's own step stands; the answer's does not, and a restart goes on from there."""
    await world.send(world.a, probe.defer(), beside=[note(b"refuse me")])
    await world.settle()
    assert world.b.seen().state == "deferred"
    script = probe.write(b"own", b"yes") + probe.answer(ref(world.b), b"late")
    await world.command(world.b, script)
    assert world.b.get(b"own") == b"yes"
    assert (world.b.seen().state, world.b.seen().code) == ("refused", REFUSED)
    await world.settle()
    assert world.a.sent().code == REFUSED
    world.b.host = world.make(world.b)
    await world.b.host.start()
    await world.command(world.b, probe.write(b"after", b"v"))


@with_notes
async def test_P1_a_host_cut_off_at_such_an_answer_knows_its_own_step_again(world: HostWorld) -> None:
    """[P1, P2] Its file has every staged step; the ledger stands between two of them. It is no other copy's doing."""
    await world.send(world.a, probe.defer(), beside=[note(b"refuse me")])
    await world.settle()
    posting = world.b.host._posting
    saved = []

    async def cut_off(*_: Any) -> bool:
        saved.append(copy_of(world.b.store))
        return await honest(*_)

    honest, posting._undone = posting._undone, cut_off  # type: ignore[method-assign]  # the moment before it is known
    await world.command(world.b, probe.write(b"own", b"yes") + probe.answer(ref(world.b), b"late"))
    (store,) = saved
    world.b.store, world.b.host = store, world.make(world.b, store)
    await world.b.host.start()
    assert world.b.get(b"own") == b"yes"
    world.pass_time(61)
    await world.command(world.b, probe.write(b"after", b"v"))
    assert owed(world.b) == []


@with_notes
async def test_P2_a_late_answer_to_a_message_with_company_brings_its_notes(world: HostWorld) -> None:
    await world.send(world.a, probe.defer(), beside=[note(b"one")])
    await world.settle()
    await world.command(world.b, probe.answer(ref(world.b), b""))
    await world.settle()
    assert world.a.sent().state == "acknowledged"
    assert kept(world.b, "received", 1) == b"one"


@with_notes
async def test_P17_an_envelope_opens_at_its_own_place_only(world: HostWorld) -> None:
    """[P17] Sealed as the only payload, sent in company: `envelope.rejected`, and the guest does not run."""
    steps = world.a.host._steps
    honest = steps.sending

    async def misplaced(send: Any, beside: tuple[Payload, ...] = ()) -> Any:
        alone, right = await honest(send), await honest(send, beside)
        value = alone.message["value"]
        ours = payload_of(world, value)
        packet = Packet(
            sequence=1,
            source_client=world.a.end.client,
            destination_client=world.b.end.client,
            timeout=UnixSeconds(right.message["timeout"]),
            payloads=(ours, *beside),
        )
        message = {**alone.message, "beside": right.message["beside"]}
        row = dataclasses.replace(right.row, counter=alone.row.counter, commitment=commit_packet(packet))
        return dataclasses.replace(right, message=message, row=row)

    steps.sending = misplaced  # type: ignore[method-assign]  # a sender that errs
    await world.send(world.a, probe.write(b"k", b"v"), beside=[note(b"one")])
    await world.settle()
    assert (world.b.seen().state, world.b.seen().code) == ("refused", "envelope.rejected")
    assert (world.b.get(b"k"), kept(world.b, "received", 1)) == (None, None)


def payload_of(world: HostWorld, value: bytes) -> Payload:
    return Payload(
        source_port=world.a.endpoint.port, destination_port=world.b.endpoint.port, version="lockgate-1",
        encoding="application/cose", value=value,
    )  # fmt: skip


@pytest.mark.parametrize("sealed_for", [1, 0])
def test_P17_the_endpoints_payload_may_stand_anywhere(sealed_for: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """[P2, P17] Another implementation puts it last: it opens where it is bound to that place, and only there."""

    @with_notes
    async def scenario(world: HostWorld) -> None:
        monkeypatch.setattr(sealing_steps, "FIRST", sealed_for)
        wanted = guest_ports.Send(
            ref=guest_ports.MessageRef(b"r" * 32),
            to="b",
            schema="probe@1.0",
            body=probe.write(b"k", b"v"),
            timeout_s=600,
        )
        sending = await world.a.host._steps.sending(wanted, (note(b"one"),))
        ours = payload_of(world, sending.message["value"])
        packet = world.lab.commit_anything((note(b"one"), ours), timeout_s=600)
        assert packet.timeout == sending.message["timeout"]
        expect(world._deliver(world.b, world.a, receive_message, world.a.end, packet))
        await world.turn(world.b)
        opens = sealed_for == 1
        assert (world.b.get(b"k"), kept(world.b, "received", 0)) == ((b"v", b"one") if opens else (None, None))
        assert (world.b.seen().state, world.b.seen().code) == (
            ("answered", None) if opens else ("refused", "envelope.rejected")
        )

    scenario()


@with_notes
async def test_P2_more_payloads_than_a_packet_carries_are_refused_and_nothing_is_sent(world: HostWorld) -> None:
    """[P2] 16 by the format, 8 by the ledger's own rules: each says so."""
    with pytest.raises(TooManyPayloads):
        await world.send(world.a, b"x", beside=[note(b"n")] * 16)
    with pytest.raises(StepRefused):
        await world.send(world.a, b"x", beside=[note(b"n")] * 8)
    assert world.a.store.all_sent() == []
    await world.send(world.a, b"", beside=[note(b"n")] * 7)


def test_a_deferred_message_of_before_there_were_places_is_the_only_payload() -> None:
    made = Deferred(
        client="07-tendermint-0", sequence=1, commitment=b"c", sender=b"s", timeout=UnixSeconds(1),
        deadline=UnixNanos(2), schema=SchemaName("probe", Version(1, 0)), index=2, count=3,
    )  # fmt: skip
    assert Deferred.from_bytes(made.to_bytes()) == made
    old: Any = cbor.decode(made.to_bytes())
    read = Deferred.from_bytes(cbor.encode([1, *old[1:-2]]))
    assert read == dataclasses.replace(made, index=0, count=1)
    assert Place(Role.MESSAGE, made.timeout) == Place(Role.MESSAGE, made.timeout, b"", read.index, read.count)
