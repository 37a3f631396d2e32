"""Accounts: who may submit transactions, at which sequence, with what balance (I2, I3).

An account id is the hash of its suite and key, so an account certifies itself and needs no record
before its first transaction on a ledger that admits anyone. Each account has nonce lanes, so that a
host, a relayer and a person may use one key side by side. Sequences never reset.

An account replaces its key by a transaction that the key signs which it has (`rotate`): the id stays, with
sequences and balance, and from then on transactions name it beside the new key. Each rotation commits to the key
after it, so from the second on a thief of today's key cannot rotate (as P5 has it for endpoints).
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping
from functools import lru_cache
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.crypto import ed25519
from lockgate.crypto.errors import BadKey
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.machine import keys
from lockgate.machine.context import Context, field, only_fields
from lockgate.machine.errors import CODESPACE
from lockgate.machine.records import Account, AccountKeys
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import AccountId, DomainId
from lockgate.primitives.state import Outcome, View

ACCOUNT_LABEL: Final = "lockgate/account/1"
ACCOUNT_BYTES: Final = 20
KEY_LABEL: Final = "lockgate/account-key/1"
NEXT_LABEL: Final = "lockgate/next-account-key/1"
MAX_OVERLAP: Final = 100  # blocks: minutes on a quiet ledger, far more than a transaction waits
SUITE: Final = 1  # crypto.suites: Ed25519, the account suite of this version (`transaction.SUITE_ED25519`)


class KeyNotCurrent(Refused):
    code = "tx.key_not_current"
    summary = "The key that signed is not the account's at this height: it was replaced, or never was."
    untouched = "No message of the transaction took effect; sequence and fee are unspent."
    next_step = "Sign it again with the account's current key, at the same sequence."
    wire = (CODESPACE, 122)


class BadRotation(PeerFault):
    code = "account.bad_rotation"
    summary = (
        "The new key is not the one committed to, does not sign for itself, or is in use; or another overlap is due."
    )
    untouched = "The account has the keys it had."
    next_step = (
        "Rotate to the committed key, signed with the account's current one, with an overlap of 0 to 100 blocks."
    )
    wire = (CODESPACE, 123)


@lru_cache(4_096)  # a key and a short text each; one transaction asks three times
def account_id(suite: int, public_key: bytes) -> AccountId:
    """Lower-case hex of the first 20 bytes of SHA-256 over label, suite and public key."""
    digest = hashlib.sha256(cbor.encode([ACCOUNT_LABEL, suite, public_key])).digest()
    return AccountId(digest[:ACCOUNT_BYTES].hex())


def load(view: View, account: str) -> Account | None:
    data = view.get(keys.ACCOUNT, keys.account(account))
    return None if data is None else _decoded(data)


@lru_cache(1_024)  # the same bytes are the same account
def _decoded(data: bytes) -> Account:
    return Account.from_bytes(data)


def next_sequence(view: View, account: str, nonce_lane: int) -> int:
    """The sequence the next transaction of this nonce lane must carry; 0 at first."""
    return int.from_bytes(view.get(keys.ACCOUNT, keys.sequence(account, nonce_lane)) or b"", "big")


def key_commitment(suite: int, public_key: bytes) -> bytes:
    """Commit to an account's key that is shown at a later rotation only. 32 bytes, SHA-256."""
    return hashlib.sha256(cbor.encode([NEXT_LABEL, suite, public_key])).digest()


def possession_bytes(
    account: str, index: int, public_key: bytes, overlap: int, following: bytes, domain: DomainId, revision: int
) -> bytes:
    """What the new key of an account signs at its rotation number `index` (1 is the first)."""
    body = cbor.encode([KEY_LABEL, account, index, overlap, following])
    key_hash = hashlib.sha256(public_key).digest()
    return signing_bytes(Purpose.KEY_RECORD, SUITE, key_hash, domain, revision, body)


def rotated(view: View, account: str) -> AccountKeys | None:
    """The keys of an account that has replaced its first; None for any other."""
    data = view.get(keys.ACCOUNT, keys.account_keys(account))
    return None if data is None else _decoded_keys(data)


@lru_cache(1_024)  # the same bytes are the same keys
def _decoded_keys(data: bytes) -> AccountKeys:
    return AccountKeys.from_bytes(data)


def in_use(view: View, public_key: bytes) -> bool:
    """Is this the first key of a listed account, or was it one that an account has rotated from or to?"""
    own = account_id(SUITE, public_key)
    taken = view.get(keys.ACCOUNT, keys.account_key(own)) is not None
    return taken or load(view, own) is not None or rotated(view, own) is not None


def require_key(view: View, account: str, suite: int, public_key: bytes, height: int) -> None:
    """May this key sign for the account in a block of this height? Raises KeyNotCurrent."""
    held = rotated(view, account)
    if held is None:
        if account_id(suite, public_key) != account:
            raise KeyNotCurrent("the account has another key", account=account)
    elif not (
        ((suite, public_key) == (held.suite, held.public_key) and height >= held.since)
        or (public_key == held.previous_key and height <= held.previous_until)
    ):
        raise KeyNotCurrent("the account has another key", account=account, since=held.since)


def rotate(view: View, context: Context, message: Mapping[str, Any], reserved: Container[bytes]) -> Outcome:
    """Replace the key of the account that signs: the new one is good from the next block on.

    Only the current key may do it, not one that an overlap still admits; `reserved` are keys that authorities have or
    had. The new key stands under the id that would be its own, for good: nobody else takes it.
    Raises BadRotation, BadMessage.
    """
    only_fields(message, "suite", "public_key", "next", "overlap", "possession")
    account, height = context.signer, context.block.height
    public_key, following = field(message, "public_key", bytes, size=32), field(message, "next", bytes, size=32)
    overlap, possession = field(message, "overlap", int), field(message, "possession", bytes, size=64)
    held = rotated(view, account)
    current = context.signing_key if held is None else held.public_key
    index = 1 if held is None else held.index + 1
    if field(message, "suite", int) != SUITE or not 0 <= overlap <= MAX_OVERLAP:
        raise BadRotation("unknown suite, or too long an overlap", overlap=overlap, most=MAX_OVERLAP)
    if context.signing_key != current:
        raise BadRotation("the key was replaced, and an overlap lets it sign but not rotate", account=account)
    if held is not None and key_commitment(SUITE, public_key) != held.next_key:
        raise BadRotation("the key is not the one committed to", account=account, index=index)
    _check_new(view, context, public_key, reserved)
    signed = possession_bytes(account, index, public_key, overlap, following, context.domain, height.revision)
    if not ed25519.verify_strict(public_key, possession, signed):
        raise BadRotation("the new key did not sign for itself", account=account, index=index)
    since, until = height.height + 1, height.height + overlap
    record = AccountKeys(index, SUITE, public_key, following, since, current, until)
    outcome = Outcome()
    outcome.set(keys.ACCOUNT, keys.account_keys(account), record.to_bytes())
    outcome.set(keys.ACCOUNT, keys.account_key(account_id(SUITE, public_key)), account.encode())
    outcome.emit(
        "account_rotated",
        ("account", account),
        ("index", str(index)),
        ("since", str(since)),
        ("previous_until", str(until)),
    )
    return outcome


def _check_new(view: View, context: Context, public_key: bytes, reserved: Container[bytes]) -> None:
    """A key has one purpose (P6): none of an authority's, no other account's, not the account's own one."""
    try:
        ed25519.check_public_key(public_key)
    except BadKey as error:
        raise BadRotation("no Ed25519 public key that can be trusted to sign") from error
    own = account_id(SUITE, public_key)
    if public_key == context.signing_key or own == context.signer or in_use(view, public_key):
        raise BadRotation("the key is an account's already", account=own)
    if public_key in reserved:
        raise BadRotation("an authority's key signs no transaction (P16)", account=own)
