"""Transactions: COSE_Sign1 over deterministic CBOR, in exactly one encoding (I3, P6).

The signature covers a label, the purpose, the suite, the hash of the signing key, the domain id and
its revision beside the body, so it means nothing on another ledger, on a fork under a new revision,
or for any other purpose. The wire form is fixed to the byte: a transaction that decodes re-encodes
to itself, so its hash cannot be changed by a courier.
Source: RFC 9052 §4; `cddl/transaction.1.0.cddl`; I3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.crypto import ed25519
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.machine.accounts import ACCOUNT_BYTES, account_id
from lockgate.machine.errors import BadSignature, BadTransaction
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import AccountId, DomainId, Hash32
from lockgate.primitives.time import UnixSeconds

SUITE_ED25519: Final = 1  # crypto.suites: the account suite of this version
ALGORITHM_EDDSA: Final = -8  # IANA COSE Algorithms
_SIGN1: Final = frozenset({18})  # CBOR tag of COSE_Sign1
MAX_SEQUENCE: Final = 1 << 48  # a million transactions a second for nine years
MAX_GAS: Final = 1 << 48  # far above any block; keeps sums of gas inside 64 bits
MAX_FEE: Final = 1 << 60
MAX_NONCE_LANE: Final = 0xFFFF
Message = tuple[str, Any]  # (type URL, protobuf bytes) or (name, CBOR map)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One atomic list of messages. `valid_until` is in whole seconds of ledger time."""

    domain: DomainId
    chain_id: str
    public_key: bytes
    nonce_lane: int
    sequence: int
    valid_until: UnixSeconds
    gas_limit: int
    fee: int
    messages: tuple[Message, ...]
    named: AccountId | None = None  # the account, where it has replaced the key that it is the hash of

    @property
    def account(self) -> AccountId:
        return account_id(SUITE_ED25519, self.public_key) if self.named is None else self.named

    def body(self) -> bytes:
        """The CBOR array of transaction.cddl; messages, of which a relayer sends hundreds, are framed here."""
        values = (
            self.domain,
            self.chain_id,
            [SUITE_ED25519, self.public_key, *([] if self.named is None else [bytes.fromhex(self.named)])],
            self.nonce_lane,
            self.sequence,
            self.valid_until,
            self.gas_limit,
            self.fee,
        )
        parts = [b"\x89", *map(cbor.encode, values), cbor.head(0x80, len(self.messages))]
        for name, content in self.messages:
            if type(content) is bytes:
                parts += (b"\x82", _name(name), cbor.head(0x40, len(content)), content)
            else:
                parts += (b"\x82", _name(name), cbor.encode(content))
        return b"".join(parts)

    @classmethod
    def from_body(cls, body: bytes, max_messages: int) -> Self:
        try:
            decoded: Any = _usual(body, max_messages) or cbor.decode(body, limits=_bounds(body))
            domain, chain_id, (suite, public_key, *named), lane, sequence, until, gas, fee, messages = decoded
        except LockgateError as error:
            raise BadTransaction("the body is not deterministic CBOR") from error
        except (TypeError, ValueError) as error:
            raise BadTransaction("the body does not have the shape of transaction.1.0.cddl") from error
        if type(domain) is not bytes or len(domain) != 32 or type(chain_id) is not str:
            raise BadTransaction("domain id or chain id has the wrong type")
        if suite != SUITE_ED25519 or type(public_key) is not bytes or len(public_key) != 32:
            raise BadTransaction("unknown account suite or key size", suite=suite)
        account = _named(named, public_key)
        bounds = (MAX_NONCE_LANE, MAX_SEQUENCE, MAX_GAS, MAX_GAS, MAX_FEE)
        for number, bound in zip((lane, sequence, until, gas, fee), bounds, strict=True):
            if type(number) is not int or not 0 <= number <= bound:
                raise BadTransaction("a number is out of range")
        if type(messages) is not tuple or not 1 <= len(messages) <= max_messages:
            raise BadTransaction("a transaction has 1 to max_messages messages")
        return cls(
            domain=DomainId(Hash32(domain)),
            chain_id=chain_id,
            public_key=public_key,
            nonce_lane=lane,
            sequence=sequence,
            valid_until=UnixSeconds(until),
            gas_limit=gas,
            fee=fee,
            messages=tuple(map(_message, messages)),
            named=account,
        )


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A decoded transaction whose signature has been verified; `size` is that of its bytes."""

    transaction: Transaction
    size: int


def sign(transaction: Transaction, revision: int, sign_with: Callable[[bytes], bytes]) -> bytes:
    """Encode and sign. `sign_with` maps signed bytes to a 64-byte Ed25519 signature."""
    protected = _protected(transaction.account)
    body = transaction.body()
    signature = sign_with(_to_be_signed(transaction, revision, protected, body))
    return _frame(protected, body, signature)


def decode_and_verify(data: bytes, revision: int, *, max_bytes: int, max_messages: int) -> SignedTransaction:
    """Decode the one accepted form and verify its signature.

    Raises BadTransaction on any other bytes, BadSignature when the account did not sign them for
    this domain and revision. Whether domain and chain id are those of the ledger is the caller's.
    """
    if not 0 < len(data) <= max_bytes:
        raise BadTransaction("the transaction is empty or too long", size=len(data), most=max_bytes)
    try:
        protected, unprotected, body, signature = _usual_frame(data) or read_sign1(data)
    except LockgateError as error:
        raise BadTransaction("not deterministic CBOR") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise BadTransaction("not a tagged COSE_Sign1 array") from error
    if type(body) is not bytes or type(signature) is not bytes or unprotected != {}:
        raise BadTransaction("not a COSE_Sign1 with an empty unprotected header")
    transaction = Transaction.from_body(body, max_messages)
    if protected != _protected(transaction.account):
        raise BadTransaction("the protected header does not name the account's algorithm and id")
    message = _to_be_signed(transaction, revision, protected, body)
    if not ed25519.verify_strict(transaction.public_key, signature, message):
        raise BadSignature("the signature does not verify", account=transaction.account)
    return SignedTransaction(transaction, len(data))


def read_sign1(data: bytes) -> Any:
    """Return what a tagged COSE_Sign1 holds, unverified: protected, unprotected, payload, signature.

    How long it may be is the caller's to say: a ledger's own bound on a transaction may be above the one that
    CBOR of unknown size is read with. Raises Malformed; AttributeError where no tag stands.
    """
    outer: Any = cbor.decode(data, limits=_bounds(data), tags=_SIGN1)
    return outer.value


def _bounds(data: bytes) -> cbor.Limits:
    """Bounds for bytes whose length was judged before."""
    size = len(data)
    return cbor.DEFAULT_LIMITS if size <= cbor.DEFAULT_LIMITS.size else cbor.Limits(size=size)


_name: Final = lru_cache(256)(cbor.encode)  # message names: dozens
_name_of: Final = lru_cache(256)(cbor.decode)
_FRAME: Final = b"\xd2\x84\x58\x19"  # tag, array, and the head of a protected header
_PROTECTED_BYTES: Final = 25
_LEAST: Final = (24, 1 << 8, 1 << 16, 1 << 32)  # numbers that need one, two, four and eight bytes behind their head
_USUAL_NAME: Final = 96  # bytes; what is remembered of names stays small, whoever sends them
_USUAL_MESSAGES: Final = 4_096  # three items each: far inside the bound of CBOR, which is not counted here


def _usual(body: bytes, max_messages: int) -> tuple[Any, ...] | None:
    """What `cbor.decode` gives of a body whose messages all carry bytes; None for any other bytes.

    A relayer's transaction holds hundreds of such messages, under a few names.
    """
    try:
        if body[:3] != b"\x89\x58\x20":
            return None
        size, start = _length(body, 35, 0x60)
        at = start + size
        if size > _USUAL_NAME or body[at : at + 4] != b"\x82\x01\x58\x20":
            return None
        items = [body[3:35], _name_of(body[35:at]), (SUITE_ED25519, body[at + 4 : at + 36])]
        at += 36
        for _ in range(5):
            number, at = _number(body, at)
            items.append(number)
        count, at = _length(body, at, 0x80)
        if not 0 < count <= min(max_messages, _USUAL_MESSAGES):
            return None
        messages = []
        for _ in range(count):
            if body[at] != 0x82:
                return None
            at += 1
            size, start = _length(body, at, 0x60)
            end = start + size
            if size > _USUAL_NAME:
                return None
            name = _name_of(body[at:end])
            size, start = _length(body, end, 0x40)
            at = start + size
            messages.append((name, body[start:at]))
    except (IndexError, LockgateError):
        return None
    return (*items, tuple(messages)) if at == len(body) else None


def _usual_frame(data: bytes) -> tuple[bytes, dict[str, bytes], bytes, bytes] | None:
    """What `read_sign1` gives of a short transaction as `sign` makes it; None for any other bytes."""
    at = len(_FRAME) + _PROTECTED_BYTES
    try:
        if not data.startswith(_FRAME) or data[at] != 0xA0:
            return None
        size, start = _length(data, at + 1, 0x40)
    except IndexError:
        return None
    end = start + size
    if len(data) != end + 66 or data[end] != 0x58 or data[end + 1] != 0x40:
        return None
    return data[len(_FRAME) : at], {}, data[start:end], data[end + 2 :]


def _number(body: bytes, at: int) -> tuple[int, int]:
    """Read an unsigned integer and where it ends; IndexError for anything else."""
    kind = body[at]
    if kind < 24:
        return kind, at + 1
    if kind > 27:
        raise IndexError
    end = at + 1 + (1 << (kind - 24))
    number = int.from_bytes(body[at + 1 : end])
    if number < _LEAST[kind - 24]:
        raise IndexError
    return number, end


def _length(body: bytes, at: int, major: int) -> tuple[int, int]:
    """Read a shortest head of this major type: its argument and where it ends; IndexError for any other."""
    kind = body[at] - major
    if 0 <= kind < 24:
        return kind, at + 1
    if kind == 24 and body[at + 1] >= 24:
        return body[at + 1], at + 2
    if kind == 25 and body[at + 1]:
        return body[at + 1] << 8 | body[at + 2], at + 3
    raise IndexError


def _protected(account: AccountId) -> bytes:
    # {1: -8, 4: kid}: canonical map with the two smallest keys in order.
    return b"\xa2\x01\x27\x04\x54" + bytes.fromhex(account)


def _to_be_signed(transaction: Transaction, revision: int, protected: bytes, body: bytes) -> bytes:
    head = _signed_head(transaction.public_key, transaction.domain, revision, protected)
    return head + cbor.head(0x40, len(body)) + body


@lru_cache(4_096)  # one for each account that acts: a few hundred bytes
def _signed_head(public_key: bytes, domain: bytes, revision: int, protected: bytes) -> bytes:
    """The Sig_structure up to its payload: the first three of four items."""
    key_hash = hashlib.sha256(public_key).digest()
    context = signing_bytes(Purpose.TRANSACTION, SUITE_ED25519, key_hash, domain, revision, b"")
    return b"\x84" + b"".join(map(cbor.encode, ("Signature1", protected, context)))


def _frame(protected: bytes, body: bytes, signature: bytes) -> bytes:
    return b"\xd2" + cbor.encode([protected, {}, body, signature])


def _named(given: list[Any], public_key: bytes) -> AccountId | None:
    """The account that is named beside the key; never one that the key names by itself, so that there is one form."""
    if not given:
        return None
    name, own = given[0], account_id(SUITE_ED25519, public_key)
    if len(given) > 1 or type(name) is not bytes or len(name) != ACCOUNT_BYTES or name.hex() == own:
        raise BadTransaction("an account is named by 20 bytes, and only where the key does not name it")
    return AccountId(name.hex())


def _message(item: Any) -> Message:
    if type(item) is not tuple or len(item) != 2 or type(item[0]) is not str:
        raise BadTransaction("a message is [name, content]")
    name, content = item
    if (name[:1] == "/") != (type(content) is bytes):
        raise BadTransaction("IBC messages carry protobuf bytes, ours carry a map", message=name)
    return name, content


assert len(_protected(AccountId("00" * ACCOUNT_BYTES))) == _PROTECTED_BYTES
