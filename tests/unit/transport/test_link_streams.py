"""Links over TCP and Unix sockets: two parties that have a wire, and everybody else who may be on it."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.errors import BlobGone, ChannelBroken, ChannelDown
from lockgate.keystore.software import OsEntropy
from lockgate.primitives.errors import LockgateError, Unavailable
from lockgate.session.edhoc.errors import HandshakeFailed, HandshakeMalformed, PeerRefused
from lockgate.session.link import LinkLimits
from lockgate.session.link import state as link_state
from lockgate.session.link.errors import FrameRefused, LinkBroken, LinkBusy, LinkSlow, LinkStale, LinkTruncated
from lockgate.transport import BlobServer, LinkStream, Shelf, links, tcp, unix
from lockgate.transport.links import turn_away
from lockgate.transport.stream import StreamSource, connected
from tests.support.blobs import BLOB, calling, fetched, linked_as, sealed
from tests.support.links import Friends, Nobody, endpoint_of, signer_of

BOB = endpoint_of("bob")
FRAMES, DESCRIPTOR = sealed()
LAYOUT = DESCRIPTOR.layout
Reach = Callable[[], Awaitable[socket.socket]]
T = TypeVar("T")


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test of coroutines, bounded in time."""

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(30):
                await test(**arguments)

        asyncio.run(bounded())

    return run


@asynccontextmanager
async def wire(kind: str, folder: Path) -> AsyncIterator[tuple[socket.socket, Reach]]:
    """A listening socket of one kind, and how to connect to it."""
    listener = unix.listen(folder / "s") if kind == "unix" else tcp.listen()
    listener.setblocking(False)
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    address = listener.getsockname()
    with listener:
        yield listener, lambda: connected(family, address)


async def taken(listener: socket.socket) -> socket.socket:
    connection, _ = await asyncio.get_running_loop().sock_accept(listener)
    connection.setblocking(False)
    return connection


async def pair(
    listener: socket.socket, reach: Reach, alice: Friends | None = None, bob: Friends | None = None, **settings: Any
) -> tuple[LinkStream, LinkStream]:
    """Both ends of an open link."""
    alice, bob = alice or Friends("alice", ["bob"]), bob or Friends("bob", ["alice"])
    near = asyncio.create_task(LinkStream.call(await reach(), BOB, alice, OsEntropy(), **settings))
    far = await LinkStream.answer(await taken(listener), bob, OsEntropy(), **settings)
    return await near, far


async def refusals(*calls: Awaitable[object]) -> list[BaseException | object]:
    async with asyncio.timeout(20):
        return await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@in_loop
async def test_two_parties_with_a_wire_know_each_other_and_talk(kind: str, tmp_path: Path) -> None:
    alice, bob = Friends("alice", ["bob"]), Friends("bob", ["carol", "alice"])
    async with wire(kind, tmp_path) as (listener, reach):
        near, far = await pair(listener, reach, alice, bob)
        assert (near.peer.endpoint, far.peer.endpoint) == (BOB, endpoint_of("alice"))
        assert near.name == far.name
        assert alice.judged == [(BOB, 7)]
        assert bob.judged == [(endpoint_of("alice"), 7)]
        body = bytes(range(256)) * 1_000
        sending = asyncio.create_task(near.send(body))
        got = bytearray(len(body))
        await far.fill(memoryview(got))
        await sending
        assert got == body
        await far.send(b"and back")
        assert await near.receive() == b"and back"
        closing = asyncio.create_task(far.close())
        assert await near.receive() == b""
        near.abort()
        await closing


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@in_loop
async def test_an_abandoned_connection_is_no_orderly_end(kind: str, tmp_path: Path) -> None:
    async with wire(kind, tmp_path) as (listener, reach):
        near, far = await pair(listener, reach)
        await far.send(b"a part")
        far.abort()
        assert await near.receive() == b"a part"
        with pytest.raises(LinkTruncated):
            await near.receive()
        with pytest.raises(LockgateError):
            await near.send(b"more")


@in_loop
async def test_a_stranger_and_a_wrong_key_are_refused_on_both_sides(tmp_path: Path) -> None:
    for bob in (Friends("bob", ["carol"]), Friends("bob", ["alice"], record="second"), Friends("bob", [])):
        async with wire("tcp", tmp_path) as (listener, reach):
            calling_ = LinkStream.call(await reach(), BOB, Friends("alice", ["bob"]), OsEntropy())
            near, far = await refusals(calling_, LinkStream.answer(await taken(listener), bob, OsEntropy()))
            assert isinstance(far, HandshakeFailed)
            assert isinstance(near, PeerRefused)


@in_loop
async def test_P5_a_revoked_peer_is_neither_called_nor_met(tmp_path: Path) -> None:
    async with wire("tcp", tmp_path) as (listener, reach):
        revoked = Friends("alice", ["bob"], revoked={"bob"})
        with pytest.raises(Nobody):
            await LinkStream.call(await reach(), BOB, revoked, OsEntropy())
        bob = Friends("bob", ["alice"], revoked={"alice"})
        good = LinkStream.call(await reach(), BOB, Friends("alice", ["bob"]), OsEntropy())
        await taken(listener)
        near, far = await refusals(good, LinkStream.answer(await taken(listener), bob, OsEntropy()))
        assert isinstance(far, HandshakeFailed)
        assert isinstance(near, PeerRefused)


@in_loop
async def test_P20_a_peer_whose_claims_do_not_hold_gets_no_byte(tmp_path: Path) -> None:
    async with wire("tcp", tmp_path) as (listener, reach):
        bob = Friends("bob", ["alice"], refusal=Nobody("another history"))
        near, far = await refusals(
            LinkStream.call(await reach(), BOB, Friends("alice", ["bob"]), OsEntropy()),
            LinkStream.answer(await taken(listener), bob, OsEntropy()),
        )
        assert isinstance(far, Nobody)
        assert isinstance(near, LinkTruncated)


@in_loop
async def test_a_silent_peer_is_given_up_in_a_meeting_and_in_a_frame(tmp_path: Path) -> None:
    async with wire("tcp", tmp_path) as (listener, reach):
        silent = await reach()
        with silent, pytest.raises(LinkSlow):
            await LinkStream.answer(await taken(listener), Friends("bob", ["alice"]), OsEntropy(), handshake_s=0.2)
        with pytest.raises(LinkSlow):
            await LinkStream.call(await reach(), BOB, Friends("alice", ["bob"]), OsEntropy(), handshake_s=0.2)
        (await taken(listener)).close()
        near, far = await pair(listener, reach, idle_s=0.2, frame_s=0.2)
        with pytest.raises(LinkSlow):  # half-open: nobody is there any more, and no packet says so
            await near.receive()
        far.abort()
        near, far = await pair(listener, reach, frame_s=0.2)
        await asyncio.get_running_loop().sock_sendall(far._connection, b"\x02\x00\x01\x00 a part")
        with pytest.raises(LinkSlow):
            await near.receive()
        far.abort()


@in_loop
async def test_a_peer_that_does_not_read_stops_its_sender(tmp_path: Path) -> None:
    async with wire("unix", tmp_path) as (listener, reach):
        near, far = await pair(listener, reach, frame_s=0.2)
        with pytest.raises(LinkSlow):
            await near.send(bytes(64 << 20))
        far.abort()


@pytest.mark.parametrize(
    ("written", "refusal"),
    [
        (b"LGB1" + bytes(48), FrameRefused),  # one who speaks without links
        (b"GET / HTTP/1.1\r\n\r\n", FrameRefused),
        (b"\x01\xff\xff\xff", FrameRefused),
        (b"\x06\x00\x00\x00", FrameRefused),
        (b"\x01\x00\x00\x04nope", HandshakeMalformed),
        (b"\x01\x00", LinkTruncated),
        (b"", LinkTruncated),
    ],
)
@in_loop
async def test_whatever_strangers_write_has_a_name(written: bytes, refusal: type, tmp_path: Path) -> None:
    async with wire("tcp", tmp_path) as (listener, reach):
        stranger = await reach()
        await asyncio.get_running_loop().sock_sendall(stranger, written)
        stranger.shutdown(socket.SHUT_WR)
        with stranger, pytest.raises(refusal):
            await LinkStream.answer(await taken(listener), Friends("bob", ["alice"]), OsEntropy())


@in_loop
async def test_a_man_in_the_middle_who_cuts_or_alters_is_noticed(tmp_path: Path) -> None:
    """He relays every byte of the meeting, and then alters one, or drops the end."""
    async with wire("tcp", tmp_path) as (listener, reach):
        for alter, refusal in ((True, LinkBroken), (False, LinkTruncated)):
            here, there = socket.socketpair()
            for end in (here, there):
                end.setblocking(False)
            loop, seen = asyncio.get_running_loop(), bytearray()

            async def relay(source: socket.socket, to: socket.socket, *, spoil: bool) -> None:
                while data := await loop.sock_recv(source, 1 << 16):  # noqa: B023
                    if spoil and b"open" in seen:  # noqa: B023
                        data = data[:-1] + bytes((data[-1] ^ 1,)) if alter else b""  # noqa: B023
                    await loop.sock_sendall(to, data)  # noqa: B023
                    if not data:
                        to.close()
                        return

            call = asyncio.create_task(LinkStream.call(await reach(), BOB, Friends("alice", ["bob"]), OsEntropy()))
            outer = await taken(listener)
            relays = [
                asyncio.create_task(relay(outer, here, spoil=True)),
                asyncio.create_task(relay(here, outer, spoil=False)),
            ]
            far = await LinkStream.answer(there, Friends("bob", ["alice"]), OsEntropy())
            near = await call
            seen += b"open"
            await near.send(b"to be altered")
            with pytest.raises(refusal):
                await far.receive()
            for task in relays:
                task.cancel()
            await asyncio.gather(*relays, return_exceptions=True)
            near.abort()
            outer.close()
            here.close()


@in_loop
async def test_P18_an_idle_link_heals_by_itself_and_a_revoked_peer_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_state, "LEAST_HEAL_NS", 50_000_000)
    limits = LinkLimits(heal_ns=50_000_000)
    bob = Friends("bob", ["alice"])
    async with wire("unix", tmp_path) as (listener, reach):
        near, far = await pair(listener, reach, bob=bob, limits=limits, tick_s=0.02)
        first = near.name
        both = [asyncio.create_task(near.receive()), asyncio.create_task(far.receive())]
        async with asyncio.timeout(10):
            while near.name == first or far.name != near.name:
                await asyncio.sleep(0.01)
            await near.send(b"under new keys")
            assert await both[1] == b"under new keys"
            bob.revoked = {"alice"}
            with pytest.raises(HandshakeFailed):
                await far.receive()
            with pytest.raises(PeerRefused):
                await both[0]


@in_loop
async def test_P18_a_link_whose_peer_lets_nothing_heal_ends(tmp_path: Path) -> None:
    async with wire("unix", tmp_path) as (listener, reach):
        limits = LinkLimits(stale_ns=100_000_000)
        call = LinkStream.call(await reach(), BOB, Friends("alice", ["bob"]), OsEntropy(), limits=limits, tick_s=0.02)
        near_end = asyncio.create_task(call)
        # The other side does not look at its keys: it could be the first to end, and this one find the stream cut.
        far = await LinkStream.answer(await taken(listener), Friends("bob", ["alice"]), OsEntropy(), limits=limits)
        near = await near_end
        with pytest.raises(LinkStale):
            async with asyncio.timeout(5):
                await near.receive()
        far.abort()


@in_loop
async def test_a_link_that_was_ended_leaves_no_task_and_no_socket(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with wire("tcp", tmp_path) as (listener, reach):
        near, far = await pair(listener, reach)
        waiting = asyncio.create_task(near.receive())
        await asyncio.sleep(0)
        near.abort()
        with pytest.raises(LinkTruncated):
            await waiting
        await far.close()
        await asyncio.sleep(0.05)
        assert near._connection.fileno() == far._connection.fileno() == -1
        assert asyncio.all_tasks() == before


@in_loop
async def test_an_orderly_end_reaches_a_peer_whose_last_words_were_not_read(tmp_path: Path) -> None:
    async with wire("tcp", tmp_path) as (listener, reach):
        near, far = await pair(listener, reach)
        assert near._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await near.send(bytes(200_000))
        await far.send(b"last")
        closing = asyncio.create_task(far.close())
        await asyncio.sleep(0.05)
        assert not closing.done(), "it waits for the peer to end"
        assert await near.receive() == b"last"
        assert await near.receive() == b""
        near.abort()
        await closing


@in_loop
async def test_a_close_waits_no_longer_than_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "LINGER_S", 0.1)
    async with wire("tcp", tmp_path) as (listener, reach):
        near, far = await pair(listener, reach)
        async with asyncio.timeout(2):
            await far.close()
        near.abort()


# Blobs over links: who is served, and how many at once.


@asynccontextmanager
async def serving(folder: Path, *peers: str, **bounds: int) -> AsyncIterator[tuple[Reach, list[LockgateError]]]:
    shelf = Shelf(folder / "shelf")
    shelf.put(BLOB, FRAMES)
    listener = tcp.listen()
    address = listener.getsockname()
    told: list[LockgateError] = []
    server = BlobServer(shelf.folder, listener, linked_as("bob", *peers, told=told), **bounds)
    running = asyncio.create_task(server.run())
    try:
        yield lambda: connected(socket.AF_INET, address), told
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@in_loop
async def test_only_peers_are_served(tmp_path: Path) -> None:
    async with serving(tmp_path, "alice") as (reach, told):
        assert await fetched(StreamSource(reach, calling("alice", "bob")), LAYOUT, 0, 7) == FRAMES
        with pytest.raises(BlobGone):
            await fetched(StreamSource(reach, calling("alice", "bob")), LAYOUT, 0, 7, BlobId(b"\x08" * 32))
        for source in (StreamSource(reach, calling("carol", "bob")), StreamSource(reach, calling("alice", "carol"))):
            with pytest.raises(ChannelBroken):
                await fetched(source, LAYOUT, 0, 7)
        with pytest.raises((ChannelBroken, ChannelDown)):
            await fetched(StreamSource(reach), LAYOUT, 0, 7)  # without a link
        async with asyncio.timeout(5):
            while len(told) < 3:
                await asyncio.sleep(0.01)
        assert {error.code for error in told} == {"edhoc.failed", "edhoc.peer_refused", "link.frame_refused"}


class Starting(Unavailable):
    code = "tests.starting"
    summary = "A test's host cannot ask its ledgers yet."
    untouched = "Nothing."
    next_step = "None."


@pytest.mark.parametrize("asked", ["all", "judge"])
@in_loop
async def test_a_host_that_cannot_ask_its_ledgers_is_not_taken_for_a_broken_one(
    asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer gives a body up after a few broken answers, and waits for a host that starts."""
    whole = getattr(Friends, asked)

    async def not_yet(friends: Friends, *arguments: Any) -> Any:
        if friends.own == "bob":
            raise Starting
        return await whole(friends, *arguments)

    monkeypatch.setattr(Friends, asked, not_yet)
    async with serving(tmp_path, "alice") as (reach, told):
        with pytest.raises(ChannelDown) as down:
            await fetched(StreamSource(reach, calling("alice", "bob")), LAYOUT, 0, 7)
        assert isinstance(down.value.__cause__, LinkBusy)
        async with asyncio.timeout(5):
            while not told:
                await asyncio.sleep(0.01)
        assert [error.code for error in told] == ["tests.starting"]


@in_loop
async def test_a_flood_of_strangers_takes_no_place_from_peers(tmp_path: Path) -> None:
    async with serving(tmp_path, "alice", max_sessions=2, max_meeting=4) as (reach, _):
        strangers = [await reach() for _ in range(40)]
        good = StreamSource(reach, calling("alice", "bob"))
        async with asyncio.timeout(5):  # far below the ten seconds that a handshake may take
            assert await fetched(good, LAYOUT, 0, 7) == FRAMES
        open_still = 0
        for stranger in strangers:
            with stranger:
                try:
                    stranger.recv(1)
                except BlockingIOError:
                    open_still += 1
                except OSError:
                    continue
        assert open_still <= 4


async def open_one(name: str, reach: Reach) -> LinkStream:
    return await calling(name, "bob")(await reach())


async def when_free(call: Callable[[], Awaitable[T]]) -> T:
    """A place is taken until both ends have let go, which is a moment after one of them has."""
    while True:
        try:
            return await call()
        except (LinkBusy, ChannelDown):
            await asyncio.sleep(0.02)


@in_loop
async def test_places_are_bounded_for_each_peer_and_for_all(tmp_path: Path) -> None:
    async with serving(tmp_path, "alice", "carol", max_sessions=2, max_of_peer=1) as (reach, _):
        held = await open_one("alice", reach)
        with pytest.raises(ChannelDown):
            await fetched(StreamSource(reach, calling("alice", "bob")), LAYOUT, 0, 7)
        carol = StreamSource(reach, calling("carol", "bob"))
        assert await when_free(lambda: fetched(carol, LAYOUT, 0, 7)) == FRAMES
        other = await when_free(lambda: open_one("carol", reach))
        with pytest.raises(LinkBusy):
            await calling("carol", "bob")(await reach())
        with pytest.raises(ChannelDown):
            await fetched(StreamSource(reach, calling("carol", "bob")), LAYOUT, 0, 7)
        held.abort()
        other.abort()


def test_who_is_turned_away_is_told_without_waiting() -> None:
    here, there = socket.socketpair()
    with there:
        turn_away(here, OsEntropy())
        assert there.recv(16) == b"\x06\x00\x00\x00"
        assert here.fileno() == -1
    assert signer_of("alice").key != signer_of("bob").key
