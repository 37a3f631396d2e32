"""Records of a link: their order, their keys, a fresh handshake in their midst, and their end."""

from __future__ import annotations

import dataclasses

import pytest

from lockgate.crypto.errors import OpenFailed
from lockgate.keystore.software import OsEntropy
from lockgate.session.chain import Direction, direction_of, link_of, next_epoch
from lockgate.session.edhoc import Established
from lockgate.session.edhoc.errors import HandshakeFailed, PeerRefused
from lockgate.session.link import Closed, Data, Healed, Link, LinkLimits
from lockgate.session.link import state as link_state
from lockgate.session.link.errors import (
    FrameRefused,
    LinkBroken,
    LinkOver,
    LinkStale,
    LinkTruncated,
    OtherPeer,
)
from lockgate.session.link.frames import MAX_CONTENT, MAX_FIRST, Kind, header
from lockgate.session.link.records import MAX_RECORDS, RecordKeys
from lockgate.session.link.state import LEAST_HEAL_NS
from tests.support.links import SECOND, Pair, claims, frames, refused, sides

HOUR = 3_600 * SECOND


def test_records_go_both_ways_in_order() -> None:
    pair = Pair().open()
    for number in range(5):
        pair.alice.send(b"to bob %d" % number, 0)
        pair.bob.send(b"to alice %d" % number, 0)
    pair.pump()
    pair.back()
    assert pair.seen["bob"] == [Data(b"to bob %d" % number) for number in range(5)]
    assert pair.seen["alice"] == [Data(b"to alice %d" % number) for number in range(5)]


def spoilt(written: list[bytes]) -> dict[str, bytes]:
    first, second, third = written
    flipped = bytearray(second)
    flipped[-1] ^= 1
    kind = bytes((Kind.HANDSHAKE,)) + second[1:]
    return {
        "altered": first + bytes(flipped) + third,
        "another kind": first + kind + third,
        "dropped": first + third,
        "repeated": first + first + second,
        "reordered": second + first + third,
        "shortened": first + second[:1] + (len(second) - 5).to_bytes(3) + second[4:-1] + third,
    }


@pytest.mark.parametrize("how", ["altered", "another kind", "dropped", "repeated", "reordered", "shortened"])
def test_P18_whatever_happens_to_a_record_ends_the_link_in_the_same_way(how: str) -> None:
    pair = Pair().open()
    for word in (b"one", b"two", b"three"):
        pair.alice.send(word, 0)
    refused(LinkBroken, pair.bob, spoilt(frames(b"".join(pair.alice.take())))[how], pair)
    assert pair.bob.take() == [], "nothing is told"


def test_P18_what_a_side_sent_is_nothing_when_it_comes_back() -> None:
    pair = Pair().open()
    pair.alice.send(b"hello", 0)
    refused(LinkBroken, pair.alice, b"".join(pair.alice.take()), pair)


def test_P18_records_of_one_link_are_nothing_on_another() -> None:
    one, two = Pair().open(), Pair().open()
    one.alice.send(b"hello", 0)
    refused(LinkBroken, two.bob, b"".join(one.alice.take()), two)


@pytest.mark.parametrize("kind", [Kind.DATA, Kind.HANDSHAKE, Kind.UPDATE, Kind.SWITCH, Kind.CLOSE, 9])
def test_an_oversize_frame_is_refused_by_its_header(kind: int) -> None:
    pair = Pair().open()
    data = bytes((kind,)) + (MAX_CONTENT + 17).to_bytes(3)
    with pytest.raises(FrameRefused):
        pair.bob.receive(data, 0)
    assert pair.bob.wanted == 0


def test_the_longest_record_passes_and_a_longer_one_is_not_made() -> None:
    pair = Pair().open()
    pair.alice.send(bytes(MAX_CONTENT), 0)
    pair.pump()
    assert pair.seen["bob"] == [Data(bytes(MAX_CONTENT))]
    for size in (0, MAX_CONTENT + 1):
        with pytest.raises(LinkOver):
            pair.alice.send(bytes(size), 0)


# Ends.


def test_an_orderly_end_is_told_from_a_truncated_stream() -> None:
    pair = Pair().open()
    pair.alice.send(b"all of it", 0)
    pair.alice.close(0)
    pair.pump()
    assert pair.seen["bob"] == [Data(b"all of it"), Closed()]
    pair.bob.ended()
    pair = Pair().open()
    pair.alice.send(b"all of it", 0)
    pair.pump()
    with pytest.raises(LinkTruncated):
        pair.bob.ended()


def test_after_a_close_the_other_direction_goes_on() -> None:
    pair = Pair().open()
    pair.alice.close(0)
    pair.pump()
    pair.bob.send(b"the answer", 0)
    pair.bob.close(0)
    pair.back()
    assert pair.seen["alice"] == [Data(b"the answer"), Closed()]
    with pytest.raises(LinkOver):
        pair.alice.send(b"more", 0)
    pair.alice.ended()
    pair.bob.ended()


def test_a_close_cannot_be_made_up() -> None:
    pair = Pair().open()
    refused(LinkBroken, pair.bob, header(Kind.CLOSE, 16) + bytes(16), pair)


def test_a_stream_that_ends_within_a_meeting_is_truncated() -> None:
    pair = Pair()
    with pytest.raises(LinkTruncated):
        pair.bob.ended()


# Keys.

SMALL = LinkLimits(records=3, size=1_000, age_ns=60 * SECOND)


def kinds(written: bytes) -> list[int]:
    return [frame[0] for frame in frames(written)]


def test_P18_keys_are_updated_by_count_bytes_and_time() -> None:
    pair = Pair(limits=SMALL).open()
    for _ in range(7):
        pair.alice.send(b"x", 0)
    out = b"".join(pair.alice.take())
    assert kinds(out) == [2, 2, 2, 3, 2, 2, 2, 3, 2]
    pair.feed(pair.bob, out)
    pair.alice.send(bytes(1_000), 0)
    pair.alice.send(b"x", 0)
    out = b"".join(pair.alice.take())
    assert kinds(out) == [2, 3, 2]
    pair.feed(pair.bob, out)
    pair.at = 61 * SECOND
    assert not pair.alice.tick(pair.at)
    out = b"".join(pair.alice.take())
    assert kinds(out) == [3]
    assert not pair.alice.tick(2 * pair.at)
    assert pair.alice.take() == [], "a key that sealed nothing stays"
    pair.feed(pair.bob, out)
    pair.alice.send(b"the last", pair.at)
    assert pair.feed(pair.bob, b"".join(pair.alice.take())) == [Data(b"the last")]


def test_P18_an_update_that_is_dropped_or_made_idle_ends_the_link() -> None:
    pair = Pair(limits=SMALL).open()
    for _ in range(4):
        pair.alice.send(b"x", 0)
    out = frames(b"".join(pair.alice.take()))
    refused(LinkBroken, pair.bob, b"".join(one for one in out if one[0] != Kind.UPDATE), pair)
    pair = Pair().open()
    pair.alice._emit(Kind.UPDATE, b"")
    refused(FrameRefused, pair.bob, b"".join(pair.alice.take()), pair)


def test_P18_no_nonce_serves_twice_under_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from lockgate.crypto.aead import KeyedAead
    from lockgate.session.link import records

    used: list[tuple[bytes, bytes]] = []
    keys: dict[int, bytes] = {}
    derive, seal = records.record_key_of, KeyedAead.seal
    held = []

    def derived(link: bytes, key_bytes: int, nonce_bytes: int) -> tuple[bytes, bytes]:
        made = derive(link, key_bytes, nonce_bytes)
        keys[len(keys)] = made[0]
        return made

    def sealed(self: KeyedAead, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        held.append(self)
        used.append((repr(id(self)).encode(), nonce))
        return seal(self, nonce, plaintext, aad)

    pair = Pair(limits=dataclasses.replace(SMALL, heal_ns=LEAST_HEAL_NS)).open()
    monkeypatch.setattr(records, "record_key_of", derived)
    monkeypatch.setattr(KeyedAead, "seal", sealed)
    for number in range(20):
        pair.at += SECOND
        for link in (pair.alice, pair.bob):
            link.send(b"x", pair.at)
        if pair.alice.tick(pair.at):
            pair.alice.heal(sides("alice", "bob"), claims(3), pair.at)
        pair.pump()
        pair.back()
        assert number < 10 or pair.alice.epoch >= 1
    assert len(set(used)) == len(used)
    assert len(set(keys.values())) * 2 == len(keys), "each key is derived once at each end"


def test_a_fresh_handshake_heals_both_directions_while_data_goes_on() -> None:
    pair = Pair().open()
    before = pair.alice.name
    pair.at = HOUR
    assert not pair.bob.tick(pair.at), "who answered does not begin one"
    assert pair.alice.tick(pair.at)
    pair.alice.heal(sides("alice", "bob"), claims(4), pair.at)
    assert not pair.alice.tick(pair.at), "one at a time"
    pair.alice.send(b"meanwhile", pair.at)
    pair.bob.send(b"as well", pair.at)
    pair.pump()
    pair.back()
    assert pair.seen == {"bob": [Data(b"meanwhile"), Healed(1)], "alice": [Data(b"as well"), Healed(1)]}
    assert [one.claims.fence for one in pair.judged] == [3, 5, 4, 5]
    assert pair.alice.name == pair.bob.name != before
    pair.at = 5 * HOUR // 2  # past the age of the epoch before
    pair.alice.send(b"healed", pair.at)
    pair.bob.send(b"healed", pair.at)
    pair.pump()
    pair.back()
    assert pair.seen["bob"][-1] == pair.seen["alice"][-1] == Data(b"healed")


def test_P18_an_epoch_comes_of_the_one_before_and_of_the_fresh_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who learned the fresh exchange's secret alone, and not what led there, opens nothing either."""
    exported: list[bytes] = []

    def remembered(done: Established, context: bytes) -> tuple[bytes, bytes]:
        name, secret = link_of(done, context)
        exported.append(secret)
        return name, secret

    pair = Pair().open()
    onward, sending = pair.alice._onward, pair.alice._sending
    assert sending is not None
    pair.at = HOUR
    monkeypatch.setattr(link_state, "link_of", remembered)
    pair.alice.heal(sides("alice", "bob"), claims(), pair.at)
    pair.pump()
    pair.alice.send(b"healed", pair.at)
    frame = b"".join(pair.alice.take())
    assert exported[0] == exported[1]

    def opened(secret: bytes) -> bytes:
        keys = RecordKeys(sending._aead, direction_of(secret, Direction.INITIATOR), LinkLimits(), 0)
        return keys.open(frame[:4], frame[4:])

    assert opened(next_epoch(onward, exported[0])) == b"healed"
    with pytest.raises(OpenFailed):
        opened(exported[0])


def test_P18_whoever_knew_all_keys_before_a_fresh_handshake_opens_nothing_after_it() -> None:
    """The old epoch's secret, onward link and records lead nowhere without the fresh exchange's secret."""
    pair = Pair().open()
    onward = pair.alice._onward
    pair.at = HOUR
    pair.alice.heal(sides("alice", "bob"), claims(), pair.at)
    pair.pump()
    pair.back()
    pair.alice.send(b"healed", pair.at)
    frame = b"".join(pair.alice.take())
    aead = pair.alice._sending._aead  # type: ignore[union-attr]
    for guess in (onward, next_epoch(onward, bytes(32)), next_epoch(onward, onward)):
        with pytest.raises(OpenFailed):
            RecordKeys(aead, direction_of(guess, Direction.INITIATOR), LinkLimits(), 0).open(frame[:4], frame[4:])
    assert pair.feed(pair.bob, frame) == [Data(b"healed")]


def test_P18_a_link_without_a_fresh_handshake_ends() -> None:
    pair = Pair().open()
    pair.alice.send(b"late", HOUR)
    data = b"".join(pair.alice.take())
    pair.at = 2 * HOUR
    refused(LinkStale, pair.bob, data, pair)
    with pytest.raises(LinkStale):
        pair.alice.send(b"late", 2 * HOUR)


def test_P18_a_peer_that_never_switches_is_not_healed_and_ends() -> None:
    """Who called takes message_4 and keeps sealing under the old key: its epoch's age goes on."""
    pair = Pair().open()
    pair.at = HOUR
    old = pair.alice._sending
    pair.alice.heal(sides("alice", "bob"), claims(), pair.at)
    while out := b"".join(one for one in frames(b"".join(pair.alice.take())) if one[0] != Kind.SWITCH):
        pair.feed(pair.bob, out)
        pair.back()
    assert old is not None
    head = header(Kind.DATA, 17)
    old.records -= 1  # the SWITCH never happened
    data = head + old.seal(head, b"x")
    pair.at = 2 * HOUR
    refused(LinkStale, pair.bob, data, pair)


def test_fresh_handshakes_in_a_row_and_from_the_wrong_side_are_refused() -> None:
    pair = Pair().open()
    pair.alice.heal(sides("alice", "bob"), claims(), 0)
    refused(FrameRefused, pair.bob, b"".join(pair.alice.take()), pair)
    pair = Pair().open()
    with pytest.raises(LinkOver):
        pair.bob.heal(sides("bob", "alice"), claims(), 0)
    pair.bob._emit(Kind.HANDSHAKE, b"x")
    refused(FrameRefused, pair.alice, b"".join(pair.bob.take()), pair)
    pair = Pair().open()
    pair.alice._emit(Kind.SWITCH, b"")
    refused(FrameRefused, pair.bob, b"".join(pair.alice.take()), pair)


def test_records_without_content_and_long_messages_inside_a_link_are_refused() -> None:
    pair = Pair().open()
    pair.alice._emit(Kind.DATA, b"")
    refused(FrameRefused, pair.bob, b"".join(pair.alice.take()), pair)
    pair = Pair().open()
    pair.at = HOUR
    pair.alice._emit(Kind.HANDSHAKE, bytes(MAX_FIRST + 1))
    refused(FrameRefused, pair.bob, b"".join(pair.alice.take()), pair)


def test_P5_a_fresh_handshake_is_with_the_same_endpoint() -> None:
    pair = Pair().open()
    with pytest.raises(OtherPeer):
        pair.alice.heal(sides("alice", "carol"), claims(), HOUR)
    pair = Pair().open()
    pair.at = HOUR
    pair.alice.heal(sides("carol", "bob"), claims(), HOUR)  # with carol's own keys, whom bob knows as well
    pair.table = [sides("bob", "carol")]
    with pytest.raises(HandshakeFailed):
        pair.pump()


def test_P5_a_peer_that_was_revoked_meanwhile_fails_its_fresh_handshake() -> None:
    pair = Pair().open()
    pair.at = HOUR
    pair.alice.heal(sides("alice", "bob"), claims(), HOUR)
    pair.table = [sides("bob", "carol")]
    with pytest.raises(HandshakeFailed):
        pair.pump()
    with pytest.raises(PeerRefused):
        pair.back()
    assert not pair.alice.open


def test_P18_a_key_that_served_too_long_whatever_the_peers_limits_say() -> None:
    pair = Pair(limits=LinkLimits(records=1 << 30)).open()
    assert pair.bob._receiving is not None
    pair.bob._receiving.records = MAX_RECORDS
    pair.alice.send(b"x", 0)
    refused(LinkStale, pair.bob, b"".join(pair.alice.take()), pair)


def test_secrets_do_not_show() -> None:
    pair = Pair().open()
    for shown in (repr(pair.alice), repr(pair.alice._sending), repr(pair.judged[0])):
        assert "secret" not in shown
        assert pair.alice._onward.hex() not in shown
    entropy = OsEntropy()
    assert "_" not in repr(Link.answer(entropy, 0))
