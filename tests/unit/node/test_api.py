"""The API's values and places: what leads to a host, what a row becomes, how a message ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import lockgate
from lockgate.node.api import MessageRefused, MessageTimedOut, MessageTrapped, NoBody, NoHost, connect
from lockgate.node.api.connection import _sendable
from lockgate.node.api.values import MAX_INLINE, Ended, Received, happened
from lockgate.node.folder import NotInitialised, NotRunning

ROW: dict[str, Any] = {
    "ref": "01", "client": "c", "sequence": 5, "packet": "alpha/c/5", "to": "bob", "peer": "bob",
    "state": "acknowledged", "body": "6f6e65", "reply": "74776f", "code": None,
}  # fmt: skip


def ended(**changes: Any) -> Ended:
    event = happened({"kind": "ended", "number": 3, "message": {**ROW, **changes}})
    assert isinstance(event, Ended)
    return event


def test_rows_become_values() -> None:
    event = ended()
    assert (event.number, event.packet, event.to, event.body) == (3, "alpha/c/5", "bob", b"one")
    assert event.result().body == b"two"
    seen = happened({"kind": "received", "number": 4, "message": {**ROW, "detail": "why", "state": "answered"}})
    assert seen == Received(4, "alpha/c/5", "bob", "answered", b"one", b"two", None, "why")


def test_every_end_that_is_no_answer_is_a_type_with_the_reason_and_the_sealed_words() -> None:
    with pytest.raises(MessageTimedOut) as late:
        ended(state="timed_out", reply=None).result()
    assert late.value.packet == "alpha/c/5"
    with pytest.raises(MessageTrapped):
        ended(state="refused", reply=None, code="guest.trapped").result()
    with pytest.raises(MessageRefused) as plain:
        ended(state="refused", reply=None, code="inbox.no_grant").result()
    assert (plain.value.reason, plain.value.words) == ("inbox.no_grant", "")
    with pytest.raises(MessageRefused) as worded:
        ended(state="refused", reply=None, code="probe.no", reason="guest.refused", detail="not today").result()
    assert (worded.value.reason, worded.value.words) == ("guest.refused", "probe.no: not today")
    assert not isinstance(worded.value, MessageTrapped)


def test_a_body_goes_inside_its_packet_or_as_a_file_and_an_empty_one_nowhere(tmp_path: Path) -> None:
    small, large, empty = tmp_path / "small", tmp_path / "large", tmp_path / "empty"
    small.write_bytes(b"x")
    large.write_bytes(bytes(MAX_INLINE + 1))
    empty.touch()
    for body, verb in ((b"x", "send"), (small, "send"), (bytes(MAX_INLINE), "send"), (large, "send_file")):
        with _sendable(body, tmp_path) as (chosen, _):
            assert chosen == verb
    with _sendable(bytes(MAX_INLINE + 1), tmp_path) as (verb, what):
        spooled = Path(what["path"])
        assert (verb, spooled.read_bytes(), spooled.stat().st_mode & 0o077) == ("send_file", bytes(MAX_INLINE + 1), 0)
    assert not spooled.exists()
    for nothing in (b"", empty, tmp_path / "absent"):
        with pytest.raises(NoBody), _sendable(nothing, tmp_path):
            pass


def test_a_place_leads_to_the_one_host_the_named_one_or_the_one_of_a_socket(tmp_path: Path) -> None:
    with pytest.raises(NotInitialised):
        connect(tmp_path / "absent")
    (tmp_path / "hosts" / "alice").mkdir(parents=True)
    assert connect(tmp_path).host == "alice"
    (tmp_path / "hosts" / "bob").mkdir()
    assert connect(tmp_path).host is None
    assert connect(str(tmp_path), "bob").host == "bob"
    with pytest.raises(NotInitialised):
        connect(tmp_path, "carol")
    by_socket = connect(tmp_path / "hosts" / "bob" / "host.sock")
    assert (by_socket.host, by_socket.folder.root) == ("bob", tmp_path)


def test_a_connection_says_at_once_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "hosts" / "alice").mkdir(parents=True)
    (tmp_path / "hosts" / "bob").mkdir()

    async def work() -> None:
        with pytest.raises(NotRunning):
            async with connect(tmp_path, "alice"):
                pass
        async with connect(tmp_path) as gate:  # for traces and proofs
            with pytest.raises(NoHost):
                await gate.send("bob", b"x")

    asyncio.run(work())
    with pytest.raises(NotRunning), lockgate.connect_sync(tmp_path, "alice"):
        pass


def test_the_package_offers_what_it_lists_and_nothing_else() -> None:
    for name in lockgate.__all__:
        assert getattr(lockgate, name) is not None
    with pytest.raises(AttributeError):
        lockgate.no_such_name  # noqa: B018  # looking is the test
