"""Bodies too large for a packet, between two hosts: delivered whole, or refused before the deadline (I8)."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lockgate.envelope.bulk import BlobId, BulkBody, BulkNotice, blob_of
from lockgate.envelope.content import MAX_BODY
from lockgate.envelope.errors import BulkTooLarge, ChannelDown
from lockgate.envelope.ports import BlobSource
from lockgate.host.ports import Message, Refusal, Reply
from lockgate.host.sealing import schema_ref
from lockgate.hosting import bulk as bulk_module
from lockgate.hosting.bulk import Bulk, BulkComing, BulkUnavailable, Handed, NoChannel
from lockgate.hosting.reserved import RESERVED
from lockgate.hosting.work import Item
from lockgate.lab.entropy import SeededEntropy
from lockgate.machine.genesis import Parameters
from lockgate.primitives.time import UnixNanos, seconds
from lockgate.runtime.inprocess import InProcessGuest
from lockgate.transport import Bodies, Shelf
from tests.support import probe
from tests.support.blobs import Spoiled, channel, sealed
from tests.support.guests import PROBE_ID
from tests.support.hosts import HostWorld, Side, in_world

MIB = 1 << 20
DEADLINE = UnixNanos(1 << 60)
HASTY = Parameters(default_grace_ns=seconds(1))


class Keeper(probe.Probe):
    """Answers with the schema and body it was handed; refuses what begins with "no"."""

    def handle(self, message: Message, host: Any) -> Any:
        if message.body.startswith(b"no"):
            return Refusal("not.wanted")
        return Reply(message.schema.encode() + b"|" + message.body[:100])


def keeper() -> InProcessGuest:
    return InProcessGuest(PROBE_ID, Keeper)


class Gate:
    """A source that is shut: its peer cannot be reached until somebody opens it."""

    def __init__(self, source: BlobSource) -> None:
        self.open = False
        self._source = source

    async def fetch(self, *arguments: Any) -> AsyncIterator[Any]:
        if not self.open:
            raise ChannelDown("shut")
        async for chunk in self._source.fetch(*arguments):
            yield chunk


def bulk_of(
    side: Side, folder: Path, offer: Any, sources: dict[str, list[BlobSource]], body_bytes: int = 1 << 30
) -> Bulk:
    bodies = Bodies(folder / f"bodies-{side.name}", body_bytes=body_bytes, total_bytes=4 << 30, keep_free=0)
    report = lambda name, said: side.reports.append((name, said))  # noqa: E731
    return Bulk(offer, bodies, sources, 1 << 30, SeededEntropy(b"bulk" + side.name.encode()), report)


@asynccontextmanager
async def joined(
    world: HostWorld,
    folder: Path,
    between: Callable[[BlobSource], BlobSource] = lambda source: source,
    kind: str = "unix",
) -> AsyncIterator[Shelf]:
    """Let B fetch what A offers; `between` stands on the way."""
    async with channel(kind, folder) as made:
        endpoint = world.a.endpoint.id.hex()
        world.bulk["a"] = bulk_of(world.a, folder, made.offer, {})
        world.bulk["b"] = bulk_of(world.b, folder, made.offer, {endpoint: [between(made.source)]})
        # B only fetches: its own start must not clear what A offers.
        world.bulk["b"].recall = lambda store, now: None  # type: ignore[method-assign]
        for side in world.sides:
            side.host = world.make(side)
            await side.host.start()
        yield made.offer  # type: ignore[misc]
        for bulk in world.bulk.values():
            await bulk.close()


async def send_file(world: HostWorld, path: Path) -> dict[str, Any]:
    return await world._until(world.a, world.a.host.send_file("b", "bytes@1.0", path, 600))


async def until_answered(world: HostWorld, sequence: int = 1) -> None:
    async with asyncio.timeout(60):
        await world.settle()
        while world.a.sent(sequence).state == "sent":
            await asyncio.sleep(0.01)
            await world.settle()


def a_file(folder: Path, size: int, start: bytes = b"") -> Path:
    path = folder / "file"
    path.write_bytes((start + os.urandom(min(size, MIB)) * (size // MIB + 1))[:size])
    return path


def kept(side: Side, folder: Path) -> list[str]:
    return os.listdir(folder / f"bodies-{side.name}")


@in_world(guest_b=keeper)
async def test_64_mib_between_two_hosts(world: HostWorld, tmp_path: Path) -> None:
    path = a_file(tmp_path, 64 * MIB)
    async with joined(world, tmp_path) as shelf:
        result = await send_file(world, path)
        assert result["packets"] == [{"client": world.a.end.client, "sequence": 1}]
        assert len(os.listdir(shelf.folder)) == 1
        await until_answered(world)
        sent, seen = world.a.sent(), world.b.seen()
        assert (sent.state, seen.state) == ("acknowledged", "answered")
        notice = BulkNotice.decode(seen.body)
        assert notice.length == 64 * MIB
        assert sent.reply == b"bulk/notice@1.0|" + seen.body[:100]
        received = world.bulk["b"].bodies.find(seen.commitment.hex())
        assert received is not None
        assert subprocess.run(["cmp", path, received], check=False).returncode == 0
        assert received.stat().st_mode & 0o777 == 0o600
        assert os.listdir(shelf.folder) == [], "the packet has ended, so nobody needs the blob"


@in_world(guest_b=keeper)
async def test_the_packet_carries_no_byte_of_the_body(world: HostWorld, tmp_path: Path) -> None:
    async with joined(world, tmp_path) as shelf:
        await send_file(world, a_file(tmp_path, MIB))
        (packet,) = world.sent(world.a)
        assert len(packet.payloads[0].value) < 4_096
        body = BulkBody.decode(world.a.sent().body)
        assert body.descriptor.length == MIB
        (blob,) = shelf.folder.iterdir()
        ciphertext = blob.read_bytes()
        assert (tmp_path / "file").read_bytes()[:64] not in ciphertext
        assert body.descriptor.content_key not in ciphertext + packet.payloads[0].value
        await until_answered(world)


@in_world(guest_b=keeper)
async def test_a_body_that_a_guest_can_take_is_handed_over_itself(world: HostWorld, tmp_path: Path) -> None:
    path = a_file(tmp_path, MAX_BODY, b"yes ")
    async with joined(world, tmp_path, kind="memory"):
        await send_file(world, path)
        await until_answered(world)
        assert world.a.sent().reply == b"bytes@1.0|" + path.read_bytes()[:100]
        assert world.b.seen().body == path.read_bytes()


@in_world(guest_b=keeper, parameters=HASTY)
async def test_a_body_that_never_comes_is_refused_before_the_deadline(world: HostWorld, tmp_path: Path) -> None:
    async with joined(world, tmp_path, Gate) as shelf:
        await send_file(world, a_file(tmp_path, MIB))
        await world.settle()
        assert world.b.store.seen(world.b.end.client, 1) is None, "it waits for its body"
        await world.send(world.a, b"an ordinary message")
        await until_answered(world, 2)
        assert world.a.sent(2).state == "acknowledged", "and holds up nobody else"
        await until_answered(world)
        sent, seen = world.a.sent(), world.b.seen()
        assert (sent.state, sent.reason, sent.code) == ("refused", BulkUnavailable.code, ChannelDown.code)
        assert (seen.state, seen.code) == ("refused", "bulk.unavailable")
        assert world.b.get(b"refused") is None
        assert (kept(world.b, tmp_path), os.listdir(shelf.folder)) == ([], [])


def corrupt(index: int) -> Callable[[BlobSource], BlobSource]:
    def spoil(at: int, chunk: bytes) -> Iterable[bytes]:
        return [chunk[:-1] + bytes([chunk[-1] ^ 1]) if at == index else chunk]

    return lambda source: Spoiled(source, spoil)


@in_world(guest_b=keeper)
async def test_a_corrupt_chunk_is_named_to_the_sender(world: HostWorld, tmp_path: Path) -> None:
    async with joined(world, tmp_path, corrupt(5)):
        await send_file(world, a_file(tmp_path, MIB))
        await until_answered(world)
        sent = world.a.sent()
        assert (sent.state, sent.reason, sent.code) == ("refused", "bulk.unavailable", "chunks.refused")
        assert sent.detail is not None
        assert "index=5" in sent.detail
        assert kept(world.b, tmp_path) == []


@in_world(guest_b=keeper)
async def test_a_blob_that_is_gone_is_refused_at_once(world: HostWorld, tmp_path: Path) -> None:
    async with joined(world, tmp_path) as shelf:
        await send_file(world, a_file(tmp_path, MIB))
        for blob in shelf.folder.iterdir():
            blob.unlink()
        await until_answered(world)
        assert (world.a.sent().state, world.a.sent().code) == ("refused", "bulk.gone")


@in_world(guest_b=keeper)
async def test_what_the_guest_refuses_is_not_kept(world: HostWorld, tmp_path: Path) -> None:
    async with joined(world, tmp_path):
        await send_file(world, a_file(tmp_path, 1_000, b"no"))
        await until_answered(world)
        assert (world.a.sent().state, world.a.sent().code) == ("refused", "not.wanted")
        assert kept(world.b, tmp_path) == []


@in_world(guest_b=keeper)
async def test_a_restarted_receiver_goes_on_where_it_stopped(world: HostWorld, tmp_path: Path) -> None:
    """The host and its fetch end in the middle; another process over the same files finds both again."""
    sources: list[Spoiled] = []
    restarted = False

    def first(source: BlobSource) -> BlobSource:
        def spoil(at: int, chunk: bytes) -> Iterable[bytes]:
            if at == 40 and not restarted:
                raise ChannelDown("cut")
            return [chunk]

        sources.append(Spoiled(source, spoil))
        return sources[-1]

    path = a_file(tmp_path, 4 * MIB)
    async with joined(world, tmp_path, first):
        await send_file(world, path)
        await world.settle()
        async with asyncio.timeout(30):
            while not any(name.endswith(".progress") for name in kept(world.b, tmp_path)):
                await asyncio.sleep(0.01)
        await world.bulk["b"].close()
        restarted = True
        endpoint = world.a.endpoint.id.hex()
        world.bulk["b"] = bulk_of(world.b, tmp_path, world.bulk["b"]._offer, {endpoint: [sources[0]]})
        world.bulk["b"].recall = lambda store, now: None  # type: ignore[method-assign]
        world.b.host = world.make(world.b)
        await world.b.host.start()
        await until_answered(world)
        assert world.a.sent().state == "acknowledged"
        assert sources[0].asked[0] == 0
        assert sources[0].asked[-1] == 40
        received = world.bulk["b"].bodies.find(world.b.seen().commitment.hex())
        assert received is not None
        assert received.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda body: b"\x80", "bulk.malformed"),
        (lambda body: _with(body, locator="http://169.254.169.254/latest"), "bulk.foreign_locator"),
        (lambda body: _with(body, length=1 << 39), "bulk.too_large"),
        (lambda body: _with(body, root=bytes(32)), "chunks.refused"),
        (lambda body: _with(body, content_key=bytes(32)), "chunks.refused"),
        (lambda body: _with(body, length=5), "bulk.channel_broken"),
    ],
)
@in_world(guest_b=keeper)
async def test_a_hostile_descriptor_is_refused(
    world: HostWorld, tmp_path: Path, spoil: Callable[[BulkBody], bytes], code: str
) -> None:
    async with joined(world, tmp_path, kind="memory") as offer:
        frames, descriptor = sealed(bytes(100_000))
        offer.put(blob_of(descriptor.locator), frames)
        good = BulkBody(schema_ref("bytes@1.0"), descriptor)
        sending = world.a.host.send("b", "bulk/body@1.0", spoil(good), 600)
        await world._until(world.a, sending)
        await until_answered(world)
        assert (world.a.sent().state, world.a.sent().code) == ("refused", code)
        assert kept(world.b, tmp_path) == []


FORGED = BulkNotice(schema_ref("bytes@1.0"), 64 * MIB, bytes(32)).encode()


@in_world(guest_b=keeper)
async def test_a_sender_cannot_say_that_a_body_lies_with_the_host(world: HostWorld, tmp_path: Path) -> None:
    async with joined(world, tmp_path, kind="memory"):
        await world._until(world.a, world.a.host.send("b", "bulk/notice@1.0", FORGED, 600))
        await until_answered(world)
        assert (world.a.sent().state, world.a.sent().reason) == ("refused", "bulk.unavailable")


@pytest.mark.parametrize("schema", ["bulk/notice@1.0", "bulk/notice@1.7", "bulk/body@1.0", f"{RESERVED}x@1.0"])
@in_world(guest_b=keeper)
async def test_a_body_in_chunks_is_not_of_the_hosts_own_schemas(world: HostWorld, tmp_path: Path, schema: str) -> None:
    async with joined(world, tmp_path, kind="memory") as offer:
        frames, descriptor = sealed(FORGED)
        offer.put(blob_of(descriptor.locator), frames)
        body = BulkBody(schema_ref(schema), descriptor).encode()
        await world._until(world.a, world.a.host.send("b", "bulk/body@1.0", body, 600))
        await until_answered(world)
        assert (world.a.sent().state, world.a.sent().code) == ("refused", "bulk.unavailable")
        assert kept(world.b, tmp_path) == []


def _with(body: BulkBody, **changes: Any) -> bytes:
    return dataclasses.replace(body, descriptor=dataclasses.replace(body.descriptor, **changes)).encode()


@in_world(guest_b=keeper)
async def test_hosts_without_a_channel_say_so(world: HostWorld, tmp_path: Path) -> None:
    path = a_file(tmp_path, 1_000)
    with pytest.raises(NoChannel):
        await world.a.host.send_file("b", "bytes@1.0", path, 600)
    async with channel("memory", tmp_path) as made:
        world.bulk["a"] = bulk_of(world.a, tmp_path, made.offer, {})
        world.a.host = world.make(world.a)
        await world.a.host.start()
        await send_file(world, path)
        await until_answered(world)
        assert (world.a.sent().state, world.a.sent().code) == ("refused", "bulk.unavailable")
        world.bulk["b"] = bulk_of(world.b, tmp_path, made.offer, {})
        world.b.host = world.make(world.b)
        await world.b.host.start()
        await send_file(world, path)
        await until_answered(world, 2)
        assert world.a.sent(2).code == NoChannel.code


@in_world(guest_b=keeper)
async def test_a_start_clears_what_no_open_packet_names(world: HostWorld, tmp_path: Path) -> None:
    async with joined(world, tmp_path, Gate) as shelf:
        await send_file(world, a_file(tmp_path, MIB))
        (open_one,) = os.listdir(shelf.folder)
        shelf.put(BlobId(bytes(32)), [b"left by a killed process"])
        world.bulk["a"].recall(world.a.store, world.clock.now())
        assert os.listdir(shelf.folder) == [open_one]


@in_world()
async def test_a_file_that_cannot_be_sent_leaves_nothing(world: HostWorld, tmp_path: Path) -> None:
    async with joined(world, tmp_path) as shelf:
        world.bulk["a"]._body_bytes = 999
        with pytest.raises(BulkTooLarge):
            await world.a.host.send_file("b", "bytes@1.0", a_file(tmp_path, 1_000), 600)
        assert os.listdir(shelf.folder) == []
        assert world.sent(world.a) == []


@in_world()
async def test_a_message_waits_until_its_fetch_ends(world: HostWorld, tmp_path: Path) -> None:
    async with joined(world, tmp_path, kind="memory") as offer:
        frames, descriptor = sealed(bytes(100_000))
        item, woken, commitment = Item("inbox"), asyncio.Event(), bytes(32)
        body = BulkBody(schema_ref("bytes@1.0"), descriptor).encode()

        def take(seconds_left: float) -> Handed:
            peer = world.a.endpoint.id.hex()
            return world.bulk["b"].take(item, peer, commitment, body, DEADLINE, seconds_left, woken.set)

        with pytest.raises(BulkComing):
            take(60)
        assert item.due == bulk_module.NEVER
        await woken.wait()
        assert item.due == 0
        with pytest.raises(BulkUnavailable, match="no such blob"):
            take(60)
        offer.put(blob_of(descriptor.locator), frames)
        woken.clear()
        with pytest.raises(BulkComing):
            take(60)
        await woken.wait()
        assert take(60) == Handed(schema_ref("bytes@1.0"), bytes(100_000))


class Holding:
    """A source that answers for some blobs as it is told, and with the rest as another source does."""

    def __init__(self, source: BlobSource, held: set[bytes], down: bool = False) -> None:
        self._source = source
        self._held = held
        self._down = down
        self.asked: list[bytes] = []

    async def fetch(self, blob: BlobId, *arguments: Any) -> AsyncIterator[Any]:
        self.asked.append(blob)
        if blob in self._held:
            if self._down:
                raise ChannelDown("down")
            await asyncio.Event().wait()
        async for chunk in self._source.fetch(blob, *arguments):
            yield chunk


async def _taken(bulk: Bulk, peer: str, number: int) -> Handed:
    """What is handed over of the body of blob `number`, whose chunks are offered, within a minute."""
    frames, descriptor = sealed(b"body", BlobId(bytes([number]) * 32))
    bulk._offer.put(blob_of(descriptor.locator), frames)
    body, item, woken = BulkBody(schema_ref("bytes@1.0"), descriptor).encode(), Item("inbox"), asyncio.Event()
    while True:
        try:
            return bulk.take(item, peer, bytes([number]) * 32, body, DEADLINE, 60, woken.set)
        except BulkComing:
            await woken.wait()
            woken.clear()


@in_world()
async def test_slow_bodies_of_a_peer_stand_before_nobody_elses(world: HostWorld, tmp_path: Path) -> None:
    """However many: the peer that is slow has used up its own share."""
    async with channel("memory", tmp_path) as made:
        slow = Holding(made.source, {bytes([number]) * 32 for number in range(10)})
        bulk = bulk_of(world.b, tmp_path, made.offer, {"slow": [slow], "good": [made.source]})
        stuck = [asyncio.create_task(_taken(bulk, "slow", number)) for number in range(10)]
        async with asyncio.timeout(20):
            while len(slow.asked) < bulk_module.SHARE:
                await asyncio.sleep(0)
            handed = await _taken(bulk, "good", 77)
        assert handed.body == b"body"
        assert len(slow.asked) == bulk_module.SHARE
        assert not any(task.done() for task in stuck), "and not because others were given up"
        for task in stuck:
            task.cancel()
        await bulk.close()


@in_world()
async def test_a_body_that_waits_for_its_peer_takes_no_turn(
    world: HostWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bodies that are not there yet pause outside the share of their peer, and hold the room of what has come."""
    monkeypatch.setattr(bulk_module._Pace, "__init__", lambda pace: _paced(pace, 40.0))
    async with channel("memory", tmp_path) as made:
        source = Holding(made.source, {bytes([number]) * 32 for number in range(4)}, down=True)
        bulk = bulk_of(world.b, tmp_path, made.offer, {"peer": [source]})
        waiting = [asyncio.create_task(_taken(bulk, "peer", number)) for number in range(4)]
        async with asyncio.timeout(20):
            while len(source.asked) < 4:
                await asyncio.sleep(0.01)
            handed = await _taken(bulk, "peer", 77)
        assert handed.body == b"body"
        assert set(bulk.bodies._coming.values()) <= {0}
        for task in waiting:
            task.cancel()
        await bulk.close()


def _paced(pace: Any, pause: float) -> None:
    pace.wrong, pace.place, pace.pause = 0, 0, pause


@in_world(guest_b=keeper)
async def test_a_body_whose_message_is_answered_in_its_place_is_removed(world: HostWorld, tmp_path: Path) -> None:
    """Fetched whole, then the host is held past the deadline: no row will ever name the file."""
    async with joined(world, tmp_path):
        await send_file(world, a_file(tmp_path, MIB))
        world.relay()
        await world.b.host.turn()
        bulk = world.bulk["b"]
        while bulk._fetches:
            await asyncio.sleep(0.01)
        (name,) = kept(world.b, tmp_path)
        assert bulk.bodies.whole()[name] > world.clock.now(), "until when it may be asked for"
        world.pass_time(120)
        await world.settle()
        assert world.a.sent().state == "refused"
        assert world.b.store.seen(world.b.end.client, 1) is None
        assert kept(world.b, tmp_path) == []


@in_world(guest_b=keeper)
async def test_a_failure_of_a_body_is_forgotten_with_its_entry(world: HostWorld, tmp_path: Path) -> None:
    async with joined(world, tmp_path) as shelf:
        await send_file(world, a_file(tmp_path, MIB))
        for blob in shelf.folder.iterdir():
            blob.unlink()
        world.relay()
        await world.b.host.turn()
        while world.bulk["b"]._fetches:
            await asyncio.sleep(0.01)
        assert len(world.bulk["b"]._failed) == 1
        world.pass_time(120)
        await world.settle()
        assert world.bulk["b"]._failed == {}


@in_world(guest_b=keeper)
async def test_a_start_keeps_bodies_of_rows_and_open_entries_alone(world: HostWorld, tmp_path: Path) -> None:
    async with joined(world, tmp_path):
        await send_file(world, a_file(tmp_path, MIB))
        await until_answered(world)
        answered = world.b.seen().commitment.hex()
        await send_file(world, a_file(tmp_path, MIB))
        world.relay()
        await world.b.host.turn()
        while world.bulk["b"]._fetches:
            await asyncio.sleep(0.01)
        (waiting,) = set(kept(world.b, tmp_path)) - {answered}
        folder = tmp_path / "bodies-b"
        (folder / ("ee" * 32)).write_bytes(b"left by a killed process")
        (folder / "notes").write_bytes(b"nobody's")
        now = world.clock.now()
        os.utime(folder / ("ee" * 32), ns=(now, now))

        async def started() -> None:
            world.bulk["b"] = bulk_of(world.b, tmp_path, world.bulk["b"]._offer, {})
            world.b.host = world.make(world.b)
            await world.b.host.start()

        kept_blobs = world.bulk["b"]._offer.keep_only
        world.bulk["b"]._offer.keep_only = lambda blobs: None  # of A, and not of B
        await started()
        assert set(kept(world.b, tmp_path)) == {answered, waiting, "notes"}
        world.pass_time(120)
        await world.settle()
        assert set(kept(world.b, tmp_path)) == {answered, "notes"}, "seen gone by the process that never asked for it"
        world.bulk["b"]._offer.keep_only = kept_blobs


@in_world(guest_b=keeper)
async def test_a_start_keeps_the_body_of_a_step_that_may_stand(world: HostWorld, tmp_path: Path) -> None:
    """A process ended after its answer left and before it was proven: the row comes with the proof."""
    async with joined(world, tmp_path):
        await send_file(world, a_file(tmp_path, MIB))
        world.relay()
        await world.b.host.turn()
        while world.bulk["b"]._fetches:
            await asyncio.sleep(0.01)
        (name,) = kept(world.b, tmp_path)
        submit = world.b.host._submitter.submit

        async def and_die(messages: Any) -> Any:
            await submit(messages)
            raise KeyboardInterrupt

        world.b.host._submitter.submit = and_die  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            await world.b.host.turn()
        assert world.b.store.seen(world.b.end.client, 1) is None
        os.utime(tmp_path / "bodies-b" / name, ns=(0, 0))
        world.bulk["b"] = bulk_of(world.b, tmp_path, world.bulk["b"]._offer, {})
        world.bulk["b"]._offer.keep_only = lambda blobs: None
        world.b.host = world.make(world.b)
        await world.b.host.start()
        await world.settle()
        assert world.a.sent().state == "acknowledged"
        assert kept(world.b, tmp_path) == [name]
