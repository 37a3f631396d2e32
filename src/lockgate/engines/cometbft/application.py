"""ABCI 2.0 requests, answered by the machine over one store. Source: CometBFT v0.38, spec/abci.

FinalizeBlock computes in an open database transaction, and Commit ends it: what a process that dies in
between has done is gone, and the node plays the block again. Nothing here reads a clock: a block's time is
the header's. The state after block h is version h of the store and stands in the header of block h + 1.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec.protobuf import uvarint
from lockgate.codec.wire import abci_pb2 as abci
from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.engines.cometbft.headers import KeptHeaders
from lockgate.engines.cometbft.retention import Retaining
from lockgate.engines.cometbft.statesync import SNAPSHOT_EVERY, StateSync
from lockgate.engines.shared.bodies import WithBodies
from lockgate.engines.shared.ports import AppStore, SnapshotStore
from lockgate.engines.shared.queries import Queries
from lockgate.engines.shared.versions import check_app_version
from lockgate.ibc.ports import Application
from lockgate.lightclients.cometbft import decoding, hashing
from lockgate.machine import keys
from lockgate.machine.checks import Checks
from lockgate.machine.context import OwnHeader
from lockgate.machine.genesis import Genesis
from lockgate.machine.machine import APP_VERSION, BlockInput, Machine, TxResult
from lockgate.machine.offences import Misbehaviour, Offence
from lockgate.merkle.errors import NotAvailable
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import Damaged, Refused
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Block, Event, Overlay, View
from lockgate.primitives.time import UnixNanos

ACCEPT: Final = 1
REJECT: Final = 2
PRUNE_EVERY: Final = 100  # blocks between two prunings of old versions
MAX_INDEXED: Final = 256  # characters of an attribute; nobody searches for a whole packet
NAME: Final = "lockgate"
VERSION: Final = "app_version"  # the named value of a store that says under which rules it was filled
KINDS: Final = {int(kind): kind for kind in Offence}


class WrongGenesis(Refused):
    code = "cometbft.wrong_genesis"
    summary = "The node starts another ledger than the one this application was made for."
    untouched = "Nothing was written."
    next_step = "Give every node of the cluster the genesis file that `lockgate` wrote for this ledger."


class OutOfStep(Damaged):
    code = "cometbft.out_of_step"
    summary = "The node asks for a block that does not follow the application's newest one."
    untouched = "The block was not executed."
    next_step = (
        "Let the node replay its blocks: start both again; restore the application's store if that does not help."
    )


class _Abandoned(Exception):
    """Ends the database transaction of a block that is not to be."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A block that was executed and not committed."""

    height: int
    time: UnixNanos
    transaction: AbstractContextManager[None]
    link: bytes  # over its header, where it changed the state of a ledger that binds them
    bodies: Mapping[bytes, bytes | None]  # written at Commit: until then checks and queries read the table as it was


class CometBftApplication:
    """One ledger behind one CometBFT node. Not thread safe: requests of all connections come one by one."""

    def __init__(
        self,
        genesis: Genesis,
        store: AppStore,
        state: MultiStore,
        *,
        keep_versions: int,
        keep_blocks: int = 0,
        applications: Mapping[str, Application] | None = None,
        snapshots: SnapshotStore | None = None,
        snapshot_every: int = SNAPSHOT_EVERY,
    ) -> None:
        """Raises OtherAppVersion for a store that was filled under other rules.

        A snapshot is made about every `snapshot_every` blocks, where the ledger binds its headers and there is a
        place for them. `keep_blocks`: below how many the node's blocks may go (`retention`); 0 keeps all of them."""
        self.genesis = genesis
        self.store = store
        self.state = state
        self.height = state.version
        self._check_version()
        self.machine = Machine(genesis, self, applications)
        self._keep_versions = keep_versions
        self._newest = WithBodies(state, store.body)
        self._checks = Checks(self.machine)
        self._newest_time = 0, genesis.time  # of a height
        self._pending: _Pending | None = None
        self._headers = KeptHeaders(genesis, store)
        self._sync = StateSync(genesis, store, state, self._headers, snapshots, snapshot_every)
        self._retaining = Retaining(store, state, keep_blocks, self._sync.heights, self.machine.packets.clients)
        self._queries = Queries(self)
        self._answers: Final[Mapping[str, Callable[[Any], Any]]] = {
            "echo": lambda request: abci.ResponseEcho(message=request.message),
            "flush": lambda _: abci.ResponseFlush(),
            "info": self._info,
            "init_chain": self._init_chain,
            "query": self._query,
            "check_tx": self._check_tx,
            "commit": self._commit,
            "list_snapshots": self._sync.list_snapshots,
            "offer_snapshot": self._sync.offer_snapshot,
            "load_snapshot_chunk": self._sync.load_snapshot_chunk,
            "apply_snapshot_chunk": self._apply_snapshot_chunk,
            "prepare_proposal": self._prepare_proposal,
            "process_proposal": self._process_proposal,
            "extend_vote": lambda _: abci.ResponseExtendVote(),
            "verify_vote_extension": _verify_vote_extension,
            "finalize_block": self._finalize_block,
        }

    def answer(self, request: abci.Request) -> abci.Response:
        """Answer one request; a request that is none of v0.38's is an exception, which stops the node."""
        kind = request.WhichOneof("value")
        if kind is None:
            return abci.Response(exception=abci.ResponseException(error="not a request of ABCI 2.0"))
        return abci.Response(**{kind: self._answers[kind](getattr(request, kind))})

    def close(self) -> None:
        """Let a block go that was not committed, and a snapshot that was not taken in whole."""
        self._abandon()
        self._sync.abandon()

    def idle(self) -> bool:
        """Do for a moment what no request waits for; tells whether more is to do."""
        return self._sync.step() or self._retaining.step()

    def _check_version(self) -> None:
        """The store says under which rules it was filled; one with nothing in it takes those of this build."""
        if self.height:
            check_app_version(int(self.store.meta(VERSION) or b"0"))
        else:
            with self.store.commit():
                self.store.set_meta(VERSION, str(APP_VERSION).encode())

    # What queries and the machine need.

    def view(self) -> View:
        """State after the newest committed block (the genesis state before the first one)."""
        if not self.height:
            return Overlay(self.state, self.machine.initial_state())
        return self._newest if self._pending is None else WithBodies(self.state.view(self.height), self.store.body)

    def view_at(self, version: int, /) -> View:
        if version > self.height:
            raise NotAvailable("no such version yet", version=version, newest=self.height)
        return self.view() if version == self.height else self.state.view(version)

    def block_at(self, version: int, /) -> Block:
        header = self.own_header(version)
        time = header.time if header is not None else self.genesis.time
        return Block(self.genesis.chain_id, Height(self.genesis.revision, version), time)

    def simulate(self, data: bytes, /) -> TxResult:
        return self.machine.simulate(self.view(), data, self.height + 1, self.time)

    def own_header(self, height: int, /) -> OwnHeader | None:
        """Meets `OwnHeaders`: time, root and next validators of a committed block's header (P9)."""
        return self._headers.read(height) if height <= self.height else None

    @property
    def time(self) -> UnixNanos:
        """Time of the newest block: what CheckTx and simulations judge by."""
        known, time = self._newest_time
        if known != self.height:
            time = self.block_at(self.height).time
            self._newest_time = self.height, time
        return time

    # The requests.

    def _info(self, _: abci.RequestInfo) -> abci.ResponseInfo:
        # Anybody can ask for this over RPC, between two requests of the consensus connection: it changes nothing. A
        # node that begins anew plays the block after this one again, and that abandons what it had begun before.
        return abci.ResponseInfo(
            data=NAME,
            app_version=APP_VERSION,
            last_block_height=self.height,
            last_block_app_hash=self.state.hash_at(self.height) if self.height else b"",
        )

    def _init_chain(self, request: abci.RequestInitChain) -> abci.ResponseInitChain:
        """Refuse any other genesis or rules. The first header has the root of nothing, as any engine's first (I5)."""
        try:
            given = b64decode(json.loads(request.app_state_bytes)[NAME])
        except (ValueError, LookupError, TypeError) as error:
            raise WrongGenesis("the app_state holds no ledger") from error
        genesis = self.genesis
        if given != genesis.to_bytes() or request.chain_id != genesis.chain_id:
            raise WrongGenesis("another ledger", chain_id=request.chain_id)
        # The node goes by its own fields of genesis.json, and others by the domain, which is a hash of ours (P9).
        signers = sorted((member.pub_key.ed25519, member.power) for member in request.validators)
        if signers != sorted((member.public_key, member.power) for member in genesis.validators):
            raise WrongGenesis("other validators than the ledger's", chain_id=request.chain_id)
        begins = decoding.instant(request.time), request.initial_height
        if begins != (genesis.time, 1):
            raise WrongGenesis("another beginning", time=begins[0], height=begins[1])
        check_app_version(request.consensus_params.version.app)  # as genesis.json has it: headers go by `_info`
        return abci.ResponseInitChain(app_hash=hashing.EMPTY_HASH)

    def _query(self, request: abci.RequestQuery) -> abci.ResponseQuery:
        answer = self._queries.answer(request.path, request.data, request.height, request.prove)
        ops = [wire.ProofOp(type=kind, key=key, data=data) for kind, key, data in answer.proof_ops]
        return abci.ResponseQuery(
            code=answer.code,
            codespace=answer.codespace,
            log=answer.log,
            key=answer.key,
            value=answer.value,
            height=answer.height,
            proof_ops=wire.ProofOps(ops=ops) if ops else None,
        )

    def _check_tx(self, request: abci.RequestCheckTx) -> abci.ResponseCheckTx:
        """Would it be admitted after those checked since the newest block? A recheck asks the same, anew."""
        result = self._checks.check(self.view(), request.tx, self.height + 1, self.time)
        return abci.ResponseCheckTx(
            code=result.code,
            codespace=result.codespace,
            log=result.log,
            gas_wanted=result.gas_wanted,
            gas_used=result.gas_used,
        )

    def _prepare_proposal(self, request: abci.RequestPrepareProposal) -> abci.ResponsePrepareProposal:
        """The transactions as the mempool has them, up to the node's bound: one more would stop the proposer."""
        chosen, room = [], request.max_tx_bytes
        for tx in request.txs:
            if len(tx) > self.genesis.parameters.max_tx_bytes:
                continue  # it cannot succeed, and nobody would accept the block
            room -= 1 + len(uvarint(len(tx))) + len(tx)
            if room < 0:
                break
            chosen.append(tx)
        return abci.ResponsePrepareProposal(txs=chosen)

    def _process_proposal(self, request: abci.RequestProcessProposal) -> abci.ResponseProcessProposal:
        """Refuse a block with a transaction longer than the ledger takes, which no honest proposer makes.

        By the genesis alone, so that every node says the same; what else fails is in the block's results.
        """
        most = self.genesis.parameters.max_tx_bytes
        fits = all(len(tx) <= most for tx in request.txs)
        return abci.ResponseProcessProposal(status=ACCEPT if fits else REJECT)

    def _finalize_block(self, request: abci.RequestFinalizeBlock) -> abci.ResponseFinalizeBlock:
        """Execute a decided block. It may come twice, and gives the same both times."""
        self._abandon()
        self._sync.abandon()
        height, time = request.height, decoding.instant(request.time)
        if height != self.height + 1:
            raise OutOfStep("another height", asked=height, expected=self.height + 1)
        before = self.state.hash_at(self.height) if self.height else hashing.EMPTY_HASH
        first = self.machine.initial_state() if not self.height else {}
        own = OwnHeader(time, before, request.next_validators_hash)
        link = self._headers.follow(height, own)
        block = BlockInput(
            height=height,
            time=time,
            transactions=tuple(request.txs),
            misbehaviour=tuple(_misbehaviour(request.misbehavior)),
            link=link,
        )
        decided = self.machine.execute(self.view(), block)
        transaction = self.store.commit()
        transaction.__enter__()
        changed = keys.TRAIL in (key for _, key in decided.writes)
        self._pending = _Pending(height, time, transaction, link if changed else b"", decided.bodies)
        try:
            self.state.apply({**first, **decided.writes})
            app_hash = self.state.commit(height)
            self._headers.keep(height, own, link)
            self._retaining.executed(height, time)
        except BaseException:
            self._abandon()
            raise
        return abci.ResponseFinalizeBlock(
            events=_events(decided.events),
            tx_results=[
                wire.ExecTxResult(
                    code=result.code,
                    data=result.data,
                    log=result.log,
                    gas_wanted=result.gas_wanted,
                    gas_used=result.gas_used,
                    events=_events(result.events),
                    codespace=result.codespace,
                )
                for result in decided.results
            ],
            validator_updates=[
                wire.ValidatorUpdate(pub_key=wire.PublicKey(ed25519=each.public_key), power=each.power)
                for each in decided.validators
            ],
            app_hash=app_hash,
        )

    def _commit(self, _: abci.RequestCommit) -> abci.ResponseCommit:
        pending = self._pending
        if pending is None:
            raise OutOfStep("nothing was executed", height=self.height)
        if pending.height % PRUNE_EVERY == 0:
            self.state.prune(pending.height - self._keep_versions + 1)
        self._sync.replacing(pending.height, pending.bodies)
        self.store.add_bodies(pending.bodies)
        self._headers.let_go(pending.height)
        self._pending = None
        try:
            pending.transaction.__exit__(None, None, None)
        except BaseException:
            self.state.rollback(self.height)  # the disk has the block before: so has the state from here on
            raise
        self.height = pending.height
        self._checks.begin()
        if pending.link:
            self._sync.committed(pending.height)
        self._retaining.committed(pending.height, pending.time)
        return abci.ResponseCommit(retain_height=self._retaining.height)

    def _apply_snapshot_chunk(self, request: abci.RequestApplySnapshotChunk) -> abci.ResponseApplySnapshotChunk:
        answer = self._sync.apply_snapshot_chunk(request)
        self.height = self.state.version  # 0 until the snapshot is whole
        self._checks.begin()
        return answer

    def _abandon(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        with suppress(_Abandoned):
            pending.transaction.__exit__(_Abandoned, _Abandoned(), None)
        self.state.rollback(self.height)


def _verify_vote_extension(request: abci.RequestVerifyVoteExtension) -> abci.ResponseVerifyVoteExtension:
    """No vote of this ledger carries one."""
    return abci.ResponseVerifyVoteExtension(status=REJECT if request.vote_extension else ACCEPT)


def _misbehaviour(reported: Iterable[abci.Misbehavior]) -> Iterator[Misbehaviour]:
    """What the machine has a rule for; every node of one line reports the same kinds."""
    for each in reported:
        if each.type in KINDS:
            yield Misbehaviour(
                kind=KINDS[each.type],
                validator=each.validator.address,
                power=each.validator.power,
                height=each.height,
                time=decoding.instant(each.time),
                total_power=each.total_voting_power,
            )


def _events(events: tuple[Event, ...]) -> list[wire.Event]:
    return [
        wire.Event(
            type=event.type,
            attributes=[
                wire.EventAttribute(key=key, value=value, index=len(value) <= MAX_INDEXED)
                for key, value in event.attributes
            ],
        )
        for event in events
    ]


__all__ = ("CometBftApplication", "OutOfStep", "WrongGenesis")
