"""A link without I/O: who meets, what a man in the middle gets, and how records, keys and ends hold together."""

from __future__ import annotations

import dataclasses

import pytest

from lockgate.primitives.errors import LockgateError
from lockgate.session.edhoc.errors import HandshakeFailed, PeerRefused, WrongSuite
from lockgate.session.link import Presented
from lockgate.session.link.errors import (
    FrameRefused,
    LinkBroken,
    LinkBusy,
    LinkOver,
)
from lockgate.session.link.frames import MAX_FIRST, Kind, header
from tests.support.links import SECOND, Pair, frames, party, refused, sides, signer_of

HOUR = 3_600 * SECOND


# Meeting.


def test_P19_both_sides_are_known_and_judged_before_a_byte_is_sent() -> None:
    pair = Pair(evidence=b"quote")
    assert [len(frame) - 4 for frame in frames(b"".join(pair.alice.take()))] == [1222]
    pair = Pair(evidence=b"quote").open()
    assert [(one.sides.peer.endpoint.rstrip(), one.claims.fence) for one in pair.judged] == [
        (b"alice", 3),
        (b"bob", 5),
    ]
    assert pair.judged[1].claims.evidence == b"quote"
    assert pair.alice.peer.endpoint.rstrip() == b"bob"
    assert pair.bob.peer.endpoint.rstrip() == b"alice"
    assert pair.alice.name == pair.bob.name
    assert pair.alice.name != Pair().open().alice.name


def test_P19_nothing_is_sent_or_taken_before_message_4_and_its_judgement() -> None:
    pair = Pair()
    with pytest.raises(LinkOver):
        pair.alice.send(b"early", 0)
    pair.feed(pair.bob, b"".join(pair.alice.take()))
    pair.feed(pair.alice, b"".join(pair.bob.take()))
    with pytest.raises(LinkOver):
        pair.alice.send(b"early", 0)
    pair.feed(pair.bob, b"".join(pair.alice.take()))
    fourth = b"".join(pair.bob.take())
    assert pair.alice.receive(fourth[:4], 0) is None
    assert isinstance(pair.alice.receive(fourth[4:], 0), Presented)
    with pytest.raises(LinkOver):
        pair.alice.send(b"early", 0)
    with pytest.raises(LinkOver):
        pair.alice.receive(b"\x02\x00\x00\x11", 0)
    pair.alice.accept(None, 0)
    pair.alice.send(b"now", 0)


def test_P19_a_record_in_place_of_message_3_is_refused() -> None:
    pair = Pair()
    pair.feed(pair.bob, b"".join(pair.alice.take()))
    refused(FrameRefused, pair.bob, header(Kind.DATA, 100) + bytes(100), pair)


@pytest.mark.parametrize("at", [0, 1, 2, 3])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.999])
def test_P19_one_altered_byte_of_any_message_ends_the_meeting(at: int, place: float) -> None:
    pair = Pair()
    ends = (pair.alice, pair.bob)
    for number in range(at):
        pair.feed(ends[1 - number % 2], b"".join(ends[number % 2].take()))
    data = bytearray(b"".join(ends[at % 2].take()))
    data[4 + int((len(data) - 5) * place)] ^= 1
    try:
        pair.feed(ends[1 - at % 2], bytes(data))
    except LockgateError:
        pass
    else:  # message_1 is in the clear: what was altered shows in message_2
        assert at == 0
        refused(HandshakeFailed, pair.alice, b"".join(pair.bob.take()), pair)
    told = [b"".join(pair.alice.take()), b"".join(pair.bob.take())]
    assert not pair.alice.open
    assert sum(map(len, told)) < 64, "an error message at most"


def test_P19_whatever_is_wrong_with_message_2_is_told_in_the_same_words() -> None:
    words = set()
    for spoil in range(40):
        pair = Pair()
        pair.feed(pair.bob, b"".join(pair.alice.take()))
        data = bytearray(b"".join(pair.bob.take()))
        data[8 + spoil * (len(data) - 9) // 40] ^= 0x55
        with pytest.raises(HandshakeFailed):
            pair.feed(pair.alice, bytes(data))
        words.add(b"".join(pair.alice.take()))
    assert len(words) == 1


def test_P5_who_is_not_in_the_table_is_not_met() -> None:
    """A stranger, and a peer whose key record was revoked or rotated away: neither stands in the table."""
    pair = Pair(table=[sides("bob", "carol"), sides("bob", "alice", record="second")])
    with pytest.raises(HandshakeFailed):
        pair.pump()
    assert not pair.bob.open
    with pytest.raises(PeerRefused):
        pair.back()


def test_P5_an_empty_table_meets_nobody() -> None:
    pair = Pair(table=[])
    with pytest.raises(HandshakeFailed):
        pair.pump()


def test_P5_keys_of_another_record_open_nothing_either_way() -> None:
    thief = signer_of("mallory")
    pair = Pair(caller=sides("alice", "bob", thief=thief))
    with pytest.raises(HandshakeFailed):
        pair.pump()
    pair = Pair(table=[sides("bob", "alice", thief=thief)])
    with pytest.raises(HandshakeFailed):
        pair.pump()
    assert not pair.alice.open


def test_P19_who_stole_the_callers_key_still_cannot_be_anybody_else_to_it() -> None:
    """Key-compromise impersonation: with alice's key mallory is alice to bob, and cannot be bob to alice."""
    stolen = signer_of("alice")
    pair = Pair(table=[sides("bob", "alice", thief=stolen)])
    with pytest.raises(HandshakeFailed):
        pair.pump()
    mirrored = dataclasses.replace(sides("alice", "bob"), own=party("alice"))
    pair = Pair(table=[mirrored])  # the thief answers as alice herself
    with pytest.raises(HandshakeFailed):
        pair.pump()


def test_P19_a_thief_who_holds_one_endpoints_key_cannot_sit_between_two_others() -> None:
    """Mallory holds carol's key and relays: alice calls bob, and what carol answers is not bob."""
    pair = Pair(table=[sides("carol", "alice")])
    with pytest.raises(HandshakeFailed):
        pair.pump()
    assert not pair.alice.open


def test_P19_a_key_registered_twice_does_not_confuse_who_is_met() -> None:
    """Unknown key share: mallory registers alice's public keys under a name of her own, and relays."""
    alias = sides("bob", "mallory")
    twin = party("mallory", signer_of("alice"))
    pair = Pair(table=[dataclasses.replace(alias, peer=twin)])
    with pytest.raises(HandshakeFailed):
        pair.pump()


def test_P9_ends_that_mean_different_lanes_share_no_key() -> None:
    other = dataclasses.replace(sides("bob", "alice"), peer=party("alice", client="another-0"))
    pair = Pair(table=[other]).open()
    assert pair.alice.name != pair.bob.name
    pair.alice.send(b"hello", 0)
    refused(LinkBroken, pair.bob, b"".join(pair.alice.take()), pair)


def test_P19_a_link_back_to_its_own_caller_is_refused() -> None:
    pair = Pair()
    out = b"".join(pair.alice.take())
    refused(LockgateError, pair.alice, out, pair)


def test_a_busy_side_says_so_and_only_in_place_of_message_2_or_4() -> None:
    pair = Pair()
    pair.bob.busy()
    refused(LinkBusy, pair.alice, b"".join(pair.bob.take()), pair)
    pair = Pair()
    pair.feed(pair.bob, b"".join(pair.alice.take()))
    pair.feed(pair.alice, b"".join(pair.bob.take()))
    third = b"".join(pair.alice.take())
    assert pair.bob.receive(third[:4], 0) is None
    assert isinstance(pair.bob.receive(third[4:], 0), Presented)
    pair.bob.busy()
    refused(LinkBusy, pair.alice, b"".join(pair.bob.take()), pair)
    for silent in (Pair().alice, Pair().open().bob, failed().bob):
        silent.take()
        silent.busy()
        assert silent.take() == []
        assert not silent.open
    pair = Pair()
    refused(FrameRefused, pair.bob, header(Kind.BUSY, 0), pair)
    pair = Pair().open()
    refused(FrameRefused, pair.alice, header(Kind.BUSY, 0), pair)


def failed() -> Pair:
    pair = Pair()
    refused(FrameRefused, pair.bob, header(Kind.DATA, 1), pair)
    return pair


def test_P19_suites_that_are_not_shared_are_named_to_the_peer() -> None:
    pair = Pair()
    first = b"".join(pair.alice.take())[4:]
    assert first[:2] == b"\x00\x37", "method 0, suite -24"
    unknown = b"\x00\x38\x63" + first[2:]
    refused(WrongSuite, pair.bob, header(Kind.HANDSHAKE, len(unknown)) + unknown, pair)
    with pytest.raises(PeerRefused) as told:
        pair.back()
    assert told.value.fields["supported"] == (-24, -23)


def test_P19_a_weaker_suite_put_in_place_of_the_callers_choice_ends_the_meeting() -> None:
    pair = Pair()
    first = bytearray(b"".join(pair.alice.take()))
    first[5] = 0x36  # -23, which this side has as well
    pair.feed(pair.bob, bytes(first))
    refused(HandshakeFailed, pair.alice, b"".join(pair.bob.take()), pair)


@pytest.mark.parametrize("length", [MAX_FIRST + 1, 1 << 20, (1 << 24) - 1, 0])
def test_a_frame_of_a_stranger_that_is_too_long_is_refused_by_its_header(length: int) -> None:
    pair = Pair()
    refused(FrameRefused, pair.bob, header(Kind.HANDSHAKE, length), pair)
