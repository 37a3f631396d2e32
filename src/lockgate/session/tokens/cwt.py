"""A token on the wire: a CWT, signed by its issuer with every algorithm of the issuer's suite (P6, P22).

    61(18([protected: alg, kid, suite; {}, claims, signature]))              one algorithm: COSE_Sign1, alg EdDSA
    61(98([protected: kid, suite; {}, claims, [[alg, suite], …]]))           a hybrid: COSE_Sign, one signer for each

`kid` is the hash of all public keys of the issuer, so that the verifier finds the whole pair. The external data is
`signing_bytes` for tokens (purpose 6), under the domain and revision of the ledger whose list of revoked tokens counts:
a token of one deployment, or of a restored ledger's past, is none in another.
Source: RFC 8392 §6 and §7, RFC 9052 §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from lockgate.crypto.hashes import SHA256
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.crypto.keys import IdentityKey, IdentitySigner
from lockgate.crypto.signatures import ED25519
from lockgate.envelope.cose.algorithms import EDDSA, SIGNER_NUMBERS
from lockgate.envelope.cose.headers import Headers
from lockgate.envelope.cose.labels import ALG, KID, SUITE, Label
from lockgate.envelope.cose.sign import Sign, Sign1, sign1
from lockgate.envelope.cose.wire import Wire
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.sealed import Sealed
from lockgate.session.tokens.claims import Claims
from lockgate.session.tokens.errors import IssuerUnknown, ScopeTooWide, TokenMalformed, TokenSignature

MAX_TOKEN: Final = 8_192  # bytes: the longest claims and the two signatures of a hybrid
_CWT: Final = b"\xd8\x3d"  # CBOR tag 61
_SIGN1: Final = b"\xd2"  # tag 18
_SIGN: Final = b"\xd8\x62"  # tag 98


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who may issue tokens here, under which name, and what they may allow at most."""

    name: str
    key: IdentityKey
    grants: frozenset[str]


Issuers = Mapping[bytes, Issuer]  # by the hash of all the issuer's public keys


@final
@dataclass(frozen=True, slots=True)
class Token(metaclass=Sealed):
    """A token that an accepted issuer has signed. Whether it is one for a call is for `Guard` to say."""

    claims: Claims
    issuer: Issuer
    digest: bytes  # SHA-256 of the token, which the proof of a call names


def issue(claims: Claims, issuer: IdentitySigner, domain: bytes, revision: int) -> bytes:
    """Sign claims. Raises TokenTooLong for what no verifier would take, WrongPurpose for a key that issues none."""
    claims.require_short()
    external = issuer.context(Purpose.TOKEN, domain, revision)
    shared: dict[Label, Any] = {KID: bytes(issuer.key.hash), SUITE: issuer.key.suite}
    payload = claims.encode()
    if _is_single(issuer.key):
        signed = sign1(payload, issuer.signers[0], EDDSA, protected=shared, unprotected={}, external_aad=external)
        return _CWT + signed.encode()
    message = Sign(Headers.build(shared), payload, ())
    for signer in issuer.signers:
        message = message.signed_by(signer, _signer_headers(signer.algorithm, issuer.key.suite), external)
    return _CWT + message.encode()


def read(data: bytes, issuers: Issuers, domain: bytes, revision: int) -> Token:
    """Verify who issued a token. Raises TokenMalformed, IssuerUnknown, TokenSignature, ScopeTooWide."""
    message = _parse(data)
    kid = message.headers.protected.get(KID)
    issuer = issuers.get(kid) if type(kid) is bytes else None
    if issuer is None:
        raise IssuerUnknown("no key of that hash issues tokens here", key=kid)
    external = signing_bytes(Purpose.TOKEN, issuer.key.suite, issuer.key.hash, domain, revision, b"")
    if not _holds(message, issuer.key, external):
        raise TokenSignature(issuer=issuer.name, key=issuer.key.hash)
    claims = Claims.decode(message.payload or b"")
    if claims.issuer != issuer.name:
        raise IssuerUnknown("the key issues under another name", named=claims.issuer, name=issuer.name)
    if not issuer.grants.issuperset(claims.scope):
        raise ScopeTooWide(issuer=issuer.name, beyond=sorted(set(claims.scope) - issuer.grants))
    return Sealed.make(Token, claims, issuer, token_digest(data))


def peek(data: bytes) -> Claims:
    """The claims of a token whose signature nobody has looked at: to show them. Raises TokenMalformed."""
    return Claims.decode(_parse(data).payload or b"")


def token_digest(data: bytes) -> bytes:
    return SHA256.digest(data)


def _parse(data: bytes) -> Sign1 | Sign:
    """The one shape of a token: its tags, its header parameters and no others. Raises TokenMalformed."""
    if len(data) > MAX_TOKEN or data[:2] != _CWT:
        raise TokenMalformed("not a CWT, or too long", size=len(data), limit=MAX_TOKEN)
    body = data[2:]
    try:
        message: Sign1 | Sign
        if body[:1] == _SIGN1:
            message, labels = Sign1.decode(body, Wire.OURS), {ALG, KID, SUITE}
        elif body[:2] == _SIGN:
            message, labels = Sign.decode(body, Wire.OURS), {KID, SUITE}
        else:
            raise TokenMalformed("a CWT of ours is a tagged COSE_Sign1 or COSE_Sign")
    except TokenMalformed:
        raise
    except LockgateError as error:
        raise TokenMalformed("not a COSE message") from error
    if message.headers.unprotected or message.headers.protected.keys() != labels:
        raise TokenMalformed("a token has exactly its own header parameters, all of them protected")
    if message.payload is None:
        raise TokenMalformed("a token carries its claims")
    return message


def _holds(message: Sign1 | Sign, key: IdentityKey, external: bytes) -> bool:
    """Whether exactly the algorithms of the issuer's suite have signed, in order."""
    algorithms = key.signature_suite.algorithms
    if message.headers.protected[SUITE] != key.suite or isinstance(message, Sign1) != _is_single(key):
        return False
    if isinstance(message, Sign1):
        signed = message.to_be_signed(external)
        return message.headers.alg == EDDSA and ED25519.verify(key.parts[0], message.signature, signed)
    expected: list[Any] = [_signer_headers(algorithm.name, key.suite) for algorithm in algorithms]
    if [signature.headers for signature in message.signatures] != expected:
        return False
    return all(
        algorithm.verify(part, signature.signature, message.to_be_signed(signature.headers, external))
        for algorithm, part, signature in zip(algorithms, key.parts, message.signatures, strict=True)
    )


def _is_single(key: IdentityKey) -> bool:
    return len(key.parts) == 1


def _signer_headers(algorithm: str, suite: int) -> Headers:
    return Headers.build({ALG: SIGNER_NUMBERS[algorithm], SUITE: suite})


__all__ = ("MAX_TOKEN", "Issuer", "Issuers", "Token", "issue", "peek", "read", "token_digest")
