"""Solidity ABI: the published example, and a refusal for each way to encode a value twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lockgate.codec import abi
from lockgate.codec.errors import AbiMalformed, TooLarge, Unencodable
from lockgate.primitives.errors import Misuse

TRANSFER = ("uatom", "sender", "receiver", 1_000_000, "memo")
# ibc-v2.md section 10: 20 | a0 | e0 | 120 | f4240 | 160 | 5 "uatom" | 6 "sender" | 8 "receiver" | 4 "memo"
WORDS: list[int | bytes] = [
    0x20, 0xA0, 0xE0, 0x120, 1_000_000, 0x160,
    5, b"uatom", 6, b"sender", 8, b"receiver", 4, b"memo",
]  # fmt: skip
PACKET = (7, "07-tendermint-0", "client-12", 1_700_000_000, (("a", "b", "v", "e", b"\x00" * 33),) * 2)


def joined(words: list[int | bytes]) -> bytes:
    return b"".join(w.to_bytes(32) if isinstance(w, int) else w.ljust(32, b"\0") for w in words)


def test_worked_example() -> None:
    data = joined(WORDS)
    assert len(data) == 448
    assert abi.encode(abi.FUNGIBLE_TOKEN_PACKET_DATA, TRANSFER) == data
    assert abi.decode(abi.FUNGIBLE_TOKEN_PACKET_DATA, data) == TRANSFER


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (abi.PACKET, PACKET),
        (abi.PACKET, (*PACKET[:4], ())),
        (abi.GMP_PACKET_DATA, ("s", "r", b"", b"\x01", "")),
        (abi.GMP_ACKNOWLEDGEMENT, (b"",)),
        (abi.UINT64, (1 << 64) - 1),
        (abi.UINT256, (1 << 256) - 1),
        (abi.Tuple((abi.UINT64, abi.UINT256)), (1, 2)),
        (abi.Array(abi.Tuple((abi.UINT64, abi.UINT64))), ((1, 2), (3, 4))),
        (abi.Array(abi.Array(abi.STRING)), (("a",), (), ("b", "水"))),
    ],
)
def test_round_trip(kind: abi.Type, value: Any) -> None:
    assert abi.decode(kind, abi.encode(kind, value)) == value


def replaced(at: int, word: int | bytes) -> Callable[[], bytes]:
    return lambda: joined([*WORDS[:at], word, *WORDS[at + 1 :]])


@pytest.mark.parametrize(
    "spoiled",
    [
        replaced(0, 0x40),  # outer offset
        replaced(0, 1 << 255),
        replaced(1, 0xE0),  # two heads, one tail
        replaced(2, 0xA0),
        replaced(1, 0xA1),  # unaligned
        replaced(5, 0x180),  # a gap
        replaced(6, 33),  # length into the next tail
        replaced(6, 1 << 64),
        replaced(12, 200),  # length beyond the input
        replaced(7, b"uatom\x01"),  # padding not zero
        replaced(7, b"uat\xff\xfe"),  # not UTF-8
        lambda: joined(WORDS)[:-1],  # padding cut
        lambda: joined(WORDS)[:-32],
        lambda: joined(WORDS)[:40],
        lambda: b"",
        lambda: joined(WORDS) + bytes(32),  # trailing word
    ],
)
def test_refuses(spoiled: Callable[[], bytes]) -> None:
    with pytest.raises(AbiMalformed):
        abi.decode(abi.FUNGIBLE_TOKEN_PACKET_DATA, spoiled())


@pytest.mark.parametrize(
    ("data", "at"),
    [
        (joined(WORDS)[:40], 32),  # inside a head
        (joined(WORDS)[:96], 192),  # before the first tail
        (replaced(12, 96)(), 416),  # a length of whole words beyond the input
    ],
)
def test_refusal_names_the_place(data: bytes, at: int) -> None:
    with pytest.raises(AbiMalformed) as caught:
        abi.decode(abi.FUNGIBLE_TOKEN_PACKET_DATA, data)
    assert caught.value.fields["at"] == at


def test_integer_wider_than_its_type() -> None:
    with pytest.raises(AbiMalformed):
        abi.decode(abi.UINT64, (1 << 64).to_bytes(32))


def test_array_longer_than_the_bytes() -> None:
    data = (0x20).to_bytes(32) + (1 << 40).to_bytes(32)
    with pytest.raises(AbiMalformed):
        abi.decode(abi.Array(abi.UINT64), data)


def test_limit_is_exact() -> None:
    data = joined(WORDS)
    abi.decode(abi.FUNGIBLE_TOKEN_PACKET_DATA, data, limit=len(data))
    with pytest.raises(TooLarge):
        abi.decode(abi.FUNGIBLE_TOKEN_PACKET_DATA, data, limit=len(data) - 1)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (abi.UINT64, 1 << 64),
        (abi.UINT64, -1),
        (abi.UINT64, True),
        (abi.UINT64, "1"),
        (abi.STRING, b"bytes"),
        (abi.STRING, "\ud800"),
        (abi.BYTES, "text"),
        (abi.Array(abi.UINT64), 1),
        (abi.Tuple((abi.UINT64,)), (1, 2)),
        (abi.Tuple((abi.UINT64,)), {1: 2}),
    ],
)
def test_unencodable(kind: abi.Type, value: Any) -> None:
    with pytest.raises(Unencodable):
        abi.encode(kind, value)


def test_an_empty_tuple_is_no_type() -> None:
    with pytest.raises(Misuse):
        abi.Tuple(())
