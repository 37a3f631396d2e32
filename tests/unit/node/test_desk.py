"""The verbs of a host's socket with hostile values: each is answered, none is met by a traceback or a dead host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lockgate.host.sealing import BadSchemaName
from lockgate.hosting.asked import BadTimeout, BodyTooLong
from lockgate.node.bodies import NoMessage
from lockgate.node.desk import Desk
from lockgate.node.issuing import GRANTS
from lockgate.node.outbox import MAX_LISTED
from lockgate.node.socket import BadCall, CallFailed, serve
from tests.support.blobs import channel
from tests.support.hosts import HostWorld, in_world
from tests.unit.hosting.test_bulk import bulk_of

PATIENCE_S = 20
PACKET = "07-tendermint-0/1"
HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, -(10**12), 1 << 63, 10**30, float("inf"), float("nan"),
    "", "x", "zz", "\ud800", "e\u0301@1.0", "a\0b", "1" * 5_000, "ff" * 131_073, "/", "/dev/zero", "/no/such/file",
    "a@99999999999999999999999.1", "a/b/07-tendermint-0/1", f"07-tendermint-0/{(1 << 64) - 1}",
    [], [1], ["zz"], [[]], {}, {"a": 1},
)  # fmt: skip
GOOD: dict[str, dict[str, Any]] = {
    "status": {},
    "rotate": {"sealing": 0},
    "accept_rules": {"ledger": "a", "digests": ["ab" * 32]},
    "command": {"input": ""},
    "send": {"to": "b", "schema": "probe@1.0", "body": "", "timeout_s": 60},
    "send_file": {"to": "b", "schema": "probe@1.0", "path": "/no/such/file", "timeout_s": 60},
    "body": {"packet": PACKET},
    "drop_body": {"packet": PACKET},
    "outbox": {"limit": 1, "before": "", "state": "sent"},
    "message": {"client": "07-tendermint-0", "sequence": 1},
    "inbox": {"limit": 1},
    "wait": {"ref": "00" * 32},
    "subscribe": {"since": 0},
}
CASES = [
    (verb, name, value)
    for verb, named in GOOD.items()
    for name in named
    for value in HOSTILE
    if (verb, value) != ("subscribe", None)  # from now on: it is answered when something happens
]


class Running:
    """A host that runs behind its socket; `broken` is what nobody caught."""

    def __init__(self, path: Path, broken: list[dict[str, Any]]) -> None:
        self._path = path
        self.broken = broken

    async def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """The first line of the answer to one call."""
        return await self.line(json.dumps({"call": json.dumps({"verb": verb, **arguments}), "nonce": "", "shown": ""}))

    async def line(self, text: str) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(str(self._path), limit=1 << 23)
        try:
            async with asyncio.timeout(PATIENCE_S):
                assert json.loads(await reader.readline()) == {"nonce": ""}
                writer.write(text.encode() + b"\n")
                answer: dict[str, Any] = json.loads(await reader.readline())
                return answer
        finally:
            writer.close()

    async def code(self, verb: str, **arguments: Any) -> str:
        return str((await self.ask(verb, **arguments))["error"]["code"])


@asynccontextmanager
async def running(world: HostWorld, folder: Path) -> AsyncIterator[Running]:
    """A's host works behind a socket, with a message in its inbox and one in its outbox."""
    loop, broken = asyncio.get_running_loop(), list[dict[str, Any]]()
    async with channel("memory", folder) as made:
        world.bulk["a"] = bulk_of(world.a, folder, made.offer, {})
        world.a.host = world.make(world.a)
        await world.a.host.start()
        desk = Desk(world.a.host)
        await world.send(world.b, b"")
        await world.send(world.a, b"")
        await world.settle()
        loop.set_exception_handler(lambda _, context: broken.append(context))
        work = asyncio.create_task(world.a.host.run())
        try:
            async with await serve(folder / "a.sock", None, desk.handle):
                yield Running(folder / "a.sock", broken)
                assert not work.done(), "the host has ended"
        finally:
            loop.set_exception_handler(None)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await world.bulk["a"].close()


def test_the_table_has_every_verb() -> None:
    assert GOOD.keys() == GRANTS


@in_world()
async def test_every_argument_of_every_verb_may_be_hostile(world: HostWorld, tmp_path: Path) -> None:
    async with running(world, tmp_path) as host:
        for verb, name, value in CASES:
            answer = await host.ask(verb, **{**GOOD[verb], name: value})
            shown = (verb, name, str(value)[:40])
            assert host.broken == [], shown
            assert set(answer) <= {"ok", "event", "error"}, shown
            if verb == "accept_rules" and "ok" in answer:
                await host.ask("accept_rules", ledger="a", digests=[world.rules["a"]])
            if "error" in answer:
                assert answer["error"]["code"], shown
                assert answer["error"]["code"] != CallFailed.code, shown
            else:
                assert isinstance(answer.get("ok", answer.get("event")), dict), shown
        assert "ok" in await host.ask("send", **GOOD["send"]), "it goes on"


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "5", "\"call\"", "{}", "{\"call\": 5}",
        "{\"call\": \"\", \"nonce\": \"\", \"shown\": \"\"}",
        json.dumps({"call": "[" * 100_000, "nonce": "", "shown": ""}),
        json.dumps({"call": json.dumps({"verb": 5}), "nonce": "", "shown": ""}),
        json.dumps({"call": json.dumps({"verb": "\ud800"}), "nonce": "", "shown": ""}),
        json.dumps({"call": "{\"verb\": \"status\"}", "nonce": 5, "shown": ""}),
        json.dumps({"call": "{\"verb\": \"status\"}", "nonce": "", "shown": "zz"}),
        json.dumps({"call": "{\"verb\": \"\ud800\"}", "nonce": "", "shown": ""}),
        json.dumps({"call": "{\"verb\": \"outbox\", \"limit\": " + "9" * 5_000 + "}", "nonce": "", "shown": ""}),
    ],
)  # fmt: skip
@in_world()
async def test_what_is_no_call_is_answered(world: HostWorld, tmp_path: Path, text: str) -> None:
    async with running(world, tmp_path) as host:
        assert (await host.line(text))["error"]["code"] == BadCall.code
        assert host.broken == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"timeout_s": -(10**12)}, BadTimeout.code),
        ({"timeout_s": 0}, BadTimeout.code),
        ({"timeout_s": 86_401}, BadTimeout.code),
        ({"timeout_s": "60"}, BadCall.code),
        ({"body": "00" * 131_073}, BodyTooLong.code),
        ({"schema": "a@99999999999999999999999.1"}, BadSchemaName.code),
        ({"schema": "probe@1.65536"}, BadSchemaName.code),
        ({"schema": "probe@01.0"}, BadSchemaName.code),
        ({"schema": "e\u0301@1.0"}, BadSchemaName.code),
        ({"schema": "\ud800@1.0"}, BadCall.code),
        ({"to": "nobody"}, "host.unknown_peer"),
    ],
)
@in_world()
async def test_a_send_that_no_packet_can_carry_is_refused_and_leaves_nothing(
    world: HostWorld, tmp_path: Path, changed: dict[str, Any], code: str
) -> None:
    async with running(world, tmp_path) as host:
        before = world.a.store.all_sent()
        assert await host.code("send", **{**GOOD["send"], **changed}) == code
        if "body" not in changed:
            path = {"path": str(tmp_path / "none")}
            assert await host.code("send_file", **{**GOOD["send_file"], **path, **changed}) == code
        assert world.a.store.all_sent() == before
        assert "ok" in await host.ask("send", **{**GOOD["send"], "body": "00" * 131_072})


@in_world()
async def test_a_list_has_a_bound_whatever_is_asked(world: HostWorld, tmp_path: Path) -> None:
    async with running(world, tmp_path) as host:
        await host.ask("send", **GOOD["send"])
        for verb in ("outbox", "inbox"):
            for limit, rows in (
                (-1, 1),
                (0, 1),
                (1, 1),
                (10**30, 2 if verb == "outbox" else 1),
                (MAX_LISTED + 1, None),
            ):
                found = (await host.ask(verb, limit=limit))["ok"]["messages"]
                assert rows is None or len(found) == rows, (verb, limit)


@in_world()
async def test_a_row_that_no_file_can_have_is_not_there(world: HostWorld, tmp_path: Path) -> None:
    async with running(world, tmp_path) as host:
        name = f"{world.b.end.client}/{(1 << 64) - 1}"
        assert await host.code("body", packet=name) == NoMessage.code
        assert await host.code("outbox", before=f"{world.a.end.client}/{(1 << 64) - 1}") == "host.unknown_ref"
        assert await host.code("message", client=world.a.end.client, sequence=1 << 63) == BadCall.code
        assert (await host.ask("message", client=world.a.end.client, sequence=(1 << 63) - 1))["ok"] == {"message": None}


@in_world()
async def test_a_bug_is_answered_and_logged(world: HostWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(world, tmp_path) as host:
        monkeypatch.setattr(world.a.host, "status", lambda: 1 // 0)
        monkeypatch.setattr(world.a.store, "sent", lambda ref: 1 // 0)
        for number, call in enumerate((host.code("status"), host.code("wait", ref="00" * 32)), 1):
            assert await call == CallFailed.code
            assert len(host.broken) == number
            assert isinstance(host.broken[-1]["exception"], ZeroDivisionError)
