"""Entropy that is handed out as given, for cases that state the randomness they were made with."""

from __future__ import annotations

import builtins

from kyber_py.ml_kem import ML_KEM_768, ML_KEM_1024

from lockgate.crypto.mlkem import PARAMETER_SETS

_MLKEM = {"ML-KEM-768": ML_KEM_768, "ML-KEM-1024": ML_KEM_1024}


class FixedEntropy:
    """Meets `Encapsulator`; at the end of its bytes it returns fewer than asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def bytes(self, count: int, /) -> builtins.bytes:
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def mlkem_encapsulate(
        self, parameter_set: str, public_key: builtins.bytes, /
    ) -> tuple[builtins.bytes, builtins.bytes]:
        PARAMETER_SETS[parameter_set].check_public_key(public_key)
        return _MLKEM[parameter_set]._encaps_internal(public_key, self.bytes(32))
