"""Batches stay inside a ledger's limits."""

from __future__ import annotations

from lockgate.codec import type_urls as urls
from lockgate.courier.batches import BATCH_MOST, PROOF_ROOM, Limits, fitting
from lockgate.courier.plan import Track
from lockgate.primitives.ids import Height, Sequence
from lockgate.primitives.time import UnixSeconds


def tracks(count: int, size: int = 500) -> list[Track]:
    return [
        Track(sequence=Sequence(n), timeout=UnixSeconds(9), packet=bytes(size), sent_height=Height(1, 1))
        for n in range(1, count + 1)
    ]


def test_a_batch_is_bounded_by_messages() -> None:
    assert len(fitting(tracks(900), urls.MSG_RECV_PACKET, Limits(bytes=1 << 30, gas=1 << 40))) == BATCH_MOST
    assert len(fitting(tracks(900), urls.MSG_RECV_PACKET, Limits(messages=12))) == 10, "two stay free for updates"


def test_a_batch_is_bounded_by_bytes() -> None:
    limits = Limits(bytes=100_000)
    small, large = (len(fitting(tracks(900, size), urls.MSG_RECV_PACKET, limits)) for size in (500, 20_000))
    assert small * (500 + PROOF_ROOM) <= 100_000
    assert large * (20_000 + PROOF_ROOM) <= 100_000
    assert small > large > 0


def test_a_batch_is_bounded_by_gas() -> None:
    few = fitting(tracks(900), urls.MSG_RECV_PACKET, Limits(gas=400_000))
    assert 0 < len(few) < 16
    assert few == tuple(tracks(900)[: len(few)]), "the beginning, in order"


def test_a_packet_that_fits_nowhere_still_goes_alone() -> None:
    assert len(fitting(tracks(2, 900_000), urls.MSG_RECV_PACKET, Limits())) == 1
