"""ECDSA over secp256k1 as Ethereum has it: over a 32-byte digest, with the bit that gives the signer back.

Signing is the library's (RFC 6979, low s). Recovery is arithmetic of our own: what it touches is public (P7).
Source: SEC 1 §4.1.6; Yellow Paper, appendix F.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec as _ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from lockgate.crypto.ec import SECP256K1, load_private, uncompressed
from lockgate.crypto.keccak import keccak256
from lockgate.primitives.errors import Misuse

DIGEST_BYTES: Final = 32
ADDRESS_BYTES: Final = 20
_P: Final = 2**256 - 2**32 - 977
_N: Final = SECP256K1.order
_G: Final = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
_Jacobian = tuple[int, int, int]  # x / z², y / z³
_INFINITY: Final[_Jacobian] = (1, 1, 0)


@dataclass(frozen=True, slots=True)
class Recoverable:
    """A signature; `odd` says which of two points r came from."""

    r: int
    s: int
    odd: bool

    @property
    def compact(self) -> tuple[bytes, bytes]:
        """r, and s with the parity in its top bit. Source: EIP-2098."""
        return self.r.to_bytes(32), (self.s | self.odd << 255).to_bytes(32)


class EvmKey:
    """A key of an account on an EVM, from its big-endian scalar. Raises BadKey."""

    __slots__ = ("_key", "address")

    def __init__(self, scalar: bytes) -> None:
        self._key = load_private(SECP256K1, scalar)
        self.address: Final = address_of(uncompressed(self._key.public_key()))

    def __repr__(self) -> str:
        return f"EvmKey(address={self.address.hex()})"

    def sign_digest(self, digest: bytes) -> Recoverable:
        """Sign 32 bytes, deterministically, with low s."""
        if len(digest) != DIGEST_BYTES:
            raise Misuse("a digest has 32 bytes", size=len(digest))
        der = self._key.sign(digest, _ec.ECDSA(Prehashed(SHA256()), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        s = min(s, _N - s)
        for odd in (False, True):
            if recover(digest, Recoverable(r, s, odd)) == self.address:
                return Recoverable(r, s, odd)
        raise AssertionError("a signature gives its signer back, but for one in 2**127")


def address_of(public_key: bytes) -> bytes:
    """The address of an uncompressed point: the last 20 bytes of its hash."""
    return keccak256(public_key[1:])[-ADDRESS_BYTES:]


def recover(digest: bytes, signature: Recoverable) -> bytes | None:
    """The address whose key signed a digest, as a node's `ecrecover` finds it; None where nobody can have. High s is
    refused, so that one statement has one signature.
    """
    r, s = signature.r, signature.s
    if len(digest) != DIGEST_BYTES or not 0 < r < _N or not 0 < s <= _N // 2:
        return None
    square = (pow(r, 3, _P) + 7) % _P
    y = pow(square, (_P + 1) // 4, _P)
    if y * y % _P != square:
        return None
    point = (r, y if y & 1 == signature.odd else _P - y)
    inverse = pow(r, -1, _N)
    public = _combined(-int.from_bytes(digest) * inverse % _N, _G, s * inverse % _N, point)
    if public is None:
        return None
    return address_of(b"\x04" + public[0].to_bytes(32) + public[1].to_bytes(32))


def _combined(a: int, one: tuple[int, int], b: int, other: tuple[int, int]) -> tuple[int, int] | None:
    """a times one point and b times another, in Jacobian coordinates; None for the point at infinity."""
    first, second = (*one, 1), (*other, 1)
    both = _added(first, second)
    table = (None, first, second, both)
    found: _Jacobian = _INFINITY
    for bit in reversed(range(max(a.bit_length(), b.bit_length()))):
        found = _doubled(found)
        chosen = table[(a >> bit & 1) | (b >> bit & 1) << 1]
        if chosen is not None:
            found = _added(found, chosen)
    x, y, z = found
    if z == 0:
        return None
    inverse = pow(z, -1, _P)
    return x * inverse * inverse % _P, y * inverse**3 % _P


def _doubled(point: _Jacobian) -> _Jacobian:
    x, y, z = point
    yy = y * y % _P
    s = 4 * x * yy % _P
    m = 3 * x * x % _P
    x3 = (m * m - 2 * s) % _P
    return x3, (m * (s - x3) - 8 * yy * yy) % _P, 2 * y * z % _P


def _added(one: _Jacobian, other: _Jacobian) -> _Jacobian:
    (x1, y1, z1), (x2, y2, z2) = one, other
    if z1 == 0 or z2 == 0:
        return other if z1 == 0 else one
    zz1, zz2 = z1 * z1 % _P, z2 * z2 % _P
    u1, u2 = x1 * zz2 % _P, x2 * zz1 % _P
    s1, s2 = y1 * zz2 * z2 % _P, y2 * zz1 * z1 % _P
    h, r = (u2 - u1) % _P, (s2 - s1) % _P
    if h == 0:
        return _doubled(one) if r == 0 else _INFINITY
    hh = h * h % _P
    hhh, v = h * hh % _P, u1 * hh % _P
    x3 = (r * r - hhh - 2 * v) % _P
    return x3, (r * (v - x3) - s1 * hhh) % _P, h * z1 * z2 % _P


__all__ = ("ADDRESS_BYTES", "DIGEST_BYTES", "EvmKey", "Recoverable", "address_of", "recover")
