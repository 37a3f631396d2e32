"""A proof that takes as long to check as another, for where there is none to check (P19).

message_2 is under a bare keystream, so whoever flips its bits chooses at which check it fails. One error for all is not
enough where some take a signature's time and some do not: whatever fails before the proof is followed by the check of
one that is well formed and wrong.
"""

from __future__ import annotations

import contextlib
from typing import Final

from lockgate.session.edhoc.credentials import Credential
from lockgate.session.edhoc.errors import HandshakeFailed
from lockgate.session.edhoc.identity import check_proof
from lockgate.session.edhoc.schedule import Info, context_2, kdf, mac_bytes
from lockgate.session.edhoc.suites import CipherSuite

_ED25519: Final = b"\x02" + bytes(31) + b"\x01" + bytes(31)  # S is one; R is no point, as half of all that are spoiled
_MLDSA65: Final = bytes(48) + b"\x00\x00\x08\x80\x00" * 640 + bytes(61)  # z all zero (FIPS 204: γ1 - z), no hints
# By the length of the public key that checks it; r and s of ECDSA are one.
_PROOFS: Final = {
    32: _ED25519,
    65: (bytes(31) + b"\x01") * 2,
    97: (bytes(47) + b"\x01") * 2,
    1952: _MLDSA65,
}


def check_none(suite: CipherSuite, own: Credential, th: bytes, prk: bytes) -> None:
    """Do what the check of the peer's proof does, with this side's own public keys in the place of the peer's."""
    mac = kdf(suite, prk, Info.MAC_2, context_2(b"", own.id_cred, th, own.cred, ()), mac_bytes(suite, signs=True))
    proof = b"".join(_PROOFS.get(len(key), b"") for key in own.signing)
    with contextlib.suppress(HandshakeFailed):
        check_proof(suite, own, th, mac, (), proof, signs=True)


__all__ = ("check_none",)
