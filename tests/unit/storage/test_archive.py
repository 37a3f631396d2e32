"""The archive of bodies: kept for so long after a message ended, then in no byte of any file (P18)."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.keystore.software import OsEntropy
from lockgate.primitives.time import UnixNanos, seconds
from lockgate.storage import archive as module
from lockgate.storage.archive import PLACES, Archive
from lockgate.storage.feed import Feed
from lockgate.storage.host import Ended, HostStore, Seen, Sent, Step

KEEP_S = 40
BODY, REPLY, WORDS = b"a body nobody else is to read", b"its reply, for two only", "what the guest said of it"
T = 1_700_000_000


def at(second: int) -> UnixNanos:
    return UnixNanos(seconds(T + second))


def sent(ref: bytes = b"r" * 32, body: bytes = BODY) -> Sent:
    return Sent(
        ref=ref, fence=1, counter=ref[0], peer="solver", state="sent", body=body, commitment=ref, timeout=T + 600,
        record=bytes(32),
    )  # fmt: skip


def seen(state: str = "answered", sequence: int = 1) -> Seen:
    commitment = sequence.to_bytes(32, "big")
    return Seen(
        domain=bytes(32), client="c", sequence=sequence, commitment=commitment, peer="ann", state=state, body=BODY,
        reply=REPLY, detail=WORDS,
    )  # fmt: skip


def ended(ref: bytes = b"r" * 32) -> Ended:
    return Ended(ref=ref, client="c", sequence=7, state="acknowledged", reply=REPLY, detail=WORDS)


def opened(folder: Path, keep_s: int | None = KEEP_S) -> HostStore:
    return HostStore.open(folder / "host.sqlite", Archive.open(folder, keep_s, OsEntropy()))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HostStore]:
    made = opened(tmp_path)
    made.age(at(0), set)
    yield made
    made.close()


def age(store: HostStore, second: int, waiting: set[bytes] | None = None) -> list[bytes]:
    return store.age(at(second), lambda: waiting or set())


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def held(folder: Path) -> list[bytes]:
    found = bytes_of(folder)
    return [one for one in (BODY, REPLY, WORDS.encode()) if one in found]


def test_what_is_kept_is_read_and_lies_nowhere_in_the_clear(store: HostStore, tmp_path: Path) -> None:
    with store.commit(durable=True):
        store.add_sent(sent())
        store.note(seen())
        store.add_step(Step(1, bytes(32), bytes(32), (seen(sequence=2), ended()), promoted=False))
        store.note(ended())
    row = store.sent(b"r" * 32)
    assert row is not None
    assert (row.body, row.reply, row.detail, row.state, row.erased) == (BODY, REPLY, WORDS, "acknowledged", False)
    assert store.seen("c", 1) == seen()
    assert store.steps(promoted=False)[0].records == (seen(sequence=2), ended())
    assert held(tmp_path) == []
    reading = HostStore.reading(tmp_path / "host.sqlite")
    assert reading.seen("c", 1) == seen()
    reading.close()


def test_P18_what_ended_is_gone_after_its_time_and_a_quarter(store: HostStore, tmp_path: Path) -> None:
    with store.commit(durable=True):
        store.add_sent(sent())
        store.note(ended())
        store.note(seen())
    shutil.copytree(tmp_path, tmp_path.with_name("copy"))
    assert age(store, KEEP_S) == []
    assert store.seen("c", 1) == seen()
    assert store.overdue(at(KEEP_S * 5 // 4))
    assert age(store, KEEP_S * 5 // 4) == [seen().commitment]
    row, received = store.sent(b"r" * 32), store.seen("c", 1)
    assert row is not None
    assert received is not None
    assert (row.state, row.body, row.reply, row.detail, row.erased) == ("acknowledged", b"", None, None, True)
    assert (received.state, received.body, received.reply, received.erased) == ("answered", b"", None, True)
    # Who has the files now, and every copy of the database from before, reads no more.
    stolen_folder = tmp_path.with_name("stolen")
    shutil.copytree(tmp_path.with_name("copy"), stolen_folder, ignore=shutil.ignore_patterns("unsaved"))
    shutil.copytree(tmp_path / "unsaved", stolen_folder / "unsaved")
    stolen = HostStore.open(stolen_folder / "host.sqlite")
    found = stolen.seen("c", 1)
    assert found is not None
    assert found.erased
    stolen.close()
    # The copy that has the keys as they were reads: the search above can fail.
    whole = HostStore.open(tmp_path.with_name("copy") / "host.sqlite")
    assert whole.seen("c", 1) == seen()
    whole.close()


def test_what_is_open_stays_and_its_time_counts_from_its_end(store: HostStore) -> None:
    with store.commit():
        store.add_sent(sent())
        store.note(seen("deferred"))
        store.add_step(Step(1, bytes(32), bytes(32), (seen(sequence=2),), promoted=False))
    for second in range(0, 400, 10):
        assert age(store, second, {seen().commitment}) == []
    row = store.sent(b"r" * 32)
    assert row is not None
    assert (row.body, row.erased) == (BODY, False)
    assert store.seen("c", 1) == seen("deferred")
    assert store.steps(promoted=False)[0].records == (seen(sequence=2),)
    with store.commit():
        store.note(ended())
    age(store, 430)
    kept = store.sent(b"r" * 32)
    assert kept is not None
    assert (kept.body, kept.reply) == (BODY, REPLY)
    for second in range(430, 460, 10):
        age(store, second)
    gone = store.sent(b"r" * 32)
    assert gone is not None
    assert gone.erased


def test_a_deferred_message_that_nobody_may_answer_any_more_goes_too(store: HostStore) -> None:
    with store.commit():
        store.note(seen("deferred"))
    assert age(store, 50, set()) == [seen().commitment]


def test_nothing_kept_at_all_is_a_second_and_a_turn(tmp_path: Path) -> None:
    store = opened(tmp_path, 0)
    age(store, 0)
    with store.commit():
        store.note(seen())
    assert store.seen("c", 1) == seen()
    assert age(store, 1) == [seen().commitment]
    store.close()


def test_moving_a_row_tells_no_subscriber(store: HostStore) -> None:
    feed = Feed(store.connection, lambda: None)
    with store.commit():
        store.add_sent(sent())
        store.note(seen("deferred"))
    before = feed.newest()
    for second in (20, 60, 120):
        age(store, second, {seen().commitment})
    assert feed.newest() == before


def test_a_process_that_was_killed_goes_on_with_its_keys(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with store.commit(durable=True):
        store.note(seen())  # before any time was proven
    shutil.copytree(tmp_path, tmp_path.with_name("after"))
    store.close()
    again = opened(tmp_path.with_name("after"))
    age(again, 0)
    assert again.seen("c", 1) == seen()
    assert age(again, KEEP_S * 5 // 4) == [seen().commitment]
    again.close()


def test_rows_of_a_plain_file_are_sealed_and_leave_no_page_behind(tmp_path: Path) -> None:
    plain = opened(tmp_path, None)
    with plain.commit(durable=True):
        plain.add_sent(sent())
        plain.note(seen())
    with plain.commit(durable=True):
        plain.note(seen(sequence=2))
        plain.connection.execute("DELETE FROM inbox WHERE sequence = 2")  # a free cell
    plain.close()
    assert BODY in bytes_of(tmp_path)
    store = opened(tmp_path)
    age(store, 0)
    assert store.seen("c", 1) == seen()
    assert held(tmp_path) == []
    store.close()


def test_keeping_everything_again_opens_what_still_opens(tmp_path: Path) -> None:
    store = opened(tmp_path)
    age(store, 0)
    with store.commit():
        store.note(seen())
        store.add_sent(sent())
    store.close()
    plain = opened(tmp_path, None)
    age(plain, 1)
    assert plain.connection.execute("SELECT body, slice FROM inbox").fetchall() == [(BODY, None)]
    assert plain.connection.execute("SELECT body, slice FROM outbox").fetchall() == [(BODY, None)]
    assert age(plain, 10_000) == []
    plain.close()


def test_rows_are_bound_to_their_place(store: HostStore) -> None:
    with store.commit():
        store.note(seen())
        store.note(seen(sequence=2))
    store.connection.execute("UPDATE inbox SET body = (SELECT body FROM inbox WHERE sequence = 2) WHERE sequence = 1")
    moved = store.seen("c", 1)
    assert moved is not None
    assert moved.erased


def test_a_setting_for_longer_takes_no_slice_that_something_lies_in(tmp_path: Path) -> None:
    """Slices of the shorter time live for the longer one: then there are more than a single setting needs."""
    store = opened(tmp_path, 4)
    for second in range(6):  # a slice each second
        age(store, second)
        with store.commit():
            store.add_sent(sent(bytes((second + 1,)) * 32))
    store.close()
    store = opened(tmp_path, 4_000)
    for second in range(10, 5_010, 1_000):
        age(store, second)
        with store.commit():
            store.note(seen(sequence=second))
    assert len(Archive.reading(tmp_path).living()) > PLACES
    store.close()
    store = opened(tmp_path, 4_000)
    assert [row.body for row in store.all_sent()] == [BODY] * 6
    assert [row.body for row in store.all_seen(10)] == [BODY] * 5
    age(store, 9_100)  # all are over at once, and what is open moves to a new one
    assert [row.body for row in store.all_sent()] == [BODY] * 6
    assert [row.erased for row in store.all_seen(10)] == [True] * 5
    store.close()


def test_a_place_that_a_power_cut_left_half_written_is_none(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with store.commit():
        store.add_sent(sent())
    store.close()
    path = tmp_path / "unsaved" / "archive.keys"
    with path.open("ab") as file:
        file.write(b"\1" * 17)
    store = opened(tmp_path)
    assert [row.body for row in store.all_sent()] == [BODY]
    store.close()


def test_what_a_step_did_is_known_without_the_key_of_its_bodies(store: HostStore, tmp_path: Path) -> None:
    """And nothing that is kept only sealed is told by it."""
    with store.commit(durable=True):
        store.add_sent(sent())
        store.add_step(Step(1, bytes(32), bytes(32), (seen(sequence=2), ended()), promoted=False))
    assert held(tmp_path) == []
    store.connection.execute("UPDATE step SET slice = 1")  # of a key that is nowhere
    (step,) = store.steps(promoted=False)
    received, told = step.records
    assert isinstance(received, Seen)
    assert isinstance(told, Ended)
    assert (received.state, received.erased, received.body, received.reply) == ("answered", True, b"", None)
    assert (told.ref, told.state, told.reply, told.detail) == (b"r" * 32, "acknowledged", None, None)
    with store.commit():
        store.promote(1)
    row, found = store.sent(b"r" * 32), store.seen("c", 2)
    assert row is not None
    assert (row.state, row.body, row.erased) == ("acknowledged", BODY, False)
    assert found is not None
    assert (found.state, found.erased) == ("answered", True)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive.open(tmp_path, KEEP_S, OsEntropy())

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "pwrite", full)
    with pytest.raises(module.StoreFull):
        archive.seal(b"x", BODY)


def test_a_file_of_before_gets_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "host.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE step (version INTEGER PRIMARY KEY, root BLOB NOT NULL, salt BLOB NOT NULL, records BLOB NOT NULL,
          promoted INTEGER NOT NULL);
        CREATE TABLE outbox (ref BLOB PRIMARY KEY, client TEXT, sequence INTEGER, fence INTEGER NOT NULL,
          counter INTEGER NOT NULL, peer TEXT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL, reply BLOB, code TEXT,
          detail TEXT, reason TEXT, commitment BLOB NOT NULL UNIQUE, timeout INTEGER NOT NULL, record BLOB NOT NULL)
          WITHOUT ROWID;
        CREATE TABLE inbox (domain BLOB NOT NULL, client TEXT NOT NULL, sequence INTEGER NOT NULL,
          commitment BLOB NOT NULL, peer TEXT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL, reply BLOB, code TEXT,
          detail TEXT, PRIMARY KEY (domain, client, sequence, commitment)) WITHOUT ROWID;
        """
    )
    connection.close()
    store = opened(tmp_path)
    with store.commit():
        store.add_sent(sent())
        store.note(seen())
    assert store.seen("c", 1) == seen()
    store.close()
