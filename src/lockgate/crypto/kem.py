"""The registry of KEMs, and the classical-only source of ephemeral keys."""

from __future__ import annotations

import builtins
from typing import Final

from lockgate.crypto.dhkem import DHKEM_P256, DHKEM_P384, DHKEM_P521, DHKEM_X448, DHKEM_X25519
from lockgate.crypto.errors import UnsupportedMode
from lockgate.crypto.mlkem import MLKEM768, MLKEM1024
from lockgate.crypto.ports import Kem
from lockgate.crypto.xwing import MLKEM768_P256, MLKEM1024_P384, XWING
from lockgate.primitives.ports import Rng

_ALL: Final[tuple[Kem, ...]] = (
    DHKEM_P256,
    DHKEM_P384,
    DHKEM_P521,
    DHKEM_X25519,
    DHKEM_X448,
    MLKEM768,
    MLKEM1024,
    MLKEM768_P256,
    MLKEM1024_P384,
    XWING,
)
KEMS: Final[dict[int, Kem]] = {kem.id: kem for kem in _ALL}


class ClassicalEncapsulator:
    """Ephemeral keys from a given source of bytes, for the DHKEMs only: a function of its inputs."""

    __slots__ = ("_rng",)

    def __init__(self, rng: Rng) -> None:
        self._rng = rng

    def bytes(self, count: int, /) -> builtins.bytes:
        return self._rng.bytes(count)

    def mlkem_encapsulate(
        self, parameter_set: str, public_key: builtins.bytes, /
    ) -> tuple[builtins.bytes, builtins.bytes]:
        raise UnsupportedMode("this source has no ML-KEM; use one from the keystore", kem=parameter_set)


__all__ = ("KEMS", "ClassicalEncapsulator")
