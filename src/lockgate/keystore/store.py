"""The keys of one party: a sealed file, and beside it a device for what the device can hold (P22).

Every key has an entry in the file, with its role, its suite and a seed. Where there is a device, it makes
the halves whose algorithms it knows; the file says so and keeps their public keys. The other halves
grow from the seed, post-quantum ones always. So a hybrid identity is one key of two halves in two places,
and whoever wants to sign for it needs both.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lockgate.crypto.dh import X25519, DhKey
from lockgate.crypto.errors import BadKey
from lockgate.crypto.keys import (
    SEED_BYTES,
    IdentityKey,
    IdentitySigner,
    KeyRole,
    SealingKey,
    SecretBytes,
    expand_seed,
)
from lockgate.crypto.ports import Decapsulator, Signer
from lockgate.crypto.signatures import ED25519
from lockgate.crypto.suites import (
    SEAL_P256_AES,
    SEAL_XWING_AES,
    SIGN_ED25519_MLDSA65,
    SIGN_P256_MLDSA65,
    seal_suite,
    signature_suite,
)
from lockgate.crypto.xwing import HybridKem
from lockgate.keystore.device import DeviceDhKey, DeviceSigner
from lockgate.keystore.errors import DeviceKeyReplaced, OtherKeystore
from lockgate.keystore.file import read_key_file, write_key_file
from lockgate.keystore.ports import Description, Device, Kind
from lockgate.keystore.sealed import Elsewhere, StoredKey
from lockgate.keystore.software import OsEntropy, signer
from lockgate.keystore.stretch import DEFAULT_COST, Cost, Passphrase

LABEL_BYTES: Final = 8  # random, so that a key that was being made when the power went is in nobody's way
Wanted = Mapping[str, tuple[KeyRole, int]]


@dataclass(frozen=True, slots=True)
class Half:
    """One algorithm of a key, its public key, and where its private key lies."""

    algorithm: str
    where: Kind
    public_key: bytes


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What anybody may know of a key."""

    name: str
    role: KeyRole
    suite: int
    key_id: bytes
    halves: tuple[Half, ...]


class Keystore:
    """Keys by name: one file, and a device that is closed with it."""

    def __init__(
        self,
        path: Path,
        passphrase: Passphrase,
        device: Device | None = None,
        *,
        cost: Cost = DEFAULT_COST,
        sealed_by: Description | None = None,
    ) -> None:
        """`sealed_by` describes what holds the passphrase, where that is no person and no file."""
        self._path = path
        self._passphrase = passphrase
        self._device = device
        self._cost = cost
        self._file = sealed_by or Description(Kind.FILE, "a file under a passphrase")
        self._keys: dict[str, StoredKey] = {}

    def __repr__(self) -> str:
        return f"Keystore({self._path}, {len(self._keys)} keys)"

    @property
    def exists(self) -> bool:
        return self._path.exists()

    @property
    def identity_suite(self) -> int:
        """The signature suite of identities whose classical half the device can hold (P22)."""
        inside = self._device is None or ED25519.name in self._device.algorithms
        return SIGN_ED25519_MLDSA65.id if inside else SIGN_P256_MLDSA65.id

    @property
    def sealing_suite(self) -> int:
        """The seal suite whose classical half the device can hold (P22)."""
        inside = self._device is None or X25519.name in self._device.algorithms
        return SEAL_XWING_AES.id if inside else SEAL_P256_AES.id

    def close(self) -> None:
        """Let the device go. Keys that were taken out of here open it again when they are used."""
        if self._device is not None:
            self._device.close()

    def read(self) -> None:
        """Read the file. Raises what `read_key_file` raises, and OtherKeystore when its keys want a device."""
        keys = read_key_file(self._path, self._passphrase)
        if self._device is None and any(key.elsewhere for key in keys.values()):
            raise OtherKeystore("the file names keys in a device, and none is configured", file=str(self._path))
        self._keys = keys

    def make(self, wanted: Wanted) -> None:
        """Make those of `wanted` that are not there. They lie safe, in file and device, before this returns."""
        missing = {name: kind for name, kind in wanted.items() if name not in self._keys}
        if not missing:
            return
        made = {name: self._made(name, role, suite) for name, (role, suite) in missing.items()}
        self._write({**self._keys, **made})

    def take(self, name: str, other: Keystore) -> None:
        """Hold a key of another keystore, too. Raises OtherKeystore for one of which a half lies in a device."""
        key = other._keys[name]
        if key.elsewhere:
            raise OtherKeystore("a key that lies in a device stays there", key=name)
        if name not in self._keys:
            self._write({**self._keys, name: key})

    def drop(self, names: Sequence[str]) -> None:
        """Erase keys: in the device first, because what the file does not name nobody would erase any more."""
        gone = [self._keys[name] for name in names if name in self._keys]
        if not gone:
            return
        for key in gone:
            for half in key.elsewhere.values():
                self._need_device().erase(half.label)
        self._write({name: key for name, key in self._keys.items() if name not in names})

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    def kinds(self) -> dict[str, tuple[KeyRole, int]]:
        """Role and suite of each key, as `make` takes them."""
        return {name: (key.role, key.suite) for name, key in self._keys.items()}

    def descriptions(self) -> tuple[Description, ...]:
        """The file, then the device."""
        return (self._file,) if self._device is None else (self._file, self._device.describe())

    def facts(self) -> tuple[KeyFacts, ...]:
        """Public facts of every key, by name. The device is asked for nothing."""
        return tuple(self._facts(name, key) for name, key in sorted(self._keys.items()))

    def identity(self, name: str) -> IdentitySigner:
        """The signer of a key of any role that signs. Raises KeyError, DeviceKeyMissing, DeviceKeyUnsafe, …Replaced."""
        key = self._keys[name]
        algorithms = signature_suite(key.suite).algorithms
        return IdentitySigner(key.suite, tuple(self._signer(key, one.name) for one in algorithms), key.role)

    def signer(self, name: str) -> Signer:
        """The only signer of a key of one algorithm: an account's, a validator's. Raises as `identity`, BadKey."""
        key = self._keys[name]
        algorithms = signature_suite(key.suite).algorithms
        if len(algorithms) != 1:
            raise BadKey("this key is a pair", key=name, suite=key.suite)
        return self._signer(key, algorithms[0].name)

    def sealing(self, name: str) -> Decapsulator:
        """The private half of a sealing key. Raises as `identity`."""
        key = self._keys[name]
        kem = seal_suite(key.suite).kem
        if not key.elsewhere:
            return kem.private_key(key.seed.reveal())
        assert isinstance(kem, HybridKem)  # only of these does `_made` put a half elsewhere
        return kem.join(self._post_quantum(key, kem), self._agreement(key, kem.group.name))

    def orphans(self, prefix: str) -> tuple[str, ...]:
        """Labels in the device that begin with `prefix` and that the file does not name."""
        if self._device is None:
            return ()
        named = {half.label for key in self._keys.values() for half in key.elsewhere.values()}
        return tuple(label for label in self._device.labels() if label.startswith(prefix) and label not in named)

    def _made(self, name: str, role: KeyRole, suite: int) -> StoredKey:
        seed = SecretBytes(OsEntropy().bytes(SEED_BYTES))
        places: dict[str, Elsewhere] = {}
        if self._device is not None:
            for algorithm in algorithms_of(role, suite):
                if algorithm in self._device.algorithms:
                    label = f"{self._path.parent.name}/{name}/{secrets.token_hex(LABEL_BYTES)}"
                    places[algorithm] = Elsewhere(label, self._device.generate(label, algorithm))
        return StoredKey(role, suite, seed, places)

    def _write(self, keys: dict[str, StoredKey]) -> None:
        write_key_file(self._path, keys, self._passphrase, overwrite=bool(self._keys), cost=self._cost)
        self._keys = keys

    def _signer(self, key: StoredKey, algorithm: str) -> Signer:
        half = key.elsewhere.get(algorithm)
        if half is None:
            return self._grown(key, algorithm)
        return DeviceSigner(self._checked(half, algorithm), half.label, algorithm, half.public_key)

    def _grown(self, key: StoredKey, algorithm: str) -> Signer:
        """The key that grows from the seed. Accounts and validators use theirs as it is, as they always did."""
        seed = key.seed.reveal()
        alone = key.role in (KeyRole.ACCOUNT, KeyRole.VALIDATOR)
        return signer(algorithm, seed if alone else expand_seed(seed, key.role, algorithm))

    def _agreement(self, key: StoredKey, algorithm: str) -> DhKey:
        half = key.elsewhere[algorithm]
        return DeviceDhKey(self._checked(half, algorithm), half.label, algorithm, half.public_key)

    def _checked(self, half: Elsewhere, algorithm: str) -> Device:
        device = self._need_device()
        found = device.public_key(half.label, algorithm)
        if found != half.public_key:
            raise DeviceKeyReplaced("the device holds another key", label=half.label, found=found)
        return device

    def _post_quantum(self, key: StoredKey, kem: HybridKem) -> Decapsulator:
        seed = expand_seed(key.seed.reveal(), key.role, kem.mlkem.name, kem.mlkem.private_bytes)
        return kem.mlkem.private_key(seed)

    def _need_device(self) -> Device:
        if self._device is None:
            raise OtherKeystore("the key lies in a device, and none is configured", file=str(self._path))
        return self._device

    def _facts(self, name: str, key: StoredKey) -> KeyFacts:
        beside = Kind.FILE if self._device is None else self._device.kind
        parts = self._public_keys(key)
        halves = tuple(
            Half(algorithm, beside if algorithm in key.elsewhere else self._file.kind, public)
            for algorithm, public in parts.items()
        )
        public = tuple(parts.values())
        sealing = key.role is KeyRole.SEALING
        key_id = SealingKey(key.suite, b"".join(public)).key_id if sealing else IdentityKey(key.suite, public).key_id
        return KeyFacts(name, key.role, key.suite, key_id, halves)

    def _public_keys(self, key: StoredKey) -> dict[str, bytes]:
        """By algorithm, in the suite's order; what a device holds as the file says it."""
        said = {algorithm: half.public_key for algorithm, half in key.elsewhere.items()}
        if key.role is not KeyRole.SEALING:
            names = [algorithm.name for algorithm in signature_suite(key.suite).algorithms]
            return {name: said[name] if name in said else self._grown(key, name).public_key for name in names}
        kem = seal_suite(key.suite).kem
        if not isinstance(kem, HybridKem):
            return {kem.name: kem.private_key(key.seed.reveal()).public_key}
        if said:
            return {kem.mlkem.name: self._post_quantum(key, kem).public_key, **said}
        whole, split = kem.private_key(key.seed.reveal()).public_key, kem.mlkem.public_bytes
        return {kem.mlkem.name: whole[:split], kem.group.name: whole[split:]}


def algorithms_of(role: KeyRole, suite: int) -> tuple[str, ...]:
    """The names of what a key is made of: one algorithm, or the halves of a pair."""
    if role is not KeyRole.SEALING:
        return tuple(algorithm.name for algorithm in signature_suite(suite).algorithms)
    kem = seal_suite(suite).kem
    return (kem.mlkem.name, kem.group.name) if isinstance(kem, HybridKem) else (kem.name,)


__all__ = ("Half", "KeyFacts", "Keystore", "Wanted", "algorithms_of")
