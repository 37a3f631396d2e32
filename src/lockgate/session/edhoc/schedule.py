"""The key schedule of EDHOC: transcript hashes, keys, what is signed and what is encrypted beside. RFC 9528 §4.

Each function is one line of the RFC; nothing here keeps a secret.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from lockgate.codec import cbor
from lockgate.crypto.hashes import Hash
from lockgate.crypto.kdf import hkdf_expand, hkdf_extract
from lockgate.envelope.cose.structures import ENCRYPT0, enc_structure, sig_structure1
from lockgate.session.edhoc.messages import Eads, IdCred, encode_eads, encode_sequence, short
from lockgate.session.edhoc.suites import CipherSuite


class Info(IntEnum):
    """Labels of EDHOC_KDF. Source: RFC 9528 §4.1.2, §4.2.2, table 5 and figure 6."""

    KEYSTREAM_2 = 0
    SALT_3E2M = 1
    MAC_2 = 2
    K_3 = 3
    IV_3 = 4
    SALT_4E3M = 5
    MAC_3 = 6
    PRK_OUT = 7
    K_4 = 8
    IV_4 = 9
    PRK_EXPORTER = 10
    KEY_UPDATE = 11


def info(label: int, context: bytes, length: int) -> bytes:
    return encode_sequence([int(label), context, length])


def kdf(suite: CipherSuite, prk: bytes, label: int, context: bytes, length: int) -> bytes:
    """EDHOC_KDF. Raises WrongLength beyond 255 hash lengths."""
    return hkdf_expand(suite.hash, prk, info(label, context, length), length)


def extract(suite: CipherSuite, salt: bytes, secret: bytes) -> bytes:
    """EDHOC_Extract."""
    return hkdf_extract(suite.hash, salt, secret)


def secret(suite: CipherSuite, prk: bytes, label: int, context: bytes) -> bytes:
    """A key of the schedule that is as long as the hash."""
    return kdf(suite, prk, label, context, suite.hash.digest_bytes)


def th_2(hash_: Hash, g_y: bytes, message_1: bytes) -> bytes:
    return hash_.digest(encode_sequence([g_y, hash_.digest(message_1)]))


def following(hash_: Hash, th: bytes, plaintext: bytes, cred: bytes) -> bytes:
    """TH_3 from TH_2, PLAINTEXT_2 and CRED_R; TH_4 from TH_3, PLAINTEXT_3 and CRED_I. `cred` is its CBOR item."""
    return hash_.digest(cbor.encode(th) + plaintext + cred)


def context_2(c_r: bytes, id_cred: IdCred, th: bytes, cred: bytes, eads: Eads) -> bytes:
    return encode_sequence([short(c_r), dict(id_cred), th]) + cred + encode_eads(eads)


def context_3(id_cred: IdCred, th: bytes, cred: bytes, eads: Eads) -> bytes:
    return encode_sequence([dict(id_cred), th]) + cred + encode_eads(eads)


def to_be_signed(id_cred: IdCred, th: bytes, cred: bytes, eads: Eads, mac: bytes) -> bytes:
    """What a signing side signs: a COSE_Sign1 whose payload is its MAC. Source: RFC 9528 §5.3.2, §5.4.2."""
    external: bytes = cbor.encode(th) + cred + encode_eads(eads)
    protected: Any = cbor.encode(dict(id_cred))
    return sig_structure1(protected, external, mac)


def mac_bytes(suite: CipherSuite, *, signs: bool) -> int:
    return suite.hash.digest_bytes if signs else suite.mac_bytes


def aad(th: bytes) -> bytes:
    """A_3 and A_4: the Enc_structure over nothing but the transcript."""
    return enc_structure(ENCRYPT0, b"", th)


def xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))


__all__ = (
    "Info",
    "aad",
    "context_2",
    "context_3",
    "extract",
    "following",
    "info",
    "kdf",
    "mac_bytes",
    "secret",
    "th_2",
    "to_be_signed",
    "xor",
)
