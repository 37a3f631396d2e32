"""The port that every device meets: a token behind PKCS#11, a TPM, the lab's pretence of one.

A device makes keys of its own and uses them; none ever leaves it. It knows classical algorithms only,
by the names of `crypto`: signatures (Ed25519, ES256) and groups (X25519, P-256). What it lacks of a
suite lies in a sealed file beside it (`store`), and `Description` says so in words (P22).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from lockgate.crypto.dh import DH_P256, X25519
from lockgate.crypto.signatures import ED25519, ES256

SIGNATURES: Final = {algorithm.name: algorithm for algorithm in (ED25519, ES256)}
GROUPS: Final = {group.name: group for group in (X25519, DH_P256)}


class Kind(StrEnum):
    """Where a private key lies. `TPM_SEALED` is a file that a TPM opens: the keys are in memory after it (P22)."""

    FILE = "file"
    PKCS11 = "pkcs11"
    TPM = "tpm"
    TPM_SEALED = "tpm-sealed"
    LAB = "lab"


@dataclass(frozen=True, slots=True)
class Description:
    """A device in words for people: nothing of it is secret, and nothing is decided by it."""

    kind: Kind
    name: str  # maker, model, label, serial number
    bound_to: str = ""  # what must hold before it works: a PIN, PCR values
    warning: str = ""  # what a reader would else believe wrongly


class Device(Protocol):
    """Keys that a device holds, by label. Every method raises DeviceAbsent when it does not answer."""

    @property
    def kind(self) -> Kind: ...

    def describe(self) -> Description: ...

    @property
    def algorithms(self) -> frozenset[str]:
        """Names from `SIGNATURES` and `GROUPS` that it can make and use keys of."""
        ...

    def generate(self, label: str, algorithm: str, /) -> bytes:
        """Make a key inside the device, for good, and return its public key.

        Raises DeviceLacksAlgorithm, DeviceKeyExists, DeviceKeyUnsafe when the device made one that could leave it.
        """
        ...

    def public_key(self, label: str, algorithm: str, /) -> bytes:
        """Look a key up and check again that it can never leave and does one thing only.

        Raises DeviceKeyMissing, DeviceKeyUnsafe.
        """
        ...

    def sign(self, label: str, algorithm: str, message: bytes, /) -> bytes:
        """Sign; ES256 hashes with SHA-256 and gives r ‖ s with either s. Raises DeviceKeyMissing, PlatformChanged."""
        ...

    def agree(self, label: str, algorithm: str, peer: bytes, /) -> bytes:
        """The raw shared secret with a peer's valid public key. Raises DeviceKeyMissing, PlatformChanged."""
        ...

    def erase(self, label: str, /) -> None:
        """Destroy a key. One that is not there is destroyed already."""
        ...

    def labels(self) -> tuple[str, ...]:
        """Labels of the keys it holds, sorted; others' among them."""
        ...

    def close(self) -> None: ...


__all__ = ("GROUPS", "SIGNATURES", "Description", "Device", "Kind")
