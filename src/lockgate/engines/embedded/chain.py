"""The embedded ledger: orders transactions, runs the machine, commits and signs blocks.

One `produce` is one block: choose the time, execute, hash, sign, write everything in one database
commit, sync the signing state, and only then let anybody see it (P12). The state after block h is
version h of the store and stands in the header of block h + 1. Synchronous and without sockets: the
node around it owns the event loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.engines.embedded import retention
from lockgate.engines.embedded.assembly import AssembledBlock, SealedCommit
from lockgate.engines.embedded.ports import BlockStore
from lockgate.engines.embedded.results import BlockResults
from lockgate.engines.embedded.retention import Pruned, Retention
from lockgate.engines.embedded.roster import FIRST_HEIGHT, LocalValidator, Roster
from lockgate.engines.embedded.timekeeping import BlockTime
from lockgate.engines.shared.bodies import WithBodies
from lockgate.engines.shared.validators import ValidatorSets
from lockgate.ibc.ports import Application
from lockgate.lightclients.cometbft import decoding, hashing
from lockgate.lightclients.cometbft.signing import VoteFrame
from lockgate.lightclients.cometbft.types import BlockID, Commit, SignedHeader, ValidatorSet, VoteType
from lockgate.machine import history, lanes
from lockgate.machine import validators as machine_validators
from lockgate.machine.checks import Checks
from lockgate.machine.context import OwnHeader
from lockgate.machine.genesis import Genesis, GenesisValidator, LedgerClass
from lockgate.machine.machine import BlockInput, Machine, TxResult
from lockgate.machine.records import LanePhase
from lockgate.merkle.errors import NotAvailable
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.tree import root as merkle_root
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import Height
from lockgate.primitives.ports import Clock
from lockgate.primitives.state import Block, Overlay, View
from lockgate.primitives.time import UnixNanos

Find = Callable[[bytes], LocalValidator | None]
LINK: Final = "headers/link"  # of the chain over own headers, where the ledger binds them


@dataclass(frozen=True, slots=True)
class NewBlock:
    """What became visible: the signed header, transactions, results, and whether state changed."""

    height: int
    block_id: BlockID
    encoded_header: bytes  # the SignedHeader, as it is stored
    encoded_last_commit: bytes
    transactions: tuple[bytes, ...]
    hashes: tuple[bytes, ...]  # of the transactions
    results: BlockResults
    app_hash: bytes  # after this block; the next header carries it
    changed: bool

    @property
    def signed(self) -> SignedHeader:
        """The header and the commit that decided it. Read anew at each call: most blocks are never looked at."""
        return _signed(self.encoded_header)

    @property
    def last_commit(self) -> Commit:
        """The commit of the block before, as it stands in this one."""
        return decoding.commit(decoding.parse(wire.Commit, self.encoded_last_commit))


@dataclass(frozen=True, slots=True)
class _Tip:
    height: int
    block_id: BlockID
    commit: SealedCommit
    results_hash: bytes
    app_hash: bytes


class EmbeddedChain:
    """One ledger in one process. `open` recovers it; `produce` is the only thing that writes."""

    def __init__(
        self,
        genesis: Genesis,
        store: BlockStore,
        state: MultiStore,
        validators: Sequence[LocalValidator],
        clock: Clock,
        *,
        accept_clock: bool = False,
        applications: Mapping[str, Application] | None = None,
        find: Find | None = None,
    ) -> None:
        """`find` is asked for the key of a validator that is none of `validators`: one that was made since."""
        self.genesis = genesis
        self.store = store
        self.state = state
        self._view = WithBodies(state, store.body)
        self.machine = Machine(genesis, self, applications)
        self._sets = ValidatorSets(genesis)
        self._find = find
        self._own = {validator.public_key: validator for validator in validators}
        self._checks = Checks(self.machine)
        self._tip = self._load_tip()
        bound = genesis.parameters.header_trail
        self._link = (store.meta(LINK) or history.START) if bound else b""  # over the newest header
        self._roster: Roster | None = None
        self._roster = self._roster_of(self.view(), self._tip.height + 1)
        last = self._header_time(self._tip.height) if self._tip.height else genesis.time
        self._time = BlockTime.starting(clock, last, accept_jump=accept_clock or not self._tip.height)

    @property
    def height(self) -> int:
        return self._tip.height

    @property
    def app_hash(self) -> bytes:
        """Root after the newest block."""
        return self._tip.app_hash

    @property
    def time(self) -> UnixNanos:
        return self._time.last

    @property
    def validators(self) -> ValidatorSet:
        """Who signs the next block."""
        return self.validators_at(self.height + 1)

    def validators_at(self, height: int) -> ValidatorSet:
        """Who signs a height, the newest one + 2 at most."""
        return self._sets.at(self.view(), height)

    def validator_updates(self, height: int) -> tuple[GenesisValidator, ...]:
        """Whose power a block changed, as an engine is told it; 0 removes."""
        view = self.view()
        now, then = (machine_validators.signing(view, self.genesis, height + ahead) for ahead in (1, 2))
        return machine_validators.updates(now, then)

    def confirm_clock(self) -> None:
        """The operator says that the clock is right: the next block may lie far ahead of the last (P13)."""
        self._time.accept_jump = True

    def view(self) -> View:
        """State after the newest block (the genesis state before the first one)."""
        if self._tip.height:
            return self._view
        return Overlay(self.state, self.machine.initial_state())

    def signed_header(self, height: int) -> SignedHeader:
        """The header of a height with the commit that decided it. Raises NotAvailable."""
        stored = self.store.block(height)
        if stored is None:
            raise NotAvailable("no such block", height=height, tip=self.height)
        return _signed(stored.signed)

    def view_at(self, version: int) -> View:
        """State after block `version`; raises NotAvailable for a pruned or future one."""
        return self.view() if version == self.height else self.state.view(version)

    def block_at(self, version: int) -> Block:
        """What a handler running after block `version` would know of its block: for status queries."""
        time = self.time if version == self.height else self.signed_header(version).header.time
        return Block(self.genesis.chain_id, Height(self.genesis.revision, version), time)

    def own_header(self, height: int) -> OwnHeader | None:
        """Meets `OwnHeaders`: a header of this ledger, from its own block table (P9)."""
        stored = self.store.block(height)
        if stored is None:
            return None
        header = _signed(stored.signed).header
        return OwnHeader(header.time, header.app_hash, header.next_validators_hash)

    def check(self, data: bytes) -> TxResult:
        """Would the transaction be admitted after those checked since the newest block?"""
        return self._checks.check(self.view(), data, self.height + 1, self._now())

    def simulate(self, data: bytes) -> TxResult:
        return self.machine.simulate(self.view(), data, self.height + 1, self._now())

    def state_ahead_of_header(self) -> bool:
        """Has the newest block changed the state, so that no header carries its root yet (I5)?"""
        stored = self.store.block(self.height)
        return stored is not None and _signed(stored.signed).header.app_hash != stored.app_hash

    def produce(self, transactions: Sequence[bytes]) -> NewBlock:
        """Make, commit and sign one block. Raises ClockJumped, StoreFull, WouldSignTwice; then nothing changed."""
        height = self.height + 1
        time = self._time.next(self._newest_client_header)
        txs = tuple(transactions)
        first = height == FIRST_HEIGHT
        view = self.view()
        roster = self._roster = self._roster_of(view, height)
        own = OwnHeader(time, self._tip.app_hash, roster.following.hash)
        link = history.follow(self._link, height, own) if self._link else b""
        decided = self.machine.execute(view, BlockInput(height=height, time=time, transactions=txs, link=link))
        results = BlockResults.of(decided)
        writes = {**self.machine.initial_state(), **decided.writes} if first else decided.writes
        hashes = tuple([hashlib.sha256(tx).digest() for tx in txs])
        tip = self._tip
        header, digest = roster.frame.header(
            height, time, tip.block_id, tip.commit.hash, merkle_root(hashes), tip.app_hash, tip.results_hash
        )
        block = AssembledBlock.of(header, digest, txs, tip.commit)
        # I5: votes carry the header's own time, so the next block never dates from before it; all
        # validators sign the same bytes then.
        frame = VoteFrame.of(self.genesis.chain_id, VoteType.PRECOMMIT, height, 0, block.block_id)
        vote = frame.sign_bytes(time)
        signatures, leaves = roster.votes(height, time, vote)
        commit = SealedCommit.of_leaves(Commit(height, 0, block.block_id), leaves)
        signed = block.signed(commit)
        try:
            with self.store.commit():
                self.state.apply(writes)
                app_hash = self.state.commit(height)
                self._write(height, time, block, signed, hashes, results, app_hash)
                self.store.add_bodies(decided.bodies)
                if link:
                    self.store.set_meta(LINK, link)
        except BaseException:
            self.state.rollback(tip.height)
            raise
        for signer, signature in zip(roster.signers, signatures, strict=True):
            signer.state.record(height, vote, signature)
        self._tip = _Tip(height, block.block_id, commit, results.hash, app_hash)
        self._time.made(time)
        self._link = link
        self._checks.begin()
        before, changed = tip.commit.encoded, app_hash != tip.app_hash
        return NewBlock(height, block.block_id, signed, before, txs, hashes, results, app_hash, changed)

    def prune(self, keep: Retention) -> Pruned:
        """Take away what the ledger need not keep of its past (I15)."""
        newest = self.block_at(self.height)
        return retention.prune(self.store, self.state, self.machine.packets.clients, newest, keep)

    def _newest_client_header(self) -> UnixNanos | None:
        """Newest header time of the ledgers that open lanes lead to (P13)."""
        view = self.view()
        clients = self.machine.packets.kinds
        followed = [lane.local_client for lane in lanes.every(view) if lane.phase is LanePhase.OPEN]
        times = []
        for client in followed:
            with suppress(PeerFault, Refused):  # its newest state is gone, or its members disagree: it says no time
                times.append(clients.timestamp_at(view, client, clients.latest_height(view, client)))
        return max(times, default=None)

    def _now(self) -> UnixNanos:
        return UnixNanos(max(self._time.clock.now(), self._time.last))

    def _roster_of(self, view: View, height: int) -> Roster:
        """Who signs `height`, the first one above the state in `view`. Raises NoSigner when nobody does here."""
        now, following = self._sets.at(view, height), self._sets.at(view, height + 1)
        kept = self._roster
        if kept is not None and kept.validators is now and kept.following is following:
            return kept
        for key in {member.public_key for member in (*now.validators, *following.validators)} - self._own.keys():
            found = None if self._find is None else self._find(key)
            if found is not None:
                self._own[key] = found
        if kept is not None and self.genesis.ledger_class is not LedgerClass.BFT:
            for key in {gone.public_key for gone in kept.signers} - {each.public_key for each in now.validators}:
                del self._own[key]  # it has handed over: this process does not sign with it again (P12)
        return Roster.of(self.genesis, self._own, now, following)

    def _write(
        self,
        height: int,
        time: UnixNanos,
        block: AssembledBlock,
        signed: bytes,
        hashes: tuple[bytes, ...],
        results: BlockResults,
        app_hash: bytes,
    ) -> None:
        stored, rows = results.stored(height)
        self.store.add_block(
            height=height,
            hash=block.block_id.hash,
            block=block.encoded,
            signed=signed,
            results=stored,
            app_hash=app_hash,
            time=time,
        )
        self.store.add_transactions(height, list(hashes))
        self.store.add_events(rows)

    def _header_time(self, height: int) -> UnixNanos:
        stored = self.store.block(height)
        assert stored is not None, "the tip is in the block table"
        return UnixNanos(stored.time)

    def _load_tip(self) -> _Tip:
        stored = self.store.tip()
        if stored is None:
            return _Tip(0, BlockID(), SealedCommit.of(Commit()), hashing.EMPTY_HASH, hashing.EMPTY_HASH)
        commit = _signed(stored.signed).commit
        results = BlockResults.from_bytes(stored.results)
        return _Tip(stored.height, commit.block_id, SealedCommit.of(commit), results.hash, stored.app_hash)


def _signed(encoded: bytes) -> SignedHeader:
    return decoding.signed_header(decoding.parse(wire.SignedHeader, encoded))
