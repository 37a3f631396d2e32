"""A transaction may be as large as its ledger's genesis says, whoever reads it."""

from __future__ import annotations

import pytest

from lockgate.codec.type_urls import MSG_SEND_PACKET
from lockgate.crypto import ed25519
from lockgate.hosting.traffic import messages_of
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabAccount, LabLedger
from lockgate.machine.errors import BadTransaction
from lockgate.machine.genesis import Parameters
from lockgate.machine.transaction import decode_and_verify
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos

LARGE = (MSG_SEND_PACKET, b"\x0a" * (3 << 20))


def signed(bound: int) -> tuple[LabLedger, bytes]:
    clock = SimulatedClock(UnixNanos(1_750_000_000 * NANOS_PER_SECOND))
    ledger = LabLedger("large-1", clock, parameters=Parameters(max_tx_bytes=bound))
    return ledger, ledger.signed(LabAccount(ed25519.SigningKey(b"\x07" * 32)), [LARGE])


def test_a_transaction_above_a_mebibyte_is_read_where_the_genesis_allows_it() -> None:
    ledger, data = signed(4 << 20)
    read = decode_and_verify(data, ledger.revision, max_bytes=4 << 20, max_messages=8)
    assert read.transaction.messages == (LARGE,)
    assert messages_of(data) == (LARGE,)
    # Its message is refused for what it is, not the transaction for its size.
    assert "codec.too_large" in ledger.block(data).results.transactions[0].log


def test_above_the_bound_of_the_genesis_it_is_refused_unread() -> None:
    ledger, data = signed(2 << 20)
    with pytest.raises(BadTransaction):
        decode_and_verify(data, ledger.revision, max_bytes=2 << 20, max_messages=8)
    assert BadTransaction.code in ledger.block(data).results.transactions[0].log
