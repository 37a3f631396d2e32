"""A node that has nothing takes the state from others, and believes none of them (P9, S65)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lockgate.codec.wire import abci_pb2 as abci
from lockgate.engines.cometbft import sending, snapshot
from lockgate.engines.cometbft.application import CometBftApplication
from lockgate.engines.cometbft.snapshot import BadSnapshot, Body, Header, Item, Metadata, decode, digest, encode
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import expect
from lockgate.machine import history, keys
from lockgate.machine.context import OwnHeader
from lockgate.machine.genesis import Parameters
from lockgate.machine.history import TrailRecord
from lockgate.machine.schemas import RECORDS
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import UnixNanos
from lockgate.storage.ledger import LedgerStore, StoreBroken, StoreFull
from lockgate.storage.nodes import SqliteNodes
from lockgate.storage.snapshots import SnapshotFiles
from tests.support.lab import START, account
from tests.support.lab import World as LabWorld
from tests.unit.engines.test_cometbft_application import World, ask, begin

MEMORY = 12  # own headers
EVERY = 5  # blocks between snapshots
PARAMETERS = Parameters(header_trail=True, header_memory=MEMORY)
ACCEPT, ABORT, REJECT, REJECT_FORMAT, REJECT_SENDER = range(1, 6)
RETRY, REJECT_SNAPSHOT = 3, 5


def application(ledger: LabLedger, store: LedgerStore, folder: Path) -> CometBftApplication:
    state = MultiStore(keys.STORES, SqliteNodes(store.connection))
    return CometBftApplication(
        ledger.genesis, store, state, keep_versions=100, snapshots=SnapshotFiles(folder), snapshot_every=EVERY
    )


def registration(ledger: LabLedger) -> bytes:
    """A transaction that changes the state: somebody new registers an endpoint."""
    holder = account(f"holder {ledger.height}")
    return ledger.signed(holder, [LabEndpoint(b"endpoint %d" % ledger.height, (holder.id,)).register()])


@dataclass
class Cluster:
    """A node with the state and snapshots of it, and one with nothing."""

    world: World
    folder: Path
    new: CometBftApplication
    new_store: LedgerStore

    @classmethod
    def make(cls, folder: Path, *, blocks: int = 23, store: LedgerStore | None = None) -> Cluster:
        ledger = LabLedger("alpha-1", SimulatedClock(START), parameters=PARAMETERS)
        old = LedgerStore.in_memory()
        world = World(ledger, old, application(ledger, old, folder / "old"))
        world.begun()
        while ledger.height < blocks:
            # Every third block changes something.
            txs = [registration(ledger)] if ledger.height % 3 == 0 else []
            world.play(*txs)
            while world.app.idle():
                pass
        target = store or LedgerStore.in_memory()
        return cls(world, folder, application(ledger, target, folder / "new"), target)

    @property
    def old(self) -> CometBftApplication:
        return self.world.app

    def listed(self) -> list[abci.Snapshot]:
        return list(ask(self.old, list_snapshots=abci.RequestListSnapshots()).list_snapshots.snapshots)

    def proven(self, height: int) -> bytes:
        """The app hash in the header of the next height, as a light client has it."""
        return self.world.ledger.chain.signed_header(height + 1).header.app_hash

    def offer(self, given: abci.Snapshot | None = None, app_hash: bytes | None = None) -> int:
        offered = given or self.listed()[0]
        proven = self.proven(offered.height) if app_hash is None else app_hash
        request = abci.RequestOfferSnapshot(snapshot=offered, app_hash=proven)
        return ask(self.new, offer_snapshot=request).offer_snapshot.result

    def chunk(self, index: int, height: int = 0) -> bytes:
        at = height or self.listed()[0].height
        request = abci.RequestLoadSnapshotChunk(height=at, format=1, chunk=index)
        return ask(self.old, load_snapshot_chunk=request).load_snapshot_chunk.chunk

    def apply(self, index: int, chunk: bytes | None = None, sender: str = "one") -> abci.ResponseApplySnapshotChunk:
        request = abci.RequestApplySnapshotChunk(
            index=index, chunk=self.chunk(index) if chunk is None else chunk, sender=sender
        )
        return ask(self.new, apply_snapshot_chunk=request).apply_snapshot_chunk

    def sync(self) -> int:
        """Offer the newest snapshot and send all of it; returns its height."""
        offered = self.listed()[0]
        assert self.offer(offered) == ACCEPT
        for index in range(offered.chunks):
            assert self.apply(index).result == ACCEPT
        return offered.height

    def forged(self, change: Callable[[list[Item]], list[Item]]) -> tuple[abci.Snapshot, list[bytes]]:
        """A snapshot of the true roots, whose chunks are not the true ones but fit its own hashes."""
        true = Metadata.from_bytes(self.listed()[0].metadata)
        items = [item for index in range(len(true.chunks)) for item in decode(self.chunk(index))]
        chunks = [b"".join(map(encode, change(items)))]
        metadata = replace(true, chunks=tuple(map(digest, chunks))).to_bytes()
        made = abci.Snapshot(height=true.height, format=1, chunks=1, hash=digest(metadata), metadata=metadata)
        return made, chunks

    def empty(self) -> bool:
        """Has the new node kept nothing, and can it begin as if nothing had been?"""
        found = ask(self.new, info=abci.RequestInfo()).info
        rows = self.new_store.connection.execute(
            "SELECT (SELECT count(*) FROM tree_node) + (SELECT count(*) FROM tree_roots) + (SELECT count(*) FROM body)"
            " + (SELECT count(*) FROM meta WHERE name LIKE 'header%')"
        ).fetchone()[0]
        return (found.last_block_height, rows) == (0, 0)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster.make(tmp_path)


def test_S65_a_node_with_nothing_takes_the_state_and_goes_on_like_the_others(cluster: Cluster) -> None:
    height = cluster.sync()
    found = ask(cluster.new, info=abci.RequestInfo()).info
    assert (found.last_block_height, found.last_block_app_hash) == (height, cluster.proven(height))
    ledger = cluster.world.ledger
    for at in range(height + 1, ledger.height + 1):
        request = cluster.world.handed_over(at)
        done = ask(cluster.new, finalize_block=request).finalize_block
        ask(cluster.new, commit=abci.RequestCommit())
        row = ledger.chain.store.block(at)
        assert row is not None
        assert done.app_hash == row.app_hash
    for at in range(ledger.height - MEMORY + 1, ledger.height + 1):
        assert cluster.new.own_header(at) == ledger.chain.own_header(at)
    data = b"".join(value for _, value in cluster.new.state.scan("endpoint", b"\x00", b"\xff" * 99))
    assert data == b"".join(value for _, value in ledger.chain.view().scan("endpoint", b"\x00", b"\xff" * 99))
    query = abci.RequestQuery(path="/store/rules/key", data=keys.RULES_DOMAIN, prove=True)
    assert ask(cluster.new, query=query).query == ask(cluster.old, query=query).query


def test_a_node_that_took_the_state_in_gives_it_out_alike(cluster: Cluster, tmp_path: Path) -> None:
    """Snapshots are of the same heights and the same bytes on every node, wherever its state came from."""
    height = cluster.sync()
    world = cluster.world
    replica = World(world.ledger, cluster.new_store, cluster.new)
    while cluster.listed()[0].height == height:
        request = world.block(registration(world.ledger))
        start = replica.app.height + 1
        for at in range(start, request.height + 1):
            for each in (world, replica):
                if each.app.height < at:
                    ask(each.app, finalize_block=world.handed_over(at))
                    ask(each.app, commit=abci.RequestCommit())
                    while each.app.idle():
                        pass
    theirs = ask(cluster.new, list_snapshots=abci.RequestListSnapshots()).list_snapshots.snapshots
    assert theirs[0] == cluster.listed()[0]


def test_snapshots_are_of_blocks_that_changed_something_and_two_are_kept(cluster: Cluster) -> None:
    heights = [each.height for each in cluster.listed()]
    assert len(heights) == sending.KEPT
    assert heights == sorted(heights, reverse=True)
    for height in heights:
        data = cluster.old.state.view(height).get(keys.LOG, keys.TRAIL)
        assert data is not None
        assert TrailRecord.from_bytes(data).height == height
    assert [height // EVERY for height in heights] == [4, 3]
    assert cluster.chunk(99) == b""
    assert cluster.chunk(0, height=1) == b""


def test_the_link_covers_every_header_and_quiet_blocks_change_no_root(cluster: Cluster) -> None:
    ledger = cluster.world.ledger
    link = history.START
    for height in range(1, ledger.height + 1):
        own = ledger.chain.own_header(height)
        assert own is not None
        link = history.follow(link, height, own)
        data = ledger.chain.state.view(height).get(keys.LOG, keys.TRAIL) if height > 1 else None
        row, before = ledger.chain.store.block(height), ledger.chain.store.block(height - 1)
        assert row is not None
        if data is not None and before is not None and row.app_hash != before.app_hash:
            RECORDS["trail"].validate(data)
            assert TrailRecord.from_bytes(data) == TrailRecord(height, link)
    hashes = [cluster.proven(height) for height in range(14, 17)]
    assert len(set(hashes)) < len(hashes), "quiet blocks there are"
    other = own._replace(time=UnixNanos(own.time + 1))  # type: ignore[union-attr]  # the last one
    assert history.follow(link, 1, other) != history.follow(link, 1, own)  # type: ignore[arg-type]


def test_a_wrong_chunk_is_asked_for_again_of_somebody_else(cluster: Cluster) -> None:
    assert cluster.offer() == ACCEPT
    good = cluster.chunk(0)
    answer = cluster.apply(0, good[:-1] + bytes([good[-1] ^ 1]), sender="liar")
    assert (answer.result, list(answer.refetch_chunks), list(answer.reject_senders)) == (RETRY, [0], ["liar"])
    assert cluster.apply(7, good).result == RETRY
    assert cluster.apply(0, good).result == ACCEPT
    assert cluster.new.height == cluster.listed()[0].height


OFFERS: dict[str, tuple[Callable[[abci.Snapshot], None], int]] = {
    "format": (lambda given: setattr(given, "format", 2), REJECT_FORMAT),
    "height": (lambda given: setattr(given, "height", given.height - 1), REJECT_SENDER),
    "chunks": (lambda given: setattr(given, "chunks", given.chunks + 1), REJECT_SENDER),
    "hash": (lambda given: setattr(given, "hash", bytes(32)), REJECT_SENDER),
    "metadata": (lambda given: setattr(given, "metadata", given.metadata[:-1]), REJECT_SENDER),
    "no metadata": (lambda given: setattr(given, "metadata", b""), REJECT_SENDER),
}


@pytest.mark.parametrize("name", OFFERS)
def test_an_offer_that_does_not_fit_is_rejected(cluster: Cluster, name: str) -> None:
    change, result = OFFERS[name]
    given = cluster.listed()[0]
    change(given)
    assert cluster.offer(given) == result
    assert cluster.apply(0, cluster.chunk(0)).result == ABORT
    assert cluster.empty()


def test_an_offer_of_another_root_than_the_proven_one_is_rejected(cluster: Cluster) -> None:
    assert cluster.offer(app_hash=cluster.proven(1)) == REJECT_SENDER
    assert cluster.empty()


def test_a_node_that_has_a_state_takes_none_in(cluster: Cluster) -> None:
    cluster.sync()
    assert cluster.offer() == ABORT
    assert ask(cluster.old, offer_snapshot=abci.RequestOfferSnapshot()).offer_snapshot.result == ABORT


def another_header(items: list[Item]) -> list[Item]:
    place = next(place for place, item in enumerate(items) if isinstance(item, Header))
    header = items[place]
    assert isinstance(header, Header)
    spoiled = Header(header.height, header.header._replace(app_hash=bytes(32)))
    return [*items[:place], spoiled, *items[place + 1 :]]


def without(kind: type) -> Callable[[list[Item]], list[Item]]:
    def change(items: list[Item]) -> list[Item]:
        place = next(place for place, item in enumerate(items) if isinstance(item, kind))
        return [*items[:place], *items[place + 1 :]]

    return change


def another_value(items: list[Item]) -> list[Item]:
    place = next(place for place, item in enumerate(items) if isinstance(item, snapshot.Part) and not item.height)
    part = items[place]
    assert isinstance(part, snapshot.Part)
    return [*items[:place], part._replace(value=b"forged"), *items[place + 1 :]]


FORGERIES: dict[str, Callable[[list[Item]], list[Item]]] = {
    "a header": another_header,
    "no link": without(snapshot.Link),
    "a header is missing": without(Header),
    "a value": another_value,
    "a leaf is missing": without(snapshot.Part),
    "a store is missing": without(snapshot.Store),
    "a packet nobody waits for": lambda items: [Body(b"key", b"data"), *items],
    "packets last": lambda items: [*items, Body(b"key", b"data")],
    "the link twice": lambda items: [next(i for i in items if isinstance(i, snapshot.Link)), *items],
    "cut short": lambda items: items[:-1],
    "nothing": lambda items: items[:1],
}


@pytest.mark.parametrize("name", FORGERIES)
def test_P9_what_is_not_the_proven_state_is_refused_whole_and_its_senders_named(cluster: Cluster, name: str) -> None:
    given, chunks = cluster.forged(FORGERIES[name])
    assert cluster.offer(given) == ACCEPT, "its roots are the true ones"
    answer = cluster.apply(0, chunks[0], sender="liar")
    assert (answer.result, list(answer.reject_senders)) == (REJECT_SNAPSHOT, ["liar"])
    assert cluster.empty()
    assert cluster.sync() == given.height, "the next one is taken in"


def test_a_snapshot_half_taken_in_is_gone_after_a_kill(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "CHUNK_BYTES", 2_000)
    world = cluster.world
    height = cluster.listed()[0].height
    while cluster.listed()[0].height == height:
        world.play(registration(world.ledger))
        while cluster.old.idle():
            pass
    world.play()
    offered = cluster.listed()[0]
    assert offered.chunks > 3
    assert cluster.offer(offered) == ACCEPT
    for index in range(offered.chunks - 1):
        assert cluster.apply(index).result == ACCEPT
    assert ask(cluster.new, info=abci.RequestInfo()).info.last_block_height == 0
    cluster.new.close()  # what SQLite does for a process that dies
    assert cluster.empty()
    cluster.new = application(world.ledger, cluster.new_store, cluster.folder / "new")
    assert ask(cluster.new, init_chain=begin(world.ledger.genesis)).init_chain.app_hash
    assert cluster.sync() == offered.height


def test_packets_that_wait_come_along_and_are_what_the_state_says(tmp_path: Path) -> None:
    lab = LabWorld.make(PARAMETERS)
    packet = lab.send()
    expect(lab.deliver(packet))
    ledger = lab.b.ledger
    old = LedgerStore.in_memory()
    world = World(ledger, old, application(ledger, old, tmp_path / "old"))
    target = LedgerStore.in_memory()
    cluster = Cluster(world, tmp_path, application(ledger, target, tmp_path / "new"), target)
    world.begun()
    while not cluster.listed() or cluster.listed()[0].height // EVERY < ledger.height // EVERY:
        world.play(registration(ledger))
        while cluster.old.idle():
            pass
    world.play()
    ((key, data),) = old.bodies()
    for change in (
        lambda items: [item._replace(data=b"forged") if isinstance(item, Body) else item for item in items],
        without(Body),
    ):
        given, chunks = cluster.forged(change)
        assert cluster.offer(given) == ACCEPT
        assert cluster.apply(0, chunks[0]).result == REJECT_SNAPSHOT
        assert cluster.empty()
    cluster.sync()
    assert list(target.bodies()) == [(key, data)]
    expect(lab.answer(packet))
    for at in range(cluster.new.height + 1, ledger.height + 1):
        done = ask(cluster.new, finalize_block=world.handed_over(at)).finalize_block
        ask(cluster.new, commit=abci.RequestCommit())
    assert done.app_hash == ledger.chain.app_hash
    assert list(target.bodies()) == []


def test_another_offer_takes_the_place_of_a_half_taken_one(cluster: Cluster) -> None:
    assert cluster.offer() == ACCEPT
    older = cluster.listed()[1]
    assert cluster.offer(older) == ACCEPT
    for index in range(older.chunks):
        assert cluster.apply(index, cluster.chunk(index, older.height)).result == ACCEPT
    assert cluster.new.height == older.height


def test_a_ledger_that_binds_no_headers_offers_nothing(tmp_path: Path) -> None:
    ledger = LabLedger("alpha-1", SimulatedClock(START))
    store = LedgerStore.in_memory()
    world = World(ledger, store, application(ledger, store, tmp_path)).begun()
    for _ in range(EVERY + 1):
        world.play(registration(ledger))
    assert not world.app.idle()
    assert not ask(world.app, list_snapshots=abci.RequestListSnapshots()).list_snapshots.snapshots


@pytest.mark.parametrize(
    "chunk",
    [b"\x00", b"\x07", b"\x01", b"\x01\x05ab", b"\x02abc", b"\x03\x01\x01" + bytes(63), b"\x06\x01\x00\x01a",
     b"\xff" * 20, b"\x01" + b"\xff" * 9 + b"\x01"],
)  # fmt: skip
def test_bytes_that_are_no_items_are_refused(chunk: bytes) -> None:
    with pytest.raises(BadSnapshot):
        list(decode(chunk))


def test_items_come_back_as_they_were_written() -> None:
    own = OwnHeader(UnixNanos(START), bytes(range(32)), bytes(32))
    items: list[Item] = [
        Body(b"key", b"data" * 99),
        snapshot.Link(bytes(32)),
        Header(1 << 40, own),
        snapshot.Store("ibc"),
        snapshot.Part(300, 0, b"k", b"v"),
        snapshot.Part(300, 5, b"k", b""),
    ]
    assert list(decode(b"".join(map(encode, items)))) == items


def drained(app: CometBftApplication) -> None:
    while app.idle():
        pass


def play_on(cluster: Cluster, app: CometBftApplication) -> None:
    """Hand the ledger's further blocks over."""
    for at in range(app.height + 1, cluster.world.ledger.height + 1):
        ask(app, finalize_block=cluster.world.handed_over(at))
        ask(app, commit=abci.RequestCommit())


def test_a_snapshot_holds_what_later_blocks_took_away_before_it_was_written(tmp_path: Path) -> None:
    """A busy node steps seldom: headers leave the ledger's memory, and packets that waited are answered, meanwhile."""
    lab = LabWorld.make(PARAMETERS)
    packet = lab.send()
    expect(lab.deliver(packet))
    ledger = lab.b.ledger
    old, target = LedgerStore.in_memory(), LedgerStore.in_memory()
    world = World(ledger, old, application(ledger, old, tmp_path / "old"))
    cluster = Cluster(world, tmp_path, application(ledger, target, tmp_path / "new"), target)
    world.begun()
    drained(cluster.old)
    ((key, data),) = old.bodies()
    before = cluster.listed()[0].height
    while ledger.height // EVERY == before // EVERY or ledger.height % EVERY:
        world.play(registration(ledger))
    height = ledger.height
    expect(lab.answer(packet))
    play_on(cluster, cluster.old)
    assert list(old.bodies()) == []
    while ledger.height < height + MEMORY + 1:
        world.play(registration(ledger))
    assert cluster.old.own_header(height - MEMORY + 1) is None, "the first header that belongs to it is gone"
    drained(cluster.old)
    assert cluster.listed()[0].height == height
    assert cluster.sync() == height
    assert list(target.bodies()) == [(key, data)]
    play_on(cluster, cluster.new)
    assert list(target.bodies()) == []


def test_what_is_copied_for_a_snapshot_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "COPIED_BYTES", 10)
    lab = LabWorld.make(PARAMETERS)
    packet = lab.send()
    expect(lab.deliver(packet))
    ledger, old = lab.b.ledger, LedgerStore.in_memory()
    world = World(ledger, old, application(ledger, old, tmp_path / "old"))
    cluster = Cluster(world, tmp_path, world.app, old)
    world.begun()
    drained(cluster.old)
    before = cluster.listed()[0].height
    while ledger.height // EVERY == before // EVERY or ledger.height % EVERY:
        world.play(registration(ledger))
    height = ledger.height
    expect(lab.answer(packet))
    play_on(cluster, cluster.old)
    drained(cluster.old)
    assert cluster.listed()[0].height == before, "this one is given up"
    while ledger.height // EVERY == height // EVERY:
        world.play(registration(ledger))
    drained(cluster.old)
    assert cluster.listed()[0].height > height, "and the next one comes through"


@pytest.mark.parametrize("method", ["begin", "add_chunk", "finish"])
@pytest.mark.parametrize("failure", [StoreFull, StoreBroken])
def test_no_block_waits_for_a_snapshot_that_cannot_be_written(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, method: str, failure: type[LockgateError]
) -> None:
    def refuse(*_: object) -> None:
        raise failure("no space for a snapshot")

    world, before = cluster.world, cluster.listed()[0].height
    with monkeypatch.context() as full:
        full.setattr(SnapshotFiles, method, refuse)
        while world.ledger.height // EVERY == before // EVERY:
            world.play(registration(world.ledger))
        with pytest.raises(failure):
            drained(cluster.old)
        drained(cluster.old)
        world.play(registration(world.ledger))
        assert cluster.listed()[0].height == before
    while world.ledger.height // EVERY < before // EVERY + 2:
        world.play(registration(world.ledger))
    drained(cluster.old)
    assert cluster.listed()[0].height // EVERY == before // EVERY + 2
    world.play()
    assert cluster.sync() == cluster.listed()[0].height


def test_what_waits_cannot_be_listed_and_the_block_is_committed(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: LedgerStore) -> list[bytes]:
        raise StoreBroken("the table does not read")

    world, before = cluster.world, cluster.listed()[0].height
    monkeypatch.setattr(LedgerStore, "body_keys", broken)
    while world.ledger.height // EVERY == before // EVERY:
        world.play(registration(world.ledger))
    assert cluster.old.height == world.ledger.height
    with pytest.raises(StoreBroken):
        cluster.old.idle()
    assert not cluster.old.idle(), "it is told once"


def test_a_snapshot_with_damaged_metadata_is_none(cluster: Cluster) -> None:
    newest, older = (each.height for each in cluster.listed())
    (cluster.folder / "old" / str(newest) / "metadata").write_bytes(b"damaged")
    assert [each.height for each in cluster.listed()] == [older]


def test_chunks_longer_than_anybody_makes_and_headers_above_the_snapshot_are_refused(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not verified before the end must not fill the disk until then."""
    true = Metadata.from_bytes(cluster.listed()[0].metadata)
    own = OwnHeader(UnixNanos(START), bytes(32), bytes(32))
    link = encode(snapshot.Link(bytes(32)))
    first = true.height - MEMORY + 1
    headers = [encode(Header(height, own)) for height in range(first, true.height + 2)]
    monkeypatch.setattr(snapshot, "CHUNK_BYTES", len(link) + sum(map(len, headers[:-1])))
    body = encode(Body(b"key", bytes(4_096)))
    for chunk, result in (
        (link + b"".join(headers[:-1]), ACCEPT),
        (link + b"".join(headers), REJECT_SNAPSHOT),
        (body, ACCEPT),
        (body + encode(Body(b"kez", b"x")), REJECT_SNAPSHOT),
    ):
        metadata = replace(true, chunks=(digest(chunk), bytes(32))).to_bytes()
        made = abci.Snapshot(height=true.height, format=1, chunks=2, hash=digest(metadata), metadata=metadata)
        assert cluster.offer(made) == ACCEPT
        assert cluster.apply(0, chunk).result == result
    monkeypatch.undo()
    above = [link + b"".join(headers[:-1]), headers[-1]]
    metadata = replace(true, chunks=(*map(digest, above), bytes(32))).to_bytes()
    made = abci.Snapshot(height=true.height, format=1, chunks=3, hash=digest(metadata), metadata=metadata)
    assert cluster.offer(made) == ACCEPT
    assert cluster.apply(0, above[0]).result == ACCEPT
    assert cluster.apply(1, above[1]).result == REJECT_SNAPSHOT
    assert cluster.empty()
