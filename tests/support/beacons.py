"""A lab beacon chain with blocks at the beginning of every epoch: the good world that tests spoil."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lockgate.lab.beacon import ELECTRA, Beacon, minimal_network
from lockgate.lightclients.ethereum import ExecutionHeader
from lockgate.lightclients.ethereum.containers import SyncCommittee
from lockgate.lightclients.ethereum.verification import Known

GENESIS_TIME = 1_750_000_000 - 6 * 200  # so that the lab's ledgers start at slot 200
EPOCH = 8  # slots
PERIOD = 64  # slots


def execution(slot: int, state_root: bytes = b"\x0e" * 32, genesis_time: int = GENESIS_TIME) -> ExecutionHeader:
    return ExecutionHeader(
        state_root=state_root, block_number=slot, timestamp=genesis_time + 6 * slot, extra_data=b"lab"
    )


def beacon(slots: Iterable[int] = range(0, 3 * PERIOD + 1, EPOCH), fork_epochs: Collection[int] = ELECTRA) -> Beacon:
    chain = Beacon(minimal_network(GENESIS_TIME, fork_epochs))
    for slot in slots:
        chain.propose(slot, execution(slot))
    return chain


def known(chain: Beacon, slot: int, *, following: bool = False) -> Known:
    """What a client knows that trusts a block of the chain."""
    period = chain.network.period(slot)
    return Known(slot, chain.committee(period).root, chain.committee(period + 1).root if following else None)


def signers(chain: Beacon, slot: int) -> SyncCommittee:
    return chain.committee(chain.network.period(slot))
