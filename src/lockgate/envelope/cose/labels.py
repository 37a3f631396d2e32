"""The numbers of COSE: IANA's registries as far as they are used here."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, TypeAlias

Label: TypeAlias = int | str  # of a header parameter or a key parameter; also an algorithm's name


class MessageTag(IntEnum):
    """CBOR tags of COSE messages (RFC 9052 §2, RFC 9338)."""

    ENCRYPT0 = 16
    MAC0 = 17
    SIGN1 = 18
    COUNTERSIGNATURE = 19
    ENCRYPT = 96
    MAC = 97
    SIGN = 98


# Header parameters: RFC 9052 §3.1, RFC 9338, RFC 9360, RFC 9597, RFC 9596; draft-ietf-cose-merkle-tree-proofs.
ALG: Final = 1
CRIT: Final = 2
CONTENT_TYPE: Final = 3
KID: Final = 4
IV: Final = 5
PARTIAL_IV: Final = 6
COUNTERSIGNATURE_V1: Final = 7
COUNTERSIGNATURE0_V1: Final = 9
COUNTERSIGNATURE: Final = 11
COUNTERSIGNATURE0: Final = 12
CWT_CLAIMS: Final = 15
TYP: Final = 16
X5CHAIN: Final = 33
X5T: Final = 34
RECEIPTS: Final = 394
TREE_PROFILE: Final = 395  # verifiable data structure
TREE_PROOFS: Final = 396  # verifiable data proofs

# Header parameters of key distribution: RFC 9053 §6; draft-ietf-cose-hpke-24.
EPHEMERAL_KEY: Final = -1
STATIC_KEY: Final = -2
STATIC_KEY_ID: Final = -3
ENCAPSULATED_KEY: Final = -4
PSK_ID: Final = -5
SALT: Final = -20
PARTY_U: Final = (-21, -22, -23)  # identity, nonce, other
PARTY_V: Final = (-24, -25, -26)


class KeyType(IntEnum):
    """RFC 9053 §7, RFC 8230; AKP: draft-ietf-cose-dilithium."""

    OKP = 1
    EC2 = 2
    RSA = 3
    SYMMETRIC = 4
    AKP = 7


class KeyOp(IntEnum):
    """What a key may do (RFC 9052 §7.1, table 5)."""

    SIGN = 1
    VERIFY = 2
    ENCRYPT = 3
    DECRYPT = 4
    WRAP = 5
    UNWRAP = 6
    DERIVE_KEY = 7
    DERIVE_BITS = 8
    MAC_CREATE = 9
    MAC_VERIFY = 10


class CurveId(IntEnum):
    """RFC 9053 §7.1, RFC 8812."""

    P256 = 1
    P384 = 2
    P521 = 3
    X25519 = 4
    X448 = 5
    ED25519 = 6
    ED448 = 7
    SECP256K1 = 8


# Common key parameters (RFC 9052 §7.1).
KEY_KTY: Final = 1
KEY_KID: Final = 2
KEY_ALG: Final = 3
KEY_OPS: Final = 4
KEY_BASE_IV: Final = 5

# Ours, from the private-use range below -65536.
SUITE: Final = -70_001  # suite id of crypto.suites
SENDER_CHOICE: Final = -70_002  # [session, epoch, start salt, fence, counter]
KEY_COMMITMENT: Final = -70_003  # 32 bytes (P17)
