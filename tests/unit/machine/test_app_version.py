"""The table of prices is part of the protocol: who changes a price names a new app version, and pins it here."""

from __future__ import annotations

import hashlib

from lockgate.codec import cbor
from lockgate.machine import gas
from lockgate.machine.machine import APP_VERSION
from tests.support.lab import World

PINNED = {3: "0736945b8dab555bae90b36171f8229f3624e4ee120a23a5439eb4d5a4271727"}  # app version: SHA-256 of its prices


def prices() -> str:
    """Every number of the table by its name."""
    single = {name: value for name, value in vars(gas).items() if name.startswith("PER_") and type(value) is int}
    table = {name: value for name, value in vars(gas).items() if name.startswith("PER_") and name not in single}
    assert set(table) == {"PER_MESSAGE"}, "another table of prices: hash it, too"
    return hashlib.sha256(cbor.encode([single, dict(gas.PER_MESSAGE)])).hexdigest()


def test_a_price_changes_with_the_app_version_alone() -> None:
    assert {APP_VERSION: prices()} == PINNED, "raise APP_VERSION, and pin the prices under it"


def test_every_header_names_the_version_whose_prices_it_charged() -> None:
    ledger = World.make().a.ledger
    assert {ledger.chain.signed_header(at).header.version_app for at in range(1, ledger.height + 1)} == {APP_VERSION}
