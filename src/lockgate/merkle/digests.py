"""RIPEMD-160 and BLAKE3, which ICS-23 names and no library of ours is sure to have.

Written out so that what a proof hashes to never depends on how OpenSSL was built (P7). They touch
public data only, and are slow (100 to 400 KB/s): no spec of a deployed IBC client names them.
Sources: Dobbertin, Bosselaers, Preneel 1996; BLAKE3 specification of 2021, unkeyed, 32 bytes out.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

_M32: Final = 0xFFFFFFFF
_M64: Final = 0xFFFFFFFFFFFFFFFF


def ripemd160(data: bytes) -> bytes:
    """RIPEMD-160; 20 bytes."""
    state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0]
    padded = data + b"\x80" + bytes(-(len(data) + 9) % 64) + struct.pack("<Q", 8 * len(data) & _M64)
    for start in range(0, len(padded), 64):
        words = struct.unpack_from("<16I", padded, start)
        left = _ripemd_line(state, words, _RIPEMD_LEFT)
        right = _ripemd_line(state, words, _RIPEMD_RIGHT)
        state = [(state[(i + 1) % 5] + left[(i + 2) % 5] + right[(i + 3) % 5]) & _M32 for i in range(5)]
    return struct.pack("<5I", *state)


def blake3(data: bytes) -> bytes:
    """BLAKE3 without key; 32 bytes."""
    chunks = [data[at : at + 1024] for at in range(0, len(data), 1024)] or [b""]
    if len(chunks) == 1:
        return struct.pack("<8I", *_blake3_chunk(chunks[0], 0, _ROOT))
    level = [_blake3_chunk(chunk, number, 0) for number, chunk in enumerate(chunks)]
    while len(level) > 2:
        odd = level[len(level) & ~1 :]
        level = [_blake3_parent(level[i], level[i + 1], 0) for i in range(0, len(level) - 1, 2)] + odd
    return struct.pack("<8I", *_blake3_parent(level[0], level[1], _ROOT))


# RIPEMD-160: per round of 16 steps the order of words and the amounts to rotate by, in hexadecimal.

_RipemdRounds = Sequence[tuple[Sequence[tuple[int, int]], int, int]]


def _ripemd_rounds(*rounds: tuple[str, str, int, int]) -> _RipemdRounds:
    return tuple(
        (tuple((int(word, 16), int(amount, 16)) for word, amount in zip(order, amounts, strict=True)), mix, constant)
        for order, amounts, mix, constant in rounds
    )


_RIPEMD_LEFT: Final = _ripemd_rounds(
    ("0123456789abcdef", "befc5879bdef6798", 0, 0x00000000),
    ("74d1a6f3c0952eb8", "768db97f7cf9b7dc", 1, 0x5A827999),
    ("3ae49f812706db5c", "bd67e9dfe8d65c75", 2, 0x6ED9EBA1),
    ("19ba08c4d37fe562", "bcefef989e56865c", 3, 0x8F1BBCDC),
    ("40597c2ae138b6fd", "9f5b68dc5cdeb856", 4, 0xA953FD4E),
)
_RIPEMD_RIGHT: Final = _ripemd_rounds(
    ("5e7092b4d6f81a3c", "899bdff5778beec6", 4, 0x50A28BE6),
    ("6b370d5aef8c4912", "9df7c89b77c76fdb", 3, 0x5C4DD124),
    ("f5137e69b8c2a04d", "97fb866ecd5edd75", 2, 0x6D703EF3),
    ("86413bf05c2d97ae", "f58bee6e69c9c5f8", 1, 0x7A6D76E9),
    ("cfa4158762de039b", "85c9c5e68d65fdbb", 0, 0x00000000),
)


def _rotate32(word: int, by: int) -> int:
    return (word << by | word >> 32 - by) & _M32


def _ripemd_mix(function: int, x: int, y: int, z: int) -> int:
    match function:
        case 0:
            return x ^ y ^ z
        case 1:
            return x & y | ~x & z
        case 2:
            return (x | ~y) ^ z
        case 3:
            return x & z | y & ~z
    return x ^ (y | ~z)


def _ripemd_line(state: Sequence[int], words: Sequence[int], rounds: _RipemdRounds) -> tuple[int, ...]:
    a, b, c, d, e = state
    for steps, function, constant in rounds:
        for word, amount in steps:
            total = a + _ripemd_mix(function, b, c, d) + words[word] + constant & _M32
            a, b, c, d, e = e, _rotate32(total, amount) + e & _M32, b, _rotate32(c, 10), d
    return a, b, c, d, e


# BLAKE3

_START, _END, _PARENT, _ROOT = 1, 2, 4, 8
_IV: Final = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
_PERMUTATION: Final = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_MIXES: Final = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip


def _blake3_chunk(chunk: bytes, number: int, flags: int) -> Sequence[int]:
    value: Sequence[int] = _IV
    blocks = [chunk[at : at + 64] for at in range(0, len(chunk), 64)] or [b""]
    for place, block in enumerate(blocks):
        marks = (_START if not place else 0) | (_END | flags if place == len(blocks) - 1 else 0)
        words = struct.unpack("<16I", block.ljust(64, b"\0"))
        value = _blake3_compress(value, words, number, len(block), marks)
    return value


def _blake3_parent(left: Sequence[int], right: Sequence[int], flags: int) -> Sequence[int]:
    return _blake3_compress(_IV, (*left, *right), 0, 64, _PARENT | flags)


def _blake3_compress(
    value: Sequence[int], words: Sequence[int], counter: int, length: int, flags: int
) -> Sequence[int]:
    v = [*value, *_IV[:4], counter & _M32, counter >> 32, length, flags]
    for _ in range(7):
        for place, (a, b, c, d) in enumerate(_MIXES):
            for word, first, second in ((words[2 * place], 16, 20), (words[2 * place + 1], 24, 25)):
                v[a] = v[a] + v[b] + word & _M32
                v[d] = _rotate32(v[d] ^ v[a], first)
                v[c] = v[c] + v[d] & _M32
                v[b] = _rotate32(v[b] ^ v[c], second)
        words = [words[i] for i in _PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


__all__ = ("blake3", "ripemd160")
