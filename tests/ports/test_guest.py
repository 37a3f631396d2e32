"""What every implementation of the port `Guest` does: run on the plain-Python fake and on the sandbox.

[P1] a call writes nothing, it returns an overlay. [P3] a refusal or trap leaves nothing behind.
[P8] the two randomnesses are two.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from lockgate.host.ports import (
    Acknowledged,
    BadGuestCall,
    Command,
    Deferred,
    Done,
    Guest,
    GuestLimits,
    LateAnswer,
    LogLine,
    MessageRef,
    PublicSeed,
    Refusal,
    RefusedByPeer,
    Reply,
    SecretSeed,
    TimedOut,
    TrapKind,
)
from lockgate.primitives.errors import Unavailable
from lockgate.runtime.inprocess import InProcessGuest
from lockgate.runtime.wasm import Sandbox, component_bytes
from tests.support import probe
from tests.support.guests import ENV, ID, NOW, PROBE_ID, call, env, message, state, trapped


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


@pytest.fixture(scope="module")
def wasm_probe(sandbox: Sandbox) -> Guest:
    return sandbox.load(component_bytes(probe.WAT.read_bytes())).guest


@pytest.fixture(params=["fake", "wasm"])
def guest(request: pytest.FixtureRequest) -> Guest:
    if request.param == "fake":
        return InProcessGuest(PROBE_ID, probe.Probe)
    probed: Guest = request.getfixturevalue("wasm_probe")
    return probed


class BrokenState:
    """A state whose storage fails."""

    def get(self, key: bytes, /) -> bytes | None:
        raise Unavailable("the disk is gone")

    def scan(self, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        raise Unavailable("the disk is gone")
        yield


def test_replies_with_what_it_computed(guest: Guest) -> None:
    outcome = call(guest, message(probe.output(b"hello")))
    assert outcome.result == Reply(b"hello")
    assert (outcome.writes, outcome.sends, outcome.answers, outcome.logs) == ((), (), (), ())


def test_a_command_replies_to_its_operator(guest: Guest) -> None:
    assert call(guest, Command(probe.output(b"ready"))).result == Reply(b"ready")


def test_an_empty_reply_is_a_reply(guest: Guest) -> None:
    assert call(guest, message(b"")).result == Reply(b"")


def test_writes_are_an_overlay_and_nothing_is_written(guest: Guest) -> None:
    before = state({b"a": b"1", b"b": b"2"})
    script = probe.write(b"c", b"3") + probe.delete(b"a") + probe.write(b"b", b"4")
    outcome = call(guest, message(script), before)
    assert outcome.writes == ((b"a", None), (b"b", b"4"), (b"c", b"3"))
    assert list(before.scan(b"", b"\xff")) == [(b"a", b"1"), (b"b", b"2")]


def test_a_call_sees_its_own_writes(guest: Guest) -> None:
    script = probe.write(b"k", b"v") + probe.get(b"k") + probe.delete(b"old") + probe.get(b"old") + probe.scan(b"", b"")
    outcome = call(guest, message(script), state({b"old": b"1", b"z": b"9"}))
    found = b"\1" + probe.framed(b"v") + b"\0" + probe.framed(b"k", b"v", b"z", b"9")
    assert outcome.result == Reply(found)


def test_a_scan_is_half_open_ascending_and_bounded(guest: Guest) -> None:
    pairs = {bytes((key,)): b"x" for key in (5, 1, 3, 9)}
    script = probe.scan(b"\x01", b"\x09", 2) + probe.output(b"|") + probe.scan(b"\x09", b"")
    expected = probe.framed(b"\x01", b"x", b"\x03", b"x") + b"|" + probe.framed(b"\x09", b"x")
    assert call(guest, message(script), state(pairs)).result == Reply(expected)


def test_a_scan_stops_at_its_byte_limit_but_always_moves_on(guest: Guest) -> None:
    pairs = {bytes((key,)): b"x" * 100 for key in range(5)}
    outcome = call(guest, message(probe.scan(b"", b"")), state(pairs), scan_bytes=205)
    assert outcome.result == Reply(probe.framed(*(part for pair in list(pairs.items())[:2] for part in pair)))
    one = call(guest, message(probe.scan(b"", b"")), state(pairs), scan_bytes=1)
    assert one.result == Reply(probe.framed(b"\x00", b"x" * 100))


def test_instances_are_fresh(guest: Guest) -> None:
    for _ in range(2):
        assert call(guest, message(probe.output(b"once"))).result == Reply(b"once")


def test_the_same_call_gives_the_same_outcome(guest: Guest) -> None:
    script = probe.public_random(8) + probe.secret_random(8) + probe.send("bob") + probe.write(b"k", b"v")
    assert call(guest, message(script)) == call(guest, message(script))


def test_sends_leave_with_the_outcome_under_their_reference(guest: Guest) -> None:
    outcome = call(guest, message(probe.send("bob", b"one") + probe.send("bob", b"two", "other@2.1", 86_400)))
    assert [(s.to, s.schema, s.body, s.timeout_s) for s in outcome.sends] == [
        ("bob", "probe@1.0", b"one", 60),
        ("bob", "other@2.1", b"two", 86_400),
    ]
    first, second = (send.ref for send in outcome.sends)
    assert outcome.result == Reply(b"\0" + probe.framed(first) + b"\0" + probe.framed(second))
    assert first != second
    assert len(first) == 32


def test_a_call_may_have_a_shorter_longest_timeout(guest: Guest) -> None:
    outcome = call(
        guest, message(probe.send("bob", timeout_s=3_601) + probe.send("bob", timeout_s=3_600)), longest_timeout_s=3_600
    )
    assert isinstance(outcome.result, Reply)
    assert outcome.result.body.startswith(b"\1" + probe.framed(b"bad-timeout") + b"\0")
    assert [send.timeout_s for send in outcome.sends] == [3_600]


def test_references_come_from_the_call(guest: Guest) -> None:
    first = call(guest, message(probe.send("bob"))).sends[0].ref
    assert call(guest, message(probe.send("bob"))).sends[0].ref == first
    assert call(guest, message(probe.send("bob")), call_id=b"\xcb" * 32).sends[0].ref != first


@pytest.mark.parametrize(
    ("sending", "word"),
    [
        (probe.send("eve"), b"unknown-peer"),
        (probe.send("bob", b"x" * 11), b"too-large"),
        (probe.send("bob", timeout_s=0), b"bad-timeout"),
        (probe.send("bob", timeout_s=86_401), b"bad-timeout"),
        (probe.send("bob", schema=""), b"bad-schema"),
        (probe.send("bob", schema="a b"), b"bad-schema"),
        (probe.send("bob", schema="probe"), b"bad-schema"),
        (probe.send("bob", schema="Probe@1.0"), b"bad-schema"),
        (probe.send("bob", schema="probe@0.1"), b"bad-schema"),
        (probe.send("bob", schema="probe@1.00"), b"bad-schema"),
        (probe.send("bob", schema="probe@65536.0"), b"bad-schema"),
        (probe.send("bob", schema="a@99999999999999999999999.1"), b"bad-schema"),
        (probe.send("bob", schema="a" * 65 + "@1.0"), b"bad-schema"),
        (probe.send("bob", schema="e\u0301@1.0"), b"bad-schema"),
        (probe.send("bob", schema="session/handshake@1.0"), b"bad-schema"),
    ],
)
def test_a_send_that_cannot_be_is_told_to_the_guest(guest: Guest, sending: bytes, word: bytes) -> None:
    outcome = call(guest, message(sending + probe.send("bob")), send_bytes=10)
    assert isinstance(outcome.result, Reply)
    assert outcome.result.body.startswith(b"\1" + probe.framed(word) + b"\0")
    assert len(outcome.sends) == 1


def test_defers_and_answers_later(guest: Guest) -> None:
    assert call(guest, message(probe.write(b"open", ID) + probe.defer())).result == Deferred()
    later = call(guest, Command(probe.answer(ID, b"late")), deferred=frozenset({ID}))
    assert later.answers == (LateAnswer(ID, Reply(b"late")),)
    assert later.result == Reply(b"\1")


def test_refuses_later(guest: Guest) -> None:
    later = call(guest, Command(probe.decline(ID, "no.stock", "sold out")), deferred=frozenset({ID}))
    assert later.answers == (LateAnswer(ID, Refusal("no.stock", "sold out")),)


def test_answers_only_what_is_open_and_only_once(guest: Guest) -> None:
    other = MessageRef(b"\x22" * 32)
    script = probe.answer(other, b"x") + probe.answer(ID, b"one") + probe.answer(ID, b"two")
    outcome = call(guest, Command(script + probe.decline(ID, "x")), deferred=frozenset({ID}))
    assert outcome.result == Reply(b"\0\1\0\0")
    assert outcome.answers == (LateAnswer(ID, Reply(b"one")),)


def test_a_message_cannot_be_answered_twice_over_by_its_own_call(guest: Guest) -> None:
    assert call(guest, message(probe.answer(ID, b"x"))).result == Reply(b"\0")


def test_a_command_cannot_be_deferred(guest: Guest) -> None:
    assert trapped(call(guest, Command(probe.defer()))) is TrapKind.BAD_RESULT


def test_notifications_reach_the_guest(guest: Guest) -> None:
    sent = MessageRef(b"\x33" * 32)
    assert call(guest, TimedOut(sent)).writes == ((b"timed-out", sent),)
    assert call(guest, RefusedByPeer(sent, "guest.refused")).writes == ((b"refused", b"guest.refused"),)
    acknowledged = call(guest, Acknowledged(sent, probe.write(b"k", b"v")))
    assert acknowledged.writes == ((b"k", b"v"),)
    assert acknowledged.result == Done()


def test_a_refusal_leaves_nothing_but_its_log(guest: Guest) -> None:
    script = probe.write(b"k", b"v") + probe.send("bob") + probe.log(1, "about to refuse")
    outcome = call(guest, message(script + probe.refuse("no.way", "because")), state_bytes=7)
    assert outcome.result == Refusal("no.way", "because")
    assert (outcome.writes, outcome.sends, outcome.answers) == ((), (), ())
    assert outcome.logs == (LogLine(1, "about to refuse"),)
    assert outcome.state_bytes == 7


def test_a_trap_leaves_nothing_but_its_log(guest: Guest) -> None:
    script = probe.write(b"k", b"v") + probe.send("bob") + probe.log(3, "ouch") + b"?"
    outcome = call(guest, message(script))
    assert trapped(outcome) is TrapKind.UNREACHABLE
    assert outcome.logs == (LogLine(3, "ouch"),)


def test_after_a_trap_the_next_call_is_clean(guest: Guest) -> None:
    trapped(call(guest, message(probe.write(b"k", b"v") + b"?")))
    assert call(guest, message(probe.get(b"k"))).result == Reply(b"\0")


@pytest.mark.parametrize("code", ["", "two words", "x" * 65, "tab\t", "ümlaut"])
def test_a_refusal_code_must_fit_a_ledger_record(guest: Guest, code: str) -> None:
    assert trapped(call(guest, message(probe.refuse(code)))) is TrapKind.BAD_RESULT
    late = call(guest, Command(probe.decline(ID, code)), deferred=frozenset({ID}))
    assert trapped(late) is TrapKind.BAD_CALL


def test_a_refusal_detail_is_cut_and_made_printable(guest: Guest) -> None:
    outcome = call(guest, message(probe.refuse("x", "a\x1b[2Jb\n" + "é" * 2_000)))
    assert isinstance(outcome.result, Refusal)
    assert outcome.result.detail.startswith("a [2Jb é")
    assert len(outcome.result.detail.encode()) <= 1_024


def test_time_is_the_ledgers(guest: Guest) -> None:
    assert call(guest, message(probe.time())).result == Reply(NOW.to_bytes(8, "little"))


def test_randomness_is_two_streams_drawn_from_their_seeds(guest: Guest) -> None:
    script = probe.public_random(32) + probe.secret_random(32) + probe.public_random(32)
    same_seed: dict[str, Any] = {"public_seed": PublicSeed(b"\x01" * 32), "secret_seed": SecretSeed(b"\x01" * 32)}
    outcome = call(guest, message(script), **same_seed)
    assert isinstance(outcome.result, Reply)
    drawn = [outcome.result.body[at + 4 : at + 36] for at in (0, 36, 72)]
    assert len(set(drawn)) == 3
    expected = hashlib.shake_256(b"lockgate guest public-random v1" + b"\x01" * 32 + (1).to_bytes(8, "big"))
    assert drawn[0] == expected.digest(32)
    first_secret = call(guest, message(probe.secret_random(32)), **same_seed).result
    assert first_secret != call(guest, message(probe.public_random(32)), **same_seed).result
    other = call(guest, message(script), **(same_seed | {"secret_seed": SecretSeed(b"\x02" * 32)}))
    assert isinstance(other.result, Reply)
    assert other.result.body[:36] == outcome.result.body[:36]
    assert other.result.body[36:72] != outcome.result.body[36:72]


def test_logs_are_bounded_and_printable(guest: Guest) -> None:
    script = probe.log(0, "one\x1b[31m") + probe.log(200, "two") + probe.log(1, "three") + probe.log(1, "x" * 50)
    outcome = call(guest, message(script), logs=3, log_bytes=40)
    assert outcome.logs == (LogLine(0, "one [31m"), LogLine(3, "two"), LogLine(1, "three"))
    assert outcome.logs_dropped == 1
    assert call(guest, message(script), log_bytes=12).logs_dropped == 2


@pytest.mark.parametrize(
    ("script", "limits", "kind"),
    [
        (probe.output(b"x" * 11), {"reply_bytes": 10}, TrapKind.OUTPUT_TOO_LARGE),
        (probe.answer(ID, b"x" * 11), {"reply_bytes": 10}, TrapKind.OUTPUT_TOO_LARGE),
        (probe.send("bob") * 3, {"sends": 2}, TrapKind.TOO_MANY_SENDS),
        (probe.write(b"k", b"v" * 11), {"value_bytes": 10}, TrapKind.STATE_TOO_LARGE),
        (probe.write(b"a", b"1") + probe.write(b"b", b"2"), {"writes": 1}, TrapKind.STATE_TOO_LARGE),
        (probe.write(b"k", b"v" * 10), {"state_quota": 10}, TrapKind.STATE_TOO_LARGE),
        (probe.write(b"k", b"v"), {"state_quota": 10, "state_bytes": 9}, TrapKind.STATE_TOO_LARGE),
        (probe.write(b"k" * 11, b"v"), {"key_bytes": 10}, TrapKind.BAD_CALL),
        (probe.write(b"", b"v"), {}, TrapKind.BAD_CALL),
        (probe.write(b"k", b""), {}, TrapKind.BAD_CALL),
        (probe.get(b""), {}, TrapKind.BAD_CALL),
        (probe.delete(b""), {}, TrapKind.BAD_CALL),
        (probe.public_random(11), {"random_bytes": 10}, TrapKind.BAD_CALL),
        (probe.secret_random(11), {"random_bytes": 10}, TrapKind.BAD_CALL),
    ],
)
def test_limits_stop_the_guest(guest: Guest, script: bytes, limits: dict[str, Any], kind: TrapKind) -> None:
    assert trapped(call(guest, Command(script), deferred=frozenset({ID}), **limits)) is kind


@pytest.mark.parametrize(
    ("script", "limits"),
    [
        (probe.output(b"x" * 10), {"reply_bytes": 10}),
        (probe.send("bob", b"x" * 10) * 2, {"sends": 2, "send_bytes": 10}),
        (probe.write(b"k", b"v" * 10), {"value_bytes": 10, "state_quota": 11}),
        (probe.write(b"k", b"1") + probe.write(b"k", b"2"), {"writes": 1}),
        (probe.write(b"k" * 10, b"v"), {"key_bytes": 10}),
        (probe.secret_random(10), {"random_bytes": 10}),
    ],
)
def test_limits_are_exact(guest: Guest, script: bytes, limits: dict[str, Any]) -> None:
    assert isinstance(call(guest, message(script), **limits).result, Reply)


def test_too_many_answers_stop_the_guest(guest: Guest) -> None:
    ids = [MessageRef(bytes((n,)) * 32) for n in range(3)]
    script = b"".join(probe.answer(id_, b"x") for id_ in ids)
    outcome = call(guest, Command(script), deferred=frozenset(ids), answers=2)
    assert trapped(outcome) is TrapKind.TOO_MANY_ANSWERS


def test_the_size_of_the_state_is_kept(guest: Guest) -> None:
    script = probe.write(b"a", b"12345") + probe.write(b"new", b"1") + probe.delete(b"b")
    outcome = call(guest, message(script), state({b"a": b"1", b"b": b"22"}), state_bytes=5)
    assert outcome.state_bytes == 5 + 4 + 4 - 3


def test_a_state_over_its_quota_may_shrink(guest: Guest) -> None:
    outcome = call(guest, message(probe.delete(b"a")), state({b"a": b"1"}), state_bytes=20, state_quota=10)
    assert outcome.writes == ((b"a", None),)


def test_what_the_state_raises_is_the_callers(guest: Guest) -> None:
    for script in (probe.get(b"k"), probe.write(b"k", b"v"), probe.scan(b"", b"")):
        with pytest.raises(Unavailable):
            call(guest, message(script), BrokenState())
    assert call(guest, message(probe.output(b"fine")), BrokenState()).result == Reply(b"fine")


def test_the_secret_seed_is_not_shown() -> None:
    assert "secret" not in repr(ENV)


@pytest.mark.parametrize("field", ["call_id", "public_seed", "secret_seed"])
def test_seeds_are_32_bytes(field: str) -> None:
    spoiled: dict[str, Any] = {field: b"short"}
    with pytest.raises(BadGuestCall):
        dataclasses.replace(ENV, **spoiled)


@pytest.mark.parametrize("value", [0, -1, 1 << 62])
def test_limits_are_positive(value: int) -> None:
    with pytest.raises(BadGuestCall):
        GuestLimits(fuel=value)


def test_ledger_time_is_in_range() -> None:
    with pytest.raises(BadGuestCall):
        env(ledger_time=-1)
