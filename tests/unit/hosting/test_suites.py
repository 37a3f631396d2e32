"""A lane moves from suite to suite under traffic, and never below what both ledgers allow (S61, S66, S86, S87)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.crypto.errors import DowngradeRefused, UnknownSuite
from lockgate.envelope.outside import inspect_envelope
from lockgate.hosting.acquaintances import HostAcquaintances
from lockgate.hosting.handshakes import Handshakes
from lockgate.hosting.suites import NoSuiteLeft
from lockgate.lab.paths import expect
from lockgate.machine import keys
from lockgate.machine.identity import KeyRecord
from lockgate.machine.suite_policy import BelowPolicy
from lockgate.machine.suite_table import DEFAULT, KNOWN, BadSuiteRecord, SuiteKind, SuiteName, SuiteRecord, SuiteTable
from lockgate.machine.suites import SuiteNotActive
from lockgate.primitives.time import seconds
from lockgate.session.edhoc.errors import HandshakeFailed, PeerRefused, WrongSuite
from lockgate.session.meeting import Sides
from tests.support import probe
from tests.support.hosts import HostWorld, LabCabinet, Side, in_world, rules_of
from tests.support.talking import ask, choices
from tests.unit.hosting.test_deferred import deferred, ref
from tests.unit.hosting.test_links import end, meet

AES, CHACHA, CLASSIC = (SuiteName(SuiteKind.HANDSHAKE, number) for number in (-24, -23, 4))
X25519, XWING_AES, XWING_CHACHA = (SuiteName(SuiteKind.SEAL, number) for number in (16, 17, 18))
ED25519 = SuiteName(SuiteKind.SIGNATURE, 1)
PAIRS = (2, 17)  # hybrid identities and sealing keys
PAST_FRESH_NS = seconds(11)


def without(*names: SuiteName) -> SuiteTable:
    return SuiteTable(tuple(record for record in DEFAULT if record.name not in names))


def announce(world: HostWorld, side: Side, action: str, arguments: dict[str, Any]) -> None:
    """The authority has an action take effect; both operators accepted the digest that it leads to."""
    ledger, before = side.end.ledger, rules_of(side)
    expect(ledger.govern(world.lab.gov, "gov.announce", {"action": action, "arguments": arguments}))
    for _ in range(ledger.genesis.parameters.authority_delay_blocks + 1):
        ledger.block()
    for each in world.sides:
        each.host.accept_rules(side.name, [before, rules_of(side)])


def moved(name: SuiteName, height: int = 0) -> dict[str, Any]:
    return {"kind": name.kind.value, "suite": name.number, "height": height}


def activate(world: HostWorld, name: SuiteName) -> None:
    for side in world.sides:
        announce(world, side, "suite.activate", moved(name))
    world.clock.advance(PAST_FRESH_NS)


def stop(world: HostWorld, side: Side, name: SuiteName) -> None:
    fields = {"kind": name.kind.value, "suite": name.number, "note": "broken"}
    expect(side.end.ledger.govern(world.lab.gov, "suite.stop", fields))


def demand(world: HostWorld, side: Side, least: int) -> None:
    announce(world, side, "lane.suites", {"lane": world.lab.lane, "least": least, "families": (), "only": ()})


def suites_of(side: Side) -> set[int]:
    return {one["suite"] for one in side.host.status()["sessions"] if one["sends"]}


def newest_suite(side: Side) -> int:
    return int(side.host.status()["sessions"][-1]["suite"])


def begin(world: HostWorld, body: bytes) -> asyncio.Future[dict[str, Any]]:
    """A is asked to send, and the test goes on."""
    return asyncio.ensure_future(world.a.host.send("b", "probe@1.0", body, 600))


async def talk(world: HostWorld, first: int, count: int) -> None:
    for number in range(first, first + count):
        await ask(world, world.a, probe.write(b"k%d" % number, b"v"))


def all_here(world: HostWorld, count: int) -> None:
    assert [n for n in range(count) if world.b.get(b"k%d" % n) != b"v"] == [], "lost"
    states = world.a.host.status()["sent"]
    assert states == {"sent": 0, "acknowledged": count, "refused": 0, "timed_out": 0}


# Moving.


@in_world(sessions=True, suites=without(AES), keys_of=PAIRS)
async def test_S61_sessions_move_to_a_suite_that_becomes_active_and_no_message_waits(world: HostWorld) -> None:
    await talk(world, 0, 2)
    assert suites_of(world.a) == suites_of(world.b) == {CHACHA.number}
    waiting = begin(world, probe.write(b"k2", b"v"))
    await asyncio.sleep(0)
    await world.turn(world.a)
    activate(world, AES)  # while a message under the old one is on its way
    await world.settle()
    await waiting
    await talk(world, 3, 3)
    assert newest_suite(world.a) == newest_suite(world.b) == AES.number
    names = {said["suite"] for said in world.a.reported("session")}
    assert len(names) == 2, "one session of each suite was made"
    all_here(world, 6)
    assert [what for what, _ in world.a.reports if what in {"held", "rejected"}] == []
    before = len(world.a.reported("handshake"))
    await talk(world, 6, 2)
    assert len(world.a.reported("handshake")) == before, "and then it rests"


@in_world(sessions=True, suites=without(AES), keys_of=PAIRS)
async def test_S61_a_suite_that_one_ledger_alone_has_is_not_used(world: HostWorld) -> None:
    await talk(world, 0, 1)
    announce(world, world.b, "suite.activate", moved(AES))
    world.clock.advance(PAST_FRESH_NS)
    await talk(world, 1, 2)
    assert suites_of(world.a) == {CHACHA.number}
    all_here(world, 3)


@in_world(sessions=True, keys_of=PAIRS)
async def test_S87_a_suite_is_stopped_and_what_was_under_way_arrives_under_one_that_is_left(world: HostWorld) -> None:
    """[S87] The receiver refuses what it meets under the old suite, and the sender's host seals it again."""
    await talk(world, 0, 1)
    assert suites_of(world.a) == {AES.number}
    world.clock.advance(PAST_FRESH_NS)
    sending = begin(world, probe.write(b"k1", b"v"))
    await asyncio.sleep(0)
    await world.turn(world.a)
    stop(world, world.b, AES)  # which the sender has looked at a moment ago
    for side in world.sides:
        side.end.ledger.block()
    for _ in range(12):
        await world.settle()
        world.clock.advance(seconds(2))
    await sending
    reasons = [said["code"] for said in world.a.reported("sealed_again")]
    assert reasons == [SuiteNotActive.code], "a typed refusal, which the guest does not hear of"
    assert newest_suite(world.a) == newest_suite(world.b) == CHACHA.number
    await talk(world, 2, 1)
    used = {choice.session for choice in choices(world, world.a)[-2:]}
    assert used == {bytes.fromhex(str(world.a.host.status()["sessions"][-1]["session"]))}
    assert [n for n in range(3) if world.b.get(b"k%d" % n) != b"v"] == [], "lost"
    told = [row for row in world.a.store.sent_page(10) if row.purpose == "message"]
    assert {row.state for row in told} == {"acknowledged"}


@in_world(suites=without(XWING_CHACHA), keys_of=(1, 17))
async def test_S61_sealing_keys_move_with_a_rotation_until_the_old_suite_is_over(world: HostWorld) -> None:
    cabinet = LabCabinet(world.b.endpoint)
    world.b.host = world.make(world.b, cabinet=cabinet)
    await world.b.host.start()
    activate(world, XWING_CHACHA)
    await world.send(world.a, probe.write(b"k0", b"v"))  # sealed to the record of before
    await world._until(world.b, world.b.host.rotate(XWING_CHACHA.number))
    await world.settle()
    assert world.b.get(b"k0") == b"v", "what was sealed before the sunset is opened"
    world.clock.advance(PAST_FRESH_NS)
    await world.send(world.a, probe.write(b"k1", b"v"))
    await world.settle()
    world.a.relayed = 0
    seals = [inspect_envelope(packet.payloads[0].value).suite for packet in world.sent(world.a)]
    assert seals == [XWING_AES.number, XWING_CHACHA.number]
    all_here(world, 2)
    for side in world.sides:
        stop(world, side, XWING_AES)
    world.clock.advance(PAST_FRESH_NS)
    with pytest.raises(SuiteNotActive):  # A's own record is of the suite that is over: replies would be under it
        await world.send(world.a, probe.write(b"k2", b"v"))
    assert world.a.host.status()["sent"]["acknowledged"] == 2, "nothing was written"


@pytest.mark.parametrize(("number", "refusal"), [(XWING_CHACHA.number, SuiteNotActive), (99, UnknownSuite)])
@in_world(suites=without(XWING_CHACHA), keys_of=(1, 17))
async def test_S61_no_key_is_made_of_a_suite_that_is_not_active(
    world: HostWorld, number: int, refusal: type[Exception]
) -> None:
    cabinet = LabCabinet(world.b.endpoint)
    world.b.host = world.make(world.b, cabinet=cabinet)
    await world.b.host.start()
    with pytest.raises(refusal):
        await world._until(world.b, world.b.host.rotate(number))
    assert world.b.endpoint.generation == 0, "no key was made"


@in_world(keys_of=(1, 17))
async def test_S61_a_plain_rotation_makes_no_key_of_a_suite_that_is_over(world: HostWorld) -> None:
    world.b.host = world.make(world.b, cabinet=LabCabinet(world.b.endpoint))
    await world.b.host.start()
    for side in world.sides:
        stop(world, side, XWING_AES)
    with pytest.raises(SuiteNotActive):
        await world._until(world.b, world.b.host.rotate())
    assert world.b.endpoint.generation == 0, "no key was made"
    result = await world._until(world.b, world.b.host.rotate(XWING_CHACHA.number))
    assert (result["index"], world.b.endpoint.record.sealing.suite) == (1, XWING_CHACHA.number)


@in_world(keys_of=(2, 17), sessions=True)
async def test_S61_an_endpoint_moves_to_another_signature_suite_while_messages_flow(world: HostWorld) -> None:
    """The rotation commits to an identity of it, the one after brings it; then the first one may end."""
    world.b.host = world.make(world.b, cabinet=LabCabinet(world.b.endpoint))
    await world.b.host.start()
    for at, signing in enumerate((3, 0)):
        await ask(world, world.a, probe.write(b"k%d" % at, b"v"))
        result = await world._until(world.b, world.b.host.rotate(signing=signing))
        assert result["index"] == at + 1
    assert [KeyRecord.from_body(one.body).identity.suite for one in world.b.endpoint.chain] == [2, 2, 3]
    await ask(world, world.b, probe.write(b"back", b"v"))
    await ask(world, world.a, probe.write(b"k2", b"v"))
    all_here(world, 3)
    assert world.a.get(b"back") == b"v"


@in_world(suites=without(SuiteName(SuiteKind.SIGNATURE, 3)), keys_of=(1, 17))
async def test_S61_no_identity_of_a_suite_that_is_not_active_is_committed_to(world: HostWorld) -> None:
    world.b.host = world.make(world.b, cabinet=LabCabinet(world.b.endpoint))
    await world.b.host.start()
    for signing, refusal in ((3, SuiteNotActive), (17, UnknownSuite)):
        with pytest.raises(refusal):
            await world._until(world.b, world.b.host.rotate(signing=signing))
    assert world.b.endpoint.generation == 0, "no key was made"


# What is refused.


@pytest.mark.parametrize("name", [X25519, ED25519])
@in_world()
async def test_S61_nothing_is_sealed_under_a_suite_that_is_over(world: HostWorld, name: SuiteName) -> None:
    stop(world, world.b, name)
    world.clock.advance(PAST_FRESH_NS)
    with pytest.raises(SuiteNotActive) as refused:
        await world.send(world.a, probe.write(b"k", b"v"))
    assert (refused.value.fields["suite"], refused.value.fields["ledger"]) == (name, "b")
    assert world.sent(world.a) == []
    assert world.a.store.all_sent() == []


@in_world()
async def test_S61_what_is_answered_after_the_sunset_ends_as_a_typed_refusal(world: HostWorld) -> None:
    """[S61, P3] The guest does not run, the packet ends with the reason, and the sender's guest hears of it once."""
    await world.send(world.a, probe.write(b"k", b"v"))
    for side in world.sides:
        stop(world, side, X25519)
    world.clock.advance(PAST_FRESH_NS)
    await world.settle()
    assert world.b.get(b"k") is None
    assert (world.b.seen().state, world.b.seen().code) == ("refused", SuiteNotActive.code)
    assert world.a.sent().state == "sent", "kept back: no suite is left to seal it again under"
    assert {said["code"] for said in world.a.reported("held")} == {SuiteNotActive.code}
    world.pass_time(700)
    await world.settle()
    assert (world.a.sent().state, world.a.sent().code) == ("refused", SuiteNotActive.code), "no time is left"


@pytest.mark.parametrize("ledger", ["a", "b"])
@in_world()
async def test_S66_either_ledger_of_a_lane_can_ask_for_two_families(world: HostWorld, ledger: str) -> None:
    demand(world, world.a if ledger == "a" else world.b, 2)
    world.clock.advance(PAST_FRESH_NS)
    with pytest.raises(BelowPolicy):
        await world.send(world.a, probe.write(b"k", b"v"))
    assert world.sent(world.a) == []


@in_world()
async def test_S66_what_comes_below_the_rule_is_refused_by_whoever_opens(world: HostWorld) -> None:
    await world.send(world.a, probe.write(b"k", b"v"))
    demand(world, world.b, 2)
    world.clock.advance(PAST_FRESH_NS)
    await world.settle()
    assert world.b.get(b"k") is None
    assert (world.b.seen().state, world.b.seen().code) == ("refused", BelowPolicy.code)


@in_world(sessions=True, keys_of=PAIRS)
async def test_S86_pairs_talk_over_a_lane_that_asks_for_two_families(world: HostWorld) -> None:
    for side in world.sides:
        demand(world, side, 2)
    world.clock.advance(PAST_FRESH_NS)
    await talk(world, 0, 2)
    all_here(world, 2)


@in_world(sessions=True)
async def test_S87_without_a_suite_a_lane_waits_and_goes_on_when_there_is_one(world: HostWorld) -> None:
    await talk(world, 0, 1)
    stop(world, world.a, CLASSIC)
    world.clock.advance(PAST_FRESH_NS)
    with pytest.raises(NoSuiteLeft):
        await ask(world, world.a, probe.write(b"k1", b"v"))
    assert world.b.get(b"k1") is None
    announce(world, world.a, "suite.activate", moved(CLASSIC))
    world.clock.advance(PAST_FRESH_NS)
    await talk(world, 1, 1)
    all_here(world, 2)


@in_world()
async def test_S61_a_late_answer_is_not_sealed_under_a_suite_that_is_over(world: HostWorld) -> None:
    await deferred(world)
    for side in world.sides:
        stop(world, side, X25519)
    world.clock.advance(PAST_FRESH_NS)
    await world.command(world.b, probe.answer(ref(world.b), b"late"))
    assert [said["code"] for said in world.b.reported("late_answer_dropped")] == [SuiteNotActive.code]
    assert world.acknowledged(world.b) == []


# Downgrades.


def offering(patch: pytest.MonkeyPatch, world: HostWorld, *numbers: int) -> None:
    """A's host leaves suites out of what it offers, or offers what nobody allows."""
    true = Handshakes._suites

    async def fewer(self: Handshakes, *arguments: Any) -> tuple[int, ...]:
        return numbers if self is world.a.host._handshakes else await true(self, *arguments)

    patch.setattr(Handshakes, "_suites", fewer)


@pytest.mark.parametrize(
    ("stopped", "offer", "refusal"),
    [
        ((), (CHACHA.number,), DowngradeRefused),
        ((), (CLASSIC.number,), WrongSuite),
        ((AES,), (AES.number,), WrongSuite),
        ((AES,), (AES.number, CHACHA.number), WrongSuite),
    ],
)
@in_world(sessions=True, keys_of=PAIRS)
async def test_S61_a_handshake_below_the_best_is_refused_by_name(
    world: HostWorld,
    monkeypatch: pytest.MonkeyPatch,
    stopped: tuple[SuiteName, ...],
    offer: tuple[int, ...],
    refusal: type[Exception],
) -> None:
    for name in stopped:
        stop(world, world.b, name)
    offering(monkeypatch, world, *offer)
    task = begin(world, probe.write(b"k", b"v"))
    await asyncio.sleep(0)
    await world.settle()
    assert [said["code"] for said in world.b.reported("handshake_refused")][:1] == [refusal.code]  # type: ignore[attr-defined]
    assert world.a.reported("handshake_failed")
    assert world.b.host.status()["sessions"] == world.a.host.status()["sessions"] == []
    assert world.b.get(b"k") is None
    task.cancel()


# Links.


@in_world(keys_of=PAIRS)
async def test_S61_a_link_is_made_under_what_both_ledgers_allow(world: HostWorld) -> None:
    for name, left in ((None, AES), (AES, CHACHA)):
        if name is not None:
            stop(world, world.b, name)
            world.clock.advance(PAST_FRESH_NS)
        sides = await world.a.host.acquaintances.one(world.b.endpoint.id)
        assert sides.offered[0] == left.number
        end(*await meet(world.a, world.b))
    stop(world, world.b, CHACHA)
    world.clock.advance(PAST_FRESH_NS)
    with pytest.raises(NoSuiteLeft):
        await world.a.host.acquaintances.one(world.b.endpoint.id)
    assert await world.b.host.acquaintances.all() == []


@in_world(keys_of=PAIRS)
async def test_S61_a_link_below_the_best_is_refused(world: HostWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    true = HostAcquaintances.one

    async def fewer(self: HostAcquaintances, endpoint: bytes, /) -> Sides:
        return dataclasses.replace(await true(self, endpoint), suites=(CHACHA.number,))

    monkeypatch.setattr(HostAcquaintances, "one", fewer)
    near, far = await meet(world.a, world.b)
    assert isinstance(far, HandshakeFailed)
    assert isinstance(near, PeerRefused)


# What a ledger says of suites.


def write_table(side: Side, rows: list[Any]) -> None:
    """The ledger's operator writes a table that its machine would never write."""
    side.end.ledger.chain.state.apply({(keys.RULES, keys.RULES_SUITES): cbor.encode(rows)})
    for _ in range(2):
        side.end.ledger.block()


@in_world()
async def test_S66_a_table_that_misstates_families_is_not_gone_by(world: HostWorld) -> None:
    rows = [
        [k, n, ["elliptic", "lattice"] if (k, n) == ("seal", 16) else f, a, s] for k, n, f, a, s in DEFAULT.to_value()
    ]
    write_table(world.b, rows)
    with pytest.raises(BadSuiteRecord):
        await world.send(world.a, probe.write(b"k", b"v"))
    assert world.sent(world.a) == []


@in_world()
async def test_S61_a_suite_of_a_later_version_is_passed_over(world: HostWorld) -> None:
    rows = [*DEFAULT.to_value(), ["signature", 9, ["hash"], 0, 0], ["token", 1, ["lattice"], 0, 0]]
    write_table(world.b, rows)
    await world.send(world.a, probe.write(b"k", b"v"))
    await world.settle()
    assert world.b.get(b"k") == b"v"


@in_world(suites=without(XWING_CHACHA), keys_of=(1, 17))
async def test_S61_a_suite_that_became_active_a_moment_ago_is_no_reason_to_refuse(world: HostWorld) -> None:
    suites, peer = world.b.host._steps.suites, world.b.host.peers.named("a")
    with pytest.raises(SuiteNotActive):
        (await suites.of(peer)).check(XWING_CHACHA)
    for side in world.sides:
        announce(world, side, "suite.activate", moved(XWING_CHACHA))
    with pytest.raises(SuiteNotActive):
        (await suites.of(peer)).check(XWING_CHACHA)
    world.b.endpoint.sealed_to = XWING_CHACHA.number
    record = KeyRecord.from_body(world.b.endpoint.rotated().body)
    (await suites.check(peer, [record])).check(XWING_CHACHA)


@in_world()
async def test_S61_what_is_proven_is_held_for_ten_seconds(world: HostWorld) -> None:
    suites, peer = world.a.host._steps.suites, world.a.host.peers.named("b")
    await suites.check(peer, [])
    held = dict(suites._proven)
    world.clock.advance(seconds(9))
    await suites.check(peer, [])
    assert all(suites._proven[name] is held[name] for name in held)
    world.clock.advance(seconds(2))
    await suites.check(peer, [])
    assert all(suites._proven[name] is not held[name] for name in held)


def test_S61_records_of_a_table_are_those_of_the_build() -> None:
    assert all(SuiteRecord(name, families, 0) in DEFAULT.records for name, families in KNOWN.items())
