"""An endpoint's keys where its keystore has them, and its inception record (P5, P6).

Identity of each generation, sealing key, account. The next identity is made with the first one, because
the inception record commits to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from lockgate.crypto.keys import IdentityKey, IdentitySigner, KeyRole, SealingKey
from lockgate.crypto.ports import Decapsulator, Signer
from lockgate.host.keyring import AccountKey, KeyRing, Opener
from lockgate.keystore.store import Keystore, Wanted
from lockgate.machine.accounts import account_id
from lockgate.machine.identity import KeyRecord, SignedRecord, next_keys_commitment, record_signing_bytes
from lockgate.node.folder import SUITE_ED25519, Folder
from lockgate.node.keystores import open_keystore, publish
from lockgate.node.reserve import identities, number_of, open_reserve, reserve_of

FIRST: Final = frozenset({"account", "identity-0", "identity-1", "sealing-0"})
SEALING: Final = re.compile(r"sealing-([0-9]+)(-[0-9]+)?")


def wanted_keys(keystore: Keystore) -> Wanted:
    """A host's first keys, of the suites that its keystore is for."""
    return {
        "account": (KeyRole.ACCOUNT, SUITE_ED25519),
        "identity-0": (KeyRole.IDENTITY, keystore.identity_suite),
        "identity-1": (KeyRole.IDENTITY, keystore.identity_suite),
        "sealing-0": (KeyRole.SEALING, keystore.sealing_suite),
    }


@dataclass(frozen=True, slots=True)
class HostKeys:
    """A host's first keys, opened; `close` lets the device go that some of them may lie in."""

    account: Signer
    identity: IdentitySigner
    next_identity: IdentitySigner
    sealing: Decapsulator
    sealing_suite: int
    close: Callable[[], None]

    @property
    def account_id(self) -> str:
        return account_id(SUITE_ED25519, self.account.public_key)


def open_keys(folder: Folder, name: str) -> HostKeys:
    """Read a host's keys, or make them."""
    keystore = open_keystore(folder, folder.host(name), wanted_keys)
    return HostKeys(
        account=keystore.signer("account"),
        identity=keystore.identity("identity-0"),
        next_identity=keystore.identity("identity-1"),
        sealing=keystore.sealing("sealing-0"),
        sealing_suite=keystore.kinds()["sealing-0"][1],
        close=keystore.close,
    )


def inception(keys: HostKeys) -> tuple[KeyRecord, SignedRecord]:
    """The inception record these keys make. Its body is a function of the keys, so is the endpoint id."""
    record = KeyRecord(
        endpoint=None,
        index=0,
        previous=b"",
        identity=keys.identity.key,
        sealing=SealingKey(keys.sealing_suite, keys.sealing.public_key),
        accounts=(keys.account_id,),
        next_keys=next_keys_commitment(keys.next_identity.key),
    )
    body = record.body()
    return record, SignedRecord(body, keys.identity.sign(record_signing_bytes(keys.identity.key, body)), b"")


class Cabinet:
    """A host's keystore through rotations. Meets `host.keyring.KeyCabinet`.

    Keys of record i are named after i; the next identity is there already, because record i commits to it: beside
    the others, or in a reserve that is opened to rotate and at no other time. Where a rotation was asked for with one
    suite and then with another, there is a key of each: the record that is proven says which counts.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._home = folder.host(name)
        self._keys = open_keystore(folder, self._home, wanted_keys)

    def close(self) -> None:
        """Let the keystore's device go."""
        self._keys.close()

    def ring(self, chain: Sequence[KeyRecord], /) -> KeyRing:
        record = chain[-1]
        signer = self.account(record.index)
        older = tuple(
            Opener(old, self._sealing(old)) for old in reversed(chain[:-1]) if self._sealing_name(old) in self._keys
        )
        return KeyRing(
            self._own(record),
            Opener(record, self._sealing(record)),
            older,
            AccountKey(signer.public_key, signer.sign),
        )

    def account(self, index: int) -> Signer:
        """The account that the record of `index` lists."""
        return self._keys.signer(_account(index))

    def next_record(self, current: KeyRecord, /, sealing: int = 0, signing: int = 0) -> SignedRecord:
        index = current.index + 1
        new, following = self._following(current, signing)
        suite = sealing or current.sealing.suite
        name = self._name(index, suite)
        self._make(
            {
                name: (KeyRole.SEALING, suite),
                _account(index): (KeyRole.ACCOUNT, SUITE_ED25519),
            }
        )
        old = self._own(current)
        account = self.account(index)
        record = KeyRecord(
            endpoint=current.endpoint_id,
            index=index,
            previous=current.hash,
            identity=new.key,
            sealing=SealingKey(suite, self._keys.sealing(name).public_key),
            accounts=(account_id(SUITE_ED25519, account.public_key),),
            next_keys=next_keys_commitment(following),
        )
        body = record.body()
        by_new = new.sign(record_signing_bytes(new.key, body))
        return SignedRecord(body, by_new, old.sign(record_signing_bytes(old.key, body)))

    def _following(self, current: KeyRecord, signing: int) -> tuple[IdentitySigner, IdentityKey]:
        """The identity that `current` committed to, and the key of the one after it, made where it belongs.

        Raises ReserveAbsent.
        """
        path = reserve_of(self._home)
        if path is None:
            new = self._keys.identity(_committed(self._keys, current))
            name, suite = _after(self._keys, current, signing or new.key.suite)
            self._make({name: (KeyRole.IDENTITY, suite)})
            return new, self._keys.identity(name).key
        with closing(open_reserve(path)) as apart:
            held = self._keys if _committed(self._keys, current) else apart
            committed = _committed(held, current)
            name, suite = _after(apart, current, signing or held.identity(committed).key.suite)
            apart.make({name: (KeyRole.IDENTITY, suite)})
            if held is apart:
                self._keys.take(committed, apart)
                publish(self._home, self._keys)
            # The committed one is at hand now, and safe.
            apart.drop([one for one in identities(apart) if number_of(one) <= current.index + 1])
            return self._keys.identity(committed), apart.identity(name).key

    def settled(self, record: KeyRecord, /) -> None:
        over = [one for one in identities(self._keys) if number_of(one) < record.index]
        if committed := _committed(self._keys, record):
            over += [one for one in _of(self._keys, record.index + 1) if one != committed]
        self._drop(over + [_account(i) for i in range(record.index)])

    def forget(self, index: int, /) -> None:
        self._drop(
            [name for name in self._keys.kinds() if (found := SEALING.fullmatch(name)) and int(found[1]) < index]
        )

    def _own(self, record: KeyRecord) -> IdentitySigner:
        held = (self._keys.identity(one) for one in _of(self._keys, record.index))
        found = next((one for one in held if one.key == record.identity), None)
        if found is None:
            raise KeyError(f"identity of record {record.index}")
        return found

    def _sealing(self, record: KeyRecord) -> Decapsulator:
        return self._keys.sealing(self._sealing_name(record))

    def _sealing_name(self, record: KeyRecord) -> str:
        return self._name(record.index, record.sealing.suite)

    def _name(self, index: int, suite: int) -> str:
        """Of the sealing key of a record and a suite: the first that was made for a record bears its index alone."""
        return _named(self._keys, f"sealing-{index}", suite)

    def _make(self, wanted: Wanted) -> None:
        if not all(name in self._keys for name in wanted):
            self._keys.make(wanted)
            publish(self._home, self._keys)

    def _drop(self, names: Sequence[str]) -> None:
        if any(name in self._keys for name in names):
            self._keys.drop(names)
            publish(self._home, self._keys)


def _of(keys: Keystore, index: int) -> list[str]:
    """Names of the identities that were made for a record."""
    return [one for one in identities(keys) if number_of(one) == index]


def _committed(keys: Keystore, record: KeyRecord) -> str:
    """The name of the identity that a record committed to; none where it is not in this keystore."""
    held = _of(keys, record.index + 1)
    return next((one for one in held if next_keys_commitment(keys.identity(one).key) == record.next_keys), "")


def _after(keys: Keystore, current: KeyRecord, suite: int) -> tuple[str, int]:
    """Name and suite of the identity that the record after `current` commits to."""
    return _named(keys, f"identity-{current.index + 2}", suite), suite


def _named(keys: Keystore, first: str, suite: int) -> str:
    """The first key that was made for a record bears its index alone, one of another suite that as well."""
    held = keys.kinds().get(first)
    return first if held is None or held[1] == suite else f"{first}-{suite}"


def _account(index: int) -> str:
    return f"account-{index}" if index else "account"
