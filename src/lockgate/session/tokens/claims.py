"""What a token says: a CWT Claims Set of one form, with every field bounded (P22).

An unknown claim is refused, where RFC 8392 would pass over it: what nobody reads must not look as if it restrained
anybody. A scope is a list of methods, each spelt out; there is no sign that stands for all of them.
Source: RFC 8392 §3; `cnf`: RFC 8747 §3; `scope`: RFC 9200 §5.8.1, of RFC 6749 §3.3; `cddl/token.1.0.cddl`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.crypto.hashes import equal
from lockgate.crypto.keys import IdentityKey
from lockgate.crypto.suites import SIGN_ED25519
from lockgate.envelope.cose.algorithms import EDDSA
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import CurveId, KeyType
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import UnixSeconds
from lockgate.session.tokens.errors import TokenMalformed, TokenTooLong

ISS, SUB, AUD, EXP, NBF, IAT, CTI, CNF, SCOPE = range(1, 10)  # RFC 8392 §4, RFC 8747, RFC 9200
LANE: Final = -70_101  # ours, from the private-use range below -65536
SESSION: Final = -70_102
CNF_KEY, CNF_KID = 1, 3  # members of cnf: RFC 8747 §3.1

MAX_LIFETIME_S: Final = 600  # minutes, so that nobody needs to revoke what an hour would end
MAX_CLAIMS: Final = 4_096  # bytes: 32 methods of 64 characters, four names of 160, and the rest
MAX_NAME: Final = 160  # bytes: a kind, an endpoint id in hex, and room
MAX_METHODS: Final = 32
TOKEN_ID_BYTES: Final = 16  # drawn at random: two are never alike
HASH_BYTES: Final = 32
_LIMITS: Final = cbor.Limits(size=MAX_CLAIMS, items=64, depth=3)  # cnf's key lies three deep
_NAME: Final = re.compile(r"[!-~]+\Z")  # printable, and no blank, which separates methods of a scope
_METHOD: Final = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,63}\Z")
_REQUIRED: Final = frozenset({ISS, SUB, AUD, EXP, NBF, IAT, CTI, CNF, SCOPE})
_KNOWN: Final = _REQUIRED | {LANE, SESSION}
_LAST: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose key a token confirms: an Ed25519 key as it is, any other by the hash of all its halves (P6)."""

    hash: bytes
    key: IdentityKey | None

    @classmethod
    def of(cls, key: IdentityKey) -> Self:
        return cls(key.hash, key if key.suite == SIGN_ED25519.id else None)

    def confirmed(self, shown: IdentityKey | None) -> IdentityKey | None:
        """The key to verify with: the token's own, or the one that is shown, if it is the one meant; else None."""
        if self.key is not None:
            return self.key if shown is None else None
        return shown if shown is not None and equal(shown.hash, self.hash) else None

    def to_value(self) -> dict[int, Any]:
        if self.key is None:
            return {CNF_KID: self.hash}
        return {CNF_KEY: CoseKey.okp(int(CurveId.ED25519), EDDSA, self.key.parts[0]).to_map()}

    @classmethod
    def from_value(cls, item: Any) -> Self:
        """Read `cnf`. Raises TokenMalformed: among others for a key whose private half is in it."""
        if isinstance(item, Mapping) and item.keys() == {CNF_KID} and _is_bytes(item[CNF_KID], HASH_BYTES):
            return cls(item[CNF_KID], None)
        if not isinstance(item, Mapping) or item.keys() != {CNF_KEY}:
            raise TokenMalformed("cnf holds one key, or the 32-byte hash of one")
        try:
            found = CoseKey.from_map(item[CNF_KEY])
            if (found.kty, found.crv) != (KeyType.OKP, CurveId.ED25519):
                raise TokenMalformed("the key that cnf confirms is not an Ed25519 key")
            key = IdentityKey(SIGN_ED25519.id, (found.public_bytes,))
        except TokenMalformed:
            raise
        except LockgateError as error:
            raise TokenMalformed("cnf holds no key that can be used") from error
        holder = cls.of(key)
        if holder.to_value()[CNF_KEY] != item[CNF_KEY]:
            raise TokenMalformed("cnf's key has parameters beside kty, alg, crv and x")
        return holder


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """One token's claims. Names are printable ASCII; times are whole seconds; lane and session None: bound to none."""

    issuer: str
    subject: str
    audience: str
    expires: UnixSeconds
    not_before: UnixSeconds
    issued: UnixSeconds
    token_id: bytes  # TOKEN_ID_BYTES
    holder: Holder
    scope: tuple[str, ...]  # methods, ascending, each once; at least one
    lane: bytes | None = None
    session: bytes | None = None

    def __post_init__(self) -> None:
        for name in (self.issuer, self.subject, self.audience):
            if type(name) is not str or len(name) > MAX_NAME or not _NAME.match(name):
                raise TokenMalformed("a name has 1 to 160 printable characters without blanks")
        if not all(type(at) is int and 0 <= at <= _LAST for at in (self.expires, self.not_before, self.issued)):
            raise TokenMalformed("a time is a whole number of seconds")
        if not _is_bytes(self.token_id, TOKEN_ID_BYTES):
            raise TokenMalformed("cti has 16 bytes")
        if not all(each is None or _is_bytes(each, HASH_BYTES) for each in (self.lane, self.session)):
            raise TokenMalformed("a lane and a session have 32 bytes")
        if not 0 < len(self.scope) <= MAX_METHODS or list(self.scope) != sorted(set(self.scope)):
            raise TokenMalformed("a scope is 1 to 32 different methods, ascending")
        if not all(_METHOD.match(method) for method in self.scope):
            raise TokenMalformed("a method is spelt out: lower case, digits, and . : _ -")

    def require_short(self) -> None:
        """Raise TokenTooLong unless the times are in order and minutes apart."""
        begins = min(self.not_before, self.issued)
        if not begins <= self.not_before < self.expires or not self.issued < self.expires:
            raise TokenTooLong("the times are not in order")
        if self.expires - begins > MAX_LIFETIME_S:
            raise TokenTooLong("too long", seconds=self.expires - begins, limit=MAX_LIFETIME_S)

    def encode(self) -> bytes:
        value: dict[int, Any] = {
            ISS: self.issuer,
            SUB: self.subject,
            AUD: self.audience,
            EXP: int(self.expires),
            NBF: int(self.not_before),
            IAT: int(self.issued),
            CTI: self.token_id,
            CNF: self.holder.to_value(),
            SCOPE: " ".join(self.scope),
        }
        value |= {label: bound for label, bound in ((LANE, self.lane), (SESSION, self.session)) if bound is not None}
        return cbor.encode(value)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a claims set; `encode` of it gives `data` again. Raises TokenMalformed."""
        try:
            value: Any = cbor.decode(data, limits=_LIMITS)
        except Malformed as error:
            raise TokenMalformed("the claims are not deterministic CBOR within bounds") from error
        if not isinstance(value, Mapping) or not _REQUIRED <= value.keys() <= _KNOWN:
            raise TokenMalformed("a claim is missing, or is not one of a token's")
        scope = value[SCOPE]
        if type(scope) is not str or any(value.get(label, b"") is None for label in (LANE, SESSION)):
            raise TokenMalformed("a claim has the wrong type")
        return cls(
            issuer=value[ISS],
            subject=value[SUB],
            audience=value[AUD],
            expires=value[EXP],
            not_before=value[NBF],
            issued=value[IAT],
            token_id=value[CTI],
            holder=Holder.from_value(value[CNF]),
            scope=tuple(scope.split(" ")),
            lane=value.get(LANE),
            session=value.get(SESSION),
        )


def _is_bytes(value: object, size: int) -> bool:
    return type(value) is bytes and len(value) == size


__all__ = ("MAX_LIFETIME_S", "MAX_METHODS", "MAX_NAME", "TOKEN_ID_BYTES", "Claims", "Holder")
