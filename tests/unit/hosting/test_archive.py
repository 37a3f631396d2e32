"""A host whose archive forgets: bodies go with their time, and nothing that is open goes with them (P18)."""

from __future__ import annotations

from pathlib import Path

from lockgate.keystore.software import OsEntropy
from lockgate.storage.archive import Archive
from lockgate.storage.host import HostStore
from tests.support import probe
from tests.support.hosts import HostWorld, Side, in_world
from tests.support.talking import ask, restarted

KEEP_S = 400
BODY = probe.write(b"k", b"a value that nobody is to find later")


async def archived(world: HostWorld, side: Side, folder: Path) -> None:
    """The host goes on with an archive that forgets, over the file it had."""
    archive = Archive.open(folder / side.name, KEEP_S, OsEntropy())
    side.store = HostStore(side.store.connection, None, archive)
    await restarted(world, side)


@in_world(sessions=True)
async def test_P18_bodies_go_from_both_hosts_when_their_time_has_passed(world: HostWorld, tmp_path: Path) -> None:
    for side in world.sides:
        await archived(world, side, tmp_path)
    await ask(world, world.a, BODY)
    (sent,) = [row for row in world.a.store.all_sent() if row.purpose == "message"]
    assert sent.sequence is not None
    assert (sent.body, world.b.seen(sent.sequence).body) == (BODY, BODY)
    for side in world.sides:
        assert BODY not in side.store.connection.serialize()
    world.pass_time(KEEP_S)
    await world.settle()
    assert world.b.seen(sent.sequence).body == BODY
    world.pass_time(KEEP_S // 4 + 1)
    await world.settle()
    gone, received = world.a.store.sent(sent.ref), world.b.seen(sent.sequence)
    assert gone is not None
    assert (gone.state, gone.erased, received.state, received.erased) == ("acknowledged", True, "answered", True)
    await ask(world, world.a, probe.write(b"k", b"w"))
    assert world.b.get(b"k") == b"w"


@in_world(sessions=True)
async def test_a_host_that_rests_forgets_by_the_ledgers_time_alone(world: HostWorld, tmp_path: Path) -> None:
    await archived(world, world.b, tmp_path)
    await ask(world, world.a, BODY)
    world.clock.advance(2 * KEEP_S * 1_000_000_000)  # no header shows it
    await world.turn(world.b)
    rows = world.b.store.all_seen(10)
    assert [row.erased for row in rows] == [False]
    world.pass_time(1)
    await world.turn(world.b)
    assert [row.erased for row in world.b.store.all_seen(10)] == [True]


@in_world(sessions=True)
async def test_a_deferred_message_goes_once_its_deadline_has_passed(world: HostWorld, tmp_path: Path) -> None:
    await archived(world, world.b, tmp_path)
    await ask(world, world.a, probe.defer())
    (row,) = world.b.store.all_seen(10)
    assert (row.state, row.body) == ("deferred", probe.defer())
    world.pass_time(KEEP_S * 5 // 4 + 1)  # its deadline has passed as well: the ledger has refused it
    await world.turn(world.b)
    (row,) = world.b.store.all_seen(10)
    assert row.erased
