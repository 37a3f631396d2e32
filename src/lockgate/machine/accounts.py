"""Accounts: who may submit transactions, at which sequence, with what balance (I2, I3).

An account id is the hash of its suite and key, so an account certifies itself and needs no record
before its first transaction on a ledger that admits anyone. Each account has nonce lanes, so that a
host, a relayer and a person may use one key side by side. Sequences never reset.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from lockgate.codec import cbor
from lockgate.machine import keys
from lockgate.machine.records import Account
from lockgate.primitives.ids import AccountId
from lockgate.primitives.state import View

ACCOUNT_LABEL: Final = "lockgate/account/1"
ACCOUNT_BYTES: Final = 20


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
