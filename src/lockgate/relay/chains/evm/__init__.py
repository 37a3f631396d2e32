"""An EVM chain through the contracts of `contracts/`.

- `artefacts`: their interfaces and creation code, as compiled
"""

__all__ = ("artefacts",)
