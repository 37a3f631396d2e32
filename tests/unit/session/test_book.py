"""A host's book of sessions: what is in it is all there is, and what is not in it is gone (P8, P18)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.primitives.time import UnixNanos
from lockgate.session import Book, Direction, Fences, MessageKeys, Place, Session
from lockgate.session.errors import KeyGone, SessionDamaged, SessionUnknown
from lockgate.session.pair import ARRIVES_NS, MAX_HELD, SEALS_NS, STARTS_HELD
from lockgate.session.sending import COUNTERS_AHEAD

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


class Hoarder:
    """A peer whose every process start seals messages far apart, so that what is between waits for keys."""

    def __init__(self, peer: bytes = ALICE) -> None:
        self.peer = peer
        self.session = session(Direction.INITIATOR)

    def sealed(self, fence: int, counter: int) -> Place:
        epoch = self.session.newest
        assert epoch is not None
        if epoch.sending.start <= fence - epoch.fences.own:
            self.session = self.session.started(fence, salt())
            epoch = self.session.newest
            assert epoch is not None
        keys, sending = epoch.sending.next(counter)
        self.session = self.session._with(replace(epoch, sending=sending))
        return Place(NAME, 0, keys.salt, fence, counter)

    def opened(self, book: Book, place: Place, commitment: bytes) -> None:
        _, after = book.find(self.peer, place.session).open(place)
        book.opened(self.peer, after, commitment, place, LATER)


def hoarded(starts: int = 12) -> tuple[Book, list[Place]]:
    """A book after as many starts of a hoarder, two messages of each opened, one of them answered."""
    book, hoarder = Book(), Hoarder()
    book.add(ALICE, session(Direction.RESPONDER))
    places = []
    for number in range(starts):
        for counter in (0, COUNTERS_AHEAD - 1):
            places.append(hoarder.sealed(3 + number, counter))
            hoarder.opened(book, places[-1], (2 * number + bool(counter)).to_bytes(32, "big"))
        if number:
            book.settled((2 * number).to_bytes(32, "big"))
            book.settled((2 * number + 1).to_bytes(32, "big"))
    return book, places


def test_P18_a_peer_that_skips_all_it_may_makes_no_book_grow() -> None:
    book, _ = hoarded()
    (held,) = book
    assert held.kept == MAX_HELD - 2, "the last two are answered"
    assert len(held.epochs[0].receiving.starts) == 12, "an answer is owed in the first"
    assert len(book.to_bytes()) < 50 * MAX_HELD
    assert Book.from_bytes(book.to_bytes()).to_bytes() == book.to_bytes()
    for number in range(2):
        book.settled(number.to_bytes(32, "big"))
    hoarder = Hoarder()
    hoarder.opened(book, hoarder.sealed(3 + 20, 0), b"z" * 32)
    (held,) = book
    receiving = held.epochs[0].receiving
    assert sorted([*receiving.starts, *receiving.unseen]) == [17, 18, 19, 20]


def test_what_goes_first_are_the_oldest_that_were_skipped_and_no_answer_is_lost() -> None:
    book, places = hoarded()
    for place in places[:2]:  # of the first start, and nobody has answered them yet
        assert book.reply_key(ALICE, place)
    with pytest.raises(KeyGone):
        book.reply_key(ALICE, places[0]._replace(place=1))
    newest = places[-1]
    assert book.reply_key(ALICE, newest._replace(place=newest.place - 1))
    for place in (places[2], newest._replace(fence=newest.fence - STARTS_HELD)):
        with pytest.raises(KeyGone):
            book.reply_key(ALICE, place)


def test_a_few_starts_of_a_peer_are_waited_for() -> None:
    """What the process before sent may arrive after the first message of the next one."""
    book, hoarder = Book(), Hoarder()
    book.add(ALICE, session(Direction.RESPONDER))
    places = [hoarder.sealed(3 + number, 0) for number in range(STARTS_HELD + 1)]
    for number, place in enumerate(reversed(places[1:])):
        hoarder.opened(book, place, bytes([number]) * 32)
    with pytest.raises(KeyGone):
        hoarder.opened(book, places[0], b"x" * 32)


def test_a_book_that_would_not_be_read_again_drops_what_the_largest_peer_skipped() -> None:
    book, places = hoarded(2)
    book.add(BOB, session(Direction.INITIATOR, name=b"o" * 32).started(3, bytes(32)))
    book.await_reply(b"q" * 32, Place(b"o" * 32, 0, bytes(32), 3, 0), b"k" * 32)
    modest = book.find(BOB, b"o" * 32)
    most = len(book.to_bytes()) // 4
    data = book.to_bytes(most)
    assert len(data) <= most
    assert Book.from_bytes(data).to_bytes() == data
    assert (book.find(BOB, b"o" * 32), list(book.awaited)) == (modest, [b"q" * 32])
    for place in places[:2]:
        assert book.reply_key(ALICE, place)
    assert book.find(ALICE, NAME).kept == 2, "what it skipped is gone, and all of it at once"


def test_then_its_oldest_sessions_go_with_what_is_open_in_them() -> None:
    book, _ = hoarded(2)
    book.add(ALICE, session(Direction.RESPONDER, name=b"o" * 32))
    data = book.to_bytes(900)
    assert len(data) <= 900
    assert [one.name for one in book] == [b"o" * 32]
    assert book.owed == {}
    assert book.to_bytes(20) == Book().to_bytes()
