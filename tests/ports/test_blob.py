"""`BlobOffer` and `BlobSource`: one suite, run in memory, over a Unix socket, over TCP and in a shared folder (I8)."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.errors import BlobGone, ChannelBroken, ChannelDown
from tests.support.blobs import BLOB, KINDS, Channel, channel, fetched, sealed

OTHER = BlobId(b"\x08" * 32)
Test = Callable[[Channel], Awaitable[None]]
Run = Callable[[Test], None]


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    def within(test: Test) -> None:
        async def work() -> None:
            async with channel(request.param, tmp_path) as made:
                await test(made)

        asyncio.run(work())

    return within


def test_what_is_put_is_fetched_chunk_by_chunk(run: Run) -> None:
    frames, descriptor = sealed()

    async def test(made: Channel) -> None:
        assert made.offer.put(BLOB, frames) == descriptor.layout.total == sum(map(len, frames))
        assert await fetched(made.source, descriptor.layout, 0, len(frames)) == frames

    run(test)


@pytest.mark.parametrize(("first", "end"), [(0, 1), (2, 5), (6, 7), (3, 3), (7, 7)])
def test_any_run_of_chunks_is_fetched(run: Run, first: int, end: int) -> None:
    frames, descriptor = sealed()

    async def test(made: Channel) -> None:
        made.offer.put(BLOB, frames)
        assert await fetched(made.source, descriptor.layout, first, end) == frames[first:end]

    run(test)


@pytest.mark.parametrize("body", [b"", b"x"])
def test_a_body_of_one_chunk(run: Run, body: bytes) -> None:
    frames, descriptor = sealed(body)

    async def test(made: Channel) -> None:
        made.offer.put(BLOB, frames)
        assert await fetched(made.source, descriptor.layout, 0, 1) == frames

    run(test)


def test_a_fetch_may_be_left_in_the_middle(run: Run) -> None:
    frames, descriptor = sealed()

    async def test(made: Channel) -> None:
        made.offer.put(BLOB, frames)
        chunks = made.source.fetch(BLOB, descriptor.layout, 0, len(frames))
        assert bytes(await anext(chunks)) == frames[0]
        await chunks.aclose()
        assert await fetched(made.source, descriptor.layout, 1, len(frames)) == frames[1:]

    run(test)


def test_many_fetches_at_once(run: Run) -> None:
    frames, descriptor = sealed()

    async def test(made: Channel) -> None:
        made.offer.put(BLOB, frames)
        found = await asyncio.gather(*(fetched(made.source, descriptor.layout, n, 7) for n in range(7)))
        assert found == [frames[n:] for n in range(7)]

    run(test)


def test_an_unknown_locator_gets_nothing(run: Run) -> None:
    frames, descriptor = sealed()

    async def test(made: Channel) -> None:
        made.offer.put(BLOB, frames)
        with pytest.raises((BlobGone, ChannelDown)):
            await fetched(made.source, descriptor.layout, 0, 1, OTHER)

    run(test)


def test_what_was_withdrawn_is_gone_and_withdrawing_again_is_nothing(run: Run) -> None:
    frames, descriptor = sealed()

    async def test(made: Channel) -> None:
        made.offer.put(BLOB, frames)
        made.offer.put(OTHER, frames)
        made.offer.withdraw(BLOB)
        made.offer.withdraw(BLOB)
        with pytest.raises((BlobGone, ChannelDown)):
            await fetched(made.source, descriptor.layout, 0, 1)
        assert await fetched(made.source, descriptor.layout, 0, 7, OTHER) == frames

    run(test)


def test_only_named_blobs_are_kept(run: Run) -> None:
    frames, descriptor = sealed()

    async def test(made: Channel) -> None:
        made.offer.put(BLOB, frames)
        made.offer.put(OTHER, frames)
        made.offer.keep_only([OTHER, BlobId(bytes(32))])
        with pytest.raises((BlobGone, ChannelDown)):
            await fetched(made.source, descriptor.layout, 0, 1)
        assert await fetched(made.source, descriptor.layout, 0, 1, OTHER) == frames[:1]

    run(test)


def test_a_blob_that_fails_on_the_way_in_is_not_there(run: Run) -> None:
    frames, descriptor = sealed()

    def failing() -> Iterator[bytes]:
        yield frames[0]
        raise ValueError("the file cannot be read on")

    async def test(made: Channel) -> None:
        with pytest.raises(ValueError, match="read on"):
            made.offer.put(BLOB, failing())
        with pytest.raises((BlobGone, ChannelDown)):
            await fetched(made.source, descriptor.layout, 0, 1)

    run(test)


def test_a_blob_shorter_than_its_layout_is_refused(run: Run) -> None:
    frames, descriptor = sealed()

    async def test(made: Channel) -> None:
        made.offer.put(BLOB, frames[:-1])
        with pytest.raises((BlobGone, ChannelDown)):
            await fetched(made.source, descriptor.layout, 0, 7)

    run(test)


def test_no_more_is_taken_than_the_layout_says(run: Run) -> None:
    """A blob may be longer: either it is refused, or what lies past the layout is never read."""
    frames, descriptor = sealed()

    async def test(made: Channel) -> None:
        made.offer.put(BLOB, [*frames, b"more" * 10_000])
        try:
            assert await fetched(made.source, descriptor.layout, 0, 7) == frames
        except ChannelBroken:
            return

    run(test)


def test_a_lying_layout_cannot_make_a_source_hold_more_than_a_chunk(run: Run) -> None:
    frames, descriptor = sealed()
    lie = dataclasses.replace(descriptor.layout, count=1 << 24)

    async def test(made: Channel) -> None:
        made.offer.put(BLOB, frames)
        with pytest.raises((BlobGone, ChannelDown)):
            await fetched(made.source, lie, 0, 1 << 24)

    run(test)
