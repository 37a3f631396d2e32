"""Which of its blocks a node may let go: none that anybody still needs (I15, Commit's retain height)."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.codec.wire import abci_pb2 as abci
from lockgate.engines.cometbft import retention
from lockgate.engines.cometbft.application import CometBftApplication
from lockgate.engines.cometbft.retention import TooFewBlocks
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import expect, update
from lockgate.machine import keys
from lockgate.machine.genesis import Parameters
from lockgate.merkle.errors import NotAvailable
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.time import seconds
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes
from lockgate.storage.snapshots import SnapshotFiles
from tests.support.dead_lanes import PERIOD_DAYS, close_lane, pass_days, status
from tests.support.lab import World as LabWorld
from tests.unit.engines.test_cometbft_application import World, ask
from tests.unit.engines.test_cometbft_state_sync import registration

BLOCKS = 4
PERIOD_S = 12
PARAMETERS = Parameters(header_trail=True)


class Node:
    """A node beside one ledger of a lab world. Blocks are played as they were made."""

    def __init__(self, lab: LabWorld, ledger: LabLedger, folder: Path, blocks: int = BLOCKS) -> None:
        self.lab, self.folder, self.blocks = lab, folder, blocks
        self.store = LedgerStore.in_memory()
        self.world = World(ledger, self.store, self.application(ledger))
        self.retained = 0
        self.world.begun()
        self.idle()

    def application(self, ledger: LabLedger) -> CometBftApplication:
        state = MultiStore(keys.STORES, SqliteNodes(self.store.connection))
        return CometBftApplication(
            ledger.genesis,
            self.store,
            state,
            keep_versions=100,
            keep_blocks=self.blocks,
            snapshots=SnapshotFiles(self.folder / "snapshots"),
            snapshot_every=5,
        )

    @property
    def app(self) -> CometBftApplication:
        return self.world.app

    def idle(self) -> None:
        while self.app.idle():
            pass

    def play(self) -> int:
        """Play what the ledger has made and one block more, which tells the node what it may let go."""
        for _ in range(2):  # what a look found is told with the next block
            self.world.ledger.block()
            for height in range(self.app.height + 1, self.world.ledger.height + 1):
                ask(self.app, finalize_block=self.world.handed_over(height))
                self.retained = ask(self.app, commit=abci.RequestCommit()).commit.retain_height
                self.idle()
        return self.retained

    def later(self, changes: int = 12) -> int:
        """Let a period pass, with some blocks that change the state; returns what may go then."""
        for _ in range(changes):
            self.world.ledger.block(registration(self.world.ledger))
            self.lab.clock.advance(seconds(PERIOD_S // changes + 1))
            self.play()
        return self.play()

    @property
    def snapshots(self) -> list[int]:
        listed = ask(self.app, list_snapshots=abci.RequestListSnapshots()).list_snapshots.snapshots
        return [each.height for each in listed]


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> LabWorld:
    monkeypatch.setattr(retention, "EVERY", 1)
    monkeypatch.setattr(retention, "TRUSTED", seconds(PERIOD_S))
    return LabWorld.make(PARAMETERS)


def test_nothing_goes_where_nobody_said_so(lab: LabWorld, tmp_path: Path) -> None:
    node = Node(lab, lab.a.ledger, tmp_path, blocks=0)
    assert node.later() == 0
    assert node.store.meta(retention.STORE) is None


def test_old_blocks_go_and_those_of_the_older_snapshot_stay(
    lab: LabWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "TRUSTED", seconds(1))
    node = Node(lab, lab.a.ledger, tmp_path, blocks=1)
    assert node.play() == 0
    retained = node.later()
    assert 1 < retained == min(node.snapshots)


def test_old_blocks_go_and_the_newest_ones_stay(lab: LabWorld, tmp_path: Path) -> None:
    node = Node(lab, lab.a.ledger, tmp_path, blocks=25)
    node.later()
    assert node.later() == node.app.height - 25  # 25 were left when the node looked, a block ago


def test_no_block_goes_that_a_client_may_still_trust(lab: LabWorld, tmp_path: Path) -> None:
    node = Node(lab, lab.a.ledger, tmp_path)
    node.later()
    young = node.app.height
    lab.clock.advance(seconds(1))
    for _ in range(10):
        node.world.ledger.block(registration(node.world.ledger))
        node.lab.clock.advance(seconds(PERIOD_S // 12))
        assert node.play() <= young  # less than a period has passed since


def test_nothing_goes_before_there_is_a_snapshot(
    lab: LabWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(lab, lab.a.ledger, tmp_path)
    monkeypatch.setattr(node.app._retaining, "_snapshots", list)
    assert node.later() == 0


def test_what_is_open_keeps_its_block_and_all_after_it(lab: LabWorld, tmp_path: Path) -> None:
    """A packet that was sent, on its sender's ledger; one that waits, then its answer, on its receiver's."""
    packet = lab.send()
    sent = lab.a.ledger.height - 1  # its block; the one after it has the root
    source = Node(lab, lab.a.ledger, tmp_path / "a")
    expect(lab.deliver(packet))
    received = lab.b.ledger.height - 1
    destination = Node(lab, lab.b.ledger, tmp_path / "b")
    assert source.later() == sent
    assert destination.later() == received
    result = lab.answer(packet)
    answered = lab.b.ledger.height - 1
    assert destination.later() == answered
    expect(lab.acknowledge(packet, lab.acknowledgement(result, packet)))
    assert source.later() > sent
    assert destination.later() == answered  # nobody has proven to this ledger that it arrived


def test_a_look_that_outlives_its_version_lets_nothing_go(lab: LabWorld, tmp_path: Path) -> None:
    node = Node(lab, lab.a.ledger, tmp_path)
    node.later()
    before = node.app._retaining.height

    def gone() -> object:
        raise NotAvailable("pruned", version=1, newest=2)
        yield

    node.app._retaining._looking = gone()  # type: ignore[assignment]  # of a version that was let go
    assert not node.app._retaining.step()
    assert (node.app._retaining.height, node.app._retaining._looking) == (before, None)


@pytest.mark.parametrize(
    ("versions", "blocks", "fits"),
    [(100, 0, True), (99, 0, False), (100, 99_999, False), (100, 100_000, True), (100, 149_999, False)],
)
def test_no_less_is_kept_than_the_ledger_and_evidence_need(versions: int, blocks: int, fits: bool) -> None:
    parameters = Parameters(header_memory=150_000 if blocks == 149_999 else 10_000)
    if fits:
        retention.check(parameters, versions, blocks)
        return
    with pytest.raises(TooFewBlocks):
        retention.check(parameters, versions, blocks)


def test_what_nobody_can_end_over_a_dead_client_keeps_its_block_for_a_while(lab: LabWorld, tmp_path: Path) -> None:
    """Anybody can make a ledger, a lane to it and a packet: no node may keep its blocks for ever because of that."""
    lab.send()
    sent = lab.a.ledger.height - 1
    node = Node(lab, lab.a.ledger, tmp_path)
    assert node.later() == sent
    pass_days(lab, PERIOD_DAYS + 1)
    assert status(lab.a) == "Expired"
    assert node.later() == sent, "the authority may still recover the client"
    pass_days(lab, PERIOD_DAYS - 2)
    assert node.later() == sent
    pass_days(lab, 2)
    assert node.later() > sent


def test_a_packet_that_waits_long_over_a_client_that_lives_keeps_its_block(lab: LabWorld, tmp_path: Path) -> None:
    lab.send()
    sent = lab.a.ledger.height - 1
    node = Node(lab, lab.a.ledger, tmp_path)
    for _ in range(5):
        pass_days(lab, PERIOD_DAYS - 1)
        update(lab.a, lab.b.ledger)
    assert node.later() == sent


def test_an_answer_over_a_dead_client_and_what_a_closed_lane_left_keep_nothing(lab: LabWorld, tmp_path: Path) -> None:
    packet, _ = lab.send(), lab.send()
    sent = lab.a.ledger.height - 3
    expect(lab.deliver(packet))
    expect(lab.answer(packet))
    answered = lab.b.ledger.height - 1
    source, destination = Node(lab, lab.a.ledger, tmp_path / "a"), Node(lab, lab.b.ledger, tmp_path / "b")
    assert source.later() == sent
    assert destination.later() == answered
    close_lane(lab, lab.a)
    assert source.later() > sent
    pass_days(lab, 2 * PERIOD_DAYS + 1)
    assert destination.later() > answered
