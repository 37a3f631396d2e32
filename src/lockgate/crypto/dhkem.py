"""DHKEM (RFC 9180 §4.1): a KEM from a Diffie–Hellman group, with an authenticated variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lockgate.crypto.dh import DH_P256, DH_P384, DH_P521, X448, X25519, DhKey, Group
from lockgate.crypto.errors import BadEncapsulation, BadKey
from lockgate.crypto.kdf import HKDF_SHA256, HKDF_SHA384, HKDF_SHA512, Hkdf
from lockgate.crypto.labeled import labeled_expand, labeled_extract
from lockgate.crypto.ports import Encapsulated
from lockgate.primitives.ports import Rng


@dataclass(frozen=True, slots=True)
class DhKem:
    """One row of RFC 9180 table 2."""

    id: int
    name: str
    group: Group
    kdf: Hkdf
    post_quantum: bool = False

    @property
    def secret_bytes(self) -> int:
        return self.kdf.output_bytes

    @property
    def enc_bytes(self) -> int:
        return self.group.public_bytes

    @property
    def public_bytes(self) -> int:
        return self.group.public_bytes

    @property
    def private_bytes(self) -> int:
        return self.group.private_bytes

    @property
    def suite_id(self) -> bytes:
        return b"KEM" + self.id.to_bytes(2)

    def check_public_key(self, public_key: bytes, /) -> None:
        self.group.check_public_key(public_key)

    def private_key(self, raw: bytes, /) -> DhKemKey:
        return DhKemKey(self, raw)

    def derive_key(self, ikm: bytes, /) -> DhKemKey:
        """DeriveKeyPair (RFC 9180 §7.1.3). The ikm should have at least `private_bytes` bytes."""
        prk = labeled_extract(self.kdf, self.suite_id, b"", b"dkp_prk", ikm)
        size = self.private_bytes
        if not self.group.order:
            return DhKemKey(self, labeled_expand(self.kdf, self.suite_id, prk, b"sk", b"", size))
        top_mask = (1 << self.group.order.bit_length() - 8 * (size - 1)) - 1
        for counter in range(256):
            candidate = bytearray(labeled_expand(self.kdf, self.suite_id, prk, b"candidate", bytes([counter]), size))
            candidate[0] &= top_mask
            if 0 < int.from_bytes(candidate) < self.group.order:
                return DhKemKey(self, bytes(candidate))
        raise BadKey("no private key below the order in 256 tries", kem=self.name)

    def encapsulate(self, public_key: bytes, rng: Rng, /) -> Encapsulated:
        """Encap: draws `private_bytes` bytes as the ephemeral key's input keying material."""
        ephemeral = self._ephemeral(public_key, rng)
        return self._encapsulated(ephemeral.exchange(public_key), ephemeral, public_key, b"")

    def auth_encapsulate(self, public_key: bytes, sender: DhKemKey, rng: Rng, /) -> Encapsulated:
        """AuthEncap: the secret also proves the sender's key. Deniable; no proof to a third party."""
        ephemeral = self._ephemeral(public_key, rng)
        shared = ephemeral.exchange(public_key) + sender.exchange(public_key)
        return self._encapsulated(shared, ephemeral, public_key, sender.public_key)

    def extract_and_expand(self, shared: bytes, context: bytes) -> bytes:
        prk = labeled_extract(self.kdf, self.suite_id, b"", b"eae_prk", shared)
        return labeled_expand(self.kdf, self.suite_id, prk, b"shared_secret", context, self.secret_bytes)

    def _ephemeral(self, public_key: bytes, rng: Rng) -> DhKemKey:
        self.check_public_key(public_key)
        return self.derive_key(rng.bytes(self.private_bytes))

    def _encapsulated(self, shared: bytes, ephemeral: DhKemKey, public_key: bytes, sender: bytes) -> Encapsulated:
        enc = ephemeral.public_key
        return Encapsulated(self.extract_and_expand(shared, enc + public_key + sender), enc)


class DhKemKey:
    """A DHKEM private key. `auth_decapsulate` is there because authenticated mode needs it twice."""

    __slots__ = ("_key", "_raw", "kem")

    def __init__(self, kem: DhKem, raw: bytes) -> None:
        self.kem: Final = kem
        self._key: DhKey = kem.group.private_key(raw)
        self._raw = raw

    def __repr__(self) -> str:
        return f"DhKemKey({self.kem.name}, public_key={self.public_key.hex()})"

    @property
    def kem_id(self) -> int:
        return self.kem.id

    @property
    def public_key(self) -> bytes:
        return self._key.public_key

    def reveal(self) -> bytes:
        """The serialised private key, for key files."""
        return self._raw

    def exchange(self, peer: bytes) -> bytes:
        return self._key.exchange(peer)

    def decapsulate(self, enc: bytes, /) -> bytes:
        shared = self._exchange_enc(enc)
        return self.kem.extract_and_expand(shared, enc + self.public_key)

    def auth_decapsulate(self, enc: bytes, sender: bytes, /) -> bytes:
        """AuthDecap. Raises BadEncapsulation, or BadKey for the sender's key."""
        shared = self._exchange_enc(enc)
        self.kem.check_public_key(sender)
        shared += self._key.exchange(sender)
        return self.kem.extract_and_expand(shared, enc + self.public_key + sender)

    def _exchange_enc(self, enc: bytes) -> bytes:
        try:
            self.kem.check_public_key(enc)
            return self._key.exchange(enc)
        except BadKey as error:
            raise BadEncapsulation(kem=self.kem.name) from error


DHKEM_P256: Final = DhKem(0x0010, "DHKEM(P-256, HKDF-SHA256)", DH_P256, HKDF_SHA256)
DHKEM_P384: Final = DhKem(0x0011, "DHKEM(P-384, HKDF-SHA384)", DH_P384, HKDF_SHA384)
DHKEM_P521: Final = DhKem(0x0012, "DHKEM(P-521, HKDF-SHA512)", DH_P521, HKDF_SHA512)
DHKEM_X25519: Final = DhKem(0x0020, "DHKEM(X25519, HKDF-SHA256)", X25519, HKDF_SHA256)
DHKEM_X448: Final = DhKem(0x0021, "DHKEM(X448, HKDF-SHA512)", X448, HKDF_SHA512)

__all__ = ("DHKEM_P256", "DHKEM_P384", "DHKEM_P521", "DHKEM_X448", "DHKEM_X25519", "DhKem", "DhKemKey")
