"""The running ledger: its mempool, blocks on demand, and who is told what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lockgate.engines.embedded import service as module
from lockgate.engines.embedded.chain import NewBlock
from lockgate.engines.embedded.service import AlreadyPending, Dropped, LedgerService, MempoolFull
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.ledgers import LabLedger
from lockgate.primitives.errors import LockgateError
from lockgate.storage.ledger import StoreFull
from tests.support.lab import START, account

HEARTBEAT_S = 3_600.0  # never in a test


def made() -> tuple[LabLedger, LedgerService]:
    ledger = LabLedger("alpha-1", SimulatedClock(START))
    return ledger, LedgerService(ledger.chain, heartbeat_s=HEARTBEAT_S)


def some(ledger: LabLedger, who: str, count: int = 1) -> list[bytes]:
    """Good transactions of one account, in sequence: each registers an endpoint."""
    signer = account(who)
    endpoints = [LabEndpoint(b"%s %d" % (who.encode(), number), (signer.id,)) for number in range(count)]
    return [ledger.signed(signer, [endpoint.register()]) for endpoint in endpoints]


def during(service: LedgerService, work: Callable[[], Awaitable[Any]]) -> Any:
    """Run the service while `work` goes on, then stop it."""

    async def both() -> Any:
        running = asyncio.create_task(service.run())
        try:
            return await work()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    return asyncio.run(both())


def test_a_transaction_is_in_a_block_without_a_timer_and_in_its_order() -> None:
    ledger, service = made()
    transactions = some(ledger, "one", 3)

    async def work() -> tuple[NewBlock, tuple[NewBlock, int]]:
        seen = service.blocks()
        block = asyncio.ensure_future(anext(seen))
        await asyncio.sleep(0)
        digests = [service.submit(data)[0] for data in transactions]
        included = await service.included(digests[2])
        return await block, included

    height = ledger.height + 1
    block, (same, number) = during(service, work)
    assert (block.height, block.transactions) == (height, tuple(transactions))
    assert (same, number) == (block, 2)
    assert service.pending() == []


def test_the_same_transaction_waits_once() -> None:
    ledger, service = made()
    (data,) = some(ledger, "one")
    service.submit(data)
    with pytest.raises(AlreadyPending):
        service.submit(data)
    assert service.pending() == [data]


@pytest.mark.parametrize("bound", ["MAX_PENDING", "MAX_PENDING_BYTES"])
def test_a_full_mempool_refuses_and_takes_again_after_a_block(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, service = made()
    first, second, third = some(ledger, "one", 3)
    monkeypatch.setattr(module, bound, 2 if bound == "MAX_PENDING" else len(first) + len(second))
    service.submit(first)
    service.submit(second)
    with pytest.raises(MempoolFull):
        service.submit(third)
    service._make(service._take())
    assert service.submit(third)[1].code == 0


def test_a_refused_transaction_does_not_wait() -> None:
    ledger, service = made()
    data = some(ledger, "one", 2)[1]
    digest, result = service.submit(data)
    assert result.log.startswith("tx.sequence")
    assert (service.pending(), len(digest)) == ([], 32)


def test_who_waits_for_what_a_block_made_impossible_is_told() -> None:
    """Two transactions of one sequence: the second was checked before the first was in a block."""
    ledger, service = made()
    (first,) = some(ledger, "one")
    signer = account("one")
    rival = ledger.signed(signer, [LabEndpoint(b"another", (signer.id,)).register()])
    digest, _ = service.submit(rival)

    async def work() -> BaseException | None:
        waiting = asyncio.create_task(service.included(digest))
        await asyncio.sleep(0)
        ledger.block(first)
        service._recheck()
        return (await asyncio.gather(waiting, return_exceptions=True))[0]

    failure = asyncio.run(work())
    assert isinstance(failure, Dropped)
    assert "tx.sequence" in str(failure)
    assert service.pending() == []


def test_a_ledger_that_must_stop_says_why_to_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, _ = made()
    told: list[LockgateError] = []
    service = LedgerService(ledger.chain, heartbeat_s=HEARTBEAT_S, on_stop=told.append)

    def full(_: object) -> NewBlock:
        raise StoreFull("no space for the block")

    (data,) = some(ledger, "one")

    async def work() -> tuple[list[NewBlock], list[Any]]:
        seen = asyncio.create_task(collect(service))
        await asyncio.sleep(0)
        digest, _ = service.submit(data)
        waiting = asyncio.create_task(service.included(digest))
        await asyncio.sleep(0)
        monkeypatch.setattr(ledger.chain, "produce", full)
        ended = await asyncio.gather(service.run(), waiting, return_exceptions=True)
        return await seen, ended

    blocks, ended = asyncio.run(work())
    assert blocks == []
    assert [type(failure) for failure in ended] == [StoreFull, StoreFull]
    assert [type(failure) for failure in told] == [StoreFull]
    with pytest.raises(StoreFull):
        service.submit(data)


async def collect(service: LedgerService) -> list[NewBlock]:
    return [block async for block in service.blocks()]


def test_a_reader_that_falls_behind_is_dropped_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUBSCRIBER_BUFFER", 2)
    _, service = made()

    async def work() -> tuple[list[NewBlock], int]:
        seen = asyncio.create_task(collect(service))
        await asyncio.sleep(0)
        for _ in range(4):
            service._make([])
        return await seen, len(service._subscribers)

    blocks, left = asyncio.run(work())
    assert blocks == []
    assert left == 0


def test_a_block_that_changed_the_state_is_followed_by_one_that_carries_the_root() -> None:
    ledger, service = made()
    (data,) = some(ledger, "one")

    async def work() -> list[NewBlock]:
        blocks = service.blocks()
        first = asyncio.ensure_future(anext(blocks))
        await asyncio.sleep(0)
        service.submit(data)
        return [await first, await anext(blocks)]

    one, two = during(service, work)
    assert one.changed
    assert not two.changed
    assert two.signed.header.app_hash == one.app_hash
    assert two.transactions == ()
