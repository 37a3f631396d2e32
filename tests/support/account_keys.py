"""Rotations of an account's key as an honest owner makes them."""

from __future__ import annotations

import hashlib
from typing import Any

from lockgate.crypto import ed25519
from lockgate.lab.ledgers import LabLedger
from lockgate.machine.accounts import key_commitment, possession_bytes
from lockgate.machine.transaction import SUITE_ED25519


def key(name: str) -> ed25519.SigningKey:
    """The key of that name; the same in every run."""
    return ed25519.SigningKey(hashlib.sha256(name.encode()).digest())


def rotation(
    ledger: LabLedger, account: str, index: int, new: str, following: str, overlap: int = 0
) -> tuple[str, dict[str, Any]]:
    """The message that makes the account's key `new`, as its rotation number `index`, and commits to `following`."""
    successor, domain = key(new), ledger.chain.machine.domain
    commitment = key_commitment(SUITE_ED25519, key(following).public_key)
    signed = possession_bytes(account, index, successor.public_key, overlap, commitment, domain, ledger.revision)
    return "account.rotate", {
        "suite": SUITE_ED25519,
        "public_key": successor.public_key,
        "next": commitment,
        "overlap": overlap,
        "possession": successor.sign(signed),
    }
