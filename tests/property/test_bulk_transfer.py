"""Whatever a channel does to a body on its way, what gets a name is the body, whole, or nothing (I8).

A schedule of faults is drawn: chunks lost, repeated, swapped, altered, cut, or the connection ended, and the
receiving process replaced between attempts. After it the channel is honest once, and the body must be there.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.chunks import Layout
from lockgate.envelope.errors import ChannelDown
from lockgate.envelope.ports import Buffer
from lockgate.primitives.errors import LockgateError
from lockgate.transport import receive
from tests.support.blobs import BLOB, BODY, bodies_in, sealed

FRAMES, DESCRIPTOR = sealed()
COUNT = len(FRAMES)
FAULTS = ("lose", "repeat", "swap", "alter", "cut", "long", "end", "nothing")
Attempt = tuple[str, int, int, bool]  # fault, at which chunk, an offset in it, whether the process is replaced
ATTEMPTS = st.lists(
    st.tuples(st.sampled_from(FAULTS), st.integers(0, COUNT - 1), st.integers(0, 60_000), st.booleans()), max_size=6
)


class Faulty:
    """A source with one fault."""

    def __init__(self, attempt: Attempt) -> None:
        self._fault, self._at, self._offset, _ = attempt

    async def fetch(self, blob: BlobId, layout: Layout, first: int, end: int, /) -> AsyncGenerator[Buffer, None]:
        frames = list(FRAMES)
        at, offset = self._at, self._offset
        match self._fault:
            case "lose":
                del frames[at]
            case "repeat":
                frames.insert(at, frames[at])
            case "swap":
                frames[at], frames[at - 1] = frames[at - 1], frames[at]
            case "alter":
                place = offset % len(frames[at])
                frames[at] = frames[at][:place] + bytes([frames[at][place] ^ 1]) + frames[at][place + 1 :]
            case "cut":
                frames[at] = frames[at][: offset % len(frames[at])]
            case "long":
                frames[at] += bytes(1 + offset)
        for index, frame in enumerate(frames[first:], first):
            if self._fault == "end" and index == at:
                raise ChannelDown("the connection ended")
            yield frame


@given(ATTEMPTS)
@settings(max_examples=60, deadline=None)
def test_only_the_body_itself_gets_a_name(attempts: list[Attempt]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bodies = bodies_in(Path(folder))
        body = bodies.begin("one", DESCRIPTOR)
        good = 0
        for attempt in [*attempts, ("nothing", 0, 0, False)]:
            try:
                asyncio.run(receive(Faulty(attempt), BLOB, body))
            except LockgateError:
                assert bodies.find("one") is None
                assert body.count >= good, "what was verified is not lost"
                good = body.count
                if attempt[3]:
                    body.close()
                    body = bodies_in(Path(folder)).begin("one", DESCRIPTOR)
                    assert body.count == good, "the record says how far it was"
                continue
            break
        path = bodies.find("one")
        assert path is not None
        assert path.read_bytes() == BODY
        assert [entry.name for entry in Path(folder).iterdir()] == ["one"]
