"""Who may call a host: the operator's tools without being asked, others with a pass, nobody without (P22, S7)."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.lab.clock import SimulatedClock
from lockgate.node import issuing, passes, socket
from lockgate.node.desk import Desk as HostDesk
from lockgate.node.folder import Folder, NotRunning
from lockgate.node.issuing import GRANTS, VERBS, NoOperator
from lockgate.node.passes import BadPass, Wallet, make, read, summary, wallet, write
from lockgate.node.socket import RemoteRefusal, TokenEnded, TooManyCallers, call, serve, stream
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos, UnixNanos, UnixSeconds, seconds
from lockgate.session.tokens import AGE_S, SKEW_S, ListUnseen, NotAuthenticated, NotInScope, Seen, issue
from tests.arch.sources import REPO
from tests.support.doors import door, host_home

Work = Callable[[Path, "Desk"], Awaitable[None]]


class Desk:
    """A host's verbs, as far as the door sees them. `since` is what each subscription asked for."""

    def __init__(self) -> None:
        self.since: list[int] = []
        self.news = asyncio.Event()
        self.sent: list[str] = []

    async def handle(self, verb: str, arguments: dict[str, Any]) -> Any:
        if verb == "subscribe":
            if arguments.get("since") is None:
                arguments["since"] = 40
            self.since.append(arguments["since"])
            return self.events(arguments["since"])
        if verb == "send":
            self.sent.append(arguments["to"])
        return {"verb": verb}

    async def events(self, since: int) -> AsyncGenerator[dict[str, Any], None]:
        for number in range(since + 1, 100):
            await self.news.wait()
            self.news.clear()
            yield {"number": number}


class World:
    """A host's socket, its clock, and what its log says."""

    def __init__(self, root: Path) -> None:
        self.home = host_home(root)
        self.folder = Folder(root)
        self.path = self.home / "host.sock"
        self.clock = SimulatedClock(UnixNanos(passes.time.time_ns()))
        self.log: list[str] = []
        self.desk = Desk()
        self.seen: Seen | None = Seen(frozenset(), UnixNanos(1 << 62))  # a ledger that is always heard

    def report(self, kind: str, fields: dict[str, object]) -> None:
        self.log.append(str(fields["reason"]))

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        async def all_of_it() -> None:
            at = door(self.home, self.report, self.clock, lambda: self.seen)
            async with await serve(self.path, at, self.desk.handle), asyncio.timeout(60):
                await work()

        asyncio.run(all_of_it())

    def refused(self, error: pytest.ExceptionInfo[RemoteRefusal]) -> str:
        return str(error.value.fields["code"])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv(passes.NAMED, raising=False)
    return World(tmp_path)


def test_the_operators_tools_are_let_in_without_being_asked(world: World) -> None:
    async def work() -> None:
        for verb in sorted(GRANTS - {"subscribe"}):
            assert await call(world.path, verb, to="bob") == {"verb": verb}

    world.run(work)
    kept = sorted(path.name for path in world.home.glob("*.pass"))
    assert kept == ["act.pass", "read.pass"], "what changes keys and rules lies nowhere"
    assert {stat.S_IMODE((world.home / name).stat().st_mode) for name in kept} == {0o600}
    assert stat.S_IMODE(world.path.stat().st_mode) == 0o600
    assert world.log == []
    held = asyncio.run(Wallet(world.path).find("inbox"))
    assert held.token == read(world.home / "read.pass").token, "another process takes the one that is kept"
    assert set(held.claims.scope) == set(VERBS["read"])


def test_what_is_granted_is_what_hosts_do() -> None:
    source = (REPO / "src" / "lockgate" / "node" / "desk.py").read_text()
    cases = {line.strip().removeprefix('case "').removesuffix('":') for line in source.splitlines() if 'case "' in line}
    assert cases == GRANTS
    assert HostDesk.handle is not None


async def _raw(path: Path, line: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    nonce = json.loads(await reader.readline())["nonce"]
    writer.write(json.dumps(line(nonce)).encode() + b"\n")
    answer: dict[str, Any] = json.loads(await reader.readline())
    writer.close()
    return answer


def test_p22_who_reaches_the_socket_without_a_token_gets_one_word(world: World) -> None:
    body = json.dumps({"verb": "send", "to": "mallory"})

    async def work() -> None:
        held = await wallet(world.path).find("send")
        good = lambda nonce: held.show("send", body.encode(), bytes.fromhex(nonce), b"").hex()  # noqa: E731
        assert "ok" in await _raw(world.path, lambda n: {"call": body, "nonce": n, "shown": good(n)})
        other = body.replace("mallory", "trudy")
        for asked in (
            lambda n: {"call": body, "nonce": n, "shown": ""},
            lambda n: {"call": body, "nonce": n, "shown": held.token.hex()},  # a token, and not its key
            lambda n: {"call": other, "nonce": n, "shown": good(n)},
            lambda n: {"call": body, "nonce": "00" * 32, "shown": good("00" * 32)},
        ):
            answer = await _raw(world.path, asked)
            assert answer["error"] == {"code": NotAuthenticated.code, "detail": NotAuthenticated.summary}
        recorded: list[dict[str, Any]] = []

        def recording(nonce: str) -> dict[str, Any]:
            recorded.append({"call": body, "nonce": nonce, "shown": good(nonce)})
            return recorded[0]

        assert "ok" in await _raw(world.path, recording)
        assert (await _raw(world.path, recording))["error"]["code"] == NotAuthenticated.code

    world.run(work)
    assert world.desk.sent == ["mallory", "mallory"]
    assert [line.split(":")[0] for line in world.log] == [
        "token.malformed", "token.malformed", "token.proof", "token.nonce", "token.nonce",
    ]  # fmt: skip


def test_a_pass_allows_what_it_names_until_it_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made, seed = make(world.folder, world.home, "reporting", ("inbox", "status"), 120)
    file = world.folder.root / "reporting.pass"
    write(file, made, seed)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert seed.hex() not in json.dumps(summary(made))
    monkeypatch.setenv(passes.NAMED, str(file))

    async def work() -> None:
        assert await call(world.path, "inbox") == {"verb": "inbox"}
        with pytest.raises(RemoteRefusal) as scope:
            await call(world.path, "send", to="bob")
        assert world.refused(scope) == NotInScope.code
        world.clock.advance(DurationNanos((made.claims.expires + SKEW_S) * NANOS_PER_SECOND - world.clock.now()))
        with pytest.raises(RemoteRefusal) as ended:
            await call(world.path, "inbox")
        assert world.refused(ended) == NotAuthenticated.code
        world.clock.step_wall(-(10**12))
        with pytest.raises(RemoteRefusal):
            await call(world.path, "inbox")

    world.run(work)
    assert world.desk.sent == []
    assert [line.split(":")[0] for line in world.log][1:] == ["token.expired", "token.expired"]


def test_a_pass_is_for_one_host(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = host_home(tmp_path, "bob", "ee" * 32)
    made, seed = make(world.folder, other, "tool", ("status",))
    write(file := tmp_path / "bob.pass", made, seed)
    monkeypatch.setenv(passes.NAMED, str(file))
    body = json.dumps({"verb": "status"})

    async def work() -> None:
        with pytest.raises(BadPass):
            await call(world.path, "status")
        shown = lambda n: made.show("status", body.encode(), bytes.fromhex(n), b"").hex()  # noqa: E731
        answer = await _raw(world.path, lambda n: {"call": body, "nonce": n, "shown": shown(n)})
        assert answer["error"]["code"] == NotAuthenticated.code

    world.run(work)
    assert world.log[0].startswith("token.other_audience")
    for content in ("{}", '{"token": "zz"}', '{"token": 5}', "[]", "not json"):
        file.write_text(content)
        with pytest.raises((BadPass, NotRunning)):
            asyncio.run(Wallet(world.path).find("status"))


def test_a_key_that_was_rotated_away_lets_nobody_in_and_tools_go_on(world: World) -> None:
    async def work() -> None:
        await call(world.path, "status")
        old = await wallet(world.path).find("status")
        before = issuing.signer(world.folder).key
        assert issuing.rotate(world.folder) != before
        body = json.dumps({"verb": "status"})
        shown = lambda n: old.show("status", body.encode(), bytes.fromhex(n), b"").hex()  # noqa: E731
        answer = await _raw(world.path, lambda n: {"call": body, "nonce": n, "shown": shown(n)})
        assert answer["error"]["code"] == NotAuthenticated.code
        assert await call(world.path, "status") == {"verb": "status"}, "a tool takes a new token by itself"

    world.run(work)
    assert {line.split(":")[0] for line in world.log} == {"token.issuer_unknown"}
    keystore = issuing._open(world.folder)
    assert [one.name for one in keystore.facts()] == ["operator-1"], "the old key is gone"
    keystore.close()


def test_a_rotation_that_was_cut_off_leaves_the_key_that_hosts_take(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = issuing.signer(world.folder).key
    with monkeypatch.context() as patched:
        patched.setattr(issuing, "_publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            issuing.rotate(world.folder)
    assert issuing.signer(world.folder).key == before
    following = issuing.rotate(world.folder)
    assert issuing.signer(world.folder).key == following != before


def test_without_what_opens_the_operators_key_nothing_is_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    issuing.ensure(world.folder)
    kept = world.folder.root / "passphrase"
    kept.rename(world.folder.root / "elsewhere")
    monkeypatch.delenv("LOCKGATE_PASSPHRASE", raising=False)

    async def work() -> None:
        with pytest.raises(NoOperator):
            await call(world.path, "status")

    world.run(work)
    assert not kept.exists()


def _ending(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tools' token ends within half a second of the host's clock, which stands still."""
    monkeypatch.setattr(passes, "RENEW_S", -100)
    held = make(world.folder, world.home, "tool", VERBS["read"], 2)[0]
    wallet(world.path)._held["read"] = held
    world.clock.step_wall((held.claims.expires + SKEW_S) * NANOS_PER_SECOND - seconds(0.5) - world.clock.now())


@pytest.mark.parametrize("before", [0, 2])
def test_p22_a_stream_outlives_its_token_and_misses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """A token ends in the middle of a subscription: the host ends it, and the caller goes on with another one."""
    _ending(world, monkeypatch)

    async def work() -> None:
        events = stream(world.path, "subscribe", since=None)
        for number in range(41, 41 + before):
            world.desk.news.set()
            assert (await anext(events))["number"] == number
        following = asyncio.ensure_future(anext(events))
        await _until(lambda: len(world.desk.since) == 1)
        world.clock.advance(seconds(1.2))
        await _until(lambda: len(world.desk.since) == 2)
        world.desk.news.set()
        assert (await following)["number"] == 41 + before
        await events.aclose()

    world.run(work)
    assert world.desk.since == [40, 40 + before]
    assert world.log == []


def test_p22_a_stream_whose_token_ends_is_ended_with_the_place_to_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, seed = make(world.folder, world.home, "app", ("subscribe",), 2)
    write(file := world.folder.root / "app.pass", made, seed)
    monkeypatch.setenv(passes.NAMED, str(file))
    world.clock.step_wall((made.claims.expires + SKEW_S) * NANOS_PER_SECOND - seconds(0.5) - world.clock.now())

    async def work() -> None:
        events = stream(world.path, "subscribe", since=50)
        world.desk.news.set()
        assert (await anext(events))["number"] == 51
        world.clock.advance(seconds(1.2))
        with pytest.raises(RemoteRefusal) as ended:
            await anext(events)
        assert world.refused(ended) == TokenEnded.code
        assert ended.value.resume == {"since": 51}

    world.run(work)


def test_callers_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "MAX_CALLERS", 2)

    async def work() -> None:
        idle = [await asyncio.open_unix_connection(str(world.path)) for _ in range(2)]
        for reader, _ in idle:
            assert "nonce" in json.loads(await reader.readline())
        with pytest.raises(RemoteRefusal) as busy:
            await call(world.path, "status")
        assert world.refused(busy) == TooManyCallers.code
        for _, writer in idle:
            writer.close()
        answer = None
        while answer is None:  # until the host has seen that they are gone
            with contextlib.suppress(RemoteRefusal):
                answer = await call(world.path, "status")
        assert answer == {"verb": "status"}

    world.run(work)


def test_an_idle_connection_is_let_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "IDLE_S", 0.1)

    async def work() -> None:
        reader, writer = await asyncio.open_unix_connection(str(world.path))
        assert "nonce" in json.loads(await reader.readline())
        assert await reader.read() == b""
        writer.close()

    world.run(work)


async def _until(there: Callable[[], bool]) -> None:
    while not there():
        await asyncio.sleep(0.01)


def test_p22_a_revoked_pass_is_refused_and_its_stream_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made, seed = make(world.folder, world.home, "app", ("status", "subscribe"), 300)
    write(file := world.folder.root / "app.pass", made, seed)
    monkeypatch.setenv(passes.NAMED, str(file))
    monkeypatch.setattr(socket, "LOOK_S", 0.05)

    async def work() -> None:
        events = stream(world.path, "subscribe", since=50)
        world.desk.news.set()
        assert (await anext(events))["number"] == 51
        world.seen = Seen(frozenset({made.claims.token_id}), world.clock.now())
        with pytest.raises(RemoteRefusal) as ended:
            await anext(events)
        assert (world.refused(ended), ended.value.resume) == (TokenEnded.code, {"since": 51})
        with pytest.raises(RemoteRefusal) as refused:
            await call(world.path, "status")
        assert world.refused(refused) == NotAuthenticated.code

    world.run(work)
    assert [line.split(":")[0] for line in world.log] == ["token.revoked"]


def test_p22_a_stream_of_a_key_that_was_rotated_away_is_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """[P22] A thief of the operator's key loses its streams with the rotation, not with its token's end."""
    made, seed = make(world.folder, world.home, "thief", ("subscribe",), 300)
    write(file := world.folder.root / "thief.pass", made, seed)
    monkeypatch.setattr(socket, "LOOK_S", 0.05)

    async def work() -> None:
        monkeypatch.setenv(passes.NAMED, str(file))
        events = stream(world.path, "subscribe", since=50)
        world.desk.news.set()
        assert (await anext(events))["number"] == 51
        issuing.rotate(world.folder)
        world.desk.news.set()  # what happens from then on is not for it
        with pytest.raises(RemoteRefusal) as ended:
            await anext(events)
        assert (world.refused(ended), ended.value.resume) == (TokenEnded.code, {"since": 51})

    world.run(work)


def test_p22_tools_go_on_where_the_ledger_is_not_seen_and_passes_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, seed = make(world.folder, world.home, "app", ("status",), 300)
    write(file := world.folder.root / "app.pass", made, seed)

    async def work() -> None:
        await call(world.path, "status")
        held = wallet(world.path)._held["read"]
        world.seen = None
        world.clock.advance(seconds(AGE_S + 5 - 30))
        old = dataclasses.replace(held.claims, issued=UnixSeconds(held.claims.issued - 40))
        old = dataclasses.replace(old, not_before=old.issued)
        token = issue(old, issuing.signer(world.folder), held.host.domain, held.host.revision)
        wallet(world.path)._held["read"] = dataclasses.replace(held, token=token, claims=old)
        assert await call(world.path, "status") == {"verb": "status"}, "with a token made a moment ago"
        assert wallet(world.path)._held["read"].token != token
        world.clock.advance(seconds(40))
        monkeypatch.setenv(passes.NAMED, str(file))
        with pytest.raises(RemoteRefusal) as unseen:
            await call(world.path, "status")
        assert world.refused(unseen) == ListUnseen.code

    world.run(work)
    assert [line.split(":")[0] for line in world.log] == ["token.list_unseen", "token.list_unseen"]
