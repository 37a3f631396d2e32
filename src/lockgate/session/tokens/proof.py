"""What goes with each call: the token, and a signature by the key it confirms over this very call (P22).

Signed is `signing_bytes` for calls (purpose 8) over CBOR [label, H(token), method, path, H(body), nonce, channel]. A
recorded call is none with another body, method or path, on another connection, or a second time; and a token without
its key is nothing. `channel` is what both ends of a link derive from its keys (an exporter's value), or empty for a
socket that nobody but its two ends can read, as a Unix socket: there the kernel says who they are.
Source: P22.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.crypto.hashes import SHA256
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.crypto.keys import IdentityKey, IdentitySigner
from lockgate.primitives.errors import LockgateError
from lockgate.session.tokens.claims import Holder
from lockgate.session.tokens.cwt import MAX_TOKEN, token_digest
from lockgate.session.tokens.errors import ProofRefused, TokenMalformed

LABEL: Final = "lockgate/call/1"
NO_CHANNEL: Final = b""  # a Unix socket: nothing of it can be derived
MAX_SHOWN: Final = 16_384  # bytes: the longest token, a hybrid key and a hybrid signature
_LIMITS: Final = cbor.Limits(size=MAX_SHOWN, items=8, depth=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is asked of a server. `path` names what it is asked of; `nonce` is the server's."""

    method: str
    path: str
    body: bytes
    nonce: bytes
    channel: bytes

    def message(self, digest: bytes) -> bytes:
        """What the holder of the token with this digest signs."""
        return cbor.encode([LABEL, digest, self.method, self.path, SHA256.digest(self.body), self.nonce, self.channel])


@dataclass(frozen=True, slots=True)
class Shown:
    """A token and the proof of a call. `key` is there where the token confirms the hash of one."""

    token: bytes
    key: IdentityKey | None
    signature: bytes

    def encode(self) -> bytes:
        key = None if self.key is None else [self.key.suite, list(self.key.parts)]
        return cbor.encode([self.token, key, self.signature])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises TokenMalformed."""
        try:
            token, key, signature = _array(cbor.decode(data, limits=_LIMITS), 3)
            shown = None
            if key is not None:
                suite, parts = _array(key, 2)
                shown = IdentityKey(suite, parts)
        except Malformed as error:
            raise TokenMalformed("not deterministic CBOR within bounds") from error
        except TokenMalformed:
            raise
        except LockgateError as error:
            raise TokenMalformed("the key that is shown is none") from error
        if type(token) is not bytes or type(signature) is not bytes or len(token) > MAX_TOKEN:
            raise TokenMalformed("a token and a signature are byte strings")
        return cls(token, shown, signature)


def show(token: bytes, holder: IdentitySigner, call: Call, domain: bytes, revision: int) -> Shown:
    """Prove a call with the key that the token was issued to."""
    signature = holder.sign_for(Purpose.CALL, domain, revision, call.message(token_digest(token)))
    confirmed = Holder.of(holder.key)
    return Shown(token, holder.key if confirmed.key is None else None, signature)


def require_proof(holder: Holder, digest: bytes, shown: Shown, call: Call, domain: bytes, revision: int) -> None:
    """Raise ProofRefused unless the token's holder has signed the call."""
    key = holder.confirmed(shown.key)
    if key is None:
        raise ProofRefused("not the key that the token confirms")
    signed = signing_bytes(Purpose.CALL, key.suite, key.hash, domain, revision, call.message(digest))
    if not key.verify(signed, shown.signature):
        raise ProofRefused("not signed for this call", method=call.method, path=call.path)


def _array(item: Any, count: int) -> tuple[Any, ...]:
    if type(item) is not tuple or len(item) != count:
        raise TokenMalformed("not an array of the expected length", expected=count)
    return item


__all__ = ("MAX_SHOWN", "NO_CHANNEL", "Call", "Shown", "require_proof", "show")
