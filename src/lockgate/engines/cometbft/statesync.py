"""State sync: the snapshot requests of ABCI 2.0, of a node that has the state and of one that has nothing.

Source: CometBFT v0.38, spec/abci (offer, apply: what a result asks the node to do) and spec/p2p statesync.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, suppress
from typing import Final

from lockgate.codec.wire import abci_pb2 as abci
from lockgate.engines.cometbft import snapshot
from lockgate.engines.cometbft.headers import KeptHeaders
from lockgate.engines.cometbft.receiving import Receiving
from lockgate.engines.cometbft.sending import Sending
from lockgate.engines.cometbft.snapshot import BadSnapshot, Metadata
from lockgate.engines.shared.ports import AppStore, SnapshotStore
from lockgate.machine import keys
from lockgate.machine.genesis import Genesis
from lockgate.machine.history import TrailRecord
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import LockgateError, PeerFault

SNAPSHOT_EVERY: Final = 1_000  # blocks: a node that takes one in plays the rest, some minutes of a busy ledger
ACCEPT, ABORT, REJECT, REJECT_FORMAT, REJECT_SENDER = range(1, 6)  # of an offer
RETRY, REJECT_SNAPSHOT = 3, 5  # of a chunk, which has ACCEPT and ABORT alike


class _GivenUp(Exception):
    """Ends the transaction of a snapshot that is not taken in."""


class StateSync:
    """One application's snapshots, out and in."""

    def __init__(
        self,
        genesis: Genesis,
        store: AppStore,
        state: MultiStore,
        headers: KeptHeaders,
        snapshots: SnapshotStore | None,
        every: int,
    ) -> None:
        self._genesis = genesis
        self._store = store
        self._state = state
        self._headers = headers
        self._sending = Sending(store, state, snapshots) if snapshots is not None and headers.bound else None
        self._every = every
        self._failure: LockgateError | None = None  # of a snapshot, to be told
        self._receiving: Receiving | None = None
        self._transaction: AbstractContextManager[None] | None = None

    # A node that has the state.

    def committed(self, height: int) -> None:
        """A block that changed the state was committed: its state binds every header, so it can be copied.

        A snapshot is due with the first such block of each `every` blocks: the same ones on every node.
        """
        if self._sending is None:
            return
        try:
            self._begin(self._sending, height)
        except LockgateError as failure:  # no block waits for a snapshot: it is told when none is under way
            self._failure = failure

    def _begin(self, sending: Sending, height: int) -> None:
        before = self._state.view(height - 1).get(keys.LOG, keys.TRAIL) if height > 1 else None
        last = TrailRecord.from_bytes(before).height if before is not None else 0
        if last // self._every < height // self._every:
            first = self._headers.first(height)
            sending.begin(height, first, self._headers.link(first - 1), self._headers.read)

    def replacing(self, height: int, bodies: Collection[bytes]) -> None:
        """Block `height` is about to be committed: it changes these packets that wait, and lets a header go."""
        if self._sending is not None:
            try:
                self._sending.replacing(bodies, self._headers.first(height) - 1)
            except LockgateError as failure:
                self._failure = failure

    def step(self) -> bool:
        """Go on with a snapshot for a moment; tells whether more is to do. Raises what kept one from being made."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return self._sending is not None and self._sending.step()

    def heights(self) -> list[int]:
        """Of which blocks there is a snapshot, the newest first."""
        return [height for height, _, _ in self._sending.listed()] if self._sending is not None else []

    def list_snapshots(self, _: abci.RequestListSnapshots) -> abci.ResponseListSnapshots:
        found = self._sending.listed() if self._sending is not None else []
        return abci.ResponseListSnapshots(
            snapshots=[
                abci.Snapshot(
                    height=height,
                    format=snapshot.FORMAT,
                    chunks=len(metadata.chunks),
                    hash=snapshot.digest(data),
                    metadata=data,
                )
                for height, metadata, data in found
            ]
        )

    def load_snapshot_chunk(self, request: abci.RequestLoadSnapshotChunk) -> abci.ResponseLoadSnapshotChunk:
        """A chunk; the node tells its peer that there is none where it is empty."""
        if self._sending is None or request.format != snapshot.FORMAT:
            return abci.ResponseLoadSnapshotChunk()
        return abci.ResponseLoadSnapshotChunk(chunk=self._sending.chunk(request.height, request.chunk))

    # A node that has nothing.

    def offer_snapshot(self, request: abci.RequestOfferSnapshot) -> abci.ResponseOfferSnapshot:
        """Take one in? The app hash is what the node's light client has proven; of the rest nothing is believed."""
        self.abandon()
        return abci.ResponseOfferSnapshot(result=self._judge(request))

    def _judge(self, request: abci.RequestOfferSnapshot) -> int:
        given = request.snapshot
        if not self._headers.bound or self._state.version:
            return ABORT
        if given.format != snapshot.FORMAT:
            return REJECT_FORMAT
        try:
            metadata = Metadata.from_bytes(given.metadata)
        except BadSnapshot:
            return REJECT_SENDER
        said = (given.height, given.chunks, given.hash)
        if said != (metadata.height, len(metadata.chunks), snapshot.digest(given.metadata)):
            return REJECT_SENDER
        if metadata.app_hash != request.app_hash:
            return REJECT_SENDER
        if tuple(name for name, _ in metadata.roots) != tuple(sorted(keys.STORES)):
            return REJECT
        transaction = self._store.commit()
        transaction.__enter__()
        self._transaction = transaction
        self._receiving = Receiving(self._genesis, self._store, self._state, metadata, self._headers.keep)
        return ACCEPT

    def apply_snapshot_chunk(self, request: abci.RequestApplySnapshotChunk) -> abci.ResponseApplySnapshotChunk:
        """Take in a chunk. One with other bytes than announced is asked for again, of somebody else."""
        receiving = self._receiving
        if receiving is None:
            return abci.ResponseApplySnapshotChunk(result=ABORT)
        if request.index != receiving.next:
            return abci.ResponseApplySnapshotChunk(result=RETRY, refetch_chunks=[receiving.next])
        if not receiving.is_next(request.index, request.chunk):
            return abci.ResponseApplySnapshotChunk(
                result=RETRY, refetch_chunks=[request.index], reject_senders=[request.sender]
            )
        receiving.senders.add(request.sender)
        try:
            receiving.take(request.chunk)
            if receiving.complete:
                receiving.finish()
                self._headers.begin(*receiving.before)
        except PeerFault:
            # The chunks are those that were announced, so whoever announced or sent them has another state, or lies.
            senders = sorted(receiving.senders)
            self.abandon()
            return abci.ResponseApplySnapshotChunk(result=REJECT_SNAPSHOT, reject_senders=senders)
        except BaseException:
            self.abandon()
            raise
        if receiving.complete:
            transaction, self._transaction, self._receiving = self._transaction, None, None
            assert transaction is not None
            transaction.__exit__(None, None, None)
        return abci.ResponseApplySnapshotChunk(result=ACCEPT)

    def abandon(self) -> None:
        """Forget a snapshot that was not taken in whole."""
        transaction, self._transaction, self._receiving = self._transaction, None, None
        if transaction is not None:
            with suppress(_GivenUp):
                transaction.__exit__(_GivenUp, _GivenUp(), None)
            self._state.rollback()


__all__ = ("SNAPSHOT_EVERY", "StateSync")
