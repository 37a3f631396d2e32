"""A power cut takes back what was not written durably; the keys of what ended are gone for good (P18)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lockgate.session import Book
from lockgate.storage.host import Ended, HostStore
from tests.support import probe
from tests.support.hosts import HostWorld, Side, copy_of, in_world
from tests.support.talking import ask, restarted

OPEN = ("staged", "sent")


class LosingStore(HostStore):
    """Keeps beside itself the file that a power cut would leave: of the last durable transaction."""

    def __init__(self, of: HostStore) -> None:
        super().__init__(of.connection, None)
        self.left = copy_of(self)

    @contextmanager
    def commit(self, *, durable: bool = False) -> Iterator[None]:
        with super().commit(durable=durable):
            yield
        if durable:
            self.left = copy_of(self)


@dataclass
class WatchedVault:
    """Meets `hosting.sessions.Vault`; each save is durable. Keeps what a power cut after each of them would leave."""

    store: LosingStore
    book: bytes | None
    left: list[tuple[HostStore, bytes, set[bytes]]] = field(default_factory=list)

    def load(self) -> bytes | None:
        return self.book

    def save(self, book: bytes, /) -> None:
        before = set() if self.book is None else set(Book.from_bytes(self.book).awaited)
        self.left.append((self.store.left, book, before - set(Book.from_bytes(book).awaited)))
        self.book = book


async def watched(world: HostWorld, side: Side) -> WatchedVault:
    """The host goes on in a process whose power may be cut."""
    side.store = store = LosingStore(side.store)
    vault = world.vaults[side.name] = WatchedVault(store, world.vaults[side.name].load())  # type: ignore[assignment]
    await restarted(world, side)
    return vault


def known(store: HostStore, commitment: bytes) -> bool:
    """Does a file know how a packet ended, or a step in it that is on the ledger?"""
    row = store.sent_by_commitment(commitment)
    told = {note.ref for step in store.steps(promoted=False) for note in step.records if isinstance(note, Ended)}
    return row is None or row.state not in OPEN or row.ref in told


@in_world(sessions=True)
async def test_P18_the_key_of_a_reply_goes_after_the_reply_is_on_disk(world: HostWorld) -> None:
    """Of a message, of the handshake before it, of a refusal, and of what both have a guest do on the way."""
    vaults = [await watched(world, side) for side in world.sides]
    await ask(world, world.a, probe.write(b"k", b"v"))
    await ask(world, world.b, probe.refuse("no"))
    await world.command(world.a, probe.send("b", probe.write(b"k", b"w")))
    await world.settle()
    gone = [(store, one) for vault in vaults for store, _, erased in vault.left for one in erased]
    assert len(gone) == 3
    assert [known(store, one) for store, one in gone] == [True] * 3


@in_world(sessions=True)
async def test_P18_after_a_power_cut_the_reply_is_there(world: HostWorld) -> None:
    vault = await watched(world, world.a)
    answer = await ask(world, world.a, probe.write(b"k", b"v"))
    ref = bytes.fromhex(answer["ref"])
    (sent,) = [row for row in world.a.store.all_sent() if row.ref == ref]
    ((left, book, _),) = [one for one in vault.left if sent.commitment in one[2]]
    world.a.store, vault.book = left, book
    await restarted(world, world.a)
    await world.settle()
    row = world.a.store.sent(ref)
    assert row is not None
    assert (row.state, row.code) == ("acknowledged", None)
