"""Any altered byte anywhere is refused, and nothing is returned: envelopes, COSE messages, chunks.

Every position of the small artefacts is tried; of the large ones hypothesis draws positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lockgate.crypto.dh import X25519
from lockgate.envelope.chunks import (
    CHUNK_BYTES,
    ChunkOpener,
    ChunkSealer,
    Descriptor,
    SealedChunk,
    open_stream,
    seal_stream,
)
from lockgate.envelope.cose import countersign, distribution
from lockgate.envelope.cose.encrypt import Encrypt, Encrypt0, encrypt, encrypt0, encrypt0_hpke
from lockgate.envelope.cose.headers import Acceptance, Headers
from lockgate.envelope.cose.hpke import HpkeKey, hpke_algorithm
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.mac import Mac, Mac0, mac, mac0
from lockgate.envelope.cose.recipients import Receiver
from lockgate.envelope.cose.sign import Sign, Sign1, sign1
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import BadEnvelope, BadHeader, ChunkRefused, StreamLength
from lockgate.envelope.outside import inspect_envelope
from lockgate.envelope.seal import open_envelope
from lockgate.keystore.software import Ed25519Signer, OsEntropy
from lockgate.primitives.errors import LockgateError
from tests.unit.envelope.world import HYBRID, LAB, World

PAYLOAD, AAD = b"This is the content.", b"outside"
NONE: dict[str, Any] = {"protected": {}, "unprotected": {}, "external_aad": AAD}
SIGNER = Ed25519Signer(bytes(32))
ED = CoseKey.okp(6, -19, SIGNER.public_key)
HMAC, GCM, KEK = (CoseKey.symmetric(bytes(range(32)), alg) for alg in (5, 3, -5))
SECRET = bytes(range(32))
STATIC = CoseKey(kty=1, params={-1: 4, -2: X25519.private_key(SECRET).public_key, -4: SECRET}, alg=-31)
SENDER = X25519.private_key(bytes(31) + b"\x09")
BOB = hpke_algorithm(50).suite.kem.derive_key(bytes(32))
ALGORITHMS = frozenset({-19, 3, 5, -5, -6, -31, 50, 42})


def accept() -> Acceptance:
    return Acceptance(algorithms=ALGORITHMS, understood=frozenset(), bare_alg=False)


@dataclass(frozen=True)
class Case:
    data: bytes
    read: Callable[[bytes, Wire], Any]


def _countersigned(data: bytes, wire: Wire) -> Any:
    message = Sign1.decode(data, wire)
    marks = countersign.countersignatures(message, wire)
    if len(marks) != 1:
        raise BadHeader("the countersignature is gone")
    countersign.verify(message, marks[0], ED, accept(), external_aad=AAD)
    return message.verify(ED, accept(), external_aad=AAD)


@cache
def cases() -> dict[str, Case]:
    own = CoseKey(kty=1, params={-1: 4, -2: SENDER.public_key, -4: bytes(31) + b"\x09"})
    agreed, _ = distribution.ecdh(STATIC.public(), own, distribution.Target(3, 32), GCM.secret, nonce=None)
    wrapped = distribution.key_wrap(KEK, GCM.secret)
    hpke = distribution.hpke(50, BOB.public_key, GCM.secret, 3, OsEntropy(), kid=b"bob")
    iv = {**NONE, "protected": {5: bytes(12)}}
    signed = Sign(Headers.build({3: 0}), PAYLOAD, ()).signed_by(SIGNER, Headers.build({1: -19}), AAD)

    def layered(recipient: Any, key: CoseKey | HpkeKey) -> Case:
        message = encrypt(PAYLOAD, GCM.secret, 3, (recipient,), **iv)
        receiver = Receiver(key=key)
        return Case(message.encode(), lambda d, w: Encrypt.decode(d, w).decrypt(receiver, accept(), external_aad=AAD))

    return {
        "sign1": Case(
            sign1(PAYLOAD, SIGNER, -19, **NONE).encode(),
            lambda d, w: Sign1.decode(d, w).verify(ED, accept(), external_aad=AAD),
        ),
        "sign": Case(signed.encode(), lambda d, w: Sign.decode(d, w).verify(0, ED, accept(), external_aad=AAD)),
        "countersigned": Case(
            countersign.countersign(sign1(PAYLOAD, SIGNER, -19, **NONE), SIGNER, -19, **NONE).encode(),
            _countersigned,
        ),
        "mac0": Case(
            mac0(PAYLOAD, HMAC, **NONE).encode(),
            lambda d, w: Mac0.decode(d, w).verify(HMAC, accept(), external_aad=AAD),
        ),
        "mac": Case(
            mac(PAYLOAD, HMAC.secret, 5, (distribution.direct(),), **NONE).encode(),
            lambda d, w: Mac.decode(d, w).verify(Receiver(key=HMAC), accept(), external_aad=AAD),
        ),
        "encrypt0": Case(
            encrypt0(PAYLOAD, GCM, bytes(12), **NONE)[0].encode(),
            lambda d, w: Encrypt0.decode(d, w).decrypt(GCM, accept(), external_aad=AAD),
        ),
        "encrypt0 hpke": Case(
            encrypt0_hpke(PAYLOAD, 42, BOB.public_key, OsEntropy(), kid=b"bob", external_aad=AAD).encode(),
            lambda d, w: Encrypt0.decode(d, w).decrypt_hpke(HpkeKey(42, BOB), accept(), external_aad=AAD),
        ),
        "encrypt wrapped": layered(wrapped, KEK),
        "encrypt agreed": layered(agreed, STATIC),
        "encrypt hpke": layered(hpke, HpkeKey(50, BOB)),
    }


@pytest.mark.parametrize("name", sorted(cases()))
def test_an_altered_byte_of_a_cose_message_is_refused(name: str) -> None:
    """In our profile every bit is fixed or authenticated, but for the one that X25519 ignores."""
    case = cases()[name]
    case.read(case.data, Wire.OURS)
    for position in range(len(case.data)):
        for mask in (0x01, 0x20, 0x80, 0xFF):
            altered = bytearray(case.data)
            altered[position] ^= mask
            if _same_point(case.data, bytes(altered)):
                continue
            with pytest.raises(LockgateError):
                case.read(bytes(altered), Wire.OURS)


@pytest.mark.parametrize("name", sorted(cases()))
def test_a_cut_or_extended_cose_message_is_refused(name: str) -> None:
    case = cases()[name]
    for wire in Wire:
        for cut in range(len(case.data)):
            with pytest.raises(LockgateError):
                case.read(case.data[:cut], wire)
        with pytest.raises(LockgateError):
            case.read(case.data + b"\x00", wire)


def _same_point(data: bytes, altered: bytes) -> bool:
    """RFC 7748 §5 ignores the top bit of an X25519 public key: the same key, written twice."""
    masked = [SENDER.public_key[:31] + bytes([SENDER.public_key[31] ^ 0x80])]
    return any(point in altered and point not in data for point in masked)


@cache
def envelope(suites: tuple[int, int]) -> World:
    world = World(suites)
    world.seal()
    return world


def refuse_envelope(world: World, data: bytes) -> None:
    with pytest.raises(BadEnvelope) as caught:
        open_envelope(world.context, data, world.bob, world.author)
    assert caught.value.code == "envelope.rejected"


def test_P3_any_altered_byte_of_an_envelope_is_refused_with_the_public_code() -> None:
    world = envelope(LAB)
    for position in range(len(world.sealed)):
        for mask in (0x01, 0x80, 0xFF):
            altered = bytearray(world.sealed)
            altered[position] ^= mask
            refuse_envelope(world, bytes(altered))


@given(position=st.integers(0, 5_000), mask=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
@example(position=0, mask=1)
@example(position=5_000, mask=255)
def test_P3_any_altered_byte_of_a_hybrid_envelope_is_refused(position: int, mask: int) -> None:
    world = envelope(HYBRID)
    altered = bytearray(world.sealed)
    altered[position % len(altered)] ^= mask
    refuse_envelope(world, bytes(altered))


@given(cut=st.integers(0, 5_000), tail=st.binary(max_size=3))
@settings(max_examples=60, deadline=None)
def test_P3_an_envelope_cut_or_extended_is_refused(cut: int, tail: bytes) -> None:
    world = envelope(HYBRID)
    data = world.sealed[: cut % len(world.sealed)] + tail
    refuse_envelope(world, data)


@given(data=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_P3_any_bytes_are_refused(data: bytes) -> None:
    refuse_envelope(envelope(LAB), data)
    with pytest.raises(BadEnvelope):
        inspect_envelope(data)


@cache
def stream(alg: int) -> tuple[list[SealedChunk], Descriptor]:
    sealer = ChunkSealer(bytes(range(32)), alg)
    chunks = list(seal_stream(sealer, [bytes(CHUNK_BYTES), bytes(range(200))]))
    return chunks, sealer.finish("file:x")


@pytest.mark.parametrize("alg", [3, 24])
def test_an_altered_byte_of_the_last_chunk_is_refused(alg: int) -> None:
    chunks, descriptor = stream(alg)
    for position in range(len(chunks[1].frame)):
        opener = ChunkOpener(descriptor)
        opener.open(chunks[0].frame)
        altered = bytearray(chunks[1].frame)
        altered[position] ^= 0x01
        with pytest.raises(ChunkRefused):
            opener.open(altered)
        assert opener.progress.count == 1


@given(position=st.integers(0, CHUNK_BYTES + 100), mask=st.integers(1, 255), alg=st.sampled_from([3, 24]))
@settings(max_examples=100, deadline=None)
def test_an_altered_byte_of_a_full_chunk_is_refused(position: int, mask: int, alg: int) -> None:
    chunks, descriptor = stream(alg)
    altered = bytearray(chunks[0].frame)
    altered[position % len(altered)] ^= mask
    opener = ChunkOpener(descriptor)
    with pytest.raises(ChunkRefused):
        opener.open(altered)
    assert opener.progress.count == 0


@given(order=st.lists(st.integers(0, 1), max_size=4), alg=st.sampled_from([3, 24]))
@settings(max_examples=60, deadline=None)
def test_only_the_right_order_makes_a_body(order: list[int], alg: int) -> None:
    chunks, descriptor = stream(alg)
    frames = open_stream(ChunkOpener(descriptor), [chunks[index].frame for index in order])
    if order == [0, 1]:
        assert len(list(frames)) == 2
        return
    with pytest.raises((ChunkRefused, StreamLength)):
        list(frames)
