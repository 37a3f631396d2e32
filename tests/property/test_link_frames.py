"""Whatever bytes come to a link: it ends with an error that has a name, and takes no more memory than it said."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.keystore.software import OsEntropy
from lockgate.primitives.errors import PeerFault, Refused, Unavailable
from lockgate.session.link import Asked, Data, Link
from lockgate.session.link.errors import LinkOver
from lockgate.session.link.frames import HEADER_BYTES, MAX_CONTENT, MAX_FIRST
from tests.support.links import Pair

ENTROPY = OsEntropy()


def fed(link: Link, data: bytes, most: int) -> list[object]:
    """Events of these bytes; a link that waits for its caller is left there."""
    found: list[object] = []
    while link.wanted and len(data) >= link.wanted:
        assert link.wanted <= max(most, HEADER_BYTES)
        piece, data = data[: link.wanted], data[link.wanted :]
        try:
            event = link.receive(piece, 0)
        except (PeerFault, Refused, Unavailable):
            assert link.wanted == 0
            assert not link.open
            return found
        if event is not None:
            found.append(event)
    return found


@given(st.binary(max_size=6_000))
@settings(max_examples=200, deadline=None)
def test_a_stranger_gets_to_the_question_at_most(data: bytes) -> None:
    link = Link.answer(ENTROPY, 0)
    assert [type(event) for event in fed(link, data, MAX_FIRST)] in ([], [Asked])


@given(st.binary(min_size=4, max_size=300), st.integers(0, 400))
@settings(max_examples=80, deadline=None)
def test_bytes_put_into_an_open_link_give_the_application_nothing(data: bytes, at: int) -> None:
    """Before, within or behind honest records: what was whole before counts, nothing after it."""
    pair = Pair().open()
    for number in range(8):
        pair.alice.send(b"%d" % number * 20, 0)
    honest = b"".join(pair.alice.take())
    at = min(at, len(honest))
    if honest[at : at + len(data)] == data:
        return
    got = fed(pair.bob, honest[:at] + data + honest[at:], MAX_CONTENT + 16)
    whole = [Data(b"%d" % number * 20) for number in range(8)]
    assert got == whole[: len(got)]
    assert len(got) <= at // 40


def test_an_aborted_link_takes_nothing() -> None:
    link = Pair().open().alice
    link.abort()
    with pytest.raises(LinkOver):
        link.receive(b"\x02\x00\x00\x11", 0)
