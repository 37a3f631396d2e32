"""A message whose session its receiver holds no more is sealed again by its host, and no guest notices (P17, P18)."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.host.keyring import KeyRing
from lockgate.host.ports import MessageRef
from lockgate.hosting.endings import LEAST_S, SEALED_AGAIN
from lockgate.hosting.sessions import ForgetfulVault
from lockgate.keystore.software import OsEntropy
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos
from lockgate.runtime.imports import Imports
from lockgate.runtime.inprocess import InProcessGuest
from lockgate.session.errors import SessionUnknown
from lockgate.session.sending import COUNTERS_AHEAD
from lockgate.storage.archive import Archive
from lockgate.storage.host import RESEALED, Ended, HostStore, Resealed, Sent
from tests.support import probe
from tests.support.guests import PROBE_ID
from tests.support.hosts import HostWorld, Side, copy_of, in_world
from tests.support.notes import PORT, Notes
from tests.support.talking import ask, choices, restarted, session
from tests.unit.hosting.test_company import kept, note


class Died(BaseException):
    """The process is gone."""


class Counting(probe.Probe):
    """Counts how often it is told of each message's end, and how often it handles one."""

    def handle(self, message: Any, host: Imports) -> Any:
        _count(host, b"handled")
        return super().handle(message, host)

    def acknowledged(self, sent: MessageRef, reply: bytes, host: Imports) -> None:
        _count(host, b"acknowledged:" + sent)

    def refused(self, sent: MessageRef, code: str, host: Imports) -> None:
        _count(host, b"refused:" + sent)
        host.set(b"code", code.encode())


def _count(host: Imports, key: bytes) -> None:
    host.set(key, bytes((1 + (host.get(key) or b"\0")[0],)))


def counting() -> InProcessGuest:
    return InProcessGuest(PROBE_ID, Counting)


in_sessions = in_world(sessions=True, guest_a=counting, guest_b=counting)


def row_of(side: Side, answer: dict[str, Any]) -> Sent:
    row = side.store.sent(bytes.fromhex(answer["ref"]))
    assert row is not None
    return row


def resealed(side: Side) -> list[Sent]:
    """Packets whose messages went on in others."""
    return [row for row in side.store.all_sent() if row.purpose == RESEALED]


async def forgotten(world: HostWorld, side: Side) -> None:
    """A host's process ended, and its sessions are gone."""
    world.vaults[side.name] = ForgetfulVault()
    await restarted(world, side)


def forgetting(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host says of every message that it does not know its session."""

    def find(*_: object) -> None:
        raise SessionUnknown

    monkeypatch.setattr(side.host.sessions, "find", find)


async def archived(world: HostWorld, side: Side, folder: Path) -> None:
    """The host starts over the file it had, with the archive of a folder: a new one, without the keys of before."""
    side.store = HostStore(side.store.connection, None, Archive.open(folder, 3_600, OsEntropy()))
    await restarted(world, side)


def dying_after(side: Side, staged: Callable[[HostStore], bool]) -> list[HostStore]:
    """The process dies once something is staged and on the ledger; what it leaves is its file."""
    submitter = side.host._posting._submitter
    submit, died = submitter.submit, list[HostStore]()

    async def dying(messages: Any) -> Any:
        done = await submit(messages)
        if staged(side.store):
            died.append(copy_of(side.store))
            raise Died
        return done

    submitter.submit = dying  # type: ignore[method-assign]
    return died


async def pass_by(world: HostWorld, rounds: int = 12) -> None:
    """Let everything happen that waits for a moment."""
    for _ in range(rounds):
        await world.settle()
        world.clock.advance(DurationNanos(2_100_000_000))
        await asyncio.sleep(0)
    await world.settle()


async def first_refused(world: HostWorld, timeout_s: int = 600) -> dict[str, Any]:
    """A has sent in a session that B has lost, and B's refusal is on its ledger and not yet on A's."""
    await ask(world, world.a, probe.write(b"k", b"v"))
    await forgotten(world, world.b)
    sent = await world.send(world.a, probe.write(b"k", b"w"), timeout_s)
    world.relay()
    await world.turn(world.b)
    return sent


@in_sessions
async def test_P18_a_message_whose_session_is_gone_arrives_in_another(world: HostWorld) -> None:
    sent = await first_refused(world)
    await pass_by(world)
    assert (world.b.get(b"k"), world.b.get(b"handled")) == (b"w", b"\2")
    row, (old,) = row_of(world.a, sent), resealed(world.a)
    assert (row.state, row.purpose, old.client) == ("acknowledged", "message", row.client)
    assert (old.state, old.reason, old.code) == ("refused", "envelope.rejected", "session.unknown")
    assert (old.body, old.timeout) == (b"", row.timeout), "it keeps the time it had, and its body lies once"
    assert old.sequence == sent["packets"][0]["sequence"] != row.sequence
    first, again = [one for one in choices(world, world.a) if one.session is not None][-2:]
    assert first.session != again.session
    assert world.a.get(b"acknowledged:" + row.ref) == b"\1", "told once, by the name it was sent under"
    assert world.a.get(b"code") is None
    assert world.a.store.sent_page(10)[-1].ref == row.ref
    assert len(world.a.store.sent_page(10)) == 2


@in_world(sessions=True, guest_a=counting, guest_b=counting, applications={PORT: Notes()})
async def test_P2_what_shares_the_packet_is_sent_again_with_it(world: HostWorld) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    await forgotten(world, world.b)
    sent = await world.send(world.a, probe.write(b"k", b"w"), beside=[note(b"one")])
    await pass_by(world)
    row = row_of(world.a, sent)
    assert (row.state, world.b.get(b"k")) == ("acknowledged", b"w")
    assert row.sequence is not None
    assert kept(world.b, "received", 1, row.sequence) == b"one"


@in_sessions
async def test_a_guest_that_says_so_itself_is_believed(world: HostWorld) -> None:
    """[P3] The word is the guest's: it ran, so its refusal stands."""
    sent = await ask(world, world.a, probe.refuse("session.unknown"))
    await pass_by(world)
    row = row_of(world.a, sent)
    assert (row.state, row.code, resealed(world.a)) == ("refused", "session.unknown", [])
    assert world.a.get(b"refused:" + row.ref) == b"\1"
    assert session(world.a)["sends"] is True


@in_sessions
async def test_a_peer_that_never_knows_a_session_is_not_sent_to_for_ever(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    forgetting(world.b, monkeypatch)
    sent = await world.send(world.a, probe.write(b"k", b"w"))
    await pass_by(world, 60)
    row = row_of(world.a, sent)
    assert (row.state, row.code, len(resealed(world.a))) == ("refused", "session.unknown", SEALED_AGAIN)
    assert world.a.get(b"refused:" + row.ref) == b"\1"
    assert world.b.get(b"k") == b"v"


def unheard(world: HostWorld, count: int) -> None:
    """A has sealed so many messages that never arrived."""
    book, peer = world.a.host.sessions._book, world.b.endpoint.id
    for _ in range(count):
        (one,) = book.sessions[peer]
        book.seal(peer, one, 1)


@pytest.mark.parametrize("count", [COUNTERS_AHEAD - 1, COUNTERS_AHEAD])
@in_sessions
async def test_P18_after_more_messages_that_never_arrived_than_a_receiver_looks_ahead_another_session_is_made(
    world: HostWorld, count: int
) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    old = session(world.a)["session"]
    unheard(world, count)
    sent = await ask(world, world.a, probe.write(b"k", b"w"))
    await pass_by(world)
    assert (row_of(world.a, sent).state, world.b.get(b"k")) == ("acknowledged", b"w")
    assert [row.code for row in resealed(world.a)] == ["session.too_far_ahead"] * (count == COUNTERS_AHEAD)
    await ask(world, world.a, probe.write(b"k", b"x"))
    assert len(resealed(world.a)) == (count == COUNTERS_AHEAD), "the new session goes on"
    assert (old in {one["session"] for one in world.a.host.status()["sessions"]}) == (count < COUNTERS_AHEAD)


@in_sessions
async def test_P8_a_start_that_the_receiver_knows_under_another_salt_is_left_for_another_session(
    world: HostWorld,
) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    book, peer = world.a.host.sessions._book, world.b.endpoint.id
    (one,) = book.sessions[peer]
    (epoch,) = one.epochs
    assert epoch.sending.current is not None
    other = dataclasses.replace(epoch.sending.current, salt=bytes(32))
    sending = dataclasses.replace(epoch.sending, current=other)
    book.replace(peer, one._with(dataclasses.replace(epoch, sending=sending)))
    sent = await ask(world, world.a, probe.write(b"k", b"w"))
    await pass_by(world)
    assert (row_of(world.a, sent).state, world.b.get(b"k")) == ("acknowledged", b"w")
    assert [row.code for row in resealed(world.a)] == ["session.other_start"]


@in_sessions
async def test_a_message_with_no_time_left_ends(world: HostWorld) -> None:
    sent = await first_refused(world, timeout_s=120)
    row = row_of(world.a, sent)
    world.clock.advance(DurationNanos((row.timeout - LEAST_S + 1) * NANOS_PER_SECOND - world.clock.now()))
    await pass_by(world, 2)
    row = row_of(world.a, sent)
    assert (row.state, row.code, resealed(world.a)) == ("refused", "session.unknown", [])
    assert world.a.get(b"refused:" + row.ref) == b"\1"


@in_sessions
async def test_where_no_session_can_be_made_the_guest_is_told(world: HostWorld) -> None:
    sent = await first_refused(world)
    world.sessions = False
    await restarted(world, world.b)
    await pass_by(world, 30)
    row = row_of(world.a, sent)
    assert (row.state, row.code, resealed(world.a)) == ("refused", "session.unknown", [])


@in_sessions
async def test_a_row_of_an_earlier_build_is_not_sent_again(world: HostWorld) -> None:
    """It does not say of what schema the message was."""
    sent = await first_refused(world)
    world.a.store.connection.execute("UPDATE outbox SET schema = ''")
    await pass_by(world)
    assert (row_of(world.a, sent).state, resealed(world.a)) == ("refused", [])


@pytest.mark.parametrize("posted", [False, True])
@in_sessions
async def test_P1_a_host_that_dies_over_it_sends_it_again_once(world: HostWorld, posted: bool) -> None:
    """The process dies with the second packet staged, and either nothing or everything of it on the ledger."""
    sent = await first_refused(world)
    world.relay()
    submitter = world.a.host._posting._submitter
    submit, died = submitter.submit, []

    async def dying(messages: Any) -> Any:
        if any(row.purpose == RESEALED for row in world.a.store.all_sent("staged")):
            if posted:
                await submit(messages)
            died.append(copy_of(world.a.store))
            raise Died
        return await submit(messages)

    submitter.submit = dying  # type: ignore[method-assign]
    with pytest.raises(Died):
        await pass_by(world)
    (world.a.store,) = died
    await restarted(world, world.a)
    await pass_by(world)
    row, (old,) = row_of(world.a, sent), resealed(world.a)
    assert (row.state, old.state) == ("acknowledged", "refused")
    assert (world.b.get(b"k"), world.b.get(b"handled")) == (b"w", b"\2")
    assert world.a.get(b"acknowledged:" + row.ref) == b"\1"


@in_sessions
async def test_P5_what_was_sealed_to_keys_that_are_rotated_away_comes_under_newer_ones(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    sent = await world.send(world.a, probe.write(b"k", b"w"))
    world.relay()
    with monkeypatch.context() as patched:
        patched.setattr(KeyRing, "of_record", lambda *_: None)  # a ring that holds no such record any more
        await world.turn(world.b)
    await pass_by(world)
    assert (row_of(world.a, sent).state, world.b.get(b"k")) == ("acknowledged", b"w")
    assert [row.code for row in resealed(world.a)] == ["session.unknown"]


@in_sessions
async def test_P17_a_body_that_is_gone_is_not_sent_again_as_an_empty_one(world: HostWorld, tmp_path: Path) -> None:
    """A host that was restored without `unsaved` knows of its message, and not what it said."""
    await archived(world, world.a, tmp_path / "before")
    sent = await first_refused(world)
    await archived(world, world.a, tmp_path / "after")
    assert row_of(world.a, sent).erased
    await pass_by(world)
    row = row_of(world.a, sent)
    assert (row.state, row.code, resealed(world.a)) == ("refused", "session.unknown", [])
    assert world.a.get(b"refused:" + row.ref) == b"\1"
    assert (world.b.get(b"k"), world.b.get(b"handled")) == (b"v", b"\1")


@pytest.mark.parametrize("what", [Ended, Resealed])
@in_sessions
async def test_P4_a_host_restored_without_its_keys_acts_on_no_end_twice(
    world: HostWorld, tmp_path: Path, what: type[Ended] | type[Resealed]
) -> None:
    """The step that told the guest, or sealed again, stands; what it noted is under a key that is lost."""
    await archived(world, world.a, tmp_path / "before")
    sent = await first_refused(world)
    world.relay()
    died = dying_after(
        world.a,
        lambda store: any(
            isinstance(note, what) and note.ref.hex() == sent["ref"]
            for step in store.steps(promoted=False)
            for note in step.records
        ),
    )
    with pytest.raises(Died):
        await pass_by(world)
    (world.a.store,) = died
    await archived(world, world.a, tmp_path / "after")
    await pass_by(world)
    row = row_of(world.a, sent)
    assert row.state == "acknowledged"
    assert (world.b.get(b"k"), world.b.get(b"handled")) == (b"w", b"\2")
    assert world.a.get(b"acknowledged:" + row.ref) == b"\1"
