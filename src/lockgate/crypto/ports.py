"""Ports of the cryptographic layer: what holds a secret, and what draws entropy.

The core never touches a secret it was not handed and never draws a byte. Two operations of the
library draw for themselves (ML-KEM encapsulation, ML-DSA signing), so they sit behind these ports:
`keystore` meets them with the operating system's entropy, `lab.entropy` with a seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from lockgate.primitives.ports import Rng


class Signer(Protocol):
    """One private key of one algorithm: a file, a token, a TPM, the lab.

    `algorithm` is a name from `signatures.ALGORITHMS`; `public_key` is its encoding there.
    """

    @property
    def algorithm(self) -> str: ...

    @property
    def public_key(self) -> bytes: ...

    def sign(self, message: bytes, /) -> bytes: ...


class Decapsulator(Protocol):
    """One private key of a KEM. `decapsulate` is deterministic: the same secret for the same bytes."""

    @property
    def kem_id(self) -> int: ...

    @property
    def public_key(self) -> bytes: ...

    def decapsulate(self, enc: bytes, /) -> bytes:
        """Return the shared secret. Raises BadEncapsulation; ML-KEM rejects implicitly instead."""
        ...


class Encapsulator(Rng, Protocol):
    """What an encapsulation to somebody's public key draws. Holds no secret between calls."""

    def mlkem_encapsulate(self, parameter_set: str, public_key: bytes, /) -> tuple[bytes, bytes]:
        """Return (shared secret, ciphertext) for "ML-KEM-768" or "ML-KEM-1024".

        Raises BadKey on another name, and on a key that fails the checks of FIPS 203 §7.2.
        """
        ...


@dataclass(frozen=True, slots=True)
class Encapsulated:
    """A shared secret and the bytes that carry it to the holder of the private key."""

    shared_secret: bytes = field(repr=False)
    enc: bytes


class Kem(Protocol):
    """A key encapsulation mechanism of HPKE; lengths in bytes, `id` from IANA's HPKE KEM registry."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def secret_bytes(self) -> int: ...
    @property
    def enc_bytes(self) -> int: ...
    @property
    def public_bytes(self) -> int: ...
    @property
    def private_bytes(self) -> int: ...
    @property
    def post_quantum(self) -> bool: ...

    def check_public_key(self, public_key: bytes, /) -> None:
        """Raise BadKey unless these bytes can be encapsulated to."""
        ...

    def private_key(self, raw: bytes, /) -> Decapsulator:
        """Load a serialised private key (a seed, for the post-quantum ones). Raises BadKey."""
        ...

    def derive_key(self, ikm: bytes, /) -> Decapsulator:
        """DeriveKeyPair of RFC 9180 §4: the same key for the same input."""
        ...

    def encapsulate(self, public_key: bytes, encapsulator: Encapsulator, /) -> Encapsulated:
        """Raises BadKey."""
        ...


__all__ = ("Decapsulator", "Encapsulated", "Encapsulator", "Kem", "Signer")
