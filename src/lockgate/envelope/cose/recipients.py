"""Recipients: how the key of a layer reaches those who may have it, read from the receiver's side.

A receiver brings one key, bound to one algorithm. The recipients addressed to that key are tried; a
recipient may itself be encrypted to further recipients, whose key then unwraps it.
Source: RFC 9052 §5.1, §5.3, §8.5; RFC 9053 §6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from lockgate.crypto import keywrap
from lockgate.envelope.cose.agreement import NOTHING_AGREED, Agreed, derive, kdf_context, shared_secret
from lockgate.envelope.cose.algorithms import CONTENT, DERIVING, DIRECT, HPKE, MACS, WRAPS, DerivingAlgorithm
from lockgate.envelope.cose.headers import Acceptance, Headers, safe_parse
from lockgate.envelope.cose.hpke import HpkeKey, open_key
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import KeyOp, KeyType
from lockgate.envelope.cose.wire import Wire, bytes_or_nil
from lockgate.envelope.errors import CoseMalformed, KeyNotForUse, NoRecipient
from lockgate.primitives.errors import LockgateError

MAX_RECIPIENTS: Final = 64  # at one level; a receiver may have to try each
MAX_LEVELS: Final = 3  # content key, key-encryption key, agreement: RFC 9052 appendix B has these


@dataclass(frozen=True, slots=True)
class Recipient:
    """A COSE_recipient. `ciphertext` is the encrypted key, empty or nil where a key is derived."""

    headers: Headers
    ciphertext: bytes | None
    recipients: tuple[Recipient, ...] = ()

    @classmethod
    def parse(cls, item: Any, wire: Wire, levels: int = MAX_LEVELS) -> Self:
        if type(item) is not tuple or len(item) not in (3, 4):
            raise CoseMalformed("a recipient is an array of three or four")
        headers = safe_parse(item[0], item[1], wire)
        inner = parse_recipients(item[3], wire, levels - 1) if len(item) == 4 else ()
        return cls(headers, bytes_or_nil(item[2], "recipient ciphertext"), inner)

    def to_list(self) -> list[Any]:
        out: list[Any] = [self.headers.raw, self.headers.unprotected, self.ciphertext]
        if self.recipients:
            out.append([recipient.to_list() for recipient in self.recipients])
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Who reads a message: one key and what was agreed about it.

    A symmetric key bound to the content's own algorithm is used directly; otherwise the key is bound
    to the algorithm of its recipient. `sender`: the static key expected in static-static agreement.
    """

    key: CoseKey | HpkeKey
    sender: CoseKey | None = None
    agreed: Agreed = NOTHING_AGREED


@dataclass(frozen=True, slots=True)
class Target:
    """What a recovered key is for: an algorithm and its key length in bytes."""

    algorithm: int
    key_bytes: int


def parse_recipients(item: Any, wire: Wire, levels: int = MAX_LEVELS) -> tuple[Recipient, ...]:
    """Read a list of recipients. Raises CoseMalformed or BadHeader."""
    if levels == 0:
        raise CoseMalformed("recipients are nested too deep", limit=MAX_LEVELS)
    if type(item) is not tuple or not 0 < len(item) <= MAX_RECIPIENTS:
        raise CoseMalformed("recipients are a list of 1 to 64", limit=MAX_RECIPIENTS)
    recipients = tuple(Recipient.parse(entry, wire, levels) for entry in item)
    if len(recipients) > 1 and any(_stands_alone(recipient) for recipient in recipients):
        raise CoseMalformed("a recipient whose key is used directly has no others beside it")
    return recipients


def recover_key(recipients: Sequence[Recipient], receiver: Receiver, target: Target, accept: Acceptance) -> bytes:
    """Return the key of the layer that `recipients` belong to.

    Raises NoRecipient when none is addressed to the receiver's key, or when each of those refused;
    the last refusal is its cause.
    """
    refusal: LockgateError | None = None
    for recipient in recipients:
        if not _may_be_addressed(recipient, receiver, target):
            continue
        try:
            return _key_from(recipient, receiver, target, accept)
        except LockgateError as error:
            refusal = error
    raise NoRecipient(recipients=len(recipients)) from refusal


def _may_be_addressed(recipient: Recipient, receiver: Receiver, target: Target) -> bool:
    if recipient.recipients:
        return True  # the recipients below decide
    alg, key = recipient.headers.alg, receiver.key
    expected = DIRECT if key.alg == target.algorithm else key.alg
    if alg is not None and alg != expected:
        return False
    return recipient.headers.kid is None or key.kid is None or recipient.headers.kid == key.kid


def _key_from(recipient: Recipient, receiver: Receiver, target: Target, accept: Acceptance) -> bytes:
    if recipient.recipients:
        return _unwrap_through(recipient, receiver, target, accept)
    key = receiver.key
    if isinstance(key, HpkeKey):
        accept.check(recipient.headers, key.alg)
        return _sized(open_key(key, recipient.headers, receiver.agreed, target.algorithm, _wrapped(recipient)), target)
    alg = key.alg or 0  # 0 is reserved: no algorithm has it
    if alg == target.algorithm:
        return _direct(recipient, key, target, accept)
    if alg in WRAPS:
        accept.check(recipient.headers, alg, protects=False)
        key.require(alg, KeyOp.UNWRAP, KeyType.SYMMETRIC)
        return _sized(keywrap.unwrap(_sized_kek(key), _wrapped(recipient)), target)
    if alg in DERIVING:
        return _derived(DERIVING[alg], recipient, key, receiver, target, accept)
    raise KeyNotForUse("the key is bound to no algorithm of recipients", bound=alg)


def _direct(recipient: Recipient, key: CoseKey, target: Target, accept: Acceptance) -> bytes:
    accept.check(recipient.headers, DIRECT, protects=False)
    if recipient.ciphertext:
        raise CoseMalformed("a recipient whose key is used directly has no ciphertext")
    if key.kty != KeyType.SYMMETRIC:
        raise KeyNotForUse("only a symmetric key is used directly")
    return _sized(key.secret, target)


def _derived(
    algorithm: DerivingAlgorithm,
    recipient: Recipient,
    key: CoseKey,
    receiver: Receiver,
    target: Target,
    accept: Acceptance,
) -> bytes:
    headers = recipient.headers
    accept.check(headers, algorithm.id)
    secret = shared_secret(algorithm, headers, key, receiver.sender)
    if algorithm.hash is None and len(secret) != algorithm.key_bytes:
        raise KeyNotForUse("the key has the wrong length", algorithm=algorithm.name, got=len(secret))
    made = Target(algorithm.wrap, WRAPS[algorithm.wrap].key_bytes) if algorithm.wrap else target
    context = kdf_context(headers, receiver.agreed, made.algorithm, made.key_bytes)
    derived = derive(algorithm, secret, headers, context)
    if algorithm.wrap:
        return _sized(keywrap.unwrap(derived, _wrapped(recipient)), target)
    if recipient.ciphertext:
        raise CoseMalformed("a recipient whose key is derived directly has no ciphertext")
    return derived


def _unwrap_through(recipient: Recipient, receiver: Receiver, target: Target, accept: Acceptance) -> bytes:
    alg = recipient.headers.alg
    if type(alg) is not int or alg not in WRAPS:
        raise CoseMalformed("only a key wrap has recipients of its own")
    accept.check(recipient.headers, alg, protects=False)
    kek = recover_key(recipient.recipients, receiver, Target(alg, WRAPS[alg].key_bytes), accept)
    return _sized(keywrap.unwrap(kek, _wrapped(recipient)), target)


def _sized(key: bytes, target: Target) -> bytes:
    mac = MACS.get(target.algorithm)
    if mac is not None:
        mac.check_key(key)
    elif len(key) != target.key_bytes:
        raise KeyNotForUse("a key has the wrong length", expected=target.key_bytes, got=len(key))
    return key


def _sized_kek(key: CoseKey) -> bytes:
    secret = key.secret
    if len(secret) != WRAPS[key.alg or 0].key_bytes:
        raise KeyNotForUse("a wrapping key has the wrong length", got=len(secret))
    return secret


def _wrapped(recipient: Recipient) -> bytes:
    if not recipient.ciphertext:
        raise CoseMalformed("a recipient with an encrypted key has no ciphertext")
    return recipient.ciphertext


def _stands_alone(recipient: Recipient) -> bool:
    """RFC 9052 §8.5.1, §8.5.4: where the key is not chosen by the sender, nobody else can have it."""
    alg = recipient.headers.alg
    if type(alg) is not int:
        return False
    return alg == DIRECT or (alg in DERIVING and not DERIVING[alg].wrap)


def target_of(algorithm: int) -> Target:
    """The target of a content or MAC algorithm of the tables."""
    entry = CONTENT.get(algorithm) or MACS[algorithm]
    return Target(algorithm, entry.key_bytes)


assert not HPKE.keys() & (WRAPS.keys() | DERIVING.keys())

__all__ = (
    "MAX_LEVELS",
    "MAX_RECIPIENTS",
    "Receiver",
    "Recipient",
    "Target",
    "parse_recipients",
    "recover_key",
    "target_of",
)
