"""What a signed header proves, in words: never more than is true (P10).

One place says it, for proof bundles, traces and the API alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SHORT_KEY: Final = 16  # hex characters of an operator's key: enough to compare by eye with a configuration


def finality(validators: Sequence[bytes], signed: int) -> str:
    """Say who stands behind a header.

    `validators` are the public keys of the set, `signed` is how many of them signed this header. It
    is the set that counts and not what a ledger says of its class: one signer is "signed by operator
    K", several are "finalised by n of m".
    """
    if len(validators) == 1:
        return f"signed by operator {validators[0].hex()[:SHORT_KEY]}"
    return f"finalised by {signed} of {len(validators)}"


__all__ = ("finality",)
