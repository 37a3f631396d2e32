"""`lockgate trace`: a packet's whole life from the ledgers' public data, who must act, and why it was refused."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from lockgate.ibc.packet import Packet
from lockgate.lab.paths import expect
from lockgate.node.ledgers import LedgerDown
from lockgate.node.packets import (
    AmbiguousPacket,
    BadPacketName,
    ByPlace,
    ByRef,
    ByTrace,
    NoSuchPacket,
    packet_id,
    parse,
    trace_id,
)
from lockgate.node.story import Facts, LedgerFacts, State, standing
from lockgate.node.trace import Tracer
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, seconds
from lockgate.storage.host import HostStore
from tests.support import stories
from tests.support.lab import World

NOW = UnixNanos(2_000 * NANOS_PER_SECOND)


@pytest.fixture
def world() -> World:
    return World.make()


@pytest.mark.parametrize(
    ("bring", "happened", "state", "who"),
    [
        (stories.sent, ["sent"], "sent", "a relayer"),
        (stories.held, ["sent", "received", "held"], "held", "the host of endpoint"),
        (stories.answered, ["sent", "received", "held", "answered"], "answered", "a relayer"),
        (stories.acknowledged, ["sent", "received", "held", "answered", "acknowledged"], "acknowledged", "nobody"),
        (stories.refused, ["sent", "received", "held", "refused", "acknowledged"], "refused", "nobody"),
        (stories.overdue, ["sent", "received", "held", "refused"], "answered", "a relayer"),
        (stories.expired, ["sent"], "sent", "a relayer"),
        (stories.timed_out, ["sent", "timed_out"], "timed_out", "nobody"),
    ],
)
def test_a_story_is_told_at_every_point_of_a_packets_life(
    world: World, bring: Callable[[World], Packet], happened: list[str], state: str, who: str
) -> None:
    told = stories.story(world, stories.name_of(bring(world)))
    assert [step.what for step in told.steps] == happened
    assert told.standing.state == state
    assert told.standing.who.startswith(who)
    assert not told.standing.suspended


def test_every_step_names_its_header_and_its_signer_in_the_words_of_P10(world: World) -> None:
    told = stories.story(world, stories.name_of(stories.acknowledged(world)))
    for step in told.steps:
        lab = world.a.ledger if step.ledger == "alpha" else world.b.ledger
        key = lab.genesis.validators[0].public_key.hex()
        assert step.signed == f"signed by operator {key[:16]}"
        assert step.header == lab.light_block(step.height + 1).signed_header.commit.block_id.hash.hex()


def test_P3_a_refusal_is_explained_and_its_sealed_words_are_counted_not_shown(world: World) -> None:
    refusal = stories.story(world, stories.name_of(stories.refused(world))).refusal
    assert refusal is not None
    assert (refusal.code, refusal.sealed) == ("guest.refused", len(b"sealed words"))
    assert "guest" in refusal.meaning
    assert refusal.next_step
    overdue = stories.story(world, stories.name_of(stories.overdue(world))).refusal
    assert overdue is not None
    assert overdue.code == "inbox.not_answered"


def test_a_packet_is_found_by_place_and_by_trace_id(world: World) -> None:
    packet = stories.answered(world)
    domain = world.a.ledger.genesis.domain_id
    trace = trace_id(domain, packet.source_client, packet.sequence)
    by_place = stories.story(world, stories.name_of(packet))
    assert by_place.trace_id == trace.hex()
    assert stories.story(world, trace.hex()) == by_place
    assert stories.story(world, parse(f"{packet.source_client}/{packet.sequence}", "alpha")) == by_place
    # The ledger's chain id will do for its name, and one ledger alone needs none.
    assert stories.story(world, f"alpha-1/{packet.source_client}/{packet.sequence}") == by_place
    assert stories.story(world, f"{packet.source_client}/{packet.sequence}") == by_place


def test_a_name_that_leads_to_no_packet_or_to_two_is_refused(world: World) -> None:
    packet = stories.acknowledged(world)
    for name in ("alpha/07-tendermint-0/9", "beta/07-tendermint-0/1", "alpha/07-tendermint-7/1", "0" * 32, "0" * 64):
        with pytest.raises(NoSuchPacket):
            stories.story(world, name)
    back = world.receiver.sending(world.b.client, world.sender, world.now_s + 60, b"back")
    expect(world.b.ledger.transact(world.host_b, world.receiver.advance(back)))
    with pytest.raises(AmbiguousPacket):
        stories.story(world, f"{packet.source_client}/{packet.sequence}")
    with pytest.raises(LedgerDown):
        stories.story(world, stories.name_of(packet), down="alpha")


def test_P14_a_packet_whose_ledger_does_not_answer_or_stands_still_is_suspended_and_says_who_may_act(
    world: World,
) -> None:
    name = stories.name_of(stories.held(world))
    down = stories.story(world, name, down="beta")
    assert "beta does not answer" in down.standing.suspended
    assert down.standing.who == "the operator of beta"
    world.clock.advance(seconds(70))  # no block: both ledgers stand still
    halted = stories.story(world, name)
    assert "beta has made no header" in halted.standing.suspended


def test_P14_an_expired_client_suspends_what_needs_it(world: World) -> None:
    name = stories.name_of(stories.answered(world))
    stories.pass_time(world, 15 * 86_400)
    told = stories.story(world, name)
    assert told.standing.suspended == "client 07-tendermint-0 on alpha is expired"
    assert told.standing.who == "the authority of alpha"


def test_a_refused_packet_is_not_called_acknowledged_while_the_other_ledger_is_down(world: World) -> None:
    told = stories.story(world, stories.name_of(stories.refused(world)), down="beta")
    assert told.standing.state == "refused"


def test_following_tells_each_change_once_and_ends_with_the_packet(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    packet = world.send()

    def settle() -> None:
        answer = expect(world.answer(packet))
        expect(world.acknowledge(packet, world.acknowledgement(answer, packet)))

    # Between two looks: it is delivered; nothing happens, and nothing is told; it is answered and comes back.
    moves: list[Callable[[], object]] = [lambda: expect(world.deliver(packet)), lambda: None, settle]

    async def next_move(_: float) -> None:
        moves.pop(0)()

    async def work() -> list[str]:
        tracer = Tracer(stories.ledgers(world), world.clock)
        return [told.standing.state async for told in tracer.follow(parse(stories.name_of(packet)))]

    monkeypatch.setattr("lockgate.node.trace.asyncio.sleep", next_move)
    assert asyncio.run(work()) == ["sent", "held", "acknowledged"]


NO_NAMES = (
    "", "x", "alpha/07-tendermint-0", "07-tendermint-0/0", "07-tendermint-0/x", "a/b/c/1", "F" * 32, "0" * 31,
    "07-tendermint-0/99999999999999999999", "07-tendermint-0/1\n",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_NAMES)
def test_what_names_no_packet_is_refused(text: str) -> None:
    with pytest.raises(BadPacketName):
        parse(text)
    with pytest.raises(BadPacketName):
        parse("alpha/07-tendermint-0/1", "beta")


def test_every_form_of_a_name_is_read() -> None:
    assert parse("alpha/07-tendermint-0/5") == ByPlace("alpha", ClientId("07-tendermint-0"), 5)
    assert parse("07-tendermint-0/5", "beta") == ByPlace("beta", ClientId("07-tendermint-0"), 5)
    assert parse("ab" * 16) == ByTrace(b"\xab" * 16)
    assert parse("ab" * 32) == ByRef(b"\xab" * 32)


def test_I7_the_trace_id_is_the_start_of_the_hash_of_the_packet_id(world: World) -> None:
    domain = world.a.ledger.genesis.domain_id
    # CBOR by hand: [bytes(32), text, 24]
    by_hand = b"\x83\x58\x20" + domain + b"\x6f07-tendermint-0" + b"\x18\x18"
    assert packet_id(domain, "07-tendermint-0", 24) == by_hand
    other = trace_id(world.b.ledger.genesis.domain_id, "07-tendermint-0", 24)
    assert trace_id(domain, "07-tendermint-0", 24) != other  # client ids repeat, domains do not (P9)


# Who must act, row by row.

HERE = LedgerFacts("alpha", NOW, "07-tendermint-0", "Active")
THERE = LedgerFacts("beta", NOW, "07-tendermint-1", "Active")
FACTS = Facts(
    now=NOW,
    source=HERE,
    destination=THERE,
    destination_name="beta",
    timeout=2_600,
    receiver="ab" * 32,
    received=False,
    deadline=UnixNanos(0),
    answered=False,
    ended=None,
)
FROZEN_HERE = dataclasses.replace(HERE, client_status="Frozen")
FROZEN_THERE = dataclasses.replace(THERE, client_status="Frozen")
STILL = dataclasses.replace(THERE, time=UnixNanos(NOW - seconds(61)))
HELD = dataclasses.replace(FACTS, received=True, deadline=UnixNanos(NOW + 1))
ANSWERED = dataclasses.replace(HELD, answered=True)


@pytest.mark.parametrize(
    ("facts", "state", "who", "suspended"),
    [
        (FACTS, State.SENT, "a relayer", False),
        (dataclasses.replace(FACTS, timeout=2_000), State.SENT, "a relayer", False),
        (dataclasses.replace(FACTS, destination=FROZEN_THERE), State.SENT, "the authority of beta", True),
        (dataclasses.replace(FACTS, destination=STILL), State.SENT, "the operator of beta", True),
        (dataclasses.replace(FACTS, destination=None), State.SENT, "the operator of beta", True),
        # Timing out happens on the sender's ledger: only its client of the other one is needed.
        (dataclasses.replace(FACTS, timeout=2_000, destination=FROZEN_THERE), State.SENT, "a relayer", False),
        (dataclasses.replace(FACTS, timeout=2_000, source=FROZEN_HERE), State.SENT, "the authority of alpha", True),
        (HELD, State.HELD, f"the host of endpoint {'ab' * 32}", False),
        (dataclasses.replace(HELD, deadline=NOW), State.HELD, "nobody", False),
        (dataclasses.replace(HELD, destination=STILL), State.HELD, "the operator of beta", True),
        (dataclasses.replace(HELD, destination=FROZEN_THERE), State.HELD, f"the host of endpoint {'ab' * 32}", False),
        (ANSWERED, State.ANSWERED, "a relayer", False),
        (dataclasses.replace(ANSWERED, source=FROZEN_HERE), State.ANSWERED, "the authority of alpha", True),
        (dataclasses.replace(ANSWERED, ended=State.TIMED_OUT), State.TIMED_OUT, "nobody", False),
    ],
)
def test_P14_who_must_act(facts: Facts, state: State, who: str, suspended: bool) -> None:
    found = standing(facts)
    assert (found.state, found.who, bool(found.suspended)) == (state, who, suspended)
    assert found.why


def test_a_ref_is_looked_up_in_the_hosts_file_while_the_host_is_down(world: World, tmp_path: Path) -> None:
    home = tmp_path / "hosts" / "alice"
    HostStore.open(home / "host.sqlite").close()
    with pytest.raises(NoSuchPacket):
        asyncio.run(Tracer(stories.ledgers(world, folder=tmp_path), world.clock).story(ByRef(bytes(32))))
    reading = HostStore.reading(home / "host.sqlite")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reading.set_meta("x", b"y")
    reading.close()
