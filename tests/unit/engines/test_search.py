"""Event searches stay exact and bounded, whatever the ledger's length."""

from __future__ import annotations

import pytest

from lockgate.engines.embedded.rpc_values import RpcFailure, parse_search
from lockgate.storage.ledger import LedgerStore

CLIENT = ("send_packet.packet_source_client", "07-tendermint-0")


@pytest.fixture
def store() -> LedgerStore:
    """Heights 1..50 with two transactions each, every one a send; the block itself ends a packet."""
    store = LedgerStore.in_memory()
    for height in range(1, 51):
        rows = [(*CLIENT, height, number) for number in (0, 1)]
        rows += [("send_packet.packet_sequence", str(2 * height + number), height, number) for number in (0, 1)]
        store.add_events([*rows, ("write_acknowledgement.packet_sequence", str(height), height, -1)])
    return store


def test_every_term_must_hold_of_the_same_transaction(store: LedgerStore) -> None:
    sequence = ("send_packet.packet_sequence", "41")
    assert store.search([CLIENT, sequence]) == [(20, 1)]
    assert store.search([sequence, CLIENT]) == [(20, 1)]
    assert store.search([CLIENT, sequence, ("other.name", "1")]) == []


def test_heights_bound_a_search(store: LedgerStore) -> None:
    assert store.search([CLIENT], 49) == [(49, 0), (49, 1), (50, 0), (50, 1)]
    assert store.search([CLIENT], 7, 7) == [(7, 0), (7, 1)]
    assert store.search([CLIENT], 8, 7) == []


def test_heights_are_read_from_the_query() -> None:
    terms, low, high = parse_search("a.b='c' AND tx.height>=5 AND tx.height<=9")
    assert (terms, low, high) == ([("a.b", "c")], 5, 9)
    assert parse_search("tx.height=7") == ([], 7, 7)
    assert parse_search("a.b='x' AND block.height='3'")[1:] == (3, 3)
    with pytest.raises(RpcFailure):
        parse_search("a.b>='c'")
