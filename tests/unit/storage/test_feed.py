"""The feed of a host: nothing is missed, nothing is told that did not come to stand."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lockgate.storage.feed import Feed
from lockgate.storage.host import HostStore

TABLES = """
CREATE TABLE inbox (client TEXT, sequence INTEGER, state TEXT, PRIMARY KEY (client, sequence)) WITHOUT ROWID;
CREATE TABLE outbox (ref BLOB PRIMARY KEY, client TEXT, sequence INTEGER, state TEXT, purpose TEXT) WITHOUT ROWID;
INSERT INTO outbox VALUES (x'01', NULL, NULL, 'staged', 'message');
"""


class Bell:
    def __init__(self) -> None:
        self.rung = 0

    def __call__(self) -> None:
        self.rung += 1


@pytest.fixture
def store() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(TABLES)
    return connection


def test_a_message_received_answered_later_and_ended_is_told_in_order(store: sqlite3.Connection) -> None:
    bell = Bell()
    feed = Feed(store, bell)
    assert feed.newest() == 0
    store.execute("INSERT INTO inbox VALUES ('c', 7, 'deferred')")
    store.execute("INSERT OR REPLACE INTO inbox VALUES ('c', 7, 'answered')")
    store.execute("UPDATE outbox SET state = 'sent', client = 'c', sequence = 9")  # under way is no event
    store.execute("UPDATE outbox SET state = 'acknowledged'")
    store.execute("UPDATE outbox SET state = 'acknowledged'")  # nothing new
    told = feed.after(0, 10)
    assert [(each.number, each.kind, each.client, each.sequence, each.ref) for each in told] == [
        (1, "received", "c", 7, b""),
        (2, "received", "c", 7, b""),
        (3, "ended", "c", 9, b"\x01"),
    ]
    assert (bell.rung, feed.newest()) == (3, 3)
    assert feed.after(1, 1) == told[1:2]


def test_what_hosts_say_to_each_other_is_no_event(store: sqlite3.Connection) -> None:
    feed = Feed(store, Bell())
    store.execute("UPDATE outbox SET purpose = 'session'")
    store.execute("UPDATE outbox SET state = 'acknowledged'")
    assert feed.after(0, 10) == []


def test_what_is_rolled_back_was_never_told(store: sqlite3.Connection) -> None:
    feed = Feed(store, Bell())
    store.execute("BEGIN")
    store.execute("INSERT INTO inbox VALUES ('c', 1, 'answered')")
    store.execute("ROLLBACK")
    assert feed.after(0, 10) == []


def test_numbers_go_on_after_a_restart_and_others_open_the_file_as_plain_tables(tmp_path: Path) -> None:
    path = tmp_path / "host.sqlite"
    for expected in (1, 2):
        store = HostStore.open(path)
        feed = Feed(store.connection, Bell())
        with store.commit():
            row = {name: None for (_, name, *_rest) in store.connection.execute("PRAGMA table_info(inbox)")}
            kinds = {name: kind for (_, name, kind, *_rest) in store.connection.execute("PRAGMA table_info(inbox)")}
            values = [(b"" if kinds[n] == "BLOB" else expected if kinds[n] == "INTEGER" else "x") for n in row]
            store.connection.execute(f"INSERT INTO inbox VALUES ({', '.join('?' * len(row))})", values)
        assert feed.newest() == expected
        store.close()
    plain = HostStore.open(path)  # no feed, no triggers, no function of ours
    plain.connection.execute("DELETE FROM inbox")
    plain.close()
