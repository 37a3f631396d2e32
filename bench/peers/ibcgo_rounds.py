"""Drives the ibc-go harness in `bench/peers/ibcgo`, one round at a time, so that rounds of two sides can alternate.

with IbcGo() as peer:
    peer.round("separate", batch=50, packets=500)   # once, not counted: the chains are made here
    print(peer.round("separate", batch=50, packets=500)["packets_per_s"])
"""

from __future__ import annotations

import json
from typing import Any

from bench.peers.go_program import GoProgram

SCHEDULES = ("separate", "combined")


class IbcGo(GoProgram):
    """A running harness. Chains live as long as it does, one pair for each (schedule, batch)."""

    def __init__(self) -> None:
        super().__init__("ibcgo", "-serve")

    def round(self, schedule: str, *, batch: int, packets: int) -> dict[str, Any]:
        """Run one round and return its line: seconds, packets_per_s, blocks, signatures and the split per step."""
        if schedule not in SCHEDULES:
            raise ValueError(f"a schedule is one of {SCHEDULES}")
        line = self.ask(f"{schedule} {batch} {packets}")
        if not line.startswith("{"):
            raise RuntimeError(f"the harness failed: {line}")
        result: dict[str, Any] = json.loads(line)
        return result
