"""Two hosts that agree on a session by packets, and whose messages travel in it (P8, P17–P19)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from lockgate.hosting.config import PeerRef
from lockgate.hosting.handshakes import HandshakeRefused
from lockgate.hosting.reserved import ReservedSchema
from lockgate.hosting.sessions import ForgetfulVault, Keys, SessionComing, TimeoutTooLong
from lockgate.lab.paths import expect
from lockgate.session import Book, Place
from lockgate.session.edhoc.errors import HandshakeFailed
from tests.support import probe
from tests.support.hosts import HostWorld, LabCabinet, in_world
from tests.support.recorder import record
from tests.support.talking import ask, choices, restarted, session


@in_world(sessions=True)
async def test_P19_the_first_message_makes_a_session_and_travels_in_it(world: HostWorld) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    assert world.b.get(b"k") == b"v"
    ours, theirs = session(world.a), session(world.b)
    assert ours["session"] == theirs["session"]
    named = choices(world, world.a)
    assert [one.session is None for one in named] == [True, True, False]
    assert named[2].session is not None
    assert named[2].session.hex() == ours["session"]
    assert (ours["sends"], theirs["sends"], theirs["keys_kept"]) == (True, True, 0)


@in_world(sessions=True)
async def test_a_session_serves_both_directions(world: HostWorld) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    await ask(world, world.b, probe.write(b"k", b"w"))
    await ask(world, world.a, probe.write(b"k2", b"v"))
    assert (world.a.get(b"k"), world.b.get(b"k2")) == (b"w", b"v")
    assert session(world.a)["session"] == session(world.b)["session"]
    assert [one.place for one in choices(world, world.a)] == [None, None, 0, 1]
    assert [one.place for one in choices(world, world.b)] == [0]


@in_world(sessions=True)
async def test_the_guest_and_the_operator_see_no_handshake(world: HostWorld) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    assert world.a.host.status()["sent"] == {"sent": 0, "acknowledged": 1, "refused": 0, "timed_out": 0}
    assert [row.body for row in world.a.store.sent_page(10)] == [probe.write(b"k", b"v")]
    assert [row.body for row in world.b.store.all_seen(10)] == [probe.write(b"k", b"v")]


@in_world(sessions=True)
async def test_P19_of_two_handshakes_that_cross_one_goes_on(world: HostWorld) -> None:
    tasks = [
        asyncio.ensure_future(side.host.send(world.other(side).name, "probe@1.0", probe.write(b"k", b"v"), 600))
        for side in world.sides
    ]
    await asyncio.sleep(0)
    for side in world.sides:
        await world.turn(side)
    assert [len(choices(world, side)) for side in world.sides] == [1, 1], "both have begun"
    for side in world.sides:
        side.relayed = side.relayed and 0
    for _ in range(10):
        await world.settle()
        world.clock.advance(2_100_000_000)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert (world.a.get(b"k"), world.b.get(b"k")) == (b"v", b"v")
    assert session(world.a)["session"] == session(world.b)["session"]
    crossed = [said for side in world.sides for said in side.reported("handshake_refused")]
    assert [said["code"] for said in crossed] == ["session.crossed"]


@in_world(sessions=True)
async def test_P8_a_host_that_starts_again_goes_on_in_its_session_under_other_keys(world: HostWorld) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    await restarted(world, world.a)
    await restarted(world, world.b)
    await ask(world, world.a, probe.write(b"k", b"w"))
    await ask(world, world.b, probe.write(b"k", b"x"))
    assert (world.a.get(b"k"), world.b.get(b"k")) == (b"x", b"w")
    first, second = choices(world, world.a)[2:]
    assert (first.session, first.place, second.place) == (second.session, 0, 0)
    assert (first.fence + 1, first.start_salt != second.start_salt) == (second.fence, True)


@in_world(sessions=True)
async def test_P8_what_an_earlier_start_could_seal_a_later_one_cannot(world: HostWorld) -> None:
    """A copy of the vault of before a start makes other keys: it draws another salt."""
    await ask(world, world.a, probe.write(b"k", b"v"))
    before = world.vaults["a"].load()
    await restarted(world, world.a)
    await ask(world, world.a, probe.write(b"k", b"w"))
    assert before is not None
    world.vaults["a"].save(before)
    await restarted(world, world.a, seed=b"another machine")
    await ask(world, world.a, probe.write(b"k", b"x"))
    assert world.b.get(b"k") == b"x"
    named = [(one.epoch, one.fence, one.start_salt, one.place) for one in choices(world, world.a) if one.session]
    assert len(set(named)) == len(named) == 3
    assert len({salt for _, _, salt, _ in named}) == 3


@pytest.mark.parametrize("who", ["a", "b"])
@in_world(sessions=True)
async def test_P18_a_host_without_its_sessions_says_so_and_another_is_made(world: HostWorld, who: str) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    old = session(world.a)["session"]
    side = world.a if who == "a" else world.b
    world.vaults[who] = ForgetfulVault()
    await restarted(world, side)
    await ask(world, world.other(side), probe.write(b"k", b"w"))
    assert side.get(b"k") == b"w"
    assert old not in {one["session"] for one in side.host.status()["sessions"]}


@in_world(sessions=True)
async def test_a_deferred_answer_is_sealed_in_the_session_of_its_message_by_a_later_process(world: HostWorld) -> None:
    sent = await ask(world, world.a, probe.defer())
    await restarted(world, world.b)
    (deferred,) = world.b.host._steps.deferred()
    await world.command(world.b, probe.answer(deferred, b"late"))
    await world.settle()
    row = world.a.store.sent(bytes.fromhex(sent["ref"]))
    assert row is not None
    assert (row.state, row.reply) == ("acknowledged", b"late")
    assert session(world.b)["keys_kept"] == 0


@in_world(sessions=True)
async def test_a_responder_that_dies_before_it_knows_its_answer_stands_still_holds_the_session(
    world: HostWorld,
) -> None:
    task = asyncio.ensure_future(world.a.host.send("b", "probe@1.0", probe.write(b"k", b"v"), 600))
    await asyncio.sleep(0)
    for _ in range(6):
        await world.turn(world.a)
        world.relay()
        if len(choices(world, world.a)) == 2:
            break
        await world.turn(world.b)
        world.relay()
    await world.b.host.turn()  # answers message_3
    world.b.host.sessions.settled = lambda commitments: False  # type: ignore[method-assign]  # and learns nothing of it
    await restarted(world, world.b)
    for _ in range(5):
        await world.settle()
        world.clock.advance(2_100_000_000)
        await asyncio.sleep(0)
    await task
    assert world.b.get(b"k") == b"v"
    assert session(world.b)["sends"] is True, "a message in it says that the peer holds it"


@in_world(sessions=True)
async def test_a_message_outside_sessions_is_refused_where_sessions_are_the_rule(world: HostWorld) -> None:
    world.sessions = False
    await restarted(world, world.a)
    await world.send(world.a, probe.write(b"k", b"v"))
    await world.settle()
    assert world.b.get(b"k") is None
    assert "SessionRequired" in world.b.reported("rejected")[0]["cause"]
    assert world.a.sent().code == "envelope.rejected"


@in_world(sessions=True)
async def test_a_peer_without_sessions_is_told_of_and_nothing_is_sent(world: HostWorld) -> None:
    world.sessions = False
    await restarted(world, world.b)
    with pytest.raises(HandshakeRefused) as caught:
        await ask(world, world.a, probe.write(b"k", b"v"))
    assert caught.value.fields["code"] == "session.not_offered"
    assert world.b.get(b"k") is None
    assert all(one.session is None for one in choices(world, world.a))
    world.sessions = True
    await restarted(world, world.b)
    world.clock.advance(11_000_000_000)
    await ask(world, world.a, probe.write(b"k", b"v"))
    assert world.b.get(b"k") == b"v"


@in_world(sessions=True)
async def test_P18_a_timeout_longer_than_a_key_is_kept_is_refused(world: HostWorld) -> None:
    with pytest.raises(TimeoutTooLong):
        await ask(world, world.a, b"x", timeout_s=3_601)
    assert choices(world, world.a) == []


@in_world(sessions=True)
async def test_schemas_of_hosts_are_sent_by_no_operator(world: HostWorld) -> None:
    task = asyncio.ensure_future(world.a.host.send("b", "session/handshake@1.0", b"x", 600))
    await asyncio.sleep(0)
    await world.turn(world.a)
    with pytest.raises(ReservedSchema):
        await task


@in_world(sessions=True)
async def test_no_message_of_a_reserved_schema_reaches_a_guest_in_a_session_either(world: HostWorld) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lockgate.hosting.steps.RESERVED", "nothing/")  # a host that lets its guest say so
        task = asyncio.ensure_future(world.a.host.send("b", "session/handshake@1.0", probe.write(b"k", b"w"), 600))
        await asyncio.sleep(0)
        await world.turn(world.a)
        sent = await task
    await world.settle()
    row = world.a.store.sent(bytes.fromhex(sent["ref"]))
    assert row is not None
    assert (row.state, row.code) == ("refused", "edhoc.malformed")
    assert world.b.get(b"k") == b"v"


@in_world(sessions=True)
async def test_P5_after_a_rotation_another_session_is_made_and_what_was_under_way_still_opens(world: HostWorld) -> None:
    world.a.host = world.make(world.a, cabinet=LabCabinet(world.a.endpoint))
    await world.a.host.start()
    await ask(world, world.a, probe.write(b"k", b"v"))
    old = session(world.a)["session"]
    task = asyncio.ensure_future(world.a.host.send("b", "probe@1.0", probe.write(b"k", b"w"), 600))
    await asyncio.sleep(0)
    await world.turn(world.a)
    await task
    rotating = asyncio.ensure_future(world.a.host.rotate())
    await asyncio.sleep(0)
    await world.turn(world.a)
    assert (await rotating)["index"] == 1
    await world.settle()
    assert world.b.get(b"k") == b"w", "it was on its ledger before the rotation"
    world.clock.advance(11_000_000_000)
    await ask(world, world.a, probe.write(b"k", b"x"))
    assert world.b.get(b"k") == b"x"
    names = [one.session.hex() for one in choices(world, world.a) if one.session is not None]
    assert names[:2] == [old, old]
    assert names[2] != old


@in_world(sessions=True)
async def test_P19_whatever_is_wrong_with_message_2_is_one_failure(world: HostWorld) -> None:
    real = world.b.host._handshakes._second

    async def spoiled(*arguments: Any) -> bytes:
        message_2 = await real(*arguments)
        return message_2[:-1] + bytes([message_2[-1] ^ 1])

    world.b.host._handshakes._second = spoiled  # type: ignore[method-assign]
    asked = asyncio.ensure_future(ask(world, world.a, probe.write(b"k", b"v")))
    await asyncio.wait({asked})  # the host itself goes on: only who asked is told
    with pytest.raises(HandshakeFailed):
        asked.result()
    assert world.a.reported("unavailable") == []
    assert not await world.a.host.turn()
    assert {said["code"] for said in world.a.reported("handshake_failed")} == {"edhoc.failed"}
    assert world.a.host.status()["sessions"] == world.b.host.status()["sessions"] == []


class RememberingVault(ForgetfulVault):
    """A disk that keeps what was overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[bytes] = []

    def save(self, book: bytes, /) -> None:
        super().save(book)
        self.all.append(book)


@in_world(sessions=True)
async def test_P18_nothing_on_either_disk_opens_a_message_that_has_ended(world: HostWorld) -> None:
    """A recorder keeps all packets, then gets vaults and long-term keys; with erased keys it would open them."""
    remembering = world.vaults["b"] = RememberingVault()
    await restarted(world, world.b)
    bodies = [probe.write(b"k", b"%d" % number) for number in range(3)]
    for body in bodies:
        await ask(world, world.a, body)
    recorded = [one for one in record(world, world.a) if one.in_session]
    assert [one.opened_with(map(Book.from_bytes, remembering.all)) for one in recorded] == bodies
    late = [Book.from_bytes(world.vaults[side.name].load() or b"") for side in world.sides]
    sealing = [side.endpoint.opener(0) for side in world.sides]
    assert [one.opened_with(late, sealing) for one in recorded] == [None] * 3
    assert [book.awaited for book in late] == [{}, {}]


@in_world(sessions=True)
async def test_message_3_of_a_handshake_that_nobody_remembers_is_refused_and_another_begins(world: HostWorld) -> None:
    """The responder starts anew between message_2 and message_3."""
    task = asyncio.ensure_future(world.a.host.send("b", "probe@1.0", probe.write(b"k", b"v"), 600))
    await asyncio.sleep(0)
    await world.turn(world.a)
    world.relay()
    await world.turn(world.b)
    world.relay()
    await world.turn(world.a)  # sends message_3
    await restarted(world, world.b)
    for _ in range(6):
        await world.settle()
        world.clock.advance(2_100_000_000)
        await asyncio.sleep(0)
    await task
    assert world.b.get(b"k") == b"v"
    assert [said["code"] for said in world.b.reported("handshake_refused")] == ["session.handshake_unknown"]
    assert len(world.a.reported("handshake")) == 2


@in_world(sessions=True)
async def test_a_reply_restates_the_place_of_its_message(world: HostWorld) -> None:
    """A receiver that seals its reply for another place of the session has answered nothing."""
    await ask(world, world.a, probe.write(b"k", b"v"))
    real = world.b.host.sessions.of_reply

    def moved(peer: PeerRef, to: Place) -> Keys:
        keys = real(peer, to)
        return dataclasses.replace(keys, place=to._replace(place=to.place + 1))

    world.b.host.sessions.of_reply = moved  # type: ignore[method-assign]
    sent = await ask(world, world.a, probe.write(b"k", b"w"))
    row = world.a.store.sent(bytes.fromhex(sent["ref"]))
    assert row is not None
    assert (row.state, row.code, row.reply) == ("refused", "envelope.rejected", None)
    assert "NotRestated" in str(world.a.reported("rejected")[0]["cause"])


def test_what_waits_for_a_session_says_so() -> None:
    assert SessionComing("ab").code == "session.coming"


@in_world(sessions=True)
async def test_a_lost_handshake_is_begun_again(world: HostWorld) -> None:
    task = asyncio.ensure_future(world.a.host.send("b", "probe@1.0", probe.write(b"k", b"v"), 600))
    await asyncio.sleep(0)
    await world.turn(world.a)
    (lost,) = world.sent(world.a)
    world.a.relayed = world.a.end.ledger.height
    world.pass_time(130)
    expect(world.time_out(world.a, lost))
    for _ in range(6):
        await world.settle()
        world.clock.advance(2_100_000_000)
        await asyncio.sleep(0)
    await task
    assert world.b.get(b"k") == b"v"
    assert [said["code"] for said in world.a.reported("handshake_failed")] == ["session.handshake_refused"]


@in_world(sessions=True)
async def test_P18_a_guest_is_told_that_its_timeout_is_longer_than_a_key_is_kept(world: HostWorld) -> None:
    """[P18] In the call, and not by a callback that comes again and again."""
    script = probe.send("b", timeout_s=3_601) + probe.write(b"told", b"yes")
    await ask(world, world.a, probe.output(script))
    assert world.a.get(b"told") == b"yes"
    assert world.a.reported("held") == []
    assert len([row for row in world.a.store.all_sent() if row.purpose == "message"]) == 1


@pytest.mark.parametrize("liar", ["a", "b"])
@in_world(sessions=True)
async def test_P8_no_session_counts_starts_from_a_fence_that_nobody_has_taken(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch, liar: str
) -> None:
    side = world.a if liar == "a" else world.b
    meetings = side.host._handshakes._meetings
    true = meetings.claims
    monkeypatch.setattr(
        meetings, "claims", lambda *of: dataclasses.replace(true(*of), fence=side.host._steps.fence + 1)
    )
    task = asyncio.ensure_future(world.a.host.send("b", "probe@1.0", probe.write(b"k", b"v"), 600))
    await asyncio.sleep(0)
    await world.settle()
    assert [one.host.status()["sessions"] for one in world.sides] == [[], []]
    assert (world.a if liar == "b" else world.b).reported("handshake_failed" if liar == "b" else "handshake_refused")
    monkeypatch.undo()
    for _ in range(10):
        world.clock.advance(2_100_000_000)
        await asyncio.sleep(0)
        await world.settle()
    await task
    assert world.b.get(b"k") == b"v"
