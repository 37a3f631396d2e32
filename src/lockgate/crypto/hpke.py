"""Hybrid Public Key Encryption (RFC 9180): base, PSK, authenticated and authenticated-PSK mode.

Written from primitives, because the library's own HPKE takes no associated data, no PSK, no sender
key and gives no context or exporter. It stays the oracle: the tests seal with one and open with the
other. The core draws nothing: ephemeral keys come from the `Encapsulator` it is handed.
Post-quantum KEMs and one-stage KDFs: draft-ietf-hpke-pq.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lockgate.crypto import labeled
from lockgate.crypto.aead import AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305, Aead
from lockgate.crypto.dhkem import DhKem, DhKemKey
from lockgate.crypto.errors import BadPsk, MessageLimitReached, UnknownSuite, UnsupportedMode
from lockgate.crypto.kdf import KDFS, Kdf
from lockgate.crypto.kem import KEMS
from lockgate.crypto.ports import Decapsulator, Encapsulated, Encapsulator, Kem

MODE_BASE: Final = 0
MODE_PSK: Final = 1
MODE_AUTH: Final = 2
MODE_AUTH_PSK: Final = 3
MIN_PSK_BYTES: Final = 32  # RFC 9180 §9.5: a PSK has at least 32 bytes of entropy
EXPORT_ONLY: Final = 0xFFFF
AEADS: Final[dict[int, Aead | None]] = {
    0x0001: AES_128_GCM,
    0x0002: AES_256_GCM,
    0x0003: CHACHA20_POLY1305,
    EXPORT_ONLY: None,
}


@dataclass(frozen=True, slots=True)
class HpkeSuite:
    """A KEM, a KDF and an AEAD; `aead_id` 0xFFFF exports only."""

    kem: Kem
    kdf: Kdf
    aead_id: int

    @property
    def aead(self) -> Aead | None:
        return AEADS[self.aead_id]

    @property
    def suite_id(self) -> bytes:
        return b"HPKE" + self.kem.id.to_bytes(2) + self.kdf.id.to_bytes(2) + self.aead_id.to_bytes(2)


def suite(kem_id: int, kdf_id: int, aead_id: int) -> HpkeSuite:
    """Look the three ids up in IANA's HPKE registries. Raises UnknownSuite."""
    if kem_id not in KEMS or kdf_id not in KDFS or aead_id not in AEADS:
        raise UnknownSuite("unknown HPKE algorithms", kem=kem_id, kdf=kdf_id, aead=aead_id)
    return HpkeSuite(KEMS[kem_id], KDFS[kdf_id], aead_id)


@dataclass(frozen=True, slots=True)
class Psk:
    """A pre-shared key and its id. Raises BadPsk when short, or when one of the two is empty."""

    key: bytes = field(repr=False)
    id: bytes

    def __post_init__(self) -> None:
        if len(self.key) < MIN_PSK_BYTES or not self.id:
            raise BadPsk(key_bytes=len(self.key), id_bytes=len(self.id))


class _Context:
    """The encryption context of RFC 9180 §5.2: key, base nonce, counter, exporter secret."""

    __slots__ = ("_aead", "_base_nonce", "_exporter_secret", "_sequence", "suite")

    def __init__(self, suite_: HpkeSuite, mode: int, shared_secret: bytes, info: bytes, psk: Psk | None) -> None:
        aead = suite_.aead
        key, nonce, exporter_secret = labeled.key_schedule(
            suite_.kdf,
            suite_.suite_id,
            mode,
            shared_secret,
            info,
            psk=(psk.key, psk.id) if psk else (b"", b""),
            key_bytes=aead.key_bytes if aead else 0,
            nonce_bytes=aead.nonce_bytes if aead else 0,
        )
        self.suite: Final = suite_
        self._aead = aead.keyed(key) if aead else None
        self._base_nonce = nonce
        self._exporter_secret = exporter_secret
        self._sequence = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.suite.suite_id.hex()}, sequence={self._sequence})"

    @property
    def sequence(self) -> int:
        """How many messages this context has sealed or opened."""
        return self._sequence

    def export(self, context: bytes, length: int) -> bytes:
        """Return `length` bytes that both sides can derive and nobody else, bound to `context`."""
        return labeled.export(self.suite.kdf, self.suite.suite_id, self._exporter_secret, context, length)

    def _nonce(self) -> bytes:
        # Nonces are 96 bits in every suite, and the last sequence number is never used (§5.2).
        size = len(self._base_nonce)
        if self._sequence >= (1 << 8 * size) - 1:
            raise MessageLimitReached(sequence=self._sequence)
        return (int.from_bytes(self._base_nonce) ^ self._sequence).to_bytes(size)


class SenderContext(_Context):
    """Seals messages in order. One context belongs to one sender; it must never be copied."""

    __slots__ = ()

    def seal(self, aad: bytes, plaintext: bytes) -> bytes:
        """Encrypt the next message. Raises UnsupportedMode if export-only, MessageLimitReached."""
        if self._aead is None:
            raise UnsupportedMode("the suite only exports")
        ciphertext = self._aead.seal(self._nonce(), plaintext, aad)
        self._sequence += 1
        return ciphertext


class ReceiverContext(_Context):
    """Opens messages in the order they were sealed; a refused one does not move the counter."""

    __slots__ = ()

    def open(self, aad: bytes, ciphertext: bytes) -> bytes:
        """Decrypt the next message. Raises OpenFailed, UnsupportedMode, MessageLimitReached."""
        if self._aead is None:
            raise UnsupportedMode("the suite only exports")
        plaintext = self._aead.open(self._nonce(), ciphertext, aad)
        self._sequence += 1
        return plaintext


def setup_sender(
    suite_: HpkeSuite,
    public_key: bytes,
    info: bytes,
    encapsulator: Encapsulator,
    *,
    psk: Psk | None = None,
    sender: DhKemKey | None = None,
) -> tuple[bytes, SenderContext]:
    """Return (enc, context) for the holder of `public_key`.

    The mode follows from what is given: `psk`, and `sender` for the authenticated modes, which only
    the DHKEMs have. Raises BadKey, UnsupportedMode.
    """
    if sender is None:
        encapsulated = suite_.kem.encapsulate(public_key, encapsulator)
    else:
        encapsulated = _dhkem(suite_).auth_encapsulate(public_key, sender, encapsulator)
    context = sender_context(suite_, encapsulated, info, psk=psk, authenticated=sender is not None)
    return encapsulated.enc, context


def sender_context(
    suite_: HpkeSuite,
    encapsulated: Encapsulated,
    info: bytes,
    *,
    psk: Psk | None = None,
    authenticated: bool = False,
) -> SenderContext:
    """The key schedule alone, for an encapsulation made elsewhere."""
    return SenderContext(suite_, _mode(psk, authenticated), encapsulated.shared_secret, info, psk)


def setup_receiver(
    suite_: HpkeSuite,
    enc: bytes,
    key: Decapsulator,
    info: bytes,
    *,
    psk: Psk | None = None,
    sender: bytes | None = None,
) -> ReceiverContext:
    """Return the context that opens what was sealed with `enc`.

    `sender` is the sender's public key in the authenticated modes. Raises BadEncapsulation, BadKey,
    UnsupportedMode. A wrong `info`, PSK or key is only noticed by `open`.
    """
    if key.kem_id != suite_.kem.id:
        raise UnsupportedMode("the key belongs to another KEM", key=key.kem_id, suite=suite_.kem.id)
    if sender is None:
        shared_secret = key.decapsulate(enc)
    elif isinstance(key, DhKemKey):
        shared_secret = key.auth_decapsulate(enc, sender)
    else:
        raise UnsupportedMode("this key cannot authenticate a sender", kem=suite_.kem.name)
    return ReceiverContext(suite_, _mode(psk, sender is not None), shared_secret, info, psk)


def seal(
    suite_: HpkeSuite,
    public_key: bytes,
    info: bytes,
    encapsulator: Encapsulator,
    *,
    aad: bytes,
    plaintext: bytes,
) -> tuple[bytes, bytes]:
    """Single shot, base mode: return (enc, ciphertext)."""
    enc, context = setup_sender(suite_, public_key, info, encapsulator)
    return enc, context.seal(aad, plaintext)


def open_(suite_: HpkeSuite, enc: bytes, key: Decapsulator, info: bytes, *, aad: bytes, ciphertext: bytes) -> bytes:
    """Single shot, base mode. Raises BadEncapsulation or OpenFailed."""
    return setup_receiver(suite_, enc, key, info).open(aad, ciphertext)


def _mode(psk: Psk | None, authenticated: bool) -> int:
    if authenticated:
        return MODE_AUTH if psk is None else MODE_AUTH_PSK
    return MODE_BASE if psk is None else MODE_PSK


def _dhkem(suite_: HpkeSuite) -> DhKem:
    if not isinstance(suite_.kem, DhKem):
        raise UnsupportedMode("the KEM has no authenticated mode", kem=suite_.kem.name)
    return suite_.kem


__all__ = (
    "AEADS",
    "EXPORT_ONLY",
    "MODE_AUTH",
    "MODE_AUTH_PSK",
    "MODE_BASE",
    "MODE_PSK",
    "HpkeSuite",
    "Psk",
    "ReceiverContext",
    "SenderContext",
    "open_",
    "seal",
    "sender_context",
    "setup_receiver",
    "setup_sender",
    "suite",
)
