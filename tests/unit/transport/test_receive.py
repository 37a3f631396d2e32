"""A body arrives whole, in its private file, or not at all: resumed, refused by chunk, bounded (I8)."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import shutil
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lockgate.envelope.bulk import BlobId, BulkBody, BulkNotice, blob_of, locator_of
from lockgate.envelope.chunks import CHUNK_BYTES, ChunkOpener, Complete, Descriptor
from lockgate.envelope.errors import (
    BlobGone,
    BulkMalformed,
    BulkNoRoom,
    BulkTooLarge,
    ChannelDown,
    ChunkRefused,
    FileUnreadable,
    ForeignLocator,
)
from lockgate.envelope.ports import BlobSource
from lockgate.host.sealing import schema_ref
from lockgate.transport import Address, Bodies, MemoryBlobs, Shelf, files, receive, seal_file
from lockgate.transport import folder as folder_module
from lockgate.transport import shelf as shelf_module
from lockgate.transport.address import BadAddress
from lockgate.transport.bodies import Receiving
from lockgate.transport.folder import FolderSource
from tests.support.blobs import BLOB, BODY, KEY, Spoiled, fetched, sealed

FRAMES, DESCRIPTOR = sealed()
GIB = 1 << 30


@pytest.fixture
def bodies(tmp_path: Path) -> Bodies:
    return Bodies(tmp_path / "bodies", body_bytes=GIB, total_bytes=GIB, keep_free=0)


@pytest.fixture
def blobs() -> MemoryBlobs:
    made = MemoryBlobs()
    made.put(BLOB, FRAMES)
    return made


def get(source: BlobSource, body: Receiving, blob: BlobId = BLOB) -> Complete:
    return asyncio.run(receive(source, blob, body))


def test_a_body_arrives_in_a_private_file(bodies: Bodies, blobs: MemoryBlobs) -> None:
    complete = get(blobs, bodies.begin("one", DESCRIPTOR))
    path = bodies.find("one")
    assert path is not None
    assert (complete.descriptor, path.read_bytes()) == (DESCRIPTOR, BODY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(bodies.folder) == ["one"]


def test_a_mount_that_blocks_an_open_holds_up_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up as it is for a read, and what the mount opens afterwards is closed."""
    shelf, go_on, opened = Shelf(tmp_path / "shelf"), threading.Event(), list[int]()
    shelf.put(BLOB, FRAMES)

    def slow(where: Path, blob: BlobId) -> tuple[int, int]:
        go_on.wait(10)
        found = shelf_module.open_blob(where, blob)
        opened.append(found[0])
        return found

    monkeypatch.setattr(folder_module, "open_blob", slow)

    async def tried() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        source = FolderSource(shelf.folder, chunk_s=0.05)
        async with asyncio.timeout(5):
            for _ in range(folder_module.THREADS + 1):
                with pytest.raises(ChannelDown):
                    await fetched(source, DESCRIPTOR.layout, 0, 7)
            await asyncio.to_thread(bool)
        go_on.set()
        async with asyncio.timeout(5):
            while len(opened) < folder_module.THREADS or any(os.path.exists(f"/proc/self/fd/{at}") for at in opened):
                await asyncio.sleep(0.01)
            assert await fetched(source, DESCRIPTOR.layout, 6, 7) == FRAMES[6:]
        assert len(opened) == folder_module.THREADS + 1, "what had no thread yet is not opened later"

    asyncio.run(tried())


@pytest.mark.parametrize("verb", ["finish", "take", "checkpoint"])
def test_nobody_lets_go_of_a_file_that_a_thread_works_on(
    bodies: Bodies, blobs: MemoryBlobs, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Interrupted, and again while it waits: it ends when the thread has, so a removed body stays removed."""
    entered, go_on = threading.Event(), threading.Event()
    whole = getattr(Receiving, verb)

    def slow(body: Receiving, *arguments: Any) -> Any:
        entered.set()
        assert go_on.wait(10)
        return whole(body, *arguments)

    monkeypatch.setattr(Receiving, verb, slow)
    body = bodies.begin("one", DESCRIPTOR)
    source = Spoiled(blobs, flip(6)) if verb == "checkpoint" else blobs

    async def interrupted() -> None:
        fetching = asyncio.create_task(receive(source, BLOB, body))
        async with asyncio.timeout(10):
            while not entered.is_set():
                await asyncio.sleep(0.005)
            for _ in range(4):
                fetching.cancel()
                await asyncio.sleep(0.02)
            early = fetching.done()
            go_on.set()
            await asyncio.wait([fetching])
        assert not early
        assert fetching.cancelled()
        body.close()
        bodies.remove("one")

    asyncio.run(interrupted())
    assert os.listdir(bodies.folder) == []


@pytest.mark.parametrize("body", [b"", b"x", bytes(CHUNK_BYTES), bytes(20 * CHUNK_BYTES + 5)])
def test_bodies_of_any_length(bodies: Bodies, body: bytes) -> None:
    frames, descriptor = sealed(body)
    source = MemoryBlobs()
    source.put(BLOB, frames)
    get(source, bodies.begin("one", descriptor))
    assert (bodies.folder / "one").read_bytes() == body


def flip(at: int) -> Callable[[int, bytes], Iterable[bytes]]:
    return lambda index, chunk: [bytes([chunk[0] ^ 1]) + chunk[1:] if index == at else chunk]


@pytest.mark.parametrize("at", range(7))
def test_a_corrupt_chunk_is_refused_by_its_index(bodies: Bodies, blobs: MemoryBlobs, at: int) -> None:
    body = bodies.begin("one", DESCRIPTOR)
    with pytest.raises(ChunkRefused) as refused:
        get(Spoiled(blobs, flip(at)), body)
    assert refused.value.fields["index"] == at
    assert bodies.find("one") is None
    assert body.count == at, "what came before it stands"
    get(blobs, body)
    assert (bodies.folder / "one").read_bytes() == BODY


@pytest.mark.parametrize("order", [(1, 0), (0, 0), (0, 2), (0, 1, 2, 3, 4, 6, 5)])
def test_moved_repeated_and_lost_chunks_are_refused(bodies: Bodies, blobs: MemoryBlobs, order: tuple[int, ...]) -> None:
    def moved(index: int, chunk: bytes) -> Iterable[bytes]:
        return [FRAMES[order[index]]] if index < len(order) else []

    with pytest.raises(ChunkRefused):
        get(Spoiled(blobs, moved), bodies.begin("one", DESCRIPTOR))
    assert bodies.find("one") is None


def test_a_body_goes_on_where_an_earlier_process_stopped(bodies: Bodies, blobs: MemoryBlobs) -> None:
    def cut(index: int, chunk: bytes) -> Iterable[bytes]:
        if index == 4:
            raise ChannelDown("the cable was pulled")
        return [chunk]

    first = bodies.begin("one", DESCRIPTOR)
    with pytest.raises(ChannelDown):
        get(Spoiled(blobs, cut), first)
    first.close()
    again = Bodies(bodies.folder, body_bytes=GIB, total_bytes=GIB, keep_free=0).begin("one", DESCRIPTOR)
    source = Spoiled(blobs, lambda _, chunk: [chunk])
    get(source, again)
    assert source.asked == [4]
    assert (bodies.folder / "one").read_bytes() == BODY


@pytest.mark.parametrize("spoil", ["shorter", "another", "damaged", "ahead"])
def test_a_record_that_does_not_fit_is_not_believed(bodies: Bodies, blobs: MemoryBlobs, spoil: str) -> None:
    body = bodies.begin("one", DESCRIPTOR)
    body.take(FRAMES[:4])
    body.checkpoint()
    body.close()
    part, record = bodies.folder / "one.part", bodies.folder / "one.progress"
    descriptor, blob, expected = DESCRIPTOR, BLOB, BODY
    match spoil:
        case "shorter":
            os.truncate(part, 3 * CHUNK_BYTES)
        case "another":
            frames, descriptor = sealed(bytes(5 * CHUNK_BYTES))
            blobs.put(BLOB, frames)
            expected = bytes(5 * CHUNK_BYTES)
        case "damaged":
            record.write_bytes(record.read_bytes()[:-1])
        case "ahead":
            opener = ChunkOpener(DESCRIPTOR)
            for frame in FRAMES:
                opener.open(frame)
            record.write_bytes(opener.progress.encode())
    source = Spoiled(blobs, lambda _, chunk: [chunk])
    get(source, bodies.begin("one", descriptor), blob)
    assert source.asked == [0]
    assert (bodies.folder / "one").read_bytes() == expected


def test_what_was_written_past_the_record_is_overwritten(bodies: Bodies, blobs: MemoryBlobs) -> None:
    body = bodies.begin("one", DESCRIPTOR)
    body.take(FRAMES[:2])
    body.checkpoint()
    body.take(FRAMES[2:5])
    body.close()  # as a kill leaves it
    with (bodies.folder / "one.part").open("ab") as part:
        part.write(b"something that a crash left")
    get(blobs, bodies.begin("one", DESCRIPTOR))
    assert (bodies.folder / "one").read_bytes() == BODY


KILLED = """
import asyncio, os, sys
from pathlib import Path
from lockgate.transport import Bodies, receive
from lockgate.transport.folder import FolderSource
from tests.support.blobs import BLOB, Spoiled
from lockgate.envelope.chunks import Descriptor

def spoil(index, chunk):
    if index == 600:
        os.kill(os.getpid(), 9)
    return [chunk]

bodies = Bodies(Path(sys.argv[2]), body_bytes=1 << 30, total_bytes=1 << 30, keep_free=0)
descriptor = Descriptor.decode(bytes.fromhex(sys.argv[3]))
source = Spoiled(FolderSource(Path(sys.argv[1])), spoil)
asyncio.run(receive(source, BLOB, bodies.begin("one", descriptor)))
"""


def test_a_killed_receiver_goes_on_from_its_last_record(bodies: Bodies, tmp_path: Path) -> None:
    body = os.urandom(1 << 20) * 40  # 640 chunks
    frames, descriptor = sealed(body)
    shelf = Shelf(tmp_path / "shelf")
    shelf.put(BLOB, frames)
    command = [sys.executable, "-c", KILLED, str(shelf.folder), str(bodies.folder), descriptor.encode().hex()]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9
    assert bodies.find("one") is None
    source = Spoiled(FolderSource(shelf.folder), lambda _, chunk: [chunk])
    get(source, bodies.begin("one", descriptor))
    assert 0 < source.asked[0] <= 600, "at most one checkpoint is lost"
    assert (bodies.folder / "one").read_bytes() == body


def test_memory_does_not_grow_with_the_body(bodies: Bodies, tmp_path: Path) -> None:
    """64 MiB, sealed, put, fetched, verified and written within a few MiB."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    shelf = Shelf(tmp_path / "shelf")
    tracemalloc.start()
    try:
        descriptor = seal_file(path, KEY, 3, BLOB, shelf, GIB)
        sealing = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        get(FolderSource(shelf.folder), bodies.begin("one", descriptor))
        receiving = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert descriptor.length == 64 << 20
    assert sealing < 2 << 20
    assert receiving < 8 << 20
    assert subprocess.run(["cmp", str(path), str(bodies.folder / "one")], check=False).returncode == 0


def test_a_full_disk_is_named_and_leaves_nothing(
    bodies: Bodies, blobs: MemoryBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, pieces: object) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(files.os, "writev", full)
    with pytest.raises(BulkNoRoom):
        get(blobs, bodies.begin("one", DESCRIPTOR))
    bodies.remove("one")
    assert os.listdir(bodies.folder) == []
    monkeypatch.setattr(files.os, "fsync", lambda handle: full(handle, ()))
    shelf = Shelf(tmp_path / "shelf")
    with pytest.raises(BulkNoRoom):
        shelf.put(BLOB, FRAMES)
    assert os.listdir(shelf.folder) == []


def test_bodies_are_bounded_each_and_together(tmp_path: Path, blobs: MemoryBlobs) -> None:
    length = len(BODY)
    bodies = Bodies(tmp_path, body_bytes=length, total_bytes=2 * length, keep_free=0)
    with pytest.raises(BulkTooLarge):
        bodies.begin("huge", dataclasses.replace(DESCRIPTOR, length=length + 1))
    get(blobs, bodies.begin("one", DESCRIPTOR))
    bodies.end("one")
    bodies.begin("two", DESCRIPTOR).close()
    with pytest.raises(BulkNoRoom):
        bodies.begin("three", DESCRIPTOR)
    bodies.remove("two")
    bodies.begin("three", DESCRIPTOR).close()


def test_a_body_for_which_the_disk_has_no_room_is_refused(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    bodies = Bodies(tmp_path, body_bytes=GIB, total_bytes=GIB, keep_free=2 * free)
    with pytest.raises(BulkNoRoom):
        bodies.begin("one", DESCRIPTOR)


def test_a_body_that_rests_takes_the_room_of_what_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And to go on with it needs no room for what is there already."""
    length = len(BODY)
    bodies = Bodies(tmp_path, body_bytes=length, total_bytes=length + 2 * CHUNK_BYTES, keep_free=0)
    body = bodies.begin("one", DESCRIPTOR)
    body.take(FRAMES[:2])
    body.checkpoint()
    body.close()
    with pytest.raises(BulkNoRoom):
        bodies.begin("two", DESCRIPTOR)
    bodies.rest("one")
    bodies.begin("two", DESCRIPTOR).close()
    with pytest.raises(BulkNoRoom):
        bodies.begin("one", DESCRIPTOR)
    bodies.end("two")
    used = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: used._replace(free=length - 2 * CHUNK_BYTES))
    again = bodies.begin("one", DESCRIPTOR)
    assert again.count == 2
    again.close()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: used._replace(free=length - 2 * CHUNK_BYTES - 1))
    with pytest.raises(BulkNoRoom):
        bodies.begin("one", DESCRIPTOR)


def test_unfinished_bodies_of_the_past_are_forgotten(bodies: Bodies, blobs: MemoryBlobs) -> None:
    get(blobs, bodies.begin("whole", DESCRIPTOR))
    for name in ("old", "new"):
        body = bodies.begin(name, DESCRIPTOR)
        body.take(FRAMES[:1])
        body.checkpoint()
        body.close()
    for name in os.listdir(bodies.folder):
        if not name.startswith("new"):
            os.utime(bodies.folder / name, (0, 0))
    bodies.forget_stale()
    assert sorted(os.listdir(bodies.folder)) == ["new.part", "new.progress", "whole"]


# Sending.


@pytest.mark.parametrize("what", ["missing", "folder", "fifo"])
def test_only_a_regular_file_is_sent(tmp_path: Path, what: str) -> None:
    path = tmp_path / "file"
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    blobs = MemoryBlobs()
    with pytest.raises(FileUnreadable):
        seal_file(path, KEY, 3, BLOB, blobs, GIB)


def test_a_file_over_the_limit_is_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1_000))
    with pytest.raises(BulkTooLarge):
        seal_file(path, KEY, 3, BLOB, MemoryBlobs(), 999)
    with pytest.raises(BulkNoRoom):
        seal_file(path, KEY, 3, BLOB, MemoryBlobs(100), GIB)


# What packets and configurations say.


@pytest.mark.parametrize(
    "locator",
    [
        "http://169.254.169.254/",
        "file:/etc/passwd",
        "../" + "0" * 64,
        "blob-2:" + "0" * 64,
        "blob-1:" + "A" * 64,
        "blob-1:" + "0" * 63,
        "blob-1:" + "0" * 64 + "\n",
        " " + locator_of(BLOB),
    ],
)
def test_a_foreign_locator_is_refused(locator: str) -> None:
    assert blob_of(locator_of(BLOB)) == BLOB
    with pytest.raises(ForeignLocator):
        blob_of(locator)


def test_bulk_records_go_there_and_back_and_refuse_other_shapes() -> None:
    schema = schema_ref("bytes@1.0")
    body = BulkBody(schema, DESCRIPTOR)
    notice = BulkNotice(schema, DESCRIPTOR.length, DESCRIPTOR.root)
    assert BulkBody.decode(body.encode()) == body
    assert BulkNotice.decode(notice.encode()) == notice
    for wrong in (
        b"",
        b"\x80",
        notice.encode(),
        body.encode()[:-1],
        DESCRIPTOR.encode(),
        b"\x83\x02" + body.encode()[2:],
    ):
        with pytest.raises(BulkMalformed):
            BulkBody.decode(wrong)
    for wrong in (b"", body.encode(), notice.encode() + b"\x00"):
        with pytest.raises(BulkMalformed):
            BulkNotice.decode(wrong)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/lockgate/blobs.sock", Address("unix", "/run/lockgate/blobs.sock")),
        ("tcp:127.0.0.1:4000", Address("tcp", "127.0.0.1", 4000)),
        ("tcp:[::1]:0", Address("tcp", "::1", 0)),
        ("folder:/mnt/shared", Address("folder", "/mnt/shared")),
    ],
)
def test_addresses_of_a_configuration(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    "text", ["", "unix:run", "tcp:localhost:1", "tcp:127.0.0.1", "tcp:1.2.3.4:70000", "http://x", "folder:"]
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        Address.parse(text)


def test_a_layout_is_where_the_chunks_are() -> None:
    layout = DESCRIPTOR.layout
    assert [layout.size(index) for index in range(layout.count)] == [len(frame) for frame in FRAMES]
    assert [layout.offset(index) for index in range(3)] == [0, len(FRAMES[0]), 2 * len(FRAMES[0])]
    assert layout.offset(layout.count) == layout.total == sum(map(len, FRAMES))


def test_a_blob_that_is_gone_ends_the_fetch(bodies: Bodies) -> None:
    with pytest.raises(BlobGone):
        get(MemoryBlobs(), bodies.begin("one", DESCRIPTOR))
    assert isinstance(DESCRIPTOR, Descriptor)
