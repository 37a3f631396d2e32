"""The keys of an account in a party's key file, and which of them a ledger takes now (S11).

The first key has the account's own name in the file, `account` or `operator`; those of its rotations follow as
`account-1`, `account-2`. The ledger says which is current; the next one lies in the file already, because the rotation
before committed to it. The first key stays there: the account's id is its hash, and no ledger that knows of a rotation
takes its signature. So do the newest of those that were replaced: which is current is the word of a node, a ledger may
still want one before it, and a replaced key signs nothing that a ledger takes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

from lockgate.crypto.keys import KeyRole
from lockgate.crypto.ports import Signer
from lockgate.keystore.store import Keystore
from lockgate.machine import keys as stores
from lockgate.machine.accounts import account_id, key_commitment, possession_bytes
from lockgate.machine.records import AccountKeys
from lockgate.machine.transaction import Message
from lockgate.node.folder import SUITE_ED25519, Folder
from lockgate.node.keystores import Choice, changing, open_keystore
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import AccountId, DomainId
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import b64
from lockgate.relay.submitter import AccountSubmitter, Sign

KEPT: Final = 16  # replaced keys; a key file holds a few hundred
OVERLAP: Final = 10  # blocks in which what was signed before still counts; a transaction waits for one or two


class KeyTaken(Refused):
    code = "keys.taken"
    summary = "The ledger has a key, or waits for one, that is not in the key file: somebody else has rotated it."
    untouched = "No key was made or replaced here."
    next_step = "Restore the newest key file; where there is none, treat the key as stolen, and make a new party."


class NotRotated(Refused):
    code = "keys.not_rotated"
    summary = "A ledger refused the next key."
    untouched = "Ledgers that took it before have it; the same command goes on with the others."
    next_step = "Read the ledger's own words in the error, then run the command again."


@dataclass(frozen=True)
class Wallet:
    """An account of a party. Opens its key file when a key is needed, and keeps none."""

    folder: Folder
    home: Path
    wanted: Choice
    base: str

    @cached_property
    def account(self) -> AccountId:
        """The account's id, which no rotation changes."""
        keys = self._open()
        try:
            return account_id(SUITE_ED25519, keys.signer(self.base).public_key)
        finally:
            keys.close()

    def signer(self, held: AccountKeys | None) -> Signer:
        """The key that the ledger says is current. Raises KeyTaken."""
        keys = self._open()
        try:
            if held is None:
                return keys.signer(self.base)
            name = self.name(held.index)
            if name not in keys or keys.signer(name).public_key != held.public_key:
                raise KeyTaken(key=name, file=str(self.home), index=held.index)
            return keys.signer(name)
        finally:
            keys.close()

    async def signer_on(self, chain: CometBftChain) -> tuple[AccountId, Signer]:
        """The account, and its key on this ledger. Raises KeyTaken."""
        account = await asyncio.to_thread(lambda: self.account)
        return account, await asyncio.to_thread(self.signer, await held_on(chain, account))

    async def renew(self, chain: CometBftChain) -> tuple[bytes, Sign]:
        """As a submitter asks for it when the ledger takes its key no more. Raises KeyTaken."""
        _, signer = await self.signer_on(chain)
        return signer.public_key, signer.sign

    def name(self, index: int) -> str:
        """What the key of a rotation is called in the file."""
        return f"{self.base}-{index}" if index else self.base

    def rotation(self, account: AccountId, index: int, domain: DomainId, revision: int, overlap: int) -> Message:
        """The message for rotation number `index`. Its key and the one it commits to are made where missing."""
        names = [self.name(index), self.name(index + 1)]
        with changing(self.folder, self.home, self.wanted) as keys:
            keys.make(dict.fromkeys(names, (KeyRole.ACCOUNT, SUITE_ED25519)))
            new, following = (keys.signer(name) for name in names)
        commitment = key_commitment(SUITE_ED25519, following.public_key)
        signed = possession_bytes(account, index, new.public_key, overlap, commitment, domain, revision)
        fields = {
            "suite": SUITE_ED25519,
            "public_key": new.public_key,
            "next": commitment,
            "overlap": overlap,
            "possession": new.sign(signed),
        }
        return "account.rotate", fields

    def settle(self, index: int) -> None:
        """Erase the keys between the first and those that were replaced lately."""
        with changing(self.folder, self.home, self.wanted) as keys:
            keys.drop([self.name(each) for each in range(1, index - KEPT)])

    def _open(self) -> Keystore:
        return open_keystore(self.folder, self.home, self.wanted)


async def held_on(chain: CometBftChain, account: AccountId) -> AccountKeys | None:
    """What a ledger's node says of the account's keys; who signs by a lie is refused by the ledger."""
    answer: dict[str, Any] = await chain.query(f"/store/{stores.ACCOUNT}/key", stores.account_keys(account))
    data = b64(answer.get("value"))
    return AccountKeys.from_bytes(data) if data else None


@dataclass(frozen=True, slots=True)
class Rotated:
    """Where an account stands on one ledger, in heights."""

    ledger: str
    index: int
    since: int
    previous_until: int


async def rotate(
    wallet: Wallet,
    ledgers: dict[str, tuple[AccountSubmitter, DomainId]],
    overlap: int = OVERLAP,
    known: int | None = None,
) -> list[Rotated]:
    """Give the account its next key on every ledger; where an earlier attempt stopped on the way, finish that one.

    With `known`, the number of the newest rotation that the caller knows of, a newer one that all ledgers have is left
    as it is. Raises KeyTaken, NotRotated.
    """
    account = await asyncio.to_thread(lambda: wallet.account)
    stands = {name: await held_on(by.chain, account) for name, (by, _) in ledgers.items()}
    indices = [0 if held is None else held.index for held in stands.values()]
    stopped = len(set(indices)) > 1 or (known is not None and max(indices) > known)
    target = max(indices) + (not stopped)
    return [await _bring(wallet, account, name, by, domain, target, overlap) for name, (by, domain) in ledgers.items()]


async def _bring(
    wallet: Wallet, account: AccountId, name: str, by: AccountSubmitter, domain: DomainId, target: int, overlap: int
) -> Rotated:
    while True:
        held = await held_on(by.chain, account)
        signer = await asyncio.to_thread(wallet.signer, held)
        by.sign_as(signer.public_key, signer.sign)  # an overlap lets the key before sign, but not rotate
        index = 0 if held is None else held.index
        if held is not None and index >= target:
            return Rotated(name, index, held.since, held.previous_until)
        message = await asyncio.to_thread(
            partial(wallet.rotation, account, index + 1, domain, by.chain.revision, overlap)
        )
        done = await by.submit([message])
        if done.code:
            raise NotRotated(done.log, ledger=name, index=index + 1)
        await by.chain.header_at_least(done.height.height + 1)


__all__ = ("KEPT", "OVERLAP", "KeyTaken", "NotRotated", "Rotated", "Wallet", "held_on", "rotate")
