"""S8, S39: both ledgers searched whole for what two guests said to each other.

An exchange of every kind (request and reply, a refusal with words, a deferred answer, a large body) runs
between two hosts. Then everything the ledgers keep and every answer their nodes gave is searched for the
words, in every form they could stand in. What is found there on purpose is searched for as well: a search
that finds nothing must be one that can find.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockgate.envelope.content import MIN_BUCKET
from lockgate.lab.rpc import LabRpc
from lockgate.machine import keys
from tests.support import probe
from tests.support.blobs import channel, sealed
from tests.support.hosts import HostWorld, Side, in_world

REQUEST = b"buy four hundred at the open"
REPLY = b"filled at nineteen and a half"
CODE, DETAIL = "client.unknown", "no account under that name"
LARGE = b"and the whole book of orders"
CONFIDENTIAL = {
    "request": REQUEST,
    "reply": REPLY,
    "code of a refusal": CODE.encode(),
    "detail of a refusal": DETAIL.encode(),
    "large body": LARGE,
    "schema": b"probe@1.0",
    "alias of a peer": b"alias-of-nobody",
}


class Recording(LabRpc):
    """A node that keeps every answer it gives."""

    answers: list[str]

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        answer = await super().call(method, **params)
        self.answers.append(json.dumps(answer, default=str))
        return answer


def recorded(rpc: LabRpc) -> Recording:
    made = Recording(rpc._methods)
    made.answers = []
    return made


def kept(side: Side) -> Iterator[bytes]:
    """Everything a ledger keeps: blocks, commits and results of every height, and every key and value."""
    chain = side.end.ledger.chain
    for height in range(1, chain.height + 1):
        row = chain.store.block(height)
        assert row is not None
        yield from (value for value in dataclasses.astuple(row) if isinstance(value, bytes))
    for store in keys.STORES:
        for key, value in chain.state.scan(store, b"", b""):
            yield key
            yield value


def forms(words: bytes) -> tuple[bytes, ...]:
    """How words stand in bytes and in JSON: raw, hex of both cases, base64 at each of its three alignments."""
    shifted = (base64.b64encode(bytes(shift) + words)[(4 if shift else 0) :] for shift in range(3))
    return (words, words.hex().encode(), words.hex().upper().encode(), *(text.rstrip(b"=")[:-1] for text in shifted))


def found(haystack: bytes, words: bytes) -> bool:
    return any(form in haystack for form in forms(words))


async def exchange(world: HostWorld, folder: Path) -> None:
    await world.command(world.a, probe.send("b", probe.op("O", REQUEST) + probe.output(REPLY)))
    await world.settle()
    await world.command(world.a, probe.send("b", probe.refuse(CODE, DETAIL)))
    await world.settle()
    assert world.a.sent(1).reply is not None
    assert REPLY in world.a.sent(1).reply
    assert (world.a.sent(2).code, world.a.sent(2).detail) == (CODE, DETAIL)


@in_world()
async def test_s8_no_word_of_a_body_stands_on_a_ledger(world: HostWorld, tmp_path: Path) -> None:
    """[S8] Neither ledger, nor any answer of its node, holds a word of a request, a reply or a refusal."""
    for side in world.sides:
        side.rpc = recorded(side.rpc)
    for side in world.sides:
        side.host = world.make(side)
        await side.host.start()
    await exchange(world, tmp_path)
    for side in world.sides:
        assert isinstance(side.rpc, Recording)
        for haystack in ("\n".join(side.rpc.answers).encode(), b"\n".join(kept(side))):
            assert len(haystack) > 10_000
            leaked = [what for what, words in CONFIDENTIAL.items() if found(haystack, words)]
            assert leaked == [], side.name
            # The same search finds what stands there on purpose.
            assert found(haystack, world.a.endpoint.id)
            assert found(haystack, world.b.endpoint.id)


@in_world()
async def test_s8_the_search_would_find_a_leak(world: HostWorld) -> None:
    """[S8] Words are found whichever way they are written down, and where a packet carries its body."""
    for words in CONFIDENTIAL.values():
        for shift in range(3):
            padded = bytes(shift) + words + b"."
            for written in (padded, padded.hex().encode(), base64.b64encode(padded)):
                assert found(b"before" + written + b"after", words)
    await world.send(world.a, probe.output(REPLY))
    (packet,) = world.sent(world.a)
    await world.settle()
    sealed_words = packet.payloads[0].value[-200:-100]
    for side in world.sides:
        assert found(b"\n".join(kept(side)), sealed_words), "where the words would stand, the search looks"


@in_world()
async def test_s39_what_a_ledger_learns_of_a_message(world: HostWorld) -> None:
    """[S39] Who, when, how large to within a bucket, and whether it was accepted; nothing of what was said."""
    sizes = []
    for length in (1, 40, 90):
        await world.send(world.a, probe.output(bytes(length)))
        (packet,) = world.sent(world.a)
        await world.settle()
        sizes.append(len(packet.payloads[0].value))
        payload = packet.payloads[0]
        assert payload.source_port == world.a.endpoint.port
        assert payload.destination_port == world.b.endpoint.port
        assert (payload.version, payload.encoding) == ("lockgate-1", "application/cose")
    # The headers inside differ in length as well, so neighbouring buckets occur; finer steps than buckets do not.
    assert {(size - min(sizes)) % (MIN_BUCKET // 4) for size in sizes} == {0}
    assert max(sizes) - min(sizes) <= MIN_BUCKET // 2
    assert len({len(row.body) for row in world.a.store.all_sent("acknowledged")}) == 3


@pytest.mark.parametrize("kind", ["folder", "unix"])
def test_s9_a_channel_carries_ciphertext_only(tmp_path: Path, kind: str) -> None:
    """[S9] Everything on the sender's shelf, and so everything a channel can carry, is sealed."""
    import asyncio

    async def work() -> None:
        frames, _ = sealed(LARGE * 10_000)
        async with channel(kind, tmp_path) as made:
            made.offer.put(b"\x01" * 32, frames)  # type: ignore[arg-type]
            files = [path.read_bytes() for path in tmp_path.rglob("*.blob")]
            assert [len(data) for data in files] == [sum(map(len, frames))]
            assert not found(files[0], LARGE)

    asyncio.run(work())
