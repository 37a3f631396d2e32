"""What a packet's life costs is the figure in the repository, and within what was promised."""

from __future__ import annotations

import pytest
from bench import gas

from tests.interop.evm.world import ANVIL

pytestmark = pytest.mark.interop

# Addresses and signatures hold now more, now fewer zero bytes, which are the cheaper ones
SPREAD = 0.005


def test_gas_is_what_the_snapshot_says_and_falls_with_the_batch() -> None:
    if not ANVIL.exists():
        pytest.skip("Anvil is not installed: `make interop` installs it where there is npm")
    found, kept = gas.measure(), gas.kept()
    for batch, steps in kept.items():
        for step, amount in steps.items():
            assert found[batch][step] == pytest.approx(amount, rel=SPREAD), f"{step} at batch {batch}: `make bench`"
    for count, bound in gas.REACH.items():
        assert found[str(count)]["total"] < bound
    totals = [found[str(count)]["total"] for count in gas.BATCHES]
    assert totals == sorted(totals, reverse=True)
