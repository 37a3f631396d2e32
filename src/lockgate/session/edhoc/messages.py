"""The messages of EDHOC as bytes: CBOR sequences in deterministic encoding.

Source: RFC 9528 §3.3, §3.5.3.2, §3.8, §5, §6.

Identifiers have two forms that must not be mixed up: inside, connection identifiers and key ids are byte strings; on
the wire a single byte that reads as an integer of -24..23 *is* that integer, and its byte string is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.envelope.cose.labels import KID, X5CHAIN, X5T
from lockgate.session.edhoc.errors import HandshakeMalformed
from lockgate.session.edhoc.suites import SUITES, Method

KCWT: Final = 13
KCCS: Final = 14

MAX_MESSAGE: Final = 65_536  # bytes: both hybrid signatures, a chain of certificates and a TEE's quote with room
MAX_IDENTIFIER: Final = 64  # bytes of a connection identifier or a key id: a hash at most
MAX_SUITES: Final = 16  # IANA has assigned eight
MAX_EADS: Final = 16  # items in one message; ours have up to three
_LIMITS: Final = cbor.Limits(size=MAX_MESSAGE, items=256, depth=8)
_TAGS: Final = frozenset({16, 18, 61})  # a CWT as a credential: RFC 8392 §6

IdCred = Mapping[int, Any]  # a COSE header map that names or holds a credential


@dataclass(frozen=True, slots=True)
class Ead:
    """One item of external authorisation data. A critical one that is not understood ends the handshake.

    `label` is not negative; 0 is padding, whose value is ignored (RFC 9528 §3.8.1).
    """

    label: int
    value: bytes | None = None
    critical: bool = False


Eads = Sequence[Ead]


def sequence(data: bytes, most: int) -> list[Any]:
    """The items of a CBOR sequence, `most` at most. Raises HandshakeMalformed."""
    if len(data) > MAX_MESSAGE:
        raise HandshakeMalformed("a message is too long", size=len(data), limit=MAX_MESSAGE)
    items: list[Any] = []
    at = 0
    try:
        while at < len(data):
            if len(items) == most:
                raise HandshakeMalformed("more items than the message has", most=most)
            found, at = cbor.decode_some(data, at, 1, limits=_LIMITS, tags=_TAGS)
            items += found
    except Malformed as error:
        raise HandshakeMalformed("not a sequence of CBOR items") from error
    return items


def byte_string(data: bytes) -> bytes:
    """The content of a message that is one byte string. Raises HandshakeMalformed."""
    items = sequence(data, 1)
    if len(items) != 1 or type(items[0]) is not bytes:
        raise HandshakeMalformed("not one byte string")
    return items[0]


def encode_sequence(items: Sequence[Any]) -> bytes:
    return b"".join(map(cbor.encode, items))


def short(identifier: bytes) -> int | bytes:
    """An identifier as it travels. Source: RFC 9528 §3.3.2."""
    if len(identifier) == 1 and (identifier[0] < 0x18 or 0x20 <= identifier[0] < 0x38):
        return int(cbor.decode(identifier))
    return identifier


def long(travelling: Any, what: str) -> bytes:
    """An identifier from what travelled. Raises HandshakeMalformed."""
    if type(travelling) is int and -24 <= travelling <= 23:
        return cbor.encode(travelling)
    if type(travelling) is not bytes or len(travelling) > MAX_IDENTIFIER or short(travelling) != travelling:
        raise HandshakeMalformed("not an identifier in its one encoding", field=what)
    return travelling


def compact(id_cred: IdCred) -> Any:
    """ID_CRED_x as it travels: a map that has nothing but `kid` is replaced by its value. Source: RFC 9528 §3.5.3.2."""
    return short(id_cred[KID]) if set(id_cred) == {KID} else dict(id_cred)


def full(travelling: Any) -> dict[int, Any]:
    """ID_CRED_x from what travelled. Raises HandshakeMalformed."""
    if type(travelling) is not dict:
        return {KID: long(travelling, "ID_CRED")}
    if not travelling or set(travelling) == {KID} or not all(type(label) is int for label in travelling):
        raise HandshakeMalformed("not a credential's identifier in its one encoding")
    return travelling


def encode_eads(eads: Eads) -> bytes:
    """EAD_x, empty when there is none."""
    parts: list[bytes] = []
    for ead in eads:
        parts.append(cbor.encode(-ead.label if ead.critical else ead.label))
        if ead.value is not None:
            parts.append(cbor.encode(ead.value))
    return b"".join(parts)


def read_eads(items: Sequence[Any]) -> tuple[Ead, ...]:
    """EAD_x from the items that end a message. Raises HandshakeMalformed."""
    eads: list[Ead] = []
    at = 0
    while at < len(items):
        label = items[at]
        at += 1
        if type(label) is not int:
            raise HandshakeMalformed("an EAD item starts with its label")
        value = None
        if at < len(items) and type(items[at]) is bytes:
            value = items[at]
            at += 1
        eads.append(Ead(abs(label), value, label < 0))
    if len(eads) > MAX_EADS:
        raise HandshakeMalformed("too many EAD items", got=len(eads), most=MAX_EADS)
    return tuple(eads)


@dataclass(frozen=True, slots=True)
class Message1:
    """`suites` in the initiator's order of preference; the last one is selected."""

    method: Method
    suites: tuple[int, ...]
    g_x: bytes
    c_i: bytes
    eads: tuple[Ead, ...] = ()

    @property
    def selected(self) -> int:
        return self.suites[-1]

    def encode(self) -> bytes:
        suites = list(self.suites) if len(self.suites) > 1 else self.suites[0]
        return encode_sequence([int(self.method), suites, self.g_x, short(self.c_i)]) + encode_eads(self.eads)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises HandshakeMalformed; the length of G_X is checked where the selected suite is known."""
        items = sequence(data, 4 + 2 * MAX_EADS)
        if len(items) < 4:
            raise HandshakeMalformed("message_1 has a method, suites, a key and an identifier")
        method, suites, g_x, c_i = items[:4]
        if type(method) is not int or method not in set(Method):
            raise HandshakeMalformed("not a method", method=method)
        if type(g_x) is not bytes:
            raise HandshakeMalformed("G_X is not a byte string")
        selected = suite_list(suites)
        known = SUITES.get(selected[-1])
        if known is not None and len(g_x) != known.exchange.offer_bytes:
            raise HandshakeMalformed("G_X has another length than in the selected suite", suite=known.id, got=len(g_x))
        return cls(Method(method), selected, g_x, long(c_i, "C_I"), read_eads(items[4:]))


def suite_list(item: Any) -> tuple[int, ...]:
    """One suite, or an array of two and more without repeats. Raises HandshakeMalformed."""
    suites = (item,) if type(item) is int else item
    if type(suites) is not tuple or not all(type(suite) is int for suite in suites):
        raise HandshakeMalformed("cipher suites are an integer or an array of them")
    if not 1 <= len(suites) <= MAX_SUITES or len(set(suites)) != len(suites):
        raise HandshakeMalformed("a list of cipher suites is empty, too long, or repeats one")
    if len(suites) == 1 and type(item) is tuple:
        raise HandshakeMalformed("a single cipher suite is an integer")
    return suites


@dataclass(frozen=True, slots=True)
class Plaintext2:
    """What message_2 says inside: who the responder is, and its proof."""

    c_r: bytes
    id_cred: dict[int, Any]
    proof: bytes  # Signature_or_MAC_2
    eads: tuple[Ead, ...]

    def encode(self) -> bytes:
        return encode_sequence([short(self.c_r), compact(self.id_cred), self.proof]) + encode_eads(self.eads)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        items = sequence(data, 3 + 2 * MAX_EADS)
        if len(items) < 3 or type(items[2]) is not bytes:
            raise HandshakeMalformed("message_2 has an identifier, a credential's, and a proof")
        return cls(long(items[0], "C_R"), full(items[1]), items[2], read_eads(items[3:]))


@dataclass(frozen=True, slots=True)
class Plaintext3:
    """What message_3 says inside: who the initiator is, and its proof."""

    id_cred: dict[int, Any]
    proof: bytes  # Signature_or_MAC_3
    eads: tuple[Ead, ...]

    def encode(self) -> bytes:
        return encode_sequence([compact(self.id_cred), self.proof]) + encode_eads(self.eads)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        items = sequence(data, 2 + 2 * MAX_EADS)
        if len(items) < 2 or type(items[1]) is not bytes:
            raise HandshakeMalformed("message_3 has a credential's identifier and a proof")
        return cls(full(items[0]), items[1], read_eads(items[2:]))


UNSPECIFIED: Final = 1
WRONG_SUITE: Final = 2
UNKNOWN_CREDENTIAL: Final = 3


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """A refusal as a peer hears it. `info`: text, a list of suites, or true. Source: RFC 9528 §6."""

    code: int
    info: str | tuple[int, ...] | bool

    @classmethod
    def failed(cls) -> Self:
        """The one answer to whatever did not authenticate (P19)."""
        return cls(UNSPECIFIED, "handshake failed")

    @classmethod
    def wrong_suite(cls, supported: Sequence[int]) -> Self:
        return cls(WRONG_SUITE, tuple(supported))

    def encode(self) -> bytes:
        info: Any = self.info
        if isinstance(info, tuple) and len(info) == 1:
            info = info[0]
        return encode_sequence([self.code, info])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        items = sequence(data, 2)
        if len(items) != 2 or type(items[0]) is not int:
            raise HandshakeMalformed("not an error message")
        code, info = items
        if code == WRONG_SUITE:
            return cls(code, suite_list(info))
        if (code == UNSPECIFIED and type(info) is str) or (code == UNKNOWN_CREDENTIAL and info is True):
            return cls(code, info)
        raise HandshakeMalformed("not an error of EDHOC", code=code)


def is_error(data: bytes) -> bool:
    """Whether a message is an error instead of a message_2, _3 or _4: those start with a byte string."""
    return bool(data) and data[0] >> 5 in (0, 1)


__all__ = (
    "KCCS",
    "KCWT",
    "KID",
    "MAX_MESSAGE",
    "UNKNOWN_CREDENTIAL",
    "UNSPECIFIED",
    "WRONG_SUITE",
    "X5CHAIN",
    "X5T",
    "Ead",
    "Eads",
    "ErrorMessage",
    "IdCred",
    "Message1",
    "Plaintext2",
    "Plaintext3",
    "byte_string",
    "compact",
    "encode_eads",
    "encode_sequence",
    "full",
    "is_error",
    "long",
    "read_eads",
    "short",
    "suite_list",
)
