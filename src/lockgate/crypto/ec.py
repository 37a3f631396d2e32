"""Short Weierstrass curves: points as SEC 1 bytes, checked to lie on the curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec as _ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lockgate.crypto.errors import BadKey


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of prime order; `coordinate_bytes` also is the length of a scalar."""

    name: str
    coordinate_bytes: int
    order: int
    curve: _ec.EllipticCurve

    @property
    def public_bytes(self) -> int:
        """Length of an uncompressed point."""
        return 1 + 2 * self.coordinate_bytes


P256: Final = Curve("P-256", 32, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551, _ec.SECP256R1())
P384: Final = Curve(
    "P-384",
    48,
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    _ec.SECP384R1(),
)
P521: Final = Curve(
    "P-521",
    66,
    (1 << 521) - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
    _ec.SECP521R1(),
)
SECP256K1: Final = Curve(
    "secp256k1", 32, 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141, _ec.SECP256K1()
)
CURVES: Final = {curve.name: curve for curve in (P256, P384, P521, SECP256K1)}


def encode_point(curve: Curve, x: bytes, y: bytes | bool) -> bytes:
    """SEC 1 bytes of a point given as COSE keys give it: y in full, or its lowest bit (RFC 9053 §7.1.1)."""
    if len(x) != curve.coordinate_bytes or (not isinstance(y, bool) and len(y) != curve.coordinate_bytes):
        raise BadKey("a coordinate has the wrong length", curve=curve.name)
    if isinstance(y, bool):
        return (b"\x03" if y else b"\x02") + x
    return b"\x04" + x + y


def load_public(curve: Curve, point: bytes) -> _ec.EllipticCurvePublicKey:
    """Load a SEC 1 point, compressed or not. Raises BadKey unless it is on the curve."""
    if len(point) not in (curve.public_bytes, 1 + curve.coordinate_bytes):
        raise BadKey("a point has the wrong length", curve=curve.name, got=len(point))
    try:
        return _ec.EllipticCurvePublicKey.from_encoded_point(curve.curve, point)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey("not a point of the curve", curve=curve.name) from error


def load_private(curve: Curve, scalar: bytes) -> _ec.EllipticCurvePrivateKey:
    """Load a big-endian scalar of full length, 1..order−1. Raises BadKey."""
    value = int.from_bytes(scalar)
    if len(scalar) != curve.coordinate_bytes or not 0 < value < curve.order:
        raise BadKey("a private key is a full-length scalar below the order", curve=curve.name)
    return _ec.derive_private_key(value, curve.curve)


def uncompressed(key: _ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


__all__ = (
    "CURVES",
    "P256",
    "P384",
    "P521",
    "SECP256K1",
    "Curve",
    "encode_point",
    "load_private",
    "load_public",
    "uncompressed",
)
