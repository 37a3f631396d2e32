"""Header buckets of a COSE layer: what is authenticated, what is not, and the rules for both.

`raw` is the protected bucket as it travels. What a signature, tag or cipher covers is `covered`: the
same bytes, but the zero-length string for an empty map, however the sender wrote it (RFC 9052 §3, §4.4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeGuard

from lockgate.codec import cbor
from lockgate.envelope.cose.labels import (
    ALG,
    CONTENT_TYPE,
    CRIT,
    IV,
    KID,
    PARTIAL_IV,
    Label,
)
from lockgate.envelope.cose.wire import Wire, decode_item
from lockgate.envelope.errors import AlgorithmNotAllowed, BadHeader, CriticalHeader, MessageMisuse
from lockgate.primitives.errors import LockgateError

MAX_LABELS: Final = 64  # in one bucket; the richest statement among the third-party cases has 8
_NO_HEADERS: Final[Mapping[Label, Any]] = {}
# Parameters this package acts on itself, so that a sender may call them critical.
_UNDERSTOOD: Final = frozenset({ALG, CRIT, KID, IV, PARTIAL_IV})


@dataclass(frozen=True, slots=True)
class Headers:
    """The two buckets of one layer. Values are those of `codec.cbor`; nobody changes the mappings."""

    protected: Mapping[Label, Any]
    unprotected: Mapping[Label, Any]
    raw: bytes

    @classmethod
    def build(
        cls, protected: Mapping[Label, Any] = _NO_HEADERS, unprotected: Mapping[Label, Any] = _NO_HEADERS
    ) -> Self:
        """Make headers of our own, deterministically encoded. Raises BadHeader, Unencodable."""
        headers = cls(protected, unprotected, cbor.encode(protected) if protected else b"")
        headers._check(Wire.OURS)
        return headers

    @classmethod
    def parse(cls, protected: Any, unprotected: Any, wire: Wire) -> Self:
        """Read the first two elements of a message. Raises BadHeader, CoseMalformed or a codec error.

        Ours: an empty protected bucket is the zero-length string. Foreign: h'a0' is taken as well.
        """
        if type(protected) is not bytes or not isinstance(unprotected, Mapping):
            raise BadHeader("headers are a byte string and a map")
        bucket: Any = decode_item(protected, wire) if protected else _NO_HEADERS
        if not isinstance(bucket, Mapping):
            raise BadHeader("the protected bucket does not hold a map")
        if wire is Wire.OURS and protected and not bucket:
            raise BadHeader("an empty protected bucket is the zero-length string")
        headers = cls(bucket, unprotected, protected)
        headers._check(wire)
        return headers

    @property
    def covered(self) -> bytes:
        return self.raw if self.protected else b""

    def get(self, label: Label) -> Any:
        """The value of a parameter in either bucket, or None. A label is in one bucket at most."""
        value = self.protected.get(label)
        return self.unprotected.get(label) if value is None else value

    def byte_string(self, label: Label) -> bytes | None:
        """A parameter that is a byte string. Raises BadHeader on another type."""
        value = self.get(label)
        if value is not None and type(value) is not bytes:
            raise BadHeader("a parameter has the wrong type", label=label)
        return value

    @property
    def alg(self) -> Label | None:
        return self.get(ALG)  # type: ignore[no-any-return]  # _check made it an int or str

    @property
    def kid(self) -> bytes | None:
        """The key id. Foreign messages have been seen with text for one; it then names no key of ours."""
        kid = self.get(KID)
        return kid if type(kid) is bytes else None

    def with_unprotected(self, label: Label, value: object) -> Headers:
        """The same headers with one more unprotected parameter. Raises MessageMisuse if it is there."""
        if self.get(label) is not None:
            raise MessageMisuse("the parameter is present already", label=label)
        headers = Headers(self.protected, {**self.unprotected, label: value}, self.raw)
        headers._check(Wire.FOREIGN)
        return headers

    def _check(self, wire: Wire) -> None:
        for bucket in (self.protected, self.unprotected):
            if len(bucket) > MAX_LABELS:
                raise BadHeader("too many parameters", count=len(bucket), limit=MAX_LABELS)
            for label, value in bucket.items():
                if type(label) is not int and type(label) is not str:
                    raise BadHeader("a label is an integer or text", label=label)
                is_right = _TYPES.get(label)
                if is_right is not None and not is_right(value) and (label != KID or wire is Wire.OURS):
                    raise BadHeader("a parameter has the wrong type", label=label)
        if not self.protected.keys().isdisjoint(self.unprotected.keys()):
            raise BadHeader("a label is in both buckets")
        if CRIT in self.unprotected:
            raise BadHeader("crit is only allowed in the protected bucket")
        if self.get(IV) is not None and self.get(PARTIAL_IV) is not None:
            raise BadHeader("IV and Partial IV exclude each other")
        for label in self.protected.get(CRIT, ()):
            if label not in self.protected:
                raise BadHeader("crit names a parameter that is not protected", label=label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a verifier takes. Every field is required: nothing is checked or skipped by default.

    `algorithms`: of all layers of the message. `understood`: critical parameters the caller processes
    itself. `bare_alg`: take a layer whose algorithm is not authenticated, or named nowhere; safe because
    a key is bound to one algorithm, but no message of ours is so.
    """

    algorithms: frozenset[int]
    understood: frozenset[Label]
    bare_alg: bool

    def check(self, headers: Headers, expected: int, *, protects: bool = True) -> None:
        """Raise unless the layer names `expected`, the key's algorithm, or nothing, and it is allowed.

        A layer without algorithm is one whose algorithm the two sides agreed on elsewhere; the key
        carries that agreement. `protects` is False for algorithms without a protected bucket: direct
        use and AES key wrap. Raises AlgorithmNotAllowed, BadHeader or CriticalHeader.
        """
        self.allow(expected)
        named = headers.alg
        if named is not None and named != expected:
            raise AlgorithmNotAllowed("not the algorithm of the key", named=named, expected=expected)
        if not protects and headers.protected:
            raise BadHeader("the algorithm has no protected parameters", algorithm=expected)
        bucket = headers.protected if protects else headers.unprotected
        if ALG not in bucket and not self.bare_alg:
            raise AlgorithmNotAllowed("the algorithm is not named, or not protected", named=named)
        self.check_critical(headers)

    def allow(self, algorithm: int) -> None:
        """Raise AlgorithmNotAllowed unless the algorithm is in the set."""
        if algorithm not in self.algorithms:
            raise AlgorithmNotAllowed("not in the allowed set", algorithm=algorithm)

    def check_critical(self, headers: Headers) -> None:
        for label in headers.protected.get(CRIT, ()):
            if label not in _UNDERSTOOD and label not in self.understood:
                raise CriticalHeader(label=label)


def is_label(value: object) -> TypeGuard[Label]:
    return type(value) is int or type(value) is str


def safe_parse(protected: Any, unprotected: Any, wire: Wire) -> Headers:
    """`Headers.parse` with codec failures turned into BadHeader, for use inside messages."""
    try:
        return Headers.parse(protected, unprotected, wire)
    except BadHeader:
        raise
    except LockgateError as error:
        raise BadHeader("the protected bucket does not decode") from error


def _is_crit(value: object) -> bool:
    return type(value) is tuple and len(value) > 0 and all(map(is_label, value))


def _is_bytes(value: object) -> bool:
    return type(value) is bytes


_TYPES: Final[Mapping[Label, Callable[[object], bool]]] = {
    ALG: is_label,
    CRIT: _is_crit,
    CONTENT_TYPE: lambda value: type(value) is str or (type(value) is int and value >= 0),
    KID: _is_bytes,
    IV: _is_bytes,
    PARTIAL_IV: _is_bytes,
}

__all__ = ("MAX_LABELS", "Acceptance", "Headers", "is_label")
