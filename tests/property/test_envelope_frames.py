"""Fast paths and trees equal their plain forms; decoders raise typed errors on any bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.codec import cbor_modes
from lockgate.crypto.hashes import SHA256
from lockgate.crypto.kdf import hkdf
from lockgate.envelope.chunk_tree import RootBuilder, audit_path, leaf_hash, root_from_path, root_of
from lockgate.envelope.chunks import (
    CHUNK_BYTES,
    ChunkOpener,
    ChunkSealer,
    Descriptor,
    Progress,
    open_stream,
    seal_stream,
)
from lockgate.envelope.content import Content
from lockgate.envelope.cose import countersign
from lockgate.envelope.cose.algorithms import content_algorithm
from lockgate.envelope.cose.encrypt import Encrypt, Encrypt0, encrypt0, nonce_of, open_with
from lockgate.envelope.cose.frame import Framer, NonceLabel
from lockgate.envelope.cose.headers import Acceptance, Headers
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.mac import Mac, Mac0
from lockgate.envelope.cose.sign import Sign, Sign1
from lockgate.envelope.cose.structures import ENCRYPT0, enc_structure
from lockgate.envelope.cose.wire import Wire
from lockgate.primitives.errors import LockgateError, Misuse
from tests.property.test_envelope_bytes import cases

ALGS = st.sampled_from([3, 24])
BYTES32 = st.binary(min_size=32, max_size=32)
NONCES = st.binary(min_size=12, max_size=12)
# Sizes around which the head of the ciphertext grows, and where the framer changes to a buffer.
SIZES = st.one_of(
    st.integers(0, 300),
    *(st.integers(edge - 20, edge + 20) for edge in (256, 8_192, 65_536)),
)


@given(alg=ALGS, key=BYTES32, nonce=NONCES, size=SIZES, aad=st.binary(max_size=80), fill=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_frame_is_the_message_the_generic_encoder_writes(
    alg: int, key: bytes, nonce: bytes, size: int, aad: bytes, fill: int
) -> None:
    content = bytes([fill]) * size
    framer = Framer(alg, key, label=NonceLabel.IV, part_bytes=12, external_aad=aad)
    frame = framer.seal(nonce, nonce, content)
    cose_key = CoseKey.symmetric(key, alg)
    message, _ = encrypt0(content, cose_key, nonce, protected={}, unprotected={}, external_aad=aad)
    assert frame == message.encode()
    accept = Acceptance(algorithms=frozenset({alg}), understood=frozenset(), bare_alg=False)
    assert Encrypt0.decode(bytes(frame), Wire.OURS).decrypt(cose_key, accept, external_aad=aad) == content
    assert framer.open(nonce, nonce, message.encode()) == content


@given(alg=ALGS, key=BYTES32, size=st.integers(0, 2 * CHUNK_BYTES + 5))
@settings(max_examples=25, deadline=None)
def test_a_chunk_is_the_message_the_generic_decoder_reads(alg: int, key: bytes, size: int) -> None:
    """With the Base IV and Partial IV of RFC 9052, key and Base IV derived as the docstring says."""
    derived = hkdf(SHA256, key, b"", b"lockgate/chunks/1" + alg.to_bytes(2), 44)
    cipher, base_iv = derived[:32], derived[32:]
    sealer = ChunkSealer(key, alg)
    opened = []
    for chunk in seal_stream(sealer, [bytes(size)]):
        message = Encrypt0.decode(bytes(chunk.frame), Wire.OURS)
        algorithm = content_algorithm(alg)
        assert message.headers.protected == {1: alg}
        nonce = nonce_of(algorithm, message.headers, base_iv)
        aad = enc_structure(ENCRYPT0, message.headers.covered, b"lockgate/chunks/1")
        opened.append(open_with(algorithm, cipher, nonce, message.ciphertext or b"", aad))
        assert chunk.leaf == hashlib.sha256(b"\x00" + chunk.frame).digest()
    assert b"".join(opened) == bytes(size)


BODIES = st.builds(
    lambda seed, size: (seed * (size // len(seed) + 1))[:size],
    st.binary(min_size=1, max_size=9),
    st.integers(0, 150_000),
)


@given(alg=ALGS, body=BODIES, cuts=st.lists(st.integers(0, 150_000), max_size=5))
@settings(max_examples=30, deadline=None)
def test_a_body_is_the_same_however_it_is_cut(alg: int, body: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[a:b] for a, b in pairwise(edges)]
    sealer = ChunkSealer(bytes(32), alg)
    chunks = list(seal_stream(sealer, pieces))
    descriptor = sealer.finish("x")
    assert Descriptor.decode(descriptor.encode()) == descriptor
    assert b"".join(open_stream(ChunkOpener(descriptor), [chunk.frame for chunk in chunks])) == body


def _plain_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1, as it is written there."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + _plain_root(leaves[:split]) + _plain_root(leaves[split:])).digest()


@given(count=st.integers(1, 70), data=st.data())
@settings(max_examples=150, deadline=None)
def test_the_tree_is_that_of_RFC_9162(count: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(index.to_bytes(2)) for index in range(count)]
    root = _plain_root(leaves)
    assert root_of(leaves) == root
    split = data.draw(st.integers(0, count - 1))
    first = RootBuilder()
    for leaf in leaves[:split]:
        first.append(leaf)
    resumed = RootBuilder(first.count, first.peaks)
    for leaf in leaves[split:]:
        resumed.append(leaf)
    assert resumed.root() == root
    index, other = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, count - 1))
    path = audit_path(leaves, index)
    assert root_from_path(leaves[index], index, count, path) == root
    if other != index:
        assert root_from_path(leaves[index], other, count, path) != root
        assert root_from_path(leaves[other], index, count, path) != root


DECODERS: list[Callable[[bytes], Any]] = [
    *(
        lambda data, kind=kind, wire=wire: kind.decode(data, wire)
        for kind in (Sign1, Sign, Mac0, Mac, Encrypt0, Encrypt, CoseKey)
        for wire in Wire
    ),
    lambda data: countersign.decode_standalone(data, Wire.FOREIGN),
    lambda data: Headers.parse(data, {}, Wire.FOREIGN),
    Content.decode,
    Descriptor.decode,
    Progress.decode,
]


@given(
    data=st.binary(max_size=200), head=st.sampled_from([b"", b"\xd0\x83", b"\xd1\x84", b"\xd2\x84", b"\xd8\x60\x84"])
)
@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize("decode", DECODERS)
def test_decoders_raise_typed_errors_on_any_bytes(decode: Callable[[bytes], Any], data: bytes, head: bytes) -> None:
    try:
        decode(head + data)
    except LockgateError:
        return


STRANGE: list[Any] = [
    None,
    True,
    0,
    -1,
    1 << 64,
    b"",
    b"\xa1\x01\x26",
    bytes(12),
    "text",
    (),
    ({},),
    {},
    {1: 1, -1: 4, -2: bytes(32)},
    {1: 2, -1: 1, -2: bytes(32), -3: True},
    1.5,
    cbor_modes.Simple(23),
    cbor_modes.Pairs(((1.0, 2),)),
    cbor_modes.Tag(1, 5),
]


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(value, cbor_modes.Tag):
        yield from _places(value.value, (*at, "tag"))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _places(item, (*at, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, (*at, key))


def _exchanged(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    first, rest = at[0], at[1:]
    if isinstance(value, cbor_modes.Tag):
        return cbor_modes.Tag(value.number, _exchanged(value.value, rest, new))
    if isinstance(value, dict):
        return {**value, first: _exchanged(value[first], rest, new)}
    return (*value[:first], _exchanged(value[first], rest, new), *value[first + 1 :])


@given(data=st.data(), name=st.sampled_from(sorted(cases())))
@settings(max_examples=400, deadline=None)
def test_messages_with_strange_parts_are_refused_or_mean_nothing_else(data: st.DataObject, name: str) -> None:
    """A part exchanged for any other value: a typed error, or a part that carries no meaning."""
    case = cases()[name]
    value = cbor_modes.decode(case.data)
    place = data.draw(st.sampled_from(list(_places(value))))
    altered = cbor_modes.encode_preferred(_exchanged(value, place, data.draw(st.sampled_from(STRANGE))))
    for wire in Wire:
        outcome = _outcome(lambda wire=wire: case.read(altered, wire))
        assert not isinstance(outcome, Misuse)


def _outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except LockgateError as error:
        return error
