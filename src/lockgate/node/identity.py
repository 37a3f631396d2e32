"""An endpoint's keys on disk, and its inception record (P5, P6).

One key file holds the seeds: identity of each generation, sealing key, account. The next identity is
made with the first one, because the inception record commits to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockgate.crypto.keys import IdentitySigner, KeyRole, SealingKey
from lockgate.crypto.ports import Decapsulator
from lockgate.crypto.suites import SEAL_XWING_AES, SIGN_ED25519_MLDSA65, seal_suite
from lockgate.host.keyring import KeyRing, Opener
from lockgate.keystore.sealed import StoredKey
from lockgate.keystore.software import Ed25519Signer, identity_signer
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

    def ring(self, record: KeyRecord) -> KeyRing:
        return KeyRing(self.identity, Opener(record, self.sealing))


def open_keys(folder: Folder, name: str) -> HostKeys:
    """Read a host's key file, or make it."""
    keys = make_keys(folder.host(name) / "keys", HOST_KEYS, folder.passphrase())
    return HostKeys(
        account=account_signer(keys),
        identity=_identity(keys["identity-0"]),
        next_identity=_identity(keys["identity-1"]),
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


def _identity(stored: StoredKey) -> IdentitySigner:
    return identity_signer(stored.suite, stored.seed.reveal(), KeyRole.IDENTITY)
