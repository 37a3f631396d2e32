"""Bulk bodies in chunks: whole, resumed, one by one; cut, moved, repeated, exchanged (I8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.crypto.hashes import SHA256
from lockgate.crypto.kdf import hkdf
from lockgate.envelope.chunk_tree import audit_path, leaf_hash, root_from_path, root_of
from lockgate.envelope.chunks import (
    CHUNK_BYTES,
    MAX_CHUNKS,
    MAX_LOCATOR,
    ChunkOpener,
    ChunkSealer,
    Complete,
    Descriptor,
    Progress,
    SealedChunk,
    open_chunk,
    open_stream,
    seal_stream,
    verify_chunk,
)
from lockgate.envelope.cose.encrypt import Encrypt0
from lockgate.envelope.cose.frame import Framer, NonceLabel
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import ChunkRefused, DescriptorMalformed, StreamLength, StreamMisuse

KEY = bytes(range(32))
BODY = bytes(range(256)) * 1_000  # 256,000 bytes: three full chunks and a short one


def sealed(body: bytes = BODY, alg: int = 3, key: bytes = KEY) -> tuple[list[SealedChunk], Descriptor]:
    sealer = ChunkSealer(key, alg)
    chunks = list(seal_stream(sealer, [body]))
    return chunks, sealer.finish("file:body")


@pytest.mark.parametrize("alg", [3, 24])
@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 256_000])
def test_a_body_goes_there_and_back(alg: int, size: int) -> None:
    body = BODY[:size]
    chunks, descriptor = sealed(body, alg)
    assert len(chunks) == descriptor.count
    assert descriptor.length == size
    opener = ChunkOpener(descriptor)
    for chunk in chunks:
        assert opener.next_frame_bytes == len(chunk.frame)
        # every frame but the last is as long as the first; checked by the opener as it goes
        opener.open(chunk.frame)
    assert opener.next_frame_bytes == 0
    assert opener.finish().descriptor == descriptor
    assert b"".join(open_stream(ChunkOpener(descriptor), [c.frame for c in chunks])) == body


def test_pieces_of_any_length_make_the_same_chunks() -> None:
    chunks, descriptor = sealed()
    sealer = ChunkSealer(KEY, 3)
    again = list(seal_stream(sealer, [BODY[:5], b"", BODY[5:70_000], memoryview(BODY)[70_000:]]))
    assert (again, sealer.finish("file:body")) == (chunks, descriptor)


def test_each_chunk_is_a_cose_encrypt0_with_a_partial_iv() -> None:
    chunks, _ = sealed()
    for chunk in chunks:
        message = Encrypt0.decode(bytes(chunk.frame), Wire.OURS)
        last = chunk.index == len(chunks) - 1
        assert message.headers.unprotected == {6: chunk.index.to_bytes(4) + bytes([last])}


def test_complete_is_made_by_the_opener_only() -> None:
    with pytest.raises(TypeError):
        Complete(sealed()[1])


def test_a_cut_body_is_not_complete() -> None:
    chunks, descriptor = sealed()
    with pytest.raises(StreamLength):
        list(open_stream(ChunkOpener(descriptor), [c.frame for c in chunks[:-1]]))
    with pytest.raises(StreamLength):
        ChunkOpener(descriptor).finish()


def test_a_cut_descriptor_does_not_make_a_shorter_body() -> None:
    """Even who knows the key cannot end a body early: the last-flag stands in the nonce."""
    chunks, descriptor = sealed()
    shorter = replace(descriptor, length=2 * CHUNK_BYTES)
    opener = ChunkOpener(shorter)
    opener.open(chunks[0].frame)
    with pytest.raises(ChunkRefused):
        opener.open(chunks[1].frame)


@pytest.mark.parametrize("order", [(1,), (0, 0), (0, 2), (0, 1, 1), (3,)])
def test_a_chunk_out_of_its_place_is_refused(order: tuple[int, ...]) -> None:
    chunks, descriptor = sealed()
    opener = ChunkOpener(descriptor)
    for index in order[:-1]:
        opener.open(chunks[index].frame)
    before = opener.progress
    with pytest.raises(ChunkRefused):
        opener.open(chunks[order[-1]].frame)
    assert opener.progress == before
    opener.open(chunks[before.count].frame)  # the right one still goes in


def test_a_chunk_after_the_last_is_refused() -> None:
    chunks, descriptor = sealed()
    opener = ChunkOpener(descriptor)
    for chunk in chunks:
        opener.open(chunk.frame)
    with pytest.raises(StreamLength):
        opener.open(chunks[-1].frame)


def test_a_chunk_of_another_body_is_refused() -> None:
    chunks, descriptor = sealed()
    others, _ = sealed(key=bytes(32))
    opener = ChunkOpener(descriptor)
    opener.open(chunks[0].frame)
    with pytest.raises(ChunkRefused):
        opener.open(others[1].frame)


def test_two_bodies_of_one_sender_do_not_fit_one_descriptor() -> None:
    """The AEAD alone would take either; the root takes one. The last chunk is withheld."""
    chunks, descriptor = sealed()
    others, _ = sealed(bytes(len(BODY)))
    opener = ChunkOpener(descriptor)
    for chunk in others[:-1]:
        opener.open(chunk.frame)
    with pytest.raises(ChunkRefused):
        opener.open(others[-1].frame)
    with pytest.raises(StreamLength):
        opener.finish()
    assert chunks[0].frame != others[0].frame


@pytest.mark.parametrize("after", range(5))
def test_receiving_goes_on_after_a_restart(after: int) -> None:
    chunks, descriptor = sealed()
    opener = ChunkOpener(descriptor)
    got = [opener.open(chunk.frame) for chunk in chunks[:after]]
    saved = opener.progress.encode()
    resumed = ChunkOpener(descriptor, Progress.decode(saved))
    got += [resumed.open(chunk.frame) for chunk in chunks[after:]]
    assert b"".join(got) == BODY
    assert resumed.finish().descriptor == descriptor


def test_progress_of_another_body_is_misuse() -> None:
    _, descriptor = sealed()
    _, other = sealed(b"x")
    with pytest.raises(StreamMisuse):
        ChunkOpener(descriptor, ChunkOpener(other).progress)


def test_chunks_one_by_one_in_any_order() -> None:
    chunks, descriptor = sealed()
    leaves = [chunk.leaf for chunk in chunks]
    for index in (2, 0, 3, 1):
        path = audit_path(leaves, index)
        content = open_chunk(descriptor, index, chunks[index].frame, path)
        assert content == BODY[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        assert verify_chunk(descriptor.root, 4, index, chunks[index].frame, path)
        for wrong in (index ^ 1, 4, -1):
            with pytest.raises(ChunkRefused):
                open_chunk(descriptor, wrong, chunks[index].frame, path)
        for spoiled in (path[:-1], (*path, bytes(32)), (bytes(32), *path[1:]), (b"short", *path[1:])):
            assert not verify_chunk(descriptor.root, 4, index, chunks[index].frame, spoiled)


def test_sealing_out_of_turn_is_misuse() -> None:
    sealer = ChunkSealer(KEY, 3)
    with pytest.raises(StreamMisuse):
        sealer.seal(b"short", last=False)
    with pytest.raises(StreamMisuse):
        sealer.seal(bytes(CHUNK_BYTES + 1), last=True)
    with pytest.raises(StreamMisuse):
        sealer.finish("x")
    sealer.seal(bytes(CHUNK_BYTES), last=False)
    with pytest.raises(StreamMisuse):
        sealer.seal(b"", last=True)  # the body ended a chunk earlier: two encodings of one body
    sealer.seal(b"x", last=True)
    with pytest.raises(StreamMisuse):
        sealer.seal(b"x", last=True)
    for locator in ("", "x" * (MAX_LOCATOR + 1)):
        with pytest.raises(StreamMisuse):
            sealer.finish(locator)


@pytest.mark.parametrize(("key", "alg"), [(bytes(31), 3), (KEY, 1), (KEY, -3)])
def test_keys_and_algorithms_out_of_range_are_misuse(key: bytes, alg: int) -> None:
    with pytest.raises(StreamMisuse):
        ChunkSealer(key, alg)


def test_descriptors_go_there_and_back_and_hide_their_key() -> None:
    _, descriptor = sealed()
    assert Descriptor.decode(descriptor.encode()) == descriptor
    assert str(KEY) not in repr(descriptor)


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, 2),
        (0, True),
        (1, 1),
        (1, {}),
        (2, bytes(31)),
        (3, -1),
        (3, True),
        (3, CHUNK_BYTES * MAX_CHUNKS + 1),
        (4, "root"),
        (5, b"file"),
        (5, ""),
        (5, "x" * (MAX_LOCATOR + 1)),
    ],
)
def test_descriptors_out_of_range_are_refused(index: int, value: Any) -> None:
    fields = list(cbor.decode(sealed(b"x")[1].encode()))
    fields[index] = value
    with pytest.raises(DescriptorMalformed):
        Descriptor.decode(cbor.encode(fields))


@pytest.mark.parametrize(
    ("index", "value"),
    [(0, 2), (1, b""), (2, -1), (2, True), (2, 3), (3, ()), (3, (b"short",)), (3, 5)],
)
def test_progress_out_of_range_is_refused(index: int, value: Any) -> None:
    opener = ChunkOpener(sealed()[1])
    opener.open(sealed()[0][0].frame)
    fields = list(cbor.decode(opener.progress.encode()))
    fields[index] = value
    with pytest.raises(DescriptorMalformed):
        Progress.decode(cbor.encode(fields))


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x80", b"\x01"])
def test_bytes_that_are_no_record(data: bytes) -> None:
    for decode in (Descriptor.decode, Progress.decode):
        with pytest.raises(DescriptorMalformed):
            decode(data)


def test_a_sender_cannot_make_a_chunk_before_the_last_short() -> None:
    """Sealed under the right key and nonce, and under the root: its length alone gives it away."""
    derived = hkdf(SHA256, KEY, b"", b"lockgate/chunks/1" + (3).to_bytes(2), 44)
    framer = Framer(3, derived[:32], label=NonceLabel.PARTIAL_IV, part_bytes=5, external_aad=b"lockgate/chunks/1")
    frames = []
    for index, content in enumerate((b"short", bytes(100))):
        part = index.to_bytes(4) + bytes([index])
        nonce = (int.from_bytes(derived[32:]) ^ int.from_bytes(part)).to_bytes(12)
        frames.append(framer.seal(nonce, part, content))
    root = root_of([leaf_hash(frame) for frame in frames])
    descriptor = Descriptor(alg=3, content_key=KEY, length=CHUNK_BYTES + 100, root=root, locator="x")
    with pytest.raises(ChunkRefused):
        ChunkOpener(descriptor).open(frames[0])
    assert open_chunk(descriptor, 1, frames[1], (leaf_hash(frames[0]),)) == bytes(100)


def test_a_path_that_is_too_short_for_the_count_proves_nothing() -> None:
    leaves = [leaf_hash(bytes([index])) for index in range(2)]
    assert root_from_path(leaves[0], 0, 2, (leaves[1],)) == root_of(leaves)
    assert root_from_path(leaves[0], 0, 4, (leaves[1],)) is None
