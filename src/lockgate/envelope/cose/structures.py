"""The byte strings that COSE signs, authenticates, encrypts beside, or derives keys from.

None of them is ever sent: both sides build them, so all are deterministic CBOR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lockgate.codec import cbor
from lockgate.envelope.cose.labels import Label

ENCRYPT: Final = "Encrypt"
ENCRYPT0: Final = "Encrypt0"
ENC_RECIPIENT: Final = "Enc_Recipient"
MAC_RECIPIENT: Final = "Mac_Recipient"
REC_RECIPIENT: Final = "Rec_Recipient"

Party = tuple[bytes | None, bytes | int | None, bytes | None]
NOBODY: Final[Party] = (None, None, None)


def sig_structure1(protected: bytes, external_aad: bytes, payload: bytes) -> bytes:
    """ToBeSigned of a COSE_Sign1. Source: RFC 9052 §4.4."""
    return cbor.encode(["Signature1", protected, external_aad, payload])


def sig_structure(body: bytes, signer: bytes, external_aad: bytes, payload: bytes) -> bytes:
    """ToBeSigned of one signer of a COSE_Sign. Source: RFC 9052 §4.4."""
    return cbor.encode(["Signature", body, signer, external_aad, payload])


def mac_structure(context: str, protected: bytes, external_aad: bytes, payload: bytes) -> bytes:
    """ToBeMaced; `context` is "MAC" or "MAC0". Source: RFC 9052 §6.3."""
    return cbor.encode([context, protected, external_aad, payload])


def enc_structure(context: str, protected: bytes, external_aad: bytes) -> bytes:
    """Associated data of a ciphertext; `context` is one of the constants above. Source: RFC 9052 §5.3."""
    return cbor.encode([context, protected, external_aad])


def countersign_structure(
    body: bytes,
    signer: bytes | None,
    external_aad: bytes,
    payload: bytes,
    other_fields: Sequence[bytes],
) -> bytes:
    """What a countersignature of version 2 covers. Source: RFC 9338 §3.3.

    `signer` is the countersigner's protected bucket, None for an abbreviated one. `other_fields`: the
    byte strings of the target after its second, so that nobody can exchange them unnoticed.
    """
    context = "CounterSignature" if signer is not None else "CounterSignature0"
    fields: list[cbor.Value] = [context + "V2" if other_fields else context, body]
    if signer is not None:
        fields.append(signer)
    fields += [external_aad, payload]
    if other_fields:
        fields.append(tuple(other_fields))
    return cbor.encode(fields)


def countersign_structure_v1(body: bytes, signer: bytes, external_aad: bytes, payload: bytes, *, full: bool) -> bytes:
    """What the deprecated version covers: a Sig_structure, without tag or signature of the target.

    An abbreviated one has the zero-length string for its missing headers. Source: RFC 8152 §4.4, §4.5.
    """
    context = "CounterSignature" if full else "CounterSignature0"
    return cbor.encode([context, body, signer, external_aad, payload])


@dataclass(frozen=True, slots=True, kw_only=True)
class KdfContext:
    """COSE_KDF_Context, which binds a derived key to its algorithm and parties. Source: RFC 9053 §5.2."""

    algorithm: Label  # the algorithm the key is for
    key_bits: int
    protected: bytes  # of the recipient
    party_u: Party = NOBODY
    party_v: Party = NOBODY
    supp_pub_other: bytes | None = None
    supp_priv_info: bytes | None = field(default=None, repr=False)

    def encode(self) -> bytes:
        supp_pub: list[cbor.Value] = [self.key_bits, self.protected]
        if self.supp_pub_other is not None:
            supp_pub.append(self.supp_pub_other)
        context: list[cbor.Value] = [self.algorithm, self.party_u, self.party_v, tuple(supp_pub)]
        if self.supp_priv_info is not None:
            context.append(self.supp_priv_info)
        return cbor.encode(context)


def hpke_recipient_structure(next_algorithm: Label, protected: bytes, extra_info: bytes) -> bytes:
    """HPKE's info for key encryption. Source: draft-ietf-cose-hpke-24, Recipient_structure.

    `protected` is deterministic: a recipient's own bucket goes in re-encoded, whoever wrote it.
    """
    return cbor.encode(["HPKE Recipient", next_algorithm, protected, extra_info])


__all__ = (
    "ENCRYPT",
    "ENCRYPT0",
    "ENC_RECIPIENT",
    "MAC_RECIPIENT",
    "NOBODY",
    "REC_RECIPIENT",
    "KdfContext",
    "Party",
    "countersign_structure",
    "countersign_structure_v1",
    "enc_structure",
    "hpke_recipient_structure",
    "mac_structure",
    "sig_structure",
    "sig_structure1",
)
