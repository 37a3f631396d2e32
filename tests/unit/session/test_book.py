"""A host's book of sessions: what is in it is all there is, and what is not in it is gone (P8, P18)."""

from __future__ import annotations

import pytest

from lockgate.primitives.time import UnixNanos
from lockgate.session import Book, Direction, Fences, MessageKeys, Place, Session
from lockgate.session.errors import KeyGone, SessionDamaged, SessionUnknown
from lockgate.session.pair import ARRIVES_NS, SEALS_NS

SECRET, NAME = b"s" * 32, b"n" * 32
ALICE, BOB = b"a" * 32, b"b" * 32
RECORDS = (b"A" * 32, b"B" * 32)
NOW, LATER = UnixNanos(2), UnixNanos(1 << 60)


def salt() -> bytes:
    return b"x" * 32


SUITES = (-24,)


def session(direction: Direction, *, name: bytes = NAME, secret: bytes = SECRET, confirmed: bool = True) -> Session:
    records = RECORDS if direction is Direction.INITIATOR else RECORDS[::-1]
    fences = Fences(3, 7) if direction is Direction.INITIATOR else Fences(7, 3)
    return Session.begin(name, secret, direction, -24, records, fences, UnixNanos(1), confirmed=confirmed)


class Pair:
    """Alice's book and Bob's, with one session."""

    def __init__(self) -> None:
        self.alice, self.bob = Book(), Book()
        self.alice.add(BOB, session(Direction.INITIATOR).started(3, bytes(32)))
        self.bob.add(ALICE, session(Direction.RESPONDER).started(7, bytes(32)))

    def sealed(self) -> tuple[Place, MessageKeys]:
        ours = self.alice.usable(BOB, RECORDS, NOW, SUITES)
        assert ours is not None
        keys = self.alice.seal(BOB, ours, 100)
        assert ours.newest is not None
        return Place(ours.name, keys.epoch, keys.salt, ours.newest.fences.own + keys.start, keys.counter), keys

    def opened(self, place: Place, commitment: bytes, until: UnixNanos = LATER) -> MessageKeys:
        keys, after = self.bob.find(ALICE, place.session).open(place)
        self.bob.opened(ALICE, after, commitment, place, until)
        return keys


def test_both_sides_have_the_key_of_a_message_and_of_its_reply() -> None:
    pair = Pair()
    place, ours = pair.sealed()
    theirs = pair.opened(place, b"c" * 32)
    assert (ours.message, ours.reply) == (theirs.message, theirs.reply)
    assert pair.bob.reply_key(ALICE, place) == ours.reply


def test_P18_a_message_that_is_settled_opens_no_more_and_has_no_reply() -> None:
    pair = Pair()
    place, keys = pair.sealed()
    pair.alice.await_reply(b"c" * 32, place, keys.reply)
    pair.opened(place, b"c" * 32)
    for book in (pair.alice, pair.bob):
        book.settled(b"c" * 32)
        book.settled(b"c" * 32)  # twice is once
    assert (pair.alice.awaited, pair.bob.owed) == ({}, {})
    with pytest.raises(KeyGone):
        pair.bob.find(ALICE, NAME).open(place)
    with pytest.raises(KeyGone):
        pair.bob.reply_key(ALICE, place)


def test_P18_at_its_deadline_a_message_that_nobody_answered_has_ended() -> None:
    pair = Pair()
    place, _ = pair.sealed()
    pair.opened(place, b"c" * 32, UnixNanos(1_000))
    pair.bob.sweep(UnixNanos(999))
    assert pair.bob.owed
    pair.bob.sweep(UnixNanos(1_000))
    assert not pair.bob.owed
    with pytest.raises(KeyGone):
        pair.bob.find(ALICE, NAME).open(place)


def test_what_is_written_is_what_is_read_and_holds_no_chain_of_a_start() -> None:
    pair = Pair()
    place, keys = pair.sealed()
    pair.alice.await_reply(b"c" * 32, place, keys.reply)
    pair.opened(place, b"c" * 32)
    for book in (pair.alice, pair.bob):
        again = Book.from_bytes(book.to_bytes())
        assert again.to_bytes() == book.to_bytes()
        assert not any(one.sends for one in again)
        assert again.usable(BOB, RECORDS, NOW, SUITES) is again.usable(ALICE, RECORDS[::-1], NOW, SUITES) is None
    assert keys.message not in pair.alice.to_bytes()


def test_P8_a_process_that_starts_again_seals_under_keys_of_its_own_start() -> None:
    pair = Pair()
    _, before = pair.sealed()
    saved = pair.alice.to_bytes()
    starts = []
    drawn = iter((b"x" * 32, b"y" * 32))
    for _ in range(2):  # twice from one copy: a backup that was restored
        pair.alice = Book.from_bytes(saved)
        pair.alice.started(4, lambda: next(drawn))
        starts.append(pair.sealed())
    assert [place.fence for place, _ in starts] == [4, 4]
    assert len({before.message, *(keys.message for _, keys in starts)}) == 3


def test_after_as_many_starts_as_an_epoch_bears_a_session_only_opens() -> None:
    pair = Pair()
    book = Book.from_bytes(pair.alice.to_bytes())
    book.started(3 + 63, salt)
    assert book.usable(BOB, RECORDS, NOW, SUITES) is not None
    book.started(3 + 64, salt)
    assert book.usable(BOB, RECORDS, NOW, SUITES) is None
    assert book.find(BOB, NAME).name == NAME


def test_nothing_is_sealed_in_a_session_that_the_peer_may_not_hold() -> None:
    book = Book()
    book.add(ALICE, session(Direction.RESPONDER, confirmed=False).started(7, bytes(32)))
    assert book.usable(ALICE, RECORDS[::-1], NOW, SUITES) is None
    assert book.confirm(ALICE, NAME, 0, LATER)
    assert book.usable(ALICE, RECORDS[::-1], NOW, SUITES) is None, "this process has no start in it"
    book.start(ALICE, NAME, 7, bytes(32))
    assert book.usable(ALICE, RECORDS[::-1], NOW, SUITES) is not None
    assert not book.confirm(ALICE, NAME, 0, LATER)


def test_a_session_is_of_one_peer_and_of_two_records() -> None:
    pair = Pair()
    assert pair.alice.usable(BOB, (RECORDS[0], b"C" * 32), NOW, SUITES) is None
    assert pair.alice.usable(ALICE, RECORDS, NOW, SUITES) is None
    assert pair.alice.usable(BOB, RECORDS, NOW, (-23, 4)) is None, "nor of another suite"
    assert pair.alice.usable(BOB, RECORDS, NOW, (-23, -24)) is not None
    with pytest.raises(SessionUnknown):
        pair.alice.find(ALICE, NAME)


def test_the_oldest_sessions_with_a_peer_go_and_the_newest_seals() -> None:
    pair = Pair()
    for number in range(4):
        made = session(Direction.INITIATOR, name=bytes([number]) * 32, secret=bytes([number]) * 32)
        pair.alice.add(BOB, made.started(3, bytes(32)))
    assert [one.name[0] for one in pair.alice] == [0, 1, 2, 3]
    usable = pair.alice.usable(BOB, RECORDS, NOW, SUITES)
    assert usable is not None
    assert usable.name[0] == 3


def test_at_a_start_only_what_is_under_way_is_kept() -> None:
    pair = Pair()
    places = [pair.sealed() for _ in range(3)]
    for number, (place, keys) in enumerate(places):
        pair.alice.await_reply(bytes([number]) * 32, place, keys.reply)
        pair.opened(place, bytes([number]) * 32)
    pair.alice.keep_only([b"\0" * 32], [])
    pair.bob.keep_only([], [b"\1" * 32])
    assert list(pair.alice.awaited) == [b"\0" * 32]
    assert list(pair.bob.owed) == [b"\0" * 32, b"\2" * 32]


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x84\x01\xa0\xa0", b"\x84\x02\xa0\xa0\xa0", b"\x84\x01\xa1\x41\x00\x80\xa0\xa0"]
)
def test_a_damaged_book_is_named(data: bytes) -> None:
    with pytest.raises(SessionDamaged):
        Book.from_bytes(data)


def test_no_cut_or_changed_book_is_taken_for_another_kind_of_failure() -> None:
    pair = Pair()
    place, keys = pair.sealed()
    pair.alice.await_reply(b"c" * 32, place, keys.reply)
    data = pair.alice.to_bytes()
    for at in range(len(data)):
        for spoiled in (data[:at], data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]):
            try:
                Book.from_bytes(spoiled)
            except SessionDamaged:
                continue


def test_P18_a_session_in_which_nobody_speaks_is_over_all_the_same() -> None:
    """A packet that was never delivered: its key can be derived until the epoch is gone, so the epoch goes by time."""
    pair = Pair()
    place, _ = pair.sealed()
    assert pair.alice.usable(BOB, RECORDS, UnixNanos(SEALS_NS), SUITES) is not None
    assert pair.alice.usable(BOB, RECORDS, UnixNanos(1 + SEALS_NS), SUITES) is None
    end = UnixNanos(1 + SEALS_NS + ARRIVES_NS)
    pair.bob.sweep(UnixNanos(end - 1))
    assert pair.bob.find(ALICE, NAME).open(place)
    assert not pair.bob.overdue(UnixNanos(end - 1))
    assert pair.bob.overdue(end)
    pair.bob.sweep(end)
    with pytest.raises(SessionUnknown):
        pair.bob.find(ALICE, NAME)
    assert pair.bob.sessions == {}
