"""The running ledger: a mempool, blocks on demand, a heartbeat, and subscribers (I5).

A packet need not wait for a timer: a transaction is put into a block as soon as the one before is
committed. A block that changed the state is followed at once by an empty one, which carries the root
in its header, so what happened can be proven immediately. The heartbeat lets timeouts happen.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from lockgate.engines.embedded.chain import EmbeddedChain, NewBlock
from lockgate.engines.embedded.retention import EVERY, KEEP, Retention
from lockgate.machine.machine import TxResult
from lockgate.primitives.errors import LockgateError, Refused, Unavailable

HEARTBEAT_S: Final = 5.0
MAX_PENDING: Final = 5_000  # transactions, CometBFT's default mempool size
MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
MAX_BLOCK_TXS: Final = 1_000  # keeps one block below a second
SUBSCRIBER_BUFFER: Final = 200  # blocks; CometBFT drops a slower reader too, who then scans the gap


class MempoolFull(Unavailable):
    code = "ledger.mempool_full"
    summary = "Too many transactions wait for a block."
    next_step = "Submit again after the next block."


class AlreadyPending(Refused):
    code = "ledger.tx_known"
    summary = "The same transaction waits for a block already."
    next_step = "Wait for it; look it up by its hash."


class Dropped(Refused):
    code = "ledger.tx_dropped"
    summary = "A block in between made the waiting transaction impossible."
    untouched = "The transaction is in no block."
    next_step = "Read the state again and sign a new transaction."


@dataclass(slots=True)
class _Waiting:
    data: bytes
    done: list[asyncio.Future[tuple[NewBlock, int]]] = field(default_factory=list)


class LedgerService:
    """Owns one chain. All of it runs on one event loop; a block is one uninterrupted step."""

    def __init__(
        self,
        chain: EmbeddedChain,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        keep: Retention = KEEP,
        on_stop: Callable[[LockgateError], None] | None = None,
    ) -> None:
        """Raises TooFewKept when `keep` is less than the ledger needs."""
        keep.check(chain.genesis.parameters)
        self.chain = chain
        self._keep = keep
        self._heartbeat_s = heartbeat_s
        self._on_stop = on_stop
        self._pending: OrderedDict[bytes, _Waiting] = OrderedDict()
        self._pending_bytes = 0
        self._wake = asyncio.Event()
        self._subscribers: dict[asyncio.Queue[NewBlock | None], None] = {}  # in the order they came
        self.stopped: LockgateError | None = None

    async def run(self) -> None:
        """Make blocks until cancelled, or until the ledger must stop; then say why and raise it."""
        chain = self.chain
        if chain.height == 0:
            self._make([])
        carry = chain.state_ahead_of_header()
        try:
            while True:
                if not self._pending and not carry:
                    # Not wait_for, which before Python 3.12 swallows a cancellation that meets the wake-up.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._heartbeat_s):
                            await self._wake.wait()
                self._wake.clear()
                carry = self._make(self._take()).changed
                await asyncio.sleep(0)
        except LockgateError as error:
            self.stopped = error
            self._fail_waiting(error)
            for queue in self._subscribers:
                _offer(queue, None)
            if self._on_stop is not None:
                self._on_stop(error)
            raise

    def submit(self, data: bytes) -> tuple[bytes, TxResult]:
        """Check a transaction and queue it; returns its hash and the check's result.

        Raises MempoolFull, AlreadyPending, or the failure that stopped the ledger. A result with a
        code other than 0 was not queued.
        """
        if self.stopped is not None:
            raise self.stopped
        digest = hashlib.sha256(data).digest()
        if digest in self._pending:
            raise AlreadyPending("waiting already", hash=digest)
        if len(self._pending) >= MAX_PENDING or self._pending_bytes + len(data) > MAX_PENDING_BYTES:
            raise MempoolFull("the mempool is full", waiting=len(self._pending))
        result = self.chain.check(data)
        if result.code == 0:
            self._pending[digest] = _Waiting(data)
            self._pending_bytes += len(data)
            self._wake.set()
        return digest, result

    async def included(self, digest: bytes) -> tuple[NewBlock, int]:
        """Wait until a queued transaction is in a block; returns the block and its number there."""
        future: asyncio.Future[tuple[NewBlock, int]] = asyncio.get_running_loop().create_future()
        self._pending[digest].done.append(future)
        return await future

    def pending(self) -> list[bytes]:
        return [waiting.data for waiting in self._pending.values()]

    async def blocks(self) -> AsyncIterator[NewBlock]:
        """New blocks from now on. A reader that falls behind is dropped and must scan the gap."""
        queue: asyncio.Queue[NewBlock | None] = asyncio.Queue(SUBSCRIBER_BUFFER)
        self._subscribers[queue] = None
        try:
            while (block := await queue.get()) is not None:
                yield block
        finally:
            self._subscribers.pop(queue, None)

    def _take(self) -> list[tuple[bytes, _Waiting]]:
        taken: list[tuple[bytes, _Waiting]] = []
        room = self.chain.genesis.parameters.max_block_bytes // 2
        while self._pending and len(taken) < MAX_BLOCK_TXS:
            digest, waiting = next(iter(self._pending.items()))
            if taken and len(waiting.data) > room:
                break
            room -= len(waiting.data)
            del self._pending[digest]
            self._pending_bytes -= len(waiting.data)
            taken.append((digest, waiting))
        return taken

    def _make(self, taken: list[tuple[bytes, _Waiting]]) -> NewBlock:
        try:
            block = self.chain.produce([waiting.data for _, waiting in taken])
        except LockgateError as error:
            for _, waiting in taken:
                _fail(waiting, error)
            raise
        if block.height % EVERY == 0:
            self.chain.prune(self._keep)
        for number, (_, waiting) in enumerate(taken):
            for future in waiting.done:
                if not future.done():
                    future.set_result((block, number))
        self._recheck()
        for queue in list(self._subscribers):
            if not _offer(queue, block):
                self._subscribers.pop(queue, None)
                _drain(queue)
        return block

    def _recheck(self) -> None:
        # The block may have made a waiting transaction impossible; its submitter learns it now.
        for digest, waiting in list(self._pending.items()):
            result = self.chain.check(waiting.data)
            if result.code:
                del self._pending[digest]
                self._pending_bytes -= len(waiting.data)
                _fail(waiting, Dropped(result.log))

    def _fail_waiting(self, error: LockgateError) -> None:
        for waiting in self._pending.values():
            _fail(waiting, error)
        self._pending.clear()


def _offer(queue: asyncio.Queue[NewBlock | None], block: NewBlock | None) -> bool:
    try:
        queue.put_nowait(block)
    except asyncio.QueueFull:
        return False
    return True


def _drain(queue: asyncio.Queue[NewBlock | None]) -> None:
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)


def _fail(waiting: _Waiting, error: LockgateError) -> None:
    for future in waiting.done:
        if not future.done():
            future.set_exception(error)
