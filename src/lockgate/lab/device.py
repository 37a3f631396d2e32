"""A device for tests and the lab: keys in memory, that can be unplugged. Meets `keystore.ports.Device`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from lockgate.crypto.dh import DhKey
from lockgate.crypto.keys import SEED_BYTES
from lockgate.crypto.ports import Signer
from lockgate.keystore.errors import (
    DeviceAbsent,
    DeviceKeyExists,
    DeviceKeyMissing,
    DeviceLacksAlgorithm,
    PlatformChanged,
)
from lockgate.keystore.ports import GROUPS, SIGNATURES, Description, Kind
from lockgate.keystore.software import signer
from lockgate.primitives.ports import Rng

ALL: Final = frozenset((*SIGNATURES, *GROUPS))


class LabDevice:
    """`algorithms` says which of a real device's it has; `present` and `unlocked` are a test's to spoil."""

    kind: Final = Kind.LAB

    def __init__(self, rng: Rng, algorithms: Collection[str] = ALL) -> None:
        self._rng = rng
        self._algorithms = frozenset(algorithms)
        self._keys: dict[str, tuple[str, Signer | DhKey]] = {}
        self.present = True
        self.unlocked = True

    def describe(self) -> Description:
        self._reach()
        return Description(Kind.LAB, "keys in memory", "nothing", "it protects nothing")

    @property
    def algorithms(self) -> frozenset[str]:
        self._reach()
        return self._algorithms

    def generate(self, label: str, algorithm: str, /) -> bytes:
        if algorithm not in self.algorithms:
            raise DeviceLacksAlgorithm(algorithm=algorithm)
        if label in self._keys:
            raise DeviceKeyExists(label=label)
        seed = self._rng.bytes(SEED_BYTES)
        made = GROUPS[algorithm].private_key(seed) if algorithm in GROUPS else signer(algorithm, seed)
        self._keys[label] = (algorithm, made)
        return made.public_key

    def public_key(self, label: str, algorithm: str, /) -> bytes:
        return self._key(label, algorithm).public_key

    def sign(self, label: str, algorithm: str, message: bytes, /) -> bytes:
        return self._use(label, algorithm).sign(message)  # type: ignore[union-attr]  # the algorithm says which of the two it is

    def agree(self, label: str, algorithm: str, peer: bytes, /) -> bytes:
        return self._use(label, algorithm).exchange(peer)  # type: ignore[union-attr]  # the same

    def erase(self, label: str, /) -> None:
        self._reach()
        self._keys.pop(label, None)

    def labels(self) -> tuple[str, ...]:
        self._reach()
        return tuple(sorted(self._keys))

    def close(self) -> None:
        pass

    def _reach(self) -> None:
        if not self.present:
            raise DeviceAbsent(device="lab")

    def _key(self, label: str, algorithm: str) -> Signer | DhKey:
        self._reach()
        kind, key = self._keys.get(label, ("", None))
        if key is None or kind != algorithm:
            raise DeviceKeyMissing(label=label, device="lab")
        return key

    def _use(self, label: str, algorithm: str) -> Signer | DhKey:
        key = self._key(label, algorithm)
        if not self.unlocked:
            raise PlatformChanged(device="lab")
        return key


__all__ = ("ALL", "LabDevice")
