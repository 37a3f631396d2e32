"""COSE-HPKE: content, or the key of another layer, sealed to a KEM key (draft-ietf-cose-hpke-24)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from lockgate.codec import cbor
from lockgate.crypto import hpke
from lockgate.crypto.hpke import Psk
from lockgate.crypto.ports import Decapsulator, Encapsulator
from lockgate.envelope.cose.agreement import Agreed
from lockgate.envelope.cose.algorithms import HPKE, HpkeAlgorithm
from lockgate.envelope.cose.headers import Headers
from lockgate.envelope.cose.keys import GROUPS, CoseKey
from lockgate.envelope.cose.labels import ENCAPSULATED_KEY, PSK_ID, KeyOp, KeyType, Label
from lockgate.envelope.cose.structures import hpke_recipient_structure
from lockgate.envelope.errors import AlgorithmNotAllowed, BadHeader, KeyNotForUse
from lockgate.primitives.errors import LockgateError


@dataclass(frozen=True, slots=True)
class HpkeKey:
    """A KEM private key behind its port, bound to one COSE-HPKE algorithm."""

    alg: int
    decapsulator: Decapsulator
    kid: bytes | None = None

    def __post_init__(self) -> None:
        if self.decapsulator.kem_id != hpke_algorithm(self.alg).suite.kem.id:
            raise KeyNotForUse("the key belongs to another KEM", kem=self.decapsulator.kem_id)

    @classmethod
    def from_cose(cls, key: CoseKey) -> Self:
        """Load the private key of a COSE_Key. Raises KeyNotForUse, AlgorithmNotAllowed, BadKey."""
        algorithm = hpke_algorithm(key.alg)
        if key.ops is not None and key.ops != {KeyOp.DERIVE_BITS}:
            raise KeyNotForUse("the private key of a KEM may derive bits and nothing else")
        if key.kty != KeyType.AKP and GROUPS.get(key.crv) is not getattr(algorithm.suite.kem, "group", None):
            raise KeyNotForUse("the key is on another curve than the algorithm", crv=key.crv)
        return cls(algorithm.id, algorithm.suite.kem.private_key(key.secret), key.kid)


def hpke_algorithm(number: object) -> HpkeAlgorithm:
    """Raises AlgorithmNotAllowed."""
    found = HPKE.get(number) if type(number) is int else None
    if found is None:
        raise AlgorithmNotAllowed("not a COSE-HPKE algorithm", algorithm=number)
    return found


def open_content(key: HpkeKey, headers: Headers, agreed: Agreed, aad: bytes, ciphertext: bytes) -> bytes:
    """Integrated encryption: `aad` is the Enc_structure. Raises KeyNotForUse or a crypto error."""
    return _open(key, headers, agreed, agreed.hpke_info, aad, ciphertext, integrated=True)


def open_key(key: HpkeKey, headers: Headers, agreed: Agreed, next_algorithm: Label, ciphertext: bytes) -> bytes:
    """Key encryption: return the key of the next layer. Raises KeyNotForUse or a crypto error."""
    info = _recipient_info(headers, agreed, next_algorithm)
    return _open(key, headers, agreed, info, agreed.hpke_aad, ciphertext, integrated=False)


def seal_content(
    alg: int, public_key: bytes, agreed: Agreed, encapsulator: Encapsulator, *, aad: bytes, plaintext: bytes
) -> tuple[bytes, bytes]:
    """Return (encapsulated key, ciphertext)."""
    return _seal(alg, public_key, agreed, agreed.hpke_info, encapsulator, aad, plaintext, integrated=True)


def seal_key(
    alg: int,
    public_key: bytes,
    headers: Headers,
    agreed: Agreed,
    encapsulator: Encapsulator,
    *,
    next_algorithm: Label,
    key: bytes,
) -> tuple[bytes, bytes]:
    """Return (encapsulated key, encrypted key). `headers` are the recipient's, without 'ek'."""
    info = _recipient_info(headers, agreed, next_algorithm)
    return _seal(alg, public_key, agreed, info, encapsulator, agreed.hpke_aad, key, integrated=False)


def _recipient_info(headers: Headers, agreed: Agreed, next_algorithm: Label) -> bytes:
    try:
        protected = cbor.encode(headers.protected) if headers.protected else b""
    except LockgateError:
        protected = headers.covered  # foreign values without a deterministic form: as received
    return hpke_recipient_structure(next_algorithm, protected, agreed.hpke_info)


def _open(
    key: HpkeKey,
    headers: Headers,
    agreed: Agreed,
    info: bytes,
    aad: bytes,
    ciphertext: bytes,
    *,
    integrated: bool,
) -> bytes:
    algorithm = _in_mode(key.alg, integrated=integrated)
    enc = headers.byte_string(ENCAPSULATED_KEY)
    if enc is None:
        raise BadHeader("no encapsulated key")
    psk = _psk(headers, agreed)
    context = hpke.setup_receiver(algorithm.suite, enc, key.decapsulator, info, psk=psk)
    return context.open(aad, ciphertext)


def _psk(headers: Headers, agreed: Agreed) -> Psk | None:
    """The PSK, if the message is in PSK mode and names the agreed one; a mode never falls back."""
    psk_id = headers.byte_string(PSK_ID)
    if psk_id != (None if agreed.psk is None else agreed.psk.id):
        raise KeyNotForUse("the message's pre-shared key is not the agreed one")
    return agreed.psk


def _seal(
    alg: int,
    public_key: bytes,
    agreed: Agreed,
    info: bytes,
    encapsulator: Encapsulator,
    aad: bytes,
    plaintext: bytes,
    *,
    integrated: bool,
) -> tuple[bytes, bytes]:
    algorithm = _in_mode(alg, integrated=integrated)
    enc, context = hpke.setup_sender(algorithm.suite, public_key, info, encapsulator, psk=agreed.psk)
    return enc, context.seal(aad, plaintext)


def _in_mode(alg: int, *, integrated: bool) -> HpkeAlgorithm:
    algorithm = hpke_algorithm(alg)
    if algorithm.integrated is not integrated:
        raise AlgorithmNotAllowed("the algorithm is for the other mode of COSE-HPKE", algorithm=alg)
    return algorithm


__all__ = ("HpkeKey", "hpke_algorithm", "open_content", "open_key", "seal_content", "seal_key")
