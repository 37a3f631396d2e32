"""Type 2 transactions: their bytes, and which bytes are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lockgate.codec import rlp
from lockgate.codec.errors import RlpMalformed
from lockgate.crypto.recoverable import EvmKey
from lockgate.relay.chains.evm.transactions import EvmTransaction, created_address, dearer, read

KEY = EvmKey(b"\x07" * 32)
ONE = EvmTransaction(network=1, nonce=0, tip=10, fee=200, gas=21_000, to=b"\x0a" * 20, data=b"data")


def test_what_is_written_is_read_with_its_sender() -> None:
    made = ONE.signed(KEY)
    assert read(made.raw) == made
    assert made.sender == KEY.address
    assert dearer(ONE, 11, 226).signed(KEY).hash != made.hash
    assert read(dearer(ONE, 11, 226).signed(KEY).raw).transaction.nonce == 0


def test_a_creation_has_no_receiver() -> None:
    made = EvmTransaction(network=1, nonce=3, tip=1, fee=2, gas=9, to=b"", data=b"\x60").signed(KEY)
    assert read(made.raw).transaction.to == b""


def test_a_created_contract_stands_where_the_chain_puts_it() -> None:
    """Sender and address of the example every node's documentation gives: the first contract of a development node."""
    sender = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")
    assert created_address(sender, 0).hex() == "5fbdb2315678afecb367f032d93f642f64180aa3"
    assert created_address(sender, 1).hex() == "e7f1725e7734ce288f8367e1bb143e90bb3f0512"


def respelt(change: Callable[[list[Any]], Any]) -> bytes:
    values = list(rlp.decode_list(ONE.signed(KEY).raw[1:]))
    change(values)
    return b"\x02" + rlp.encode(tuple(values))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x02",
        b"\x01" + ONE.signed(KEY).raw[1:],
        ONE.signed(KEY).raw + b"\x00",
        ONE.signed(KEY).raw[:-1],
        respelt(lambda v: v.pop()),
        respelt(lambda v: v.__setitem__(6, b"\x01")),
        respelt(lambda v: v.__setitem__(8, (b"",))),
        respelt(lambda v: v.__setitem__(5, b"\x01")),
        respelt(lambda v: v.__setitem__(5, ())),
        respelt(lambda v: v.__setitem__(1, b"\x00")),
        respelt(lambda v: v.__setitem__(9, b"\x02")),
        respelt(lambda v: v.__setitem__(10, b"")),
    ],
    ids=[
        *("nothing", "no fields", "another type", "more bytes", "cut", "eleven fields", "value", "access list"),
        *("a short receiver", "a list as receiver", "a nonce with a zero in front", "parity two", "no r"),
    ],
)
def test_other_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(RlpMalformed):
        read(raw)
