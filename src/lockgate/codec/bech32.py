"""Bech32 text of bytes, as Cosmos SDK chains write addresses. Source: BIP 173 (the constant of Bech32, not Bech32m)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lockgate.codec.errors import Unencodable

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM: Final = 6  # characters
MAX_PREFIX: Final = 83  # BIP 173


def encode(prefix: str, data: bytes) -> str:
    """Return prefix, separator, data and checksum, all lower case.

    No bound of 90 characters: Cosmos SDK chains have none. Raises Unencodable for a prefix that is empty, too
    long, or not lower-case printable ASCII.
    """
    if not 1 <= len(prefix) <= MAX_PREFIX or not all(33 <= ord(c) <= 126 for c in prefix) or prefix != prefix.lower():
        raise Unencodable("not a Bech32 prefix", prefix=prefix)
    groups = _in_fives(data)
    high_and_low = [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix)]
    rest = _polymod((*high_and_low, *groups, *[0] * _CHECKSUM)) ^ 1
    checksum = [rest >> 5 * (_CHECKSUM - 1 - i) & 31 for i in range(_CHECKSUM)]
    return prefix + "1" + "".join(_ALPHABET[group] for group in (*groups, *checksum))


def _in_fives(data: bytes) -> list[int]:
    """Groups of five bits, the last one filled up with zeros."""
    bits = 8 * len(data)
    number = int.from_bytes(data) << -bits % 5
    count = -(-bits // 5)
    return [number >> 5 * (count - 1 - i) & 31 for i in range(count)]


def _polymod(groups: Iterable[int]) -> int:
    check = 1
    for group in groups:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ group
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                check ^= generator
    return check


__all__ = ("encode",)
