"""An endpoint's keys on disk, and its inception record (P5, P6).

One key file holds the seeds: identity of each generation, sealing key, account. The next identity is
made with the first one, because the inception record commits to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lockgate.crypto.keys import SEED_BYTES, IdentitySigner, KeyRole, SealingKey, SecretBytes
from lockgate.crypto.ports import Decapsulator
from lockgate.crypto.suites import SEAL_XWING_AES, SIGN_ED25519_MLDSA65, seal_suite
from lockgate.host.keyring import AccountKey, KeyRing, Opener
from lockgate.keystore.file import write_key_file
from lockgate.keystore.sealed import StoredKey
from lockgate.keystore.software import Ed25519Signer, OsEntropy, identity_signer
from lockgate.machine.accounts import account_id
from lockgate.machine.identity import KeyRecord, SignedRecord, next_keys_commitment, record_signing_bytes
from lockgate.node.folder import SUITE_ED25519, Folder, account_signer, make_keys

HOST_KEYS = {
    "account": (KeyRole.ACCOUNT, SUITE_ED25519),
    "identity-0": (KeyRole.IDENTITY, SIGN_ED25519_MLDSA65.id),
    "identity-1": (KeyRole.IDENTITY, SIGN_ED25519_MLDSA65.id),
    "sealing-0": (KeyRole.SEALING, SEAL_XWING_AES.id),
}


@dataclass(frozen=True, slots=True)
class HostKeys:
    """A host's keys, opened."""

    account: Ed25519Signer
    identity: IdentitySigner
    next_identity: IdentitySigner
    sealing: Decapsulator
    sealing_suite: int

    @property
    def account_id(self) -> str:
        return account_id(SUITE_ED25519, self.account.public_key)


def open_keys(folder: Folder, name: str) -> HostKeys:
    """Read a host's key file, or make it."""
    keys = make_keys(folder.host(name) / "keys", HOST_KEYS, folder.passphrase())
    return HostKeys(
        account=account_signer(keys),
        identity=identity_of(keys["identity-0"]),
        next_identity=identity_of(keys["identity-1"]),
        sealing=seal_suite(keys["sealing-0"].suite).kem.private_key(keys["sealing-0"].seed.reveal()),
        sealing_suite=keys["sealing-0"].suite,
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
    """A host's key file through rotations. Meets `host.keyring.KeyCabinet`.

    Keys of record i are named after i; the next identity is there already, because record i commits to it.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._path = folder.host(name) / "keys"
        self._passphrase = folder.passphrase()
        self._keys = make_keys(self._path, HOST_KEYS, self._passphrase)

    def ring(self, chain: Sequence[KeyRecord], /) -> KeyRing:
        record = chain[-1]
        signer = self.account(record.index)
        older = tuple(
            Opener(old, self._sealing(old.index)) for old in reversed(chain[:-1]) if _sealing(old.index) in self._keys
        )
        return KeyRing(
            identity_of(self._keys[f"identity-{record.index}"]),
            Opener(record, self._sealing(record.index)),
            older,
            AccountKey(signer.public_key, signer.sign),
        )

    def account(self, index: int) -> Ed25519Signer:
        """The account that the record of `index` lists."""
        return account_signer(self._keys, _account(index))

    def next_record(self, current: KeyRecord, /) -> SignedRecord:
        index = current.index + 1
        self._make(
            {
                f"identity-{index + 1}": (KeyRole.IDENTITY, current.identity.suite),
                _sealing(index): (KeyRole.SEALING, current.sealing.suite),
                _account(index): (KeyRole.ACCOUNT, SUITE_ED25519),
            }
        )
        old, new, following = (identity_of(self._keys[f"identity-{i}"]) for i in range(index - 1, index + 2))
        account = self.account(index)
        record = KeyRecord(
            endpoint=current.endpoint_id,
            index=index,
            previous=current.hash,
            identity=new.key,
            sealing=SealingKey(current.sealing.suite, self._sealing(index).public_key),
            accounts=(account_id(SUITE_ED25519, account.public_key),),
            next_keys=next_keys_commitment(following.key),
        )
        body = record.body()
        by_new = new.sign(record_signing_bytes(new.key, body))
        return SignedRecord(body, by_new, old.sign(record_signing_bytes(old.key, body)))

    def settled(self, index: int, /) -> None:
        self._drop([f"identity-{i}" for i in range(index)] + [_account(i) for i in range(index)])

    def forget(self, index: int, /) -> None:
        self._drop([_sealing(i) for i in range(index)])

    def _sealing(self, index: int) -> Decapsulator:
        stored = self._keys[_sealing(index)]
        return seal_suite(stored.suite).kem.private_key(stored.seed.reveal())

    def _make(self, wanted: dict[str, tuple[KeyRole, int]]) -> None:
        missing = {name: kind for name, kind in wanted.items() if name not in self._keys}
        if missing:
            entropy = OsEntropy()
            made = {name: StoredKey(*kind, SecretBytes(entropy.bytes(SEED_BYTES))) for name, kind in missing.items()}
            self._write({**self._keys, **made})

    def _drop(self, names: Sequence[str]) -> None:
        kept = {name: key for name, key in self._keys.items() if name not in names}
        if len(kept) < len(self._keys):
            self._write(kept)

    def _write(self, keys: dict[str, StoredKey]) -> None:
        write_key_file(self._path, keys, self._passphrase, overwrite=True)
        self._keys = keys


def _account(index: int) -> str:
    return f"account-{index}" if index else "account"


def _sealing(index: int) -> str:
    return f"sealing-{index}"


def identity_of(stored: StoredKey) -> IdentitySigner:
    return identity_signer(stored.suite, stored.seed.reveal(), KeyRole.IDENTITY)
