"""How two parties come to the secret G_XY: Diffie–Hellman, or encapsulation to the initiator's fresh key.

On the NIST curves a public key travels as its x-coordinate alone (RFC 9528 §3.7); either y gives the same
secret. With a KEM, G_X is its public key and G_Y its ciphertext (draft-ietf-lake-pqsuites), so no static keys exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from lockgate.crypto.dh import DH_P256, DH_P384, X25519, DhKey, Group
from lockgate.crypto.ec import CURVES, load_public
from lockgate.crypto.errors import BadEncapsulation, BadKey
from lockgate.crypto.families import Families, Family, of_kem
from lockgate.crypto.ports import Decapsulator, Encapsulator, Kem
from lockgate.crypto.xwing import XWING

_DRAWS: Final = 64  # scalars above a group's order in a row: 2**-32 each on P-256, less on P-384


class Ephemeral(Protocol):
    """The initiator's half of one exchange."""

    @property
    def public(self) -> bytes:
        """G_X."""
        ...

    def finish(self, g_y: bytes, /) -> bytes:
        """Return G_XY. Raises BadKey, BadEncapsulation."""
        ...


@dataclass(frozen=True, slots=True)
class Response:
    """The responder's half: G_Y and G_XY; the private key where a static key of the initiator is to meet it."""

    public: bytes
    shared: bytes
    ephemeral: DhEphemeral | None

    def __repr__(self) -> str:
        return "Response(…)"


class Exchange(Protocol):
    """Lengths are in bytes, of G_X and of G_Y."""

    @property
    def offer_bytes(self) -> int: ...

    @property
    def answer_bytes(self) -> int: ...

    @property
    def families(self) -> Families:
        """All of them must break before somebody else has the secret."""
        ...

    def offer(self, entropy: Encapsulator, /) -> Ephemeral: ...

    def check(self, g_x: bytes, /) -> None:
        """Raise BadKey unless these bytes can be answered."""
        ...

    def answer(self, g_x: bytes, entropy: Encapsulator, /) -> Response:
        """Raises BadKey."""
        ...


@dataclass(frozen=True, slots=True)
class DhEphemeral:
    """A private key of a group whose public keys travel as `DhExchange` says."""

    exchange: DhExchange
    key: DhKey

    def __repr__(self) -> str:
        return f"DhEphemeral({self.public.hex()})"

    @property
    def public(self) -> bytes:
        return self.exchange.narrow(self.key.public_key)

    def finish(self, g_y: bytes, /) -> bytes:
        return self.key.exchange(self.exchange.widen(g_y))


@dataclass(frozen=True, slots=True)
class DhExchange:
    """X25519 as it is; NIST curves by the x-coordinate."""

    group: Group

    @property
    def offer_bytes(self) -> int:
        return self.group.shared_bytes  # of the secret, an x-coordinate, and so of what travels

    @property
    def answer_bytes(self) -> int:
        return self.group.shared_bytes

    @property
    def families(self) -> Families:
        return frozenset({Family.ELLIPTIC})

    def narrow(self, public_key: bytes) -> bytes:
        """A serialised public key as it travels."""
        return public_key[1 : 1 + self.offer_bytes] if self.group.order else public_key

    def widen(self, travelling: bytes) -> bytes:
        """What travels as a public key of the group. Raises BadKey on a wrong length."""
        if len(travelling) != self.offer_bytes:
            raise BadKey("an ephemeral key has the wrong length", group=self.group.name, got=len(travelling))
        return b"\x02" + travelling if self.group.order else travelling

    def private_key(self, raw: bytes) -> DhEphemeral:
        return DhEphemeral(self, self.group.private_key(raw))

    def offer(self, entropy: Encapsulator, /) -> DhEphemeral:
        for _ in range(_DRAWS):
            raw = entropy.bytes(self.group.private_bytes)
            if not self.group.order or 0 < int.from_bytes(raw) < self.group.order:
                return self.private_key(raw)
        raise BadKey("the source of entropy gives no private key", group=self.group.name)

    def check(self, g_x: bytes, /) -> None:
        public = self.widen(g_x)
        if self.group.order:
            load_public(CURVES[self.group.name], public)
        # X25519 takes any bytes; those of small order show when they are answered.

    def answer(self, g_x: bytes, entropy: Encapsulator, /) -> Response:
        ephemeral = self.offer(entropy)
        return Response(ephemeral.public, ephemeral.finish(g_x), ephemeral)


class KemEphemeral:
    """A KEM key pair used for one handshake."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Decapsulator) -> None:
        self._key = key
        self.public: Final = key.public_key

    def finish(self, g_y: bytes, /) -> bytes:
        return self._key.decapsulate(g_y)


@dataclass(frozen=True, slots=True)
class KemExchange:
    """Encapsulation to a key that the initiator makes for this handshake alone."""

    kem: Kem

    @property
    def offer_bytes(self) -> int:
        return self.kem.public_bytes

    @property
    def answer_bytes(self) -> int:
        return self.kem.enc_bytes

    @property
    def families(self) -> Families:
        return of_kem(self.kem)

    def offer(self, entropy: Encapsulator, /) -> KemEphemeral:
        return KemEphemeral(self.kem.private_key(entropy.bytes(self.kem.private_bytes)))

    def check(self, g_x: bytes, /) -> None:
        self.kem.check_public_key(g_x)

    def answer(self, g_x: bytes, entropy: Encapsulator, /) -> Response:
        sealed = self.kem.encapsulate(g_x, entropy)
        return Response(sealed.enc, sealed.shared_secret, None)


EXCHANGE_FAILURES: Final = (BadKey, BadEncapsulation)
EXCHANGE_X25519: Final = DhExchange(X25519)
EXCHANGE_P256: Final = DhExchange(DH_P256)
EXCHANGE_P384: Final = DhExchange(DH_P384)
EXCHANGE_XWING: Final = KemExchange(XWING)

__all__ = (
    "EXCHANGE_FAILURES",
    "EXCHANGE_P256",
    "EXCHANGE_P384",
    "EXCHANGE_X25519",
    "EXCHANGE_XWING",
    "DhEphemeral",
    "DhExchange",
    "Ephemeral",
    "Exchange",
    "KemExchange",
    "Response",
)
