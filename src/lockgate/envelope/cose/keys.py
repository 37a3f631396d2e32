"""COSE_Key: a key with its type, and with the one algorithm and the uses it is bound to.

A key that names no algorithm does nothing here: `bound_to` binds it, in the open. So no message can
pick another algorithm for a key than the key's owner did.
Source: RFC 9052 §7, RFC 9053 §7; RSA: RFC 8230; AKP: draft-ietf-cose-dilithium, draft-ietf-cose-hpke-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.crypto.dh import DH_P256, DH_P384, DH_P521, X448, X25519, DhKey, Group
from lockgate.crypto.ec import P256, P384, P521, SECP256K1, Curve, encode_point, load_public, uncompressed
from lockgate.crypto.errors import BadKey
from lockgate.envelope.cose.labels import (
    KEY_ALG,
    KEY_BASE_IV,
    KEY_KID,
    KEY_KTY,
    KEY_OPS,
    CurveId,
    KeyOp,
    KeyType,
)
from lockgate.envelope.cose.wire import Wire, decode_item
from lockgate.envelope.errors import CoseKeyMalformed, KeyNotForUse
from lockgate.primitives.errors import LockgateError

_CRV, _X, _Y, _D = -1, -2, -3, -4
_N, _E = -1, -2
_K = -1
_PUB, _PRIV = -1, -2

NIST: Final[Mapping[int, Curve]] = {
    CurveId.P256: P256,
    CurveId.P384: P384,
    CurveId.P521: P521,
    CurveId.SECP256K1: SECP256K1,
}
GROUPS: Final[Mapping[int, Group]] = {
    CurveId.P256: DH_P256,
    CurveId.P384: DH_P384,
    CurveId.P521: DH_P521,
    CurveId.X25519: X25519,
    CurveId.X448: X448,
}
_OKP_BYTES: Final[Mapping[int, int]] = {
    CurveId.X25519: 32,
    CurveId.X448: 56,
    CurveId.ED25519: 32,
    CurveId.ED448: 57,
}
# Parameters that hold a secret, by key type: never shown, never in a public key.
_SECRET: Final[Mapping[int, frozenset[int]]] = {
    KeyType.OKP: frozenset({_D}),
    KeyType.EC2: frozenset({_D}),
    KeyType.RSA: frozenset(range(-12, -2)),
    KeyType.SYMMETRIC: frozenset({_K}),
    KeyType.AKP: frozenset({_PRIV}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CoseKey:
    """A checked key. `params` are those of its type, by label; `ops` None means not restricted."""

    kty: int
    params: Mapping[int, Any] = field(repr=False)
    kid: bytes | None = None
    alg: int | None = None
    ops: frozenset[int] | None = None
    base_iv: bytes | None = None

    def __post_init__(self) -> None:
        check = _CHECKS.get(self.kty)
        if check is None:
            raise CoseKeyMalformed("unknown key type", kty=self.kty)
        check(self.params)

    @classmethod
    def from_map(cls, item: Any) -> Self:
        """Take a decoded map for a key. Unknown parameters are dropped. Raises CoseKeyMalformed."""
        if not isinstance(item, Mapping):
            raise CoseKeyMalformed("a key is a map")
        kty = item.get(KEY_KTY)
        if type(kty) is str:
            kty = _KTY_NAMES.get(kty)
        kid, alg = item.get(KEY_KID), item.get(KEY_ALG)
        ops, base_iv = item.get(KEY_OPS), item.get(KEY_BASE_IV)
        if type(kty) is not int or type(alg) not in (int, type(None)):
            raise CoseKeyMalformed("key type or algorithm is not a known number")
        if type(kid) not in (bytes, type(None)) or type(base_iv) not in (bytes, type(None)):
            raise CoseKeyMalformed("kid and Base IV are byte strings")
        if ops is not None and (type(ops) is not tuple or not all(type(op) is int for op in ops)):
            raise CoseKeyMalformed("key_ops is an array of integers")
        params = {label: value for label, value in item.items() if type(label) is int and label < 0}
        return cls(
            kty=kty,
            params=params,
            kid=kid,
            alg=alg,
            ops=None if ops is None else frozenset(ops),
            base_iv=base_iv,
        )

    @classmethod
    def decode(cls, data: bytes, wire: Wire) -> Self:
        try:
            item = decode_item(data, wire)
        except LockgateError as error:
            raise CoseKeyMalformed("not a CBOR item") from error
        return cls.from_map(item)

    @classmethod
    def symmetric(cls, key: bytes, alg: int, kid: bytes | None = None, base_iv: bytes | None = None) -> Self:
        return cls(kty=KeyType.SYMMETRIC, params={_K: key}, alg=alg, kid=kid, base_iv=base_iv)

    @classmethod
    def akp(cls, alg: int, public_key: bytes, kid: bytes | None = None) -> Self:
        return cls(kty=KeyType.AKP, params={_PUB: public_key}, alg=alg, kid=kid)

    @classmethod
    def okp(cls, crv: int, alg: int, public_key: bytes, kid: bytes | None = None) -> Self:
        return cls(kty=KeyType.OKP, params={_CRV: crv, _X: public_key}, alg=alg, kid=kid)

    def to_map(self) -> dict[int, Any]:
        out: dict[int, Any] = {KEY_KTY: int(self.kty), **self.params}
        if self.kid is not None:
            out[KEY_KID] = self.kid
        if self.alg is not None:
            out[KEY_ALG] = self.alg
        if self.ops is not None:
            out[KEY_OPS] = tuple(sorted(self.ops))
        if self.base_iv is not None:
            out[KEY_BASE_IV] = self.base_iv
        return out

    def encode(self) -> bytes:
        return cbor.encode(self.to_map())

    def public(self) -> CoseKey:
        """The key without its secret parameters. Raises KeyNotForUse for a symmetric one."""
        if self.kty == KeyType.SYMMETRIC:
            raise KeyNotForUse("a symmetric key has no public half")
        secret = _SECRET[self.kty]
        return replace(self, params={k: v for k, v in self.params.items() if k not in secret}, ops=None)

    def bound_to(self, alg: int) -> CoseKey:
        """The same key, bound to `alg`. Raises KeyNotForUse when it is bound to another already."""
        if self.alg is not None and self.alg != alg:
            raise KeyNotForUse("the key is bound to another algorithm", bound=self.alg, asked=alg)
        return replace(self, alg=alg)

    def require(self, alg: int, op: KeyOp, kty: int) -> None:
        """Raise KeyNotForUse unless the key is bound to `alg`, has type `kty` and may do `op`."""
        if self.alg != alg:
            raise KeyNotForUse("the key is not bound to this algorithm", bound=self.alg, asked=alg)
        if self.kty != kty:
            raise KeyNotForUse("the key has another type", got=self.kty, expected=int(kty))
        if self.ops is not None and op not in self.ops:
            raise KeyNotForUse("the key may not be used so", op=op.name)

    @property
    def crv(self) -> int:
        """The curve's number, 0 for key types without one."""
        value = self.params.get(_CRV)
        return value if type(value) is int else 0

    @property
    def secret(self) -> bytes:
        """The bytes of the private or symmetric key. Raises KeyNotForUse when it is not here."""
        label = {KeyType.SYMMETRIC: _K, KeyType.AKP: _PRIV}.get(KeyType(self.kty), _D)
        value = self.params.get(label)
        if type(value) is not bytes or self.kty == KeyType.RSA:
            raise KeyNotForUse("the key holds no secret that can be used")
        return value

    @property
    def public_bytes(self) -> bytes:
        """Raw public key: OKP and AKP as they are, EC2 as an uncompressed SEC 1 point."""
        if self.kty == KeyType.EC2:
            point = encode_point(NIST[self.crv], self.params[_X], self.params[_Y])
            return uncompressed(load_public(NIST[self.crv], point))
        value = self.params.get(_X if self.kty == KeyType.OKP else _PUB)
        if type(value) is not bytes or self.kty not in (KeyType.OKP, KeyType.AKP):
            raise KeyNotForUse("the key holds no public bytes")
        return value

    @property
    def rsa(self) -> tuple[int, int]:
        """(n, e) of an RSA key."""
        return int.from_bytes(self.params[_N]), int.from_bytes(self.params[_E])

    @property
    def group(self) -> Group:
        """The Diffie–Hellman group of the key's curve. Raises KeyNotForUse where there is none."""
        if self.kty not in (KeyType.EC2, KeyType.OKP) or self.crv not in GROUPS:
            raise KeyNotForUse("no key agreement on this curve", crv=self.crv)
        return GROUPS[self.crv]

    def dh(self) -> DhKey:
        """The private key, ready for an exchange. Raises KeyNotForUse."""
        return self.group.private_key(self.secret)


def _check_okp(params: Mapping[int, Any]) -> None:
    size = _OKP_BYTES.get(params.get(_CRV, 0)) if type(params.get(_CRV)) is int else None
    if size is None:
        raise CoseKeyMalformed("not a curve of octet key pairs")
    _sized(params, _X, size, required=_D not in params)
    _sized(params, _D, size, required=False)


def _check_ec2(params: Mapping[int, Any]) -> None:
    curve = NIST.get(params.get(_CRV, 0)) if type(params.get(_CRV)) is int else None
    if curve is None:
        raise CoseKeyMalformed("not a curve with two coordinates")
    _sized(params, _X, curve.coordinate_bytes, required=True)
    if type(params.get(_Y)) is not bool:
        _sized(params, _Y, curve.coordinate_bytes, required=True)
    _sized(params, _D, curve.coordinate_bytes, required=False)
    try:
        load_public(curve, encode_point(curve, params[_X], params[_Y]))
    except BadKey as error:
        raise CoseKeyMalformed("the point is not on its curve") from error


def _check_rsa(params: Mapping[int, Any]) -> None:
    for label in (_N, _E):
        value = params.get(label)
        # Without leading zeros (RFC 8230 §4), so that a key has one encoding.
        if type(value) is not bytes or not value or value[0] == 0:
            raise CoseKeyMalformed("n and e are unsigned numbers without leading zeros")


def _check_symmetric(params: Mapping[int, Any]) -> None:
    if type(params.get(_K)) is not bytes or not params[_K]:
        raise CoseKeyMalformed("a symmetric key holds k")


def _check_akp(params: Mapping[int, Any]) -> None:
    pub, priv = params.get(_PUB), params.get(_PRIV)
    if not any(type(value) is bytes and value for value in (pub, priv)):
        raise CoseKeyMalformed("an AKP key holds pub or priv")
    if not all(type(value) in (bytes, type(None)) for value in (pub, priv)):
        raise CoseKeyMalformed("pub and priv are byte strings")


def _sized(params: Mapping[int, Any], label: int, size: int, *, required: bool) -> None:
    value = params.get(label)
    if value is None and not required:
        return
    if type(value) is not bytes or len(value) != size:
        raise CoseKeyMalformed("a key parameter has the wrong type or length", label=label, expected=size)


_CHECKS: Final = {
    int(KeyType.OKP): _check_okp,
    int(KeyType.EC2): _check_ec2,
    int(KeyType.RSA): _check_rsa,
    int(KeyType.SYMMETRIC): _check_symmetric,
    int(KeyType.AKP): _check_akp,
}
_KTY_NAMES: Final[Mapping[str, int]] = {"OKP": 1, "EC2": 2, "RSA": 3, "Symmetric": 4}

__all__ = ("GROUPS", "NIST", "CoseKey")
