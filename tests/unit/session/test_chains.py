"""Message keys: one each, in any order, and none that was erased (P8, P18)."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.codec import cbor
from lockgate.primitives.errors import Misuse
from lockgate.session import Direction, MessageKeys, Receiving, Sending
from lockgate.session.chain import direction_of, next_epoch, onward_of, session_of
from lockgate.session.edhoc.suites import SUITE_0
from lockgate.session.errors import EpochSpent, KeyGone, OtherStart, SessionDamaged, TooFarAhead
from lockgate.session.receiving import MAX_KEPT
from lockgate.session.sending import COUNTERS_AHEAD, MAX_MESSAGES, MAX_STARTS
from tests.support.edhoc import Pair

SECRET = bytes(range(32))
LINK = direction_of(SECRET, Direction.INITIATOR)
SALTS = [bytes([number]) * 32 for number in range(70)]


def ends(epoch: int = 0) -> tuple[Sending, Receiving]:
    return Sending(epoch, 0, LINK), Receiving(epoch, 0, LINK)


def sent(sending: Sending, count: int) -> tuple[list[MessageKeys], Sending]:
    keys = []
    for _ in range(count):
        assert sending.current is not None
        one, sending = sending.next(sending.current.counter)
        keys.append(one)
    return keys, sending


def every_secret(state: Sending | Receiving) -> set[bytes]:
    """All byte strings of 32 in a state, however deep."""
    found: set[bytes] = set()

    def walk(value: object) -> None:
        if isinstance(value, bytes):
            found.add(value)
        elif isinstance(value, dict):
            for one in value.values():
                walk(one)
        elif hasattr(type(value), "__slots__"):
            for name in type(value).__slots__:
                walk(getattr(value, name))

    walk(state)
    return found


def test_both_sides_of_a_handshake_have_one_session_and_crossed_directions() -> None:
    ours, theirs = Pair(SUITE_0).established()
    assert session_of(ours, b"lane") == session_of(theirs, b"lane")
    assert session_of(ours, b"lane") != session_of(ours, b"other lane")
    _, secret = session_of(ours, b"lane")
    assert direction_of(secret, Direction.INITIATOR) != direction_of(secret, Direction.RESPONDER)
    assert Direction.INITIATOR.other is Direction.RESPONDER


@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_keys_agree_in_any_order(rng: random.Random, count: int) -> None:
    sending, receiving = ends()
    arriving: list[MessageKeys] = []
    for start in sorted(rng.sample(range(MAX_STARTS), k=3)):
        keys, sending = sent(sending.started(start, SALTS[start]), count)
        arriving += keys
    assert len({one.message for one in arriving} | {one.reply for one in arriving}) == 6 * count
    rng.shuffle(arriving)
    for one in arriving:
        found, receiving = receiving.open(one.start, one.salt, one.counter)
        assert found == one
    assert receiving.kept == 3 * count


def test_a_key_stays_until_it_is_erased_and_is_gone_then() -> None:
    sending, receiving = ends()
    (one, two), _ = sent(sending.started(0, SALTS[0]), 2)
    for _ in range(2):  # a host that lost its work opens the message again
        found, receiving = receiving.open(0, one.salt, 0)
        assert found == one
    receiving = receiving.erase(0, 0).erase(0, 0)
    with pytest.raises(KeyGone):
        receiving.open(0, one.salt, 0)
    assert receiving.open(0, two.salt, 1)[0] == two


def test_no_state_after_the_end_gives_back_a_message_key() -> None:
    """The thief of both ends' whole state, after every message ended, finds no key nor any link before one."""
    sending, receiving = ends()
    secrets: set[bytes] = {SECRET, LINK}
    for start in (0, 3):
        sending = sending.started(start, SALTS[start])
        assert sending.current is not None
        secrets.add(sending.current.link)
        keys, sending = sent(sending, 5)
        for one in reversed(keys):
            found, receiving = receiving.open(one.start, one.salt, one.counter)
            secrets |= {found.message, found.reply}
        for one in keys:
            receiving = receiving.erase(one.start, one.counter)
    receiving = receiving.ended(3)
    assert receiving.kept == 0
    assert not secrets & every_secret(sending)
    assert not secrets & every_secret(receiving)
    assert not any(secret in state.to_bytes() for state in (sending, receiving) for secret in secrets)


def test_the_thief_of_a_state_opens_what_is_still_under_way_and_the_test_above_can_fail() -> None:
    sending, receiving = ends()
    keys, _ = sent(sending.started(0, SALTS[0]), 3)
    _, receiving = receiving.open(0, SALTS[0], 2)
    held = every_secret(receiving)
    assert {one.message for one in keys} <= held


def test_a_copy_of_a_sender_seals_with_other_keys() -> None:
    """Restored from a backup, it takes the same start with salt of its own; the receiver notices the second salt."""
    sending, receiving = ends()
    stored = sending.to_bytes()
    first = sending.started(0, SALTS[0]).next(0)[0]
    copy = Sending.from_bytes(stored).started(0, SALTS[1]).next(0)[0]
    assert first.message != copy.message
    _, receiving = receiving.open(0, first.salt, 0)
    with pytest.raises(OtherStart):
        receiving.open(0, copy.salt, 0)


def test_what_is_stored_of_a_sender_cannot_go_on_with_its_start() -> None:
    sending = ends()[0].started(5, SALTS[5])
    loaded = Sending.from_bytes(sending.to_bytes())
    assert loaded.current is None
    assert sending.current is not None
    assert sending.current.link not in sending.to_bytes()
    with pytest.raises(Misuse):
        loaded.next(0)
    with pytest.raises(Misuse):
        loaded.started(5, SALTS[6])
    assert loaded.started(6, SALTS[6]).next(0)[0] == sending.started(6, SALTS[6]).next(0)[0]


def test_counters_of_messages_to_others_are_left_out() -> None:
    sending, receiving = ends()
    sending = sending.started(0, SALTS[0])
    one, sending = sending.next(7)
    two, sending = sending.next(9)
    with pytest.raises(Misuse):
        sending.next(8)
    for keys in (two, one):
        found, receiving = receiving.open(0, SALTS[0], keys.counter)
        assert found == keys


def test_a_forged_header_moves_nothing() -> None:
    """Nothing is kept before a message has authenticated, so a wrong salt or counter costs derivations only."""
    sending, receiving = ends()
    one, _ = sending.started(0, SALTS[0]).next(0)
    receiving.open(0, SALTS[9], 1000)
    receiving.open(60, SALTS[9], 3)
    assert receiving.open(0, SALTS[0], 0)[0] == one


@pytest.mark.parametrize(
    ("start", "counter"), [(MAX_STARTS, 0), (-1, 0), (0, COUNTERS_AHEAD), (0, MAX_MESSAGES), (0, -1)]
)
def test_what_is_too_far_ahead_is_refused(start: int, counter: int) -> None:
    with pytest.raises(TooFarAhead):
        ends()[1].open(start, SALTS[0], counter)


def test_a_salt_of_another_length_is_refused() -> None:
    with pytest.raises(TooFarAhead):
        ends()[1].open(0, b"short", 0)
    with pytest.raises(Misuse):
        ends()[0].started(0, b"short")


def test_an_epoch_ends_by_starts_and_by_messages() -> None:
    sending, _ = ends()
    with pytest.raises(EpochSpent):
        sending.started(MAX_STARTS, SALTS[0])
    started = sending.started(0, SALTS[0])
    assert started.current is not None
    late = replace(started, current=replace(started.current, counter=MAX_MESSAGES))
    with pytest.raises(EpochSpent):
        late.next(MAX_MESSAGES)


def test_keys_behind_the_window_are_dropped() -> None:
    _, receiving = ends()
    for counter in range(0, 4 * COUNTERS_AHEAD, COUNTERS_AHEAD - 1):
        _, receiving = receiving.open(0, SALTS[0], counter)
    assert receiving.kept == MAX_KEPT
    with pytest.raises(KeyGone):
        receiving.open(0, SALTS[0], 0)


def test_starts_that_are_over_are_forgotten_seen_or_not() -> None:
    _, receiving = ends()
    _, receiving = receiving.open(1, SALTS[1], 0)
    _, receiving = receiving.open(3, SALTS[3], 0)
    receiving.open(2, SALTS[2], 0)  # not seen yet: its link is kept
    receiving = receiving.ended(3)
    for start in (0, 1, 2):
        with pytest.raises(KeyGone):
            receiving.open(start, SALTS[start], 0)
    receiving.open(3, SALTS[3], 0)


def test_a_new_epoch_needs_both_secrets() -> None:
    one = next_epoch(onward_of(SECRET), b"f" * 32)
    assert one != next_epoch(onward_of(SECRET), b"g" * 32)
    assert one != next_epoch(onward_of(bytes(32)), b"f" * 32)
    assert direction_of(one, Direction.INITIATOR) != LINK


def test_states_come_back_as_they_were() -> None:
    sending, receiving = ends(7)
    sending = sending.started(2, SALTS[2])
    _, receiving = receiving.open(2, SALTS[2], 3)
    _, receiving = receiving.open(4, SALTS[4], 0)
    assert Receiving.from_bytes(receiving.to_bytes()) == receiving
    assert Sending.from_bytes(sending.to_bytes()) == replace(sending, current=None)


@given(st.binary(max_size=200))
def test_damaged_states_are_named(data: bytes) -> None:
    for kind in (Sending, Receiving):
        with pytest.raises(SessionDamaged):
            kind.from_bytes(data)


@pytest.mark.parametrize(
    "value",
    [
        [0, 1, b"s" * 31, {}, {}],
        [0, 65, b"s" * 32, {}, {}],
        [-1, 1, b"s" * 32, {}, {}],
        [0, 1, b"s" * 32, {1: b"s" * 32}, {}],
        [0, 1, b"s" * 32, {0: b"s"}, {}],
        [0, 1, b"s" * 32, {0: b"s" * 32}, {0: [b"s" * 32, 0, b"l" * 32, {}]}],
        [0, 1, b"s" * 32, {}, {0: [b"s" * 32, 1, b"l" * 32, {1: b"k" * 32}]}],
        [0, 1, b"s" * 32, {}, {0: [b"s", 1, b"l" * 32, {}]}],
        [0, 1, b"s" * 32, {}, {0: [b"s" * 32, 1, b"l" * 32]}],
    ],
)
def test_a_receiving_end_that_cannot_be_is_refused(value: object) -> None:
    with pytest.raises(SessionDamaged):
        Receiving.from_bytes(cbor.encode(value))
