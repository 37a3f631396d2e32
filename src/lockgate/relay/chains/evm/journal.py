"""Transactions that were signed and are not final yet, on disk before any of them is sent.

A process that ends between signing and sending, or while a transaction waits, finds its bytes again: it asks for their
hashes first, and sends the same bytes, so that their nonce is used once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lockgate.codec.errors import RlpMalformed
from lockgate.primitives.errors import Damaged, Refused, Unavailable
from lockgate.relay.chains.evm.files import replace_whole
from lockgate.relay.chains.evm.transactions import SignedTransaction, read

MAX_BYTES: Final = 64 * 1024 * 1024  # a hundred transactions of 120,000 bytes in hex, half of them replaced
FORMAT: Final = 1


class JournalDamaged(Damaged):
    code = "evm.journal_damaged"
    summary = "The file of transactions that were signed is not as it was written."
    untouched = "Nothing was signed and nothing was sent."
    next_step = "See at the chain which of the account's transactions wait; then remove the file and start again."


class JournalOfAnother(Refused):
    code = "evm.journal_of_another"
    summary = "The file of transactions that were signed belongs to another account or another chain."
    untouched = "Nothing was signed and nothing was sent."
    next_step = "Give each account and chain a folder of its own."


class JournalFull(Unavailable):
    code = "evm.journal_full"
    summary = "So much is signed and not final yet that no more can be written down."
    untouched = "Nothing was signed beside it; what waits goes on."
    next_step = "It goes on by itself as blocks become final; send less at once where it happens often."


class Journal:
    """A file, replaced whole. Only its owner reads it: it holds nothing secret, but what is about to be done."""

    def __init__(self, path: Path, network: int, account: bytes) -> None:
        self._path = path
        self._who = {"format": FORMAT, "network": network, "account": account.hex()}

    def load(self) -> dict[int, list[SignedTransaction]]:
        """Every version of each step, by nonce. Raises JournalDamaged, JournalOfAnother."""
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise JournalDamaged("the file cannot be read", path=self._path, reason=error.strerror) from error
        try:
            value: Any = json.loads(data) if len(data) <= MAX_BYTES else None
            who = {name: value[name] for name in self._who}
            found = [read(bytes.fromhex(raw)) for raw in value["signed"]]
        except (ValueError, TypeError, KeyError, RlpMalformed, RecursionError) as error:
            raise JournalDamaged(path=self._path) from error
        if who != self._who:
            raise JournalOfAnother(path=self._path, **{name: str(text)[:60] for name, text in who.items()})
        kept: dict[int, list[SignedTransaction]] = {}
        for one in found:
            if one.sender.hex() != who["account"] or one.transaction.network != who["network"]:
                raise JournalOfAnother(path=self._path, nonce=one.transaction.nonce)
            kept.setdefault(one.transaction.nonce, []).append(one)
        return kept

    def save(self, kept: Mapping[int, Sequence[SignedTransaction]]) -> None:
        """Write and sync. Raises JournalFull, JournalDamaged where that fails."""
        text = json.dumps({**self._who, "signed": [one.raw.hex() for nonce in sorted(kept) for one in kept[nonce]]})
        if len(text) > MAX_BYTES:  # `load` would not read it
            raise JournalFull(path=self._path, bytes=len(text))
        try:
            replace_whole(self._path, text)
        except OSError as error:
            raise JournalDamaged("the file cannot be written", path=self._path, reason=error.strerror) from error


__all__ = ("Journal", "JournalDamaged", "JournalFull", "JournalOfAnother")
