"""Keys inside a device as the ports of `crypto` want them: what comes out of it is checked before it is used.

A device may be swapped for another, or fail under radiation or attack: a signature that does not verify
could give the private key away once it is sent, so none is.
"""

from __future__ import annotations

from typing import Final

from lockgate.crypto.ec import P256
from lockgate.crypto.signatures import ES256
from lockgate.keystore.errors import DeviceKeyReplaced, DeviceLacksAlgorithm
from lockgate.keystore.ports import GROUPS, SIGNATURES, Device


class DeviceSigner:
    """Meets `Signer` with a key that a device holds."""

    __slots__ = ("_device", "_label", "algorithm", "public_key")

    def __init__(self, device: Device, label: str, algorithm: str, public_key: bytes) -> None:
        if algorithm not in SIGNATURES:
            raise DeviceLacksAlgorithm(algorithm=algorithm)
        self._device = device
        self._label = label
        self.algorithm: Final = algorithm
        self.public_key: Final = public_key

    def __repr__(self) -> str:
        return f"DeviceSigner({self.algorithm}, {self._label})"

    def sign(self, message: bytes, /) -> bytes:
        """Raises DeviceAbsent, DeviceKeyMissing, DeviceKeyReplaced, PlatformChanged."""
        signature = self._device.sign(self._label, self.algorithm, message)
        if self.algorithm == ES256.name and len(signature) == ES256.signature_bytes:
            s = int.from_bytes(signature[32:])  # devices give either s; ours have one encoding
            signature = signature[:32] + min(s, P256.order - s).to_bytes(32) if s < P256.order else signature
        if not SIGNATURES[self.algorithm].verify(self.public_key, signature, message):
            raise DeviceKeyReplaced("the signature does not verify", label=self._label)
        return signature


class DeviceDhKey:
    """Meets `crypto.dh.DhKey` with a key that a device holds."""

    __slots__ = ("_algorithm", "_device", "_label", "public_key")

    def __init__(self, device: Device, label: str, algorithm: str, public_key: bytes) -> None:
        if algorithm not in GROUPS:
            raise DeviceLacksAlgorithm(algorithm=algorithm)
        self._device = device
        self._label = label
        self._algorithm = algorithm
        self.public_key: Final = public_key

    def __repr__(self) -> str:
        return f"DeviceDhKey({self._algorithm}, {self._label})"

    def exchange(self, peer: bytes, /) -> bytes:
        """Raises BadKey for a peer's key of small order or off the curve, before the device sees it."""
        group = GROUPS[self._algorithm]
        group.check_public_key(peer)
        if not group.order:
            # Devices answer a point of small order in ways of their own. Any key finds it out: its secret is zero.
            group.private_key(bytes(group.private_bytes)).exchange(peer)
        secret = self._device.agree(self._label, self._algorithm, peer)
        if len(secret) != group.shared_bytes:
            raise DeviceKeyReplaced("the secret has another length", label=self._label)
        return secret


__all__ = ("DeviceDhKey", "DeviceSigner")
