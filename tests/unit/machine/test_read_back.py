"""What is written is read back: an action, and a genesis, within the bounds of a decoding."""

from __future__ import annotations

import pytest

from lockgate.codec import cbor
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger, lab_authority
from lockgate.lab.paths import expect
from lockgate.machine import keys
from lockgate.machine.genesis import (
    MAX_GENESIS_ACCOUNTS,
    MAX_VALIDATORS,
    BadGenesis,
    Genesis,
    GenesisAccount,
    GenesisValidator,
    LedgerClass,
    Parameters,
)
from lockgate.machine.records import Scheduled
from lockgate.primitives.ids import ChainId
from lockgate.primitives.time import UnixNanos

START = UnixNanos(1_760_000_000 * 10**9)
LARGE = 1 << 22  # bytes of a transaction, on a ledger that takes more than one decoding does
ROOM = 200  # more than what stands beside the note in a record


def closing(note: int) -> dict[str, object]:
    return {"action": "lane.close", "arguments": {"lane": bytes(32), "note": "x" * note}}


def test_P16_an_action_that_would_not_be_read_back_is_refused_when_it_is_announced() -> None:
    """Else it stops the ledger at its height, on every node and for good."""
    authority = lab_authority("somebody")
    parameters = Parameters(max_tx_bytes=LARGE, max_block_bytes=LARGE, authority_delay_blocks=2)
    ledger = LabLedger("alpha-1", SimulatedClock(START), authority=(authority.key,), parameters=parameters)
    most = cbor.DEFAULT_LIMITS.size
    refused = ledger.govern(authority, "gov.announce", closing(most))
    assert refused.log.startswith("gov.action_too_large")
    assert not list(ledger.chain.view().scan(keys.GOVERNANCE, b"schedule/", b"schedule0"))
    expect(ledger.govern(authority, "gov.announce", closing(most - ROOM)))
    ((_, data),) = ledger.chain.view().scan(keys.GOVERNANCE, b"schedule/", b"schedule0")
    assert Scheduled.from_bytes(data).action == "lane.close"
    events = [event.type for _ in range(3) for event in ledger.block().results.events]
    assert "gov_failed" in events, "there is no such lane, and the ledger goes on"


def genesis(accounts: int) -> Genesis:
    return Genesis(
        chain_id=ChainId("a" * 47 + "-10"),
        ledger_class=LedgerClass.BFT,
        time=START,
        validators=tuple(GenesisValidator(b"v" + n.to_bytes(31, "big"), 1 << 40) for n in range(MAX_VALIDATORS)),
        accounts=tuple(GenesisAccount(1, b"a" + n.to_bytes(31, "big"), 1 << 62) for n in range(accounts)),
        authority=tuple(lab_authority(f"authority {n}", 2).key for n in range(16)),
    )


def test_the_largest_genesis_that_may_be_made_is_read_back() -> None:
    largest = genesis(MAX_GENESIS_ACCOUNTS)
    assert Genesis.from_bytes(largest.to_bytes()) == largest
    with pytest.raises(BadGenesis):
        genesis(MAX_GENESIS_ACCOUNTS + 1)
