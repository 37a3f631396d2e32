"""The labelled key derivation of HPKE: which suite and which purpose goes into every hash.

Two families: two-stage KDFs as RFC 9180 §4 has them, one-stage KDFs (SHAKE) as draft-ietf-hpke-hpke
and draft-ietf-hpke-pq add them. `suite_id` is "KEM" ‖ id inside a KEM, "HPKE" ‖ three ids outside.
"""

from __future__ import annotations

from typing import Final

from lockgate.crypto.errors import WrongLength
from lockgate.crypto.kdf import SHAKE256, Hkdf, Kdf, Shake

_VERSION: Final = b"HPKE-v1"


def labeled_extract(kdf: Hkdf, suite_id: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return kdf.extract(salt, _VERSION + suite_id + label + ikm)


def labeled_expand(kdf: Hkdf, suite_id: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return kdf.expand(prk, _u16(length) + _VERSION + suite_id + label + info, length)


def labeled_derive(kdf: Shake, suite_id: bytes, ikm: bytes, label: bytes, context: bytes, length: int) -> bytes:
    return kdf.derive(ikm + _VERSION + suite_id + length_prefixed(label) + _u16(length) + context, length)


def derive_seed(kem_suite_id: bytes, ikm: bytes, length: int) -> bytes:
    """DeriveKeyPair of the post-quantum KEMs: always SHAKE256 (draft-ietf-hpke-pq §3, §4)."""
    return labeled_derive(SHAKE256, kem_suite_id, ikm, b"DeriveKeyPair", b"", length)


def key_schedule(
    kdf: Kdf,
    suite_id: bytes,
    mode: int,
    shared_secret: bytes,
    info: bytes,
    *,
    psk: tuple[bytes, bytes],
    key_bytes: int,
    nonce_bytes: int,
) -> tuple[bytes, bytes, bytes]:
    """Return (key, base nonce, exporter secret). `psk` is (key, id), both empty without one.

    Source: RFC 9180 §5.1; for one-stage KDFs CombineSecrets_OneStage of draft-ietf-hpke-hpke §5.1.
    """
    psk_key, psk_id = psk
    if isinstance(kdf, Shake):
        secrets = length_prefixed(psk_key) + length_prefixed(shared_secret)
        context = bytes([mode]) + length_prefixed(psk_id) + length_prefixed(info)
        length = key_bytes + nonce_bytes + kdf.output_bytes
        out = labeled_derive(kdf, suite_id, secrets, b"secret", context, length)
        return out[:key_bytes], out[key_bytes : key_bytes + nonce_bytes], out[key_bytes + nonce_bytes :]
    context = bytes([mode])
    context += labeled_extract(kdf, suite_id, b"", b"psk_id_hash", psk_id)
    context += labeled_extract(kdf, suite_id, b"", b"info_hash", info)
    secret = labeled_extract(kdf, suite_id, shared_secret, b"secret", psk_key)
    key = nonce = b""
    if key_bytes:  # an export-only suite has neither
        key = labeled_expand(kdf, suite_id, secret, b"key", context, key_bytes)
        nonce = labeled_expand(kdf, suite_id, secret, b"base_nonce", context, nonce_bytes)
    return key, nonce, labeled_expand(kdf, suite_id, secret, b"exp", context, kdf.output_bytes)


def export(kdf: Kdf, suite_id: bytes, exporter_secret: bytes, context: bytes, length: int) -> bytes:
    """Return `length` bytes bound to `context` (RFC 9180 §5.3)."""
    if not 0 < length < 1 << 16:
        raise WrongLength("an export has 1 to 65,535 bytes", length=length)
    if isinstance(kdf, Shake):
        return labeled_derive(kdf, suite_id, exporter_secret, b"sec", context, length)
    return labeled_expand(kdf, suite_id, exporter_secret, b"sec", context, length)


def length_prefixed(data: bytes) -> bytes:
    return _u16(len(data)) + data


def _u16(number: int) -> bytes:
    if not 0 <= number < 1 << 16:
        raise WrongLength("HPKE counts lengths in 16 bits", length=number)
    return number.to_bytes(2)


__all__ = (
    "derive_seed",
    "export",
    "key_schedule",
    "labeled_derive",
    "labeled_expand",
    "labeled_extract",
    "length_prefixed",
)
