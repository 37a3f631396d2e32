"""Hand-framed COSE_Encrypt0: refusals. That it equals the generic encoder is a property test."""

from __future__ import annotations

import pytest

from lockgate.envelope.cose.frame import Framer, NonceLabel
from lockgate.envelope.errors import AlgorithmNotAllowed, CoseMalformed, DecryptionRefused, MessageMisuse

KEY, NONCE = bytes(range(32)), bytes(range(12))


def framer(alg: int = 3, key: bytes = KEY, part_bytes: int = 12, aad: bytes = b"aad") -> Framer:
    return Framer(alg, key, label=NonceLabel.IV, part_bytes=part_bytes, external_aad=aad)


@pytest.mark.parametrize("alg", [3, 24])
@pytest.mark.parametrize("size", [0, 1, 7, 239, 240, 8_176, 8_177, 65_519, 65_520, 65_536, 200_000])
def test_round_trip_at_every_width_of_head(alg: int, size: int) -> None:
    """Around the sizes where the head of the ciphertext grows, and where the buffer path takes over."""
    one = framer(alg)
    frame = one.seal(NONCE, NONCE, bytes(size))
    assert len(frame) == one.frame_bytes(size)
    assert one.open(NONCE, NONCE, frame) == bytes(size)
    assert one.open(NONCE, NONCE, memoryview(bytes(frame))) == bytes(size)


def test_refusals() -> None:
    one = framer()
    frame = bytes(one.seal(NONCE, NONCE, b"content"))
    with pytest.raises(CoseMalformed):
        one.open(NONCE, bytes(12), frame)  # carries another nonce than expected
    with pytest.raises(DecryptionRefused):
        one.open(bytes(12), NONCE, frame)
    with pytest.raises(DecryptionRefused):
        framer(aad=b"other").open(NONCE, NONCE, frame)
    with pytest.raises(DecryptionRefused):
        framer(key=bytes(32)).open(NONCE, NONCE, frame)
    with pytest.raises(CoseMalformed):
        framer(alg=24).open(NONCE, NONCE, frame)
    for cut in range(len(frame)):
        with pytest.raises((CoseMalformed, DecryptionRefused)):
            one.open(NONCE, NONCE, frame[:cut])
    with pytest.raises((CoseMalformed, DecryptionRefused)):
        one.open(NONCE, NONCE, frame + b"\x00")


def test_misuse() -> None:
    with pytest.raises(AlgorithmNotAllowed):
        framer(alg=10)
    with pytest.raises(MessageMisuse):
        framer(key=bytes(16))
    with pytest.raises(MessageMisuse):
        framer(part_bytes=13)
    with pytest.raises(MessageMisuse):
        framer().seal(NONCE, b"short", b"")
    with pytest.raises(MessageMisuse):
        framer().seal(b"tiny", NONCE, b"")


def test_the_key_is_not_shown() -> None:
    assert KEY.hex() not in repr(framer())
