"""Diffie–Hellman groups behind HPKE and COSE: X25519, X448 and the NIST curves, over bytes.

Small-order and off-curve peers are refused: an all-zero result is an error (RFC 7748 §6.1, RFC 9180
§7.1.4), never a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric import ec as _ec
from cryptography.hazmat.primitives.asymmetric import x448, x25519

from lockgate.crypto.ec import P256, P384, P521, Curve, load_private, load_public, uncompressed
from lockgate.crypto.errors import BadKey


class DhKey(Protocol):
    """A private key; `public_key` is its serialised public key."""

    @property
    def public_key(self) -> bytes: ...

    def exchange(self, peer: bytes, /) -> bytes:
        """Return the raw shared secret: an x-coordinate. Raises BadKey."""
        ...


@dataclass(frozen=True, slots=True)
class Group:
    """A group with its lengths in bytes. `order` is 0 where any bytes are a private key."""

    name: str
    public_bytes: int
    private_bytes: int
    shared_bytes: int
    order: int
    _load: Callable[[bytes], DhKey] = field(repr=False)
    _check: Callable[[bytes], object] = field(repr=False)

    def private_key(self, raw: bytes) -> DhKey:
        if len(raw) != self.private_bytes:
            raise BadKey("a private key has the wrong length", group=self.name, got=len(raw))
        return self._load(raw)

    def check_public_key(self, public_key: bytes) -> None:
        """Raise BadKey on a wrong length or, on the NIST curves, a point that is not on the curve."""
        if len(public_key) != self.public_bytes:
            raise BadKey("a public key has the wrong length", group=self.name, got=len(public_key))
        self._check(public_key)


class _Montgomery:
    """X25519 or X448."""

    __slots__ = ("_key", "_load_peer", "public_key")

    def __init__(
        self,
        key: x25519.X25519PrivateKey | x448.X448PrivateKey,
        load_peer: Callable[[bytes], x25519.X25519PublicKey | x448.X448PublicKey],
    ) -> None:
        self._key = key
        self._load_peer = load_peer
        self.public_key: Final = key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"DhKey(public_key={self.public_key.hex()})"

    def exchange(self, peer: bytes, /) -> bytes:
        try:
            return self._key.exchange(self._load_peer(peer))  # type: ignore[arg-type]  # same family as the key
        except ValueError as error:
            raise BadKey("the peer's key has the wrong length or small order") from error


class _Nist:
    __slots__ = ("_curve", "_key", "public_key")

    def __init__(self, curve: Curve, scalar: bytes) -> None:
        self._curve = curve
        self._key = load_private(curve, scalar)
        self.public_key: Final = uncompressed(self._key.public_key())

    def __repr__(self) -> str:
        return f"DhKey({self._curve.name}, public_key={self.public_key.hex()})"

    def exchange(self, peer: bytes, /) -> bytes:
        return self._key.exchange(_ec.ECDH(), load_public(self._curve, peer))


def _nist(curve: Curve) -> Group:
    size = curve.coordinate_bytes
    return Group(
        curve.name,
        curve.public_bytes,
        size,
        size,
        curve.order,
        lambda raw: _Nist(curve, raw),
        lambda point: load_public(curve, point),
    )


def _x25519(raw: bytes) -> DhKey:
    return _Montgomery(x25519.X25519PrivateKey.from_private_bytes(raw), x25519.X25519PublicKey.from_public_bytes)


def _x448(raw: bytes) -> DhKey:
    return _Montgomery(x448.X448PrivateKey.from_private_bytes(raw), x448.X448PublicKey.from_public_bytes)


X25519: Final = Group("X25519", 32, 32, 32, 0, _x25519, len)
X448: Final = Group("X448", 56, 56, 56, 0, _x448, len)
DH_P256: Final = _nist(P256)
DH_P384: Final = _nist(P384)
DH_P521: Final = _nist(P521)

__all__ = ("DH_P256", "DH_P384", "DH_P521", "X448", "X25519", "DhKey", "Group")
