"""BLS signatures over BLS12-381 with keys in G1 and signatures in G2, as Ethereum's sync committees make them.

Points come in as compressed bytes of one length. They are taken only if they are the one canonical encoding
of a point that lies on the curve, in the subgroup of prime order, and is not the identity: a point outside
the subgroup lets a signature be moved to another key, and the identity signs for everybody. All of that is
checked here whatever the library checks, and the encoding is compared with what the point encodes to (P7).

`fast_aggregate_verify` takes keys that were loaded before, since a committee's keys are checked once and
used for a day. It is safe against keys made from others' keys only where each key's owner has proved
possession of it; Ethereum's deposits demand that proof.

Sources: draft-irtf-cfrg-bls-signature-05 (schemes "basic" and "proof of possession"); RFC 9380 for hashing
to the curve; the ZCash encoding of points, draft appendix C.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from lockgate.crypto.errors import BadKey

PublicKey: TypeAlias = G1Point  # a key that was loaded, so one that passed every check
PUBLIC_BYTES: Final = 48
SIGNATURE_BYTES: Final = 96
SECRET_BYTES: Final = 32
ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
POP_SUITE: Final = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"  # Ethereum's
BASIC_SUITE: Final = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"

_PRIME: Final = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16
)
_FIELD_DRAW_BYTES: Final = 64  # L of RFC 9380 §8.8: 381 bits and 128 more, so that reduction does not show
_XMD_BLOCKS_MAX: Final = 255  # RFC 9380 §5.3.1: one byte counts the blocks
_NEGATED_GENERATOR: Final = -G1Point()


def load_public(encoded: bytes) -> G1Point:
    """Load a compressed public key of 48 bytes. Raises BadKey (KeyValidate of the draft, §2.5)."""
    if len(encoded) != PUBLIC_BYTES:
        raise BadKey("a BLS public key has 48 bytes", got=len(encoded))
    try:
        # "Unchecked" leaves out the subgroup alone, which is asked below: asking twice costs a committee 40 ms.
        point = G1Point.from_compressed_bytes_unchecked(encoded)
    except ValueError:
        raise BadKey("a BLS public key is not a point of the curve", public_key=encoded) from None
    if point == G1Point.identity() or not point.is_in_subgroup() or point.to_compressed_bytes() != encoded:
        raise BadKey("a BLS public key is the identity, outside the subgroup or not canonical", public_key=encoded)
    return point


def add_keys(keys: Iterable[G1Point]) -> G1Point:
    """The sum of loaded keys; the identity for none. A key may occur more than once."""
    total = G1Point.identity()
    for key in keys:
        total += key
    return total


def encode_public(key: G1Point) -> bytes:
    """The 48 compressed bytes of a key."""
    return key.to_compressed_bytes()


def fast_aggregate_verify(keys: Sequence[G1Point], message: bytes, signature: bytes, suite: bytes = POP_SUITE) -> bool:
    """Whether all `keys` signed one `message`: `signature` is the sum of theirs. No key: False. Never raises."""
    if not keys:
        return False
    return _signed(((add_keys(keys), message),), signature, suite)


def verify(public_key: bytes, message: bytes, signature: bytes, suite: bytes = POP_SUITE) -> bool:
    """Whether one key signed. Never raises, whatever the bytes."""
    return aggregate_verify((public_key,), (message,), signature, suite)


def aggregate_verify(
    public_keys: Sequence[bytes], messages: Sequence[bytes], signature: bytes, suite: bytes = POP_SUITE
) -> bool:
    """Whether each key signed the message at its place. Under the basic suite messages must differ. Never raises."""
    if not public_keys or len(public_keys) != len(messages):
        return False
    if suite == BASIC_SUITE and len(set(messages)) != len(messages):
        return False
    try:
        signed = tuple(zip(map(load_public, public_keys), messages, strict=True))
    except BadKey:
        return False
    return _signed(signed, signature, suite)


def aggregate(signatures: Sequence[bytes]) -> bytes:
    """Add signatures up: 96 bytes. Raises BadKey for one that is no signature, or for none at all."""
    points = [_load_signature(signature) for signature in signatures]
    total = G2Point.identity()
    for point in points:
        if point is None:
            raise BadKey("a BLS signature is not a point of the group")
        total += point
    if not points:
        raise BadKey("there is no signature to add up")
    return total.to_compressed_bytes()


def hash_to_g1(message: bytes, tag: bytes) -> bytes:
    """RFC 9380 BLS12381G1_XMD:SHA-256_SSWU_RO_ under domain separation `tag`: a compressed point."""
    first, second = _field_elements(message, tag, 2)
    return (G1Point.map_from_fp_be(first) + G1Point.map_from_fp_be(second)).to_compressed_bytes()


def encode_to_g1(message: bytes, tag: bytes) -> bytes:
    """RFC 9380 BLS12381G1_XMD:SHA-256_SSWU_NU_: as `hash_to_g1`, but not uniform."""
    (only,) = _field_elements(message, tag, 1)
    return G1Point.map_from_fp_be(only).to_compressed_bytes()


def hash_to_g2(message: bytes, tag: bytes) -> bytes:
    """RFC 9380 BLS12381G2_XMD:SHA-256_SSWU_RO_: a compressed point."""
    return _hash_to_g2(message, tag).to_compressed_bytes()


def encode_to_g2(message: bytes, tag: bytes) -> bytes:
    """RFC 9380 BLS12381G2_XMD:SHA-256_SSWU_NU_: as `hash_to_g2`, but not uniform."""
    return G2Point.map_from_fp2_be(b"".join(_field_elements(message, tag, 2))).to_compressed_bytes()


def expand_message_xmd(message: bytes, tag: bytes, size: int) -> bytes:
    """RFC 9380 §5.3.1 with SHA-256: `size` bytes, at most 8,160. Raises BadKey beyond its limits."""
    blocks = -(-size // 32)
    if not 0 < blocks <= _XMD_BLOCKS_MAX:
        raise BadKey("a message expands to 1 to 8160 bytes", size=size)
    if len(tag) > 255:  # §5.3.3
        tag = hashlib.sha256(b"H2C-OVERSIZE-DST-" + tag).digest()
    ending = tag + bytes([len(tag)])
    seed = hashlib.sha256(bytes(64) + message + size.to_bytes(2) + b"\0" + ending).digest()
    block, expanded = bytes(32), b""
    for number in range(1, blocks + 1):
        mixed = bytes(left ^ right for left, right in zip(seed, block, strict=True))
        block = hashlib.sha256(mixed + bytes([number]) + ending).digest()
        expanded += block
    return expanded[:size]


class SigningKey:
    """A private key: a scalar of 32 big-endian bytes, 1..order−1. Signing is deterministic, so pure.

    The lab's committees sign with it; no ledger, host or relayer of ours holds such a key.
    """

    __slots__ = ("_scalar", "public_key")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES or not 0 < int.from_bytes(secret) < ORDER:
            raise BadKey("a BLS private key is 32 bytes of a scalar below the order")
        self._scalar = Scalar.from_be_bytes(secret)
        self.public_key: Final = (G1Point() * self._scalar).to_compressed_bytes()

    def __repr__(self) -> str:
        return f"bls12381.SigningKey(public_key={self.public_key.hex()})"

    def sign(self, message: bytes, suite: bytes = POP_SUITE, /) -> bytes:
        """96 bytes of a signature."""
        return (_hash_to_g2(message, suite) * self._scalar).to_compressed_bytes()


def _load_signature(encoded: bytes) -> G2Point | None:
    if len(encoded) != SIGNATURE_BYTES:
        return None
    try:
        point = G2Point.from_compressed_bytes(encoded)
    except ValueError:
        return None
    if point == G2Point.identity() or not point.is_in_subgroup() or point.to_compressed_bytes() != encoded:
        return None
    return point


def _signed(signed: Sequence[tuple[G1Point, bytes]], signature: bytes, suite: bytes) -> bool:
    """e(key, H(message)) multiplied up equals e(generator, signature)."""
    point = _load_signature(signature)
    if point is None or any(key == G1Point.identity() for key, _ in signed):
        return False
    lefts = [key for key, _ in signed] + [_NEGATED_GENERATOR]
    rights = [_hash_to_g2(message, suite) for _, message in signed] + [point]
    return GT.pairing_check(lefts, rights)


def _hash_to_g2(message: bytes, tag: bytes) -> G2Point:
    if len(tag) > 255:
        tag = hashlib.sha256(b"H2C-OVERSIZE-DST-" + tag).digest()
    return G2Point.hash_to_curve(message, tag)


def _field_elements(message: bytes, tag: bytes, count: int) -> tuple[bytes, ...]:
    drawn = expand_message_xmd(message, tag, count * _FIELD_DRAW_BYTES)
    numbers = (
        int.from_bytes(drawn[at : at + _FIELD_DRAW_BYTES]) % _PRIME for at in range(0, len(drawn), _FIELD_DRAW_BYTES)
    )
    return tuple(number.to_bytes(PUBLIC_BYTES) for number in numbers)


__all__ = (
    "BASIC_SUITE",
    "ORDER",
    "POP_SUITE",
    "PUBLIC_BYTES",
    "SECRET_BYTES",
    "SIGNATURE_BYTES",
    "PublicKey",
    "SigningKey",
    "add_keys",
    "aggregate",
    "aggregate_verify",
    "encode_public",
    "encode_to_g1",
    "encode_to_g2",
    "expand_message_xmd",
    "fast_aggregate_verify",
    "hash_to_g1",
    "hash_to_g2",
    "load_public",
    "verify",
)
