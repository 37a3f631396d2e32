"""The machine behind ABCI: the same states as on the embedded engine, and nothing kept before Commit."""

from __future__ import annotations

import asyncio
import contextlib
import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockgate.codec.protobuf import uvarint
from lockgate.codec.wire import abci_pb2 as abci
from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.engines.cometbft.application import CometBftApplication, OutOfStep, WrongGenesis
from lockgate.engines.cometbft.framing import BadRequest, Frames
from lockgate.engines.cometbft.server import AT_ONCE, AbciServer
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.ledgers import LabAccount, LabLedger, lab_authority
from lockgate.lab.paths import expect
from lockgate.lightclients.cometbft import hashing
from lockgate.lightclients.cometbft.types import address_of
from lockgate.machine import keys
from lockgate.machine.genesis import Genesis
from lockgate.machine.machine import APP_VERSION
from lockgate.machine.offences import OffenceRecord
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import NANOS_PER_SECOND
from lockgate.storage.ledger import LedgerStore, StoreFull
from lockgate.storage.nodes import SqliteNodes
from tests.support.lab import START, account
from tests.support.lab import World as LabWorld

KEEP = 100


@dataclass
class World:
    """An embedded ledger, and an application of the same genesis that is given the same blocks."""

    ledger: LabLedger
    store: LedgerStore
    app: CometBftApplication

    @classmethod
    def make(cls) -> World:
        ledger = LabLedger("alpha-1", SimulatedClock(START))
        store = LedgerStore.in_memory()
        return cls(ledger, store, application(ledger.genesis, store))

    def restarted(self) -> CometBftApplication:
        """The application as another process finds it on the same disk."""
        self.app.close()
        self.app = application(self.ledger.genesis, self.store)
        return self.app

    def transaction(self, name: bytes = b"one") -> bytes:
        """An endpoint registers itself."""
        holder = account("holder")
        return self.ledger.signed(holder, [LabEndpoint(name, (holder.id,)).register()])

    def begun(self) -> World:
        """Play the blocks that a lab ledger is born with."""
        ask(self.app, init_chain=begin(self.ledger.genesis, self.ledger.genesis.chain_id))
        for height in range(1, self.ledger.height + 1):
            ask(self.app, finalize_block=self.handed_over(height))
            ask(self.app, commit=abci.RequestCommit())
        return self

    def block(self, *txs: bytes) -> abci.RequestFinalizeBlock:
        """Make a block on the embedded ledger, and return it as a node hands it over."""
        return self.handed_over(self.ledger.block(*txs).height)

    def handed_over(self, height: int) -> abci.RequestFinalizeBlock:
        stored = self.ledger.chain.store.block(height)
        assert stored is not None
        header = self.ledger.chain.signed_header(height).header
        request = abci.RequestFinalizeBlock(
            txs=wire.Block.FromString(stored.block).data.txs,
            height=height,
            next_validators_hash=header.next_validators_hash,
        )
        request.time.seconds, request.time.nanos = divmod(header.time, NANOS_PER_SECOND)
        return request

    def play(self, *txs: bytes) -> abci.ResponseFinalizeBlock:
        done = ask(self.app, finalize_block=self.block(*txs)).finalize_block
        ask(self.app, commit=abci.RequestCommit())
        return done


def application(genesis: Genesis, store: LedgerStore) -> CometBftApplication:
    state = MultiStore(keys.STORES, SqliteNodes(store.connection))
    return CometBftApplication(genesis, store, state, keep_versions=KEEP)


def ask(app: CometBftApplication, **request: object) -> abci.Response:
    return app.answer(abci.Request(**request))  # type: ignore[arg-type]  # one of the oneof's messages


def begin(genesis: Genesis, chain_id: str = "alpha-1", state: bytes | None = None) -> abci.RequestInitChain:
    document = json.dumps({"lockgate": b64encode(genesis.to_bytes()).decode()}).encode()
    request = abci.RequestInitChain(
        chain_id=chain_id,
        app_state_bytes=document if state is None else state,
        validators=[
            wire.ValidatorUpdate(pub_key=wire.PublicKey(ed25519=member.public_key), power=member.power)
            for member in genesis.validators
        ],
        initial_height=1,
        consensus_params=wire.ConsensusParams(version=wire.VersionParams(app=APP_VERSION)),
    )
    request.time.seconds, request.time.nanos = divmod(genesis.time, NANOS_PER_SECOND)
    return request


def test_the_same_blocks_leave_the_same_roots_and_results_as_on_the_embedded_engine() -> None:
    w = World.make()
    assert ask(w.app, init_chain=begin(w.ledger.genesis)).init_chain.app_hash == hashing.EMPTY_HASH
    w.begun()
    for txs in ((w.transaction(),), (), (w.transaction(b"two"), b"no transaction"), ()):
        done = w.play(*txs)
        stored = w.ledger.chain.store.block(w.ledger.height)
        assert stored is not None
        assert done.app_hash == stored.app_hash
        results = [
            hashing.TxResult(code=r.code, data=r.data, gas_wanted=r.gas_wanted, gas_used=r.gas_used)
            for r in done.tx_results
        ]
        assert hashing.results_hash(results) == w.ledger.chain._tip.results_hash
    assert [w.app.own_header(h) for h in range(1, 8)] == [w.ledger.chain.own_header(h) for h in range(1, 8)]


def test_a_block_that_was_not_committed_is_gone_and_comes_again() -> None:
    w = World.make().begun()
    w.play()
    request = w.block(w.transaction())
    first = ask(w.app, finalize_block=request)
    assert ask(w.restarted(), info=abci.RequestInfo()).info.last_block_height == w.ledger.height - 1
    again = ask(w.app, finalize_block=request)
    assert again == first == ask(w.app, finalize_block=request)
    ask(w.app, commit=abci.RequestCommit())
    found = ask(w.restarted(), info=abci.RequestInfo()).info
    assert (found.last_block_height, found.last_block_app_hash) == (w.ledger.height, first.finalize_block.app_hash)


class FullDisk(LedgerStore):
    """A store whose disk may be full when a transaction is to be made durable."""

    full = False

    @contextlib.contextmanager
    def commit(self) -> Iterator[None]:
        with super().commit():
            yield
            if self.full:
                raise StoreFull("no space for the block")


def test_a_block_that_the_disk_does_not_take_is_gone_and_comes_again() -> None:
    ledger = LabLedger("alpha-1", SimulatedClock(START))
    store = FullDisk.in_memory()
    w = World(ledger, store, application(ledger.genesis, store)).begun()
    w.play()
    request = w.block(w.transaction())
    first = ask(w.app, finalize_block=request)
    store.full = True
    with pytest.raises(StoreFull):
        ask(w.app, commit=abci.RequestCommit())
    assert w.app.height == w.app.state.version == w.ledger.height - 1
    assert w.app.view().get(keys.ACCOUNT, keys.sequence(account("holder").id, 0)) is None
    store.full = False
    assert ask(w.app, finalize_block=request) == first
    ask(w.app, commit=abci.RequestCommit())
    assert w.app.height == w.app.state.version == w.ledger.height


def test_whoever_asks_for_information_between_execution_and_commit_stops_no_block() -> None:
    """`abci_info` of a node's RPC is open to everybody, and arrives whenever it likes."""
    w = World.make().begun()
    done = ask(w.app, finalize_block=w.block(w.transaction())).finalize_block
    assert ask(w.app, info=abci.RequestInfo()).info.last_block_height == w.ledger.height - 1
    ask(w.app, commit=abci.RequestCommit())
    found = ask(w.app, info=abci.RequestInfo()).info
    assert (found.last_block_height, found.last_block_app_hash) == (w.ledger.height, done.app_hash)


def test_queries_between_execution_and_commit_see_the_committed_state() -> None:
    w = World.make().begun()
    w.play()
    query = abci.RequestQuery(path="/store/rules/key", data=keys.RULES_DOMAIN, prove=True)
    before = ask(w.app, query=query).query
    ask(w.app, finalize_block=w.block(w.transaction()))
    assert ask(w.app, query=query).query == before
    assert before.height == w.app.height == w.ledger.height - 1
    proof = b"".join(b"\x0a" + uvarint(len(op.data)) + op.data for op in before.proof_ops.ops)
    ProofMemo(w.app.state.hash_at(before.height)).membership(proof, (b"rules", keys.RULES_DOMAIN), before.value)


def test_a_packet_that_a_block_ends_still_waits_until_the_block_is_committed() -> None:
    """Whoever answers twice, over two nonce lanes, has one checked while the block with the other is decided."""
    lab = LabWorld.make()
    packet = lab.send()
    expect(lab.deliver(packet))
    store = LedgerStore.in_memory()
    w = World(lab.b.ledger, store, application(lab.b.ledger.genesis, store)).begun()
    message = lab.receiver.answer(lab.b.client, packet.sequence, ack=b"reply")
    again = abci.RequestCheckTx(tx=w.ledger.signed(LabAccount(lab.host_b.key), [message], nonce_lane=1))
    ask(w.app, finalize_block=w.block(w.ledger.signed(lab.host_b, [message])))
    assert ask(w.app, check_tx=again).check_tx.code == 0
    ask(w.app, commit=abci.RequestCommit())
    assert ask(w.app, check_tx=again).check_tx.code


@pytest.mark.parametrize("spoiled", ["power", "key", "one more", "none", "time", "height"])
def test_a_node_that_begins_otherwise_than_the_ledgers_genesis_is_refused(spoiled: str) -> None:
    """The ledger's genesis may stand in a genesis.json whose own fields name other validators or another time."""
    w = World.make()
    request = begin(w.ledger.genesis)
    match spoiled:
        case "power":
            request.validators[0].power += 1
        case "key":
            request.validators[0].pub_key.ed25519 = bytes(32)
        case "one more":
            request.validators.append(request.validators[0])
        case "none":
            del request.validators[:]
        case "time":
            request.time.seconds += 1
        case "height":
            request.initial_height = 2
    with pytest.raises(WrongGenesis):
        ask(w.app, init_chain=request)
    assert ask(w.app, init_chain=begin(w.ledger.genesis)).init_chain.app_hash == hashing.EMPTY_HASH


@pytest.mark.parametrize("spoiled", ["chain", "genesis", "state", "json"])
def test_another_ledgers_genesis_is_refused(spoiled: str) -> None:
    w = World.make()
    other = LabLedger("alpha-1", SimulatedClock(START), validators=4).genesis
    request = {
        "chain": begin(w.ledger.genesis, chain_id="beta-1"),
        "genesis": begin(other),
        "state": begin(w.ledger.genesis, state=b"{}"),
        "json": begin(w.ledger.genesis, state=b"\xff"),
    }[spoiled]
    with pytest.raises(WrongGenesis):
        ask(w.app, init_chain=request)
    assert w.app.height == 0


def test_blocks_follow_one_another() -> None:
    w = World.make().begun()
    w.block()
    with pytest.raises(OutOfStep):
        ask(w.app, finalize_block=w.block())
    with pytest.raises(OutOfStep):
        ask(w.app, commit=abci.RequestCommit())
    assert w.app.height == w.ledger.height - 2


def test_a_transaction_is_checked_once_and_anew_after_a_block() -> None:
    w = World.make().begun()
    w.play()
    data = w.transaction()
    assert ask(w.app, check_tx=abci.RequestCheckTx(tx=data)).check_tx.code == 0
    assert ask(w.app, check_tx=abci.RequestCheckTx(tx=data)).check_tx.code == 5  # its sequence is used up
    w.play()
    assert ask(w.app, check_tx=abci.RequestCheckTx(tx=data, type=abci.RECHECK)).check_tx.code == 0
    w.play(data)
    assert ask(w.app, check_tx=abci.RequestCheckTx(tx=data, type=abci.RECHECK)).check_tx.code == 5


def test_checks_between_execution_and_commit_go_by_the_committed_state() -> None:
    """A check before, one between, one after: the block's writes count for the last one alone."""
    w = World.make().begun()
    w.play()
    holder = account("holder")
    register = LabEndpoint(b"one", (holder.id,)).register()
    ours, another, third = (
        abci.RequestCheckTx(tx=w.ledger.signed(LabAccount(holder.key), [register], nonce_lane=lane))
        for lane in (1, 2, 3)
    )
    assert ask(w.app, check_tx=ours).check_tx.code == 0
    ask(w.app, finalize_block=w.block(third.tx))
    assert ask(w.app, check_tx=another).check_tx.log.startswith("endpoint.exists")  # after the one that waits
    fresh = account("fresh")
    other = abci.RequestCheckTx(tx=w.ledger.signed(fresh, [LabEndpoint(b"two", (fresh.id,)).register()]))
    assert ask(w.app, check_tx=other).check_tx.code == 0
    sequence = keys.sequence(holder.id, 3)
    assert w.app._checks._draft is not None
    assert (w.app._checks._draft.get(keys.ACCOUNT, sequence), w.app.state.get(keys.ACCOUNT, sequence) is None) == (
        None,
        False,
    )
    ask(w.app, commit=abci.RequestCommit())
    assert ask(w.app, check_tx=ours).check_tx.log.startswith("endpoint.exists")
    assert ask(w.app, check_tx=other).check_tx.code == 0


@pytest.mark.parametrize("length", [1, 126, 127, 128, 200, 16_383, 16_384])
def test_a_proposal_stays_within_the_nodes_bound(length: int) -> None:
    """One byte more would stop the proposer."""
    app = World.make().app
    size = 1 + len(uvarint(length)) + length
    for room, taken in ((3 * size, 3), (3 * size - 1, 2), (size - 1, 0)):
        request = abci.RequestPrepareProposal(max_tx_bytes=room, txs=[bytes(length)] * 4)
        assert len(ask(app, prepare_proposal=request).prepare_proposal.txs) == taken


def test_no_proposal_holds_what_the_ledger_takes_from_nobody() -> None:
    app = World.make().app
    most = app.genesis.parameters.max_tx_bytes
    for length, fits in ((most, True), (most + 1, False)):
        request = abci.RequestProcessProposal(txs=[b"x", bytes(length)])
        assert ask(app, process_proposal=request).process_proposal.status == (1 if fits else 2)
        prepared = abci.RequestPrepareProposal(max_tx_bytes=1 << 40, txs=[bytes(length), b"x"])
        assert ask(app, prepare_proposal=prepared).prepare_proposal.txs == ([bytes(most), b"x"] if fits else [b"x"])


def test_votes_carry_no_extension_and_no_snapshot_is_taken_in_without_bound_headers() -> None:
    app = World.make().app
    assert ask(app, extend_vote=abci.RequestExtendVote()).extend_vote.vote_extension == b""
    for extension, status in ((b"", 1), (b"x", 2)):
        request = abci.RequestVerifyVoteExtension(vote_extension=extension)
        assert ask(app, verify_vote_extension=request).verify_vote_extension.status == status
    assert not ask(app, list_snapshots=abci.RequestListSnapshots()).list_snapshots.snapshots
    assert ask(app, offer_snapshot=abci.RequestOfferSnapshot()).offer_snapshot.result == 2
    assert ask(app, process_proposal=abci.RequestProcessProposal()).process_proposal.status == 1
    assert app.answer(abci.Request()).WhichOneof("value") == "exception"


def framed(*requests: abci.Request) -> bytes:
    return b"".join(uvarint(len(data)) + data for data in (request.SerializeToString() for request in requests))


class TestSocket:
    """What a node sends, and what nobody should."""

    def serve(self, folder: Path, sent: bytes) -> tuple[bytes, list[LockgateError]]:
        """Send bytes to a fresh application; returns its answers, and what failed."""
        failures: list[LockgateError] = []

        async def work() -> bytes:
            server = AbciServer(World.make().app, folder / "app", failures.append)
            await server.start()
            try:
                reader, writer = await asyncio.open_unix_connection(folder / "app")
                writer.write(sent)
                writer.write_eof()
                return await asyncio.wait_for(reader.read(), 10)
            finally:
                await server.stop()

        return asyncio.run(work()), failures

    def test_requests_are_answered_in_their_order(self, tmp_path: Path) -> None:
        """Bytes as the specification gives them: an echo of "hi", and a flush."""
        sent = bytes.fromhex("060a040a026869") + bytes.fromhex("021200")
        assert self.serve(tmp_path, sent) == (bytes.fromhex("0612040a026869") + bytes.fromhex("021a00"), [])

    def test_a_failure_is_told_to_the_node_and_to_the_operator(self, tmp_path: Path) -> None:
        answer, failures = self.serve(tmp_path, framed(abci.Request(commit=abci.RequestCommit())))
        assert b"cometbft.out_of_step" in answer
        assert [type(failure) for failure in failures] == [OutOfStep]

    @pytest.mark.parametrize(
        "sent",
        [b"\x80", b"\xff" * 6, uvarint(1 << 30), b"\x05abc", b"\x03\xff\xff\xff"],
        ids=["half a length", "long length", "too long", "half a message", "no protobuf"],
    )
    def test_what_is_no_request_closes_the_connection(self, tmp_path: Path, sent: bytes) -> None:
        answer, failures = self.serve(tmp_path, sent)
        assert answer == b""
        assert [type(failure) for failure in failures] == [BadRequest]

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
    def test_messages_are_the_same_in_whatever_pieces_they_arrive(self, size: int) -> None:
        messages = [b"", b"x", bytes(127), bytes(range(200)) * 100, b"end"]
        sent = b"".join(uvarint(len(message)) + message for message in messages)
        frames = Frames()
        found = [each for at in range(0, len(sent), size) for each in frames.feed(sent[at : at + size])]
        assert found == messages
        frames.end()  # a connection may end between two messages

    def test_no_block_waits_for_all_the_checks_that_wait(self, tmp_path: Path) -> None:
        """Checks wait on one connection by the hundred when the node asks for a block on another."""
        order: list[str] = []

        class Told(CometBftApplication):
            def answer(self, request: abci.Request) -> abci.Response:
                order.append(str(request.WhichOneof("value")))
                return super().answer(request)

        async def work() -> None:
            w = World.make()
            state = MultiStore(keys.STORES, SqliteNodes(w.store.connection))
            server = AbciServer(Told(w.ledger.genesis, w.store, state, keep_versions=KEEP), tmp_path / "app", print)
            await server.start()
            try:
                _, consensus = await asyncio.open_unix_connection(tmp_path / "app")
                mempool_in, mempool = await asyncio.open_unix_connection(tmp_path / "app")
                proposal = abci.Request(process_proposal=abci.RequestProcessProposal())
                mempool.write(framed(abci.Request(flush=abci.RequestFlush())))
                assert await asyncio.wait_for(mempool_in.read(1), 10)
                mempool.write(framed(*[abci.Request(check_tx=abci.RequestCheckTx(tx=b"x"))] * 200))
                consensus.write(framed(proposal))
                async with asyncio.timeout(10):
                    while len(order) < 202:  # a flush, the checks, the proposal
                        await asyncio.sleep(0.001)
                mempool.close()
                consensus.close()
            finally:
                await server.stop()

        asyncio.run(work())
        assert order[1:].index("process_proposal") <= 2 * AT_ONCE

    def test_a_defect_of_ours_leaves_no_node_waiting(self, tmp_path: Path) -> None:
        class Broken(CometBftApplication):
            def answer(self, request: abci.Request) -> abci.Response:
                raise AssertionError("a defect")

        async def work() -> bytes:
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            w = World.make()
            state = MultiStore(keys.STORES, SqliteNodes(w.store.connection))
            server = AbciServer(Broken(w.ledger.genesis, w.store, state, keep_versions=KEEP), tmp_path / "app", print)
            await server.start()
            try:
                reader, writer = await asyncio.open_unix_connection(tmp_path / "app")
                writer.write(framed(abci.Request(flush=abci.RequestFlush())))
                return await asyncio.wait_for(reader.read(), 10)
            finally:
                await server.stop()

        assert asyncio.run(work()) == b""


def test_the_node_is_told_once_whose_power_changed() -> None:
    gov = lab_authority("authority")
    ledger = LabLedger("alpha-1", SimulatedClock(START), validators=4, spares=1, authority=(gov.key,))
    store = LedgerStore.in_memory()
    w = World(ledger, store, application(ledger.genesis, store)).begun()
    arguments = {"changes": [[ledger.spares[0].public_key, 7], [ledger.keys[0].public_key, 12]]}
    message = ledger.authorized(gov, "gov.announce", {"action": "validators.change", "arguments": arguments})
    told = [w.play(ledger.signed(ledger.clerk, [message]))]
    told += [w.play() for _ in range(ledger.genesis.parameters.authority_delay_blocks + 1)]
    assert [len(done.validator_updates) for done in told] == [0] * (len(told) - 2) + [2, 0]
    updates = {update.pub_key.ed25519: update.power for update in told[-2].validator_updates}
    assert updates == {ledger.spares[0].public_key: 7, ledger.keys[0].public_key: 12}
    assert told[-1].app_hash == ledger.chain.app_hash


def test_what_the_node_reports_of_a_validator_reaches_the_machine() -> None:
    ledger = LabLedger("alpha-1", SimulatedClock(START), validators=4)
    store = LedgerStore.in_memory()
    w = World(ledger, store, application(ledger.genesis, store)).begun()
    w.play()
    request = w.block()
    offender = address_of(ledger.keys[2].public_key)
    for kind in (0, 1, 2, 3):  # of which the machine has a rule for two
        reported = request.misbehavior.add(type=kind, height=2, total_voting_power=40)
        reported.validator.address, reported.validator.power, reported.time.seconds = offender, 10, 7
    done = ask(w.app, finalize_block=request).finalize_block
    assert [event.type for event in done.events] == [
        "validator_misbehaved",
        "validator_misbehaved",
        "validator_tombstoned",
        "validators_changed",
    ]
    assert [event.attributes[1].value for event in done.events[:2]] == ["duplicate vote", "light client attack"]
    (update,) = done.validator_updates
    assert (update.pub_key.ed25519, update.power) == (ledger.keys[2].public_key, 0)
    ask(w.app, commit=abci.RequestCommit())
    data = w.app.state.get(keys.GOVERNANCE, keys.offence(offender))
    assert data is not None
    assert OffenceRecord.from_bytes(data).time == 7 * NANOS_PER_SECOND


def test_old_versions_go(monkeypatch: pytest.MonkeyPatch) -> None:
    w = World.make().begun()
    monkeypatch.setattr("lockgate.engines.cometbft.application.PRUNE_EVERY", 1)
    w.app._keep_versions = 2
    for _ in range(4):
        w.play()
    query = {"path": "/store/rules/key", "data": keys.RULES_DOMAIN, "prove": True}
    assert ask(w.app, query=abci.RequestQuery(**query, height=w.app.height - 3)).query.code
    assert not ask(w.app, query=abci.RequestQuery(**query, height=w.app.height - 1)).query.code
