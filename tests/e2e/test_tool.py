"""The tool and the Python API against a running deployment: send, await, look, trace, prove, verify."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import lockgate
from lockgate.lightclients.cometbft.rfc3339 import format_time
from lockgate.node.api import MAX_INLINE, CommandRefused, MessageRefused, MessageTimedOut, MessageTrapped, StillOpen
from lockgate.node.clock import SystemClock
from lockgate.node.findings import verify
from lockgate.node.folder import read_json
from lockgate.node.ledgers import Ledgers
from lockgate.node.packets import parse
from lockgate.node.passes import BadPass, UnknownVerb, wallet
from lockgate.node.socket import BadCall, RemoteRefusal, call
from lockgate.node.trace import Tracer
from lockgate.primitives.errors import LockgateError
from lockgate.session.tokens import NotAuthenticated, NotInScope
from tests.e2e.conftest import Running
from tests.support import probe

STORY_KEYS = {
    "packet", "trace_id", "source", "destination", "source_client", "destination_client", "sequence", "sender",
    "receiver", "size", "sealing", "timeout", "commitment", "steps", "standing", "refusal",
}  # fmt: skip
STEP_KEYS = {"what", "ledger", "height", "time", "header", "signed", "note"}
FINDING_KEYS = {
    "file", "kind", "source_domain", "destination_domain", "source_client", "destination_client", "sequence",
    "trace_id", "packet_commitment", "timeout", "deadline", "code", "trust_given", "ledgers",
}  # fmt: skip
MESSAGE_KEYS = {"packet", "client", "sequence", "peer", "state", "body", "reply", "code", "detail"}


def as_json(deployment: Running, *arguments: str, code: int = 0, stdin: bytes = b"", last: bool = False) -> Any:
    done = deployment.lockgate("--json", *arguments, stdin=stdin)
    assert done.exit_code == code, done.output[-2000:]
    return json.loads(done.stdout.splitlines()[-1] if last else done.stdout)


def test_a_file_of_any_bytes_is_sent_answered_and_shown(deployment: Running, tmp_path: Path) -> None:
    body = bytes(range(256)) * 40
    (tmp_path / "any").write_bytes(body)
    sent = as_json(deployment, "send", "alice", "bob", "--file", str(tmp_path / "any"), "--wait")
    assert bytes.fromhex(sent["reply"]) == body[::-1]
    inbox = as_json(deployment, "inbox", "bob", "--limit", "1000")
    assert set(inbox[0]) >= MESSAGE_KEYS
    assert [row["body"] for row in inbox if row["packet"] == sent["packet"]] == [body.hex()]
    outbox = as_json(deployment, "outbox", "alice", "--limit", "1000")
    assert [row["state"] for row in outbox if row["ref"] == sent["ref"]] == ["acknowledged"]
    piped = as_json(deployment, "send", "alice", "bob", "--file", "-", "--wait", stdin=b"\x00piped")
    assert bytes.fromhex(piped["reply"]) == b"depip\x00"


def test_a_refused_packet_is_traced_explained_proven_and_verified(deployment: Running, tmp_path: Path) -> None:
    (tmp_path / "script").write_bytes(probe.refuse("probe.no", "not today"))
    sent = deployment.lockgate("--json", "send", "alice", "probe", "--file", str(tmp_path / "script"), "--wait")
    assert sent.exit_code == 3
    packet = json.loads(sent.stdout)["error"]["fields"]["packet"]
    story = as_json(deployment, "trace", packet)
    assert set(story) == STORY_KEYS
    assert set(story["steps"][0]) == STEP_KEYS
    assert story["standing"]["state"] == "refused"
    assert story["refusal"]["code"] == "guest.refused"
    assert as_json(deployment, "trace", story["trace_id"]) == story
    sealing = story["sealing"]
    assert (len(sealing["session"]), sealing["suite"], sealing["epoch"]) == (64, "X-Wing+AES-256-GCM", 0)
    held = as_json(deployment, "host", "status", "alice")["sessions"]
    assert sealing["session"] in {one["session"] for one in held}
    words = deployment.lockgate("trace", packet).stdout
    assert "Refused with guest.refused" in words
    assert words.count(", signed by operator ") == len(story["steps"])

    bundle = tmp_path / "refused.bundle"
    proven = as_json(deployment, "prove", packet, "-o", str(bundle))
    assert set(proven) == FINDING_KEYS
    known = proven["ledgers"][0]["trusted_hash"]
    ledgers = {row["ledger"]: row for row in as_json(deployment, "ledger", "list")}
    assert ledgers["beta"]["trusted_hash"] == known  # what a person compares with
    (checked,) = as_json(deployment, "verify", str(bundle), "--trust", known)
    assert (checked["kind"], checked["code"], checked["trust_given"]) == ("refused", "guest.refused", True)
    as_json(deployment, "verify", str(bundle), "--trust", "ab" * 32, code=4)
    data = bundle.read_bytes()
    for place in range(0, len(data), 11):  # every byte in tests/unit/node/test_bundles.py
        altered = bytearray(data)
        altered[place] ^= 0x10
        with pytest.raises(LockgateError):
            verify(bytes(altered), [bytes.fromhex(known)])


def test_a_message_that_times_out_is_a_type_a_story_and_a_proof(deployment: Running) -> None:
    """The relayer is stopped until the other ledger's time has passed the timeout, and then goes on."""
    relayer = read_json(deployment.folder / "relays" / "alpha-beta" / "status.json")["pid"]

    async def work() -> None:
        async with lockgate.connect(deployment.folder, "alice") as gate:
            os.kill(relayer, signal.SIGSTOP)
            try:
                sent = await gate.send("bob", b"too late", timeout=8)
                async with Ledgers(gate.folder) as ledgers:
                    story = await Tracer(ledgers, SystemClock()).story(parse(sent.packet))
                    assert (story.standing.state, story.standing.who) == ("sent", "a relayer")
                    beta = ledgers.named("beta").chain
                    with pytest.raises(StillOpen):
                        await gate.wait(sent, patience=0.01)
                    while format_time((await beta.tip()).time) < story.timeout:
                        await asyncio.sleep(0.2)
            finally:
                os.kill(relayer, signal.SIGCONT)
            ended = await gate.wait(sent.ref, patience=60)
            with pytest.raises(MessageTimedOut):
                ended.result()
            assert (await gate.trace(sent)).standing.state == "timed_out"
            assert gate.verify(await gate.prove(sent)).kind == "timed_out"

    asyncio.run(work())


def test_calls_end_as_what_they_are(deployment: Running) -> None:
    async def work() -> None:
        async with lockgate.connect(deployment.folder / "hosts" / "alice" / "host.sock") as gate:
            assert (await gate.call("bob", b"abc", patience=60)).body == b"cba"
            with pytest.raises(MessageRefused) as refused:
                await gate.call("probe", probe.refuse("probe.no", "not today"), patience=60)
            assert (refused.value.reason, refused.value.words) == ("guest.refused", "probe.no: not today")
            assert not isinstance(refused.value, MessageTrapped)
            with pytest.raises(MessageTrapped):
                await gate.call("probe", b"!", patience=60)
            with pytest.raises(RemoteRefusal) as unknown:
                await gate.send("nobody", b"x")
            assert unknown.value.fields["code"] == "host.unknown_peer"
            with pytest.raises(RemoteRefusal) as lost:
                await gate.wait("ab" * 32)
            assert lost.value.fields["code"] == "host.unknown_ref"
        async with lockgate.connect(deployment.folder, "probe") as gate:
            assert await gate.command(probe.output(b"hi")) == b"hi"
            with pytest.raises(CommandRefused):
                await gate.command(probe.refuse("no"))

    asyncio.run(work())


def test_a_subscription_pushes_what_happens_and_ends_when_it_is_closed(deployment: Running) -> None:
    async def work() -> None:
        async with lockgate.connect(deployment.folder, "alice") as gate:
            events = gate.subscribe()
            following = asyncio.ensure_future(anext(events))
            while "newest" not in await gate.status():
                await asyncio.sleep(0)
            sent = await gate.send("bob", b"push")
            event = await asyncio.wait_for(following, 60)
            while event.packet != sent.packet:
                event = await asyncio.wait_for(anext(events), 60)
            assert isinstance(event, lockgate.Ended)
            assert event.result().body == b"hsup"
            await events.aclose()
            # Whatever subscribers missed is there for who names the number they came to.
            again = gate.subscribe(event.number - 1)
            assert await asyncio.wait_for(anext(again), 60) == event
            await again.aclose()

    asyncio.run(work())


def test_the_socket_refuses_what_is_no_call(deployment: Running) -> None:
    path = deployment.folder / "hosts" / "alice" / "host.sock"

    async def work() -> None:
        with pytest.raises(RemoteRefusal) as unknown:
            await call(path, "nothing")
        assert unknown.value.fields["code"] == NotInScope.code
        for verb, arguments in (
            ("send", {}),
            ("send", {"to": "bob", "body": "zz"}),
            ("wait", {"ref": 5}),
        ):
            with pytest.raises(RemoteRefusal) as refused:
                await call(path, verb, **arguments)
            assert refused.value.fields["code"] == BadCall.code
        reader, writer = await asyncio.open_unix_connection(str(path))
        for line in (b"not json", b"[]", b'{"verb": "status"}', b'{"call": "{\\"verb\\": 5}"}', b'{"call": "5"}'):
            assert "nonce" in json.loads(await reader.readline())
            writer.write(line + b"\n")
            assert json.loads(await reader.readline())["error"]["code"] == BadCall.code
        nonce = json.loads(await reader.readline())["nonce"]  # and the connection goes on
        body = json.dumps({"verb": "status"})
        for held, said in ((await wallet(path).find("status"), "ok"), (await wallet(path).find("send"), "error")):
            shown = held.show("status", body.encode(), bytes.fromhex(nonce), b"").hex()
            writer.write(json.dumps({"call": body, "nonce": nonce, "shown": shown}).encode() + b"\n")
            assert said in json.loads(await reader.readline())
            nonce = json.loads(await reader.readline())["nonce"]
        writer.close()

    asyncio.run(work())


def test_what_runs_is_listed_and_the_doctor_finds_nothing_wrong(deployment: Running) -> None:
    lanes = as_json(deployment, "lane", "list")
    assert [(row["ledger"], row["phase"], row["remote"]) for row in lanes] == [
        ("alpha", "open", "beta"),
        ("beta", "open", "alpha"),
    ]
    clients = as_json(deployment, "client", "list")
    assert {row["status"] for row in clients} == {"Active"}
    assert all(row["age_s"] < row["trusting_period_s"] for row in clients)
    explained = as_json(deployment, "client", "explain", "07-tendermint-0")
    assert {(row["ledger"], row["follows"]) for row in explained} == {("alpha", "beta-1"), ("beta", "alpha-1")}
    assert all(row["forged_by"] == f"more than 2/3 of the validators of {row['follows']} together" for row in explained)
    assert as_json(deployment, "client", "explain", "composite-7") == []
    checks = {check["name"]: check for check in as_json(deployment, "doctor")}
    assert {"python", "sqlite", "cryptography", "wasmtime", "guest echo", "data folder", "disk", "ports"} <= set(checks)
    assert {"ledger alpha", "client beta 07-tendermint-0", "sign-state alpha", "host alice"} <= set(checks)
    assert all(set(check) == {"name", "level", "found", "next_step"} for check in checks.values())
    assert checks["sign-state alpha"]["level"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("send", "nobody", "bob", "x"), 3, "node.not_initialised"),
        (("send", "alice", "nobody", "x"), 3, "host.unknown_peer"),
        (("send", "alice", "bob", "x", "--schema", "no schema"), 4, "host.bad_schema"),
        (("send", "alice", "bob"), 3, "api.no_body"),
        (("send", "alice", "bob", "--file", "/nonexistent"), 3, "api.no_body"),
        (("host", "status", "nobody"), 3, "node.not_initialised"),
        (("trace", "alpha/07-tendermint-0/99999"), 3, "packet.unknown"),
        (("trace", "gamma/07-tendermint-0/1"), 3, "node.not_initialised"),
        (("trace", "nonsense"), 3, "packet.bad_name"),
        (("prove", "alpha/07-tendermint-0/1", "-o", "/proc/nothing/here"), 3, "node.not_writable"),
        (("trace", "alpha/07-tendermint-0/1", "--rpc", "http://127.0.0.1:1"), 5, "node.ledger_down"),
    ],
)
def test_wrong_use_is_one_typed_sentence_and_its_exit_code(
    deployment: Running, arguments: tuple[str, ...], exit_code: int, code: str
) -> None:
    if arguments[1] == "alpha/07-tendermint-0/1":  # workers share the tests of this module in any way: it is there
        as_json(deployment, "send", "alice", "bob", "hello", "--wait")
    done = deployment.lockgate("--json", *arguments)
    assert "Traceback" not in done.output
    assert (done.exit_code, json.loads(done.stdout)["error"]["code"]) == (exit_code, code)


def test_a_body_above_what_a_packet_carries_arrives_whole(deployment: Running, tmp_path: Path) -> None:
    body = bytes(range(256)) * 1_200
    assert len(body) > MAX_INLINE
    (tmp_path / "large").write_bytes(body)
    sent = as_json(deployment, "send", "alice", "bob", "--file", str(tmp_path / "large"))
    done = as_json(deployment, "trace", sent["packet"], "--follow", last=True)
    assert done["standing"]["state"] == "acknowledged"
    (row,) = [r for r in as_json(deployment, "inbox", "bob", "--limit", "1000") if r["packet"] == sent["packet"]]
    assert row["bytes"] == len(body)
    saved = tmp_path / "saved"
    assert as_json(deployment, "save", "bob", sent["packet"], str(saved))["bytes"] == len(body)
    assert saved.read_bytes() == body
    again = as_json(deployment, "save", "bob", sent["packet"], str(saved), code=3)
    assert again["error"]["code"] == "bulk.file_exists"
    for name in ("alpha/07-tendermint-0/99999", "gamma/07-tendermint-0/1", "0" * 32):
        missing = as_json(deployment, "save", "bob", name, str(tmp_path / "no"), code=3)
        assert missing["error"]["code"] == "inbox.no_message"
    as_json(deployment, "save", "bob", sent["packet"], str(tmp_path / "moved"), "--remove")
    gone = as_json(deployment, "save", "bob", sent["packet"], str(tmp_path / "no"), code=3)
    assert gone["error"]["code"] == "bulk.removed"


def test_s7_a_pass_lets_a_program_read_and_not_send(
    deployment: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "reports.pass")
    issued = as_json(deployment, "token", "issue", "alice", "--allow", "outbox", "--allow", "status", "-o", file)
    assert as_json(deployment, "token", "show", file) == {key: issued[key] for key in issued if key != "file"}
    assert issued["scope"] == "outbox status"
    unknown = deployment.lockgate("--json", "token", "issue", "alice", "--allow", "everything", "-o", file)
    assert json.loads(unknown.stdout)["error"]["code"] == UnknownVerb.code
    other = str(tmp_path / "other.pass")
    as_json(deployment, "token", "issue", "alice", "--allow", "outbox", "-o", other, "--minutes", "10")
    monkeypatch.setenv("LOCKGATE_TOKEN", other)
    as_json(deployment, "outbox", "alice")
    revoked = as_json(deployment, "token", "revoke", "alice", other)
    assert revoked["id"] == as_json(deployment, "token", "show", other)["id"]
    deadline = time.monotonic() + 60
    while NotAuthenticated.code not in deployment.lockgate("--json", "outbox", "alice").stdout:
        assert time.monotonic() < deadline, "the host proves the list every few seconds"
        time.sleep(0.5)
    monkeypatch.setenv("LOCKGATE_TOKEN", file)
    assert as_json(deployment, "host", "status", "alice")["endpoint"] in issued["audience"]
    as_json(deployment, "outbox", "alice")
    refused = deployment.lockgate("--json", "send", "alice", "bob", "not mine to send")
    assert refused.exit_code == 3
    assert NotInScope.code in refused.stdout
    assert BadPass.code in deployment.lockgate("--json", "inbox", "bob").stdout, "it is a pass for one host"
    rotated = as_json(deployment, "token", "rotate")
    assert len(bytes.fromhex(rotated["replaced"])) == 32
    assert rotated["replaced"] != rotated["key"]
    gone = deployment.lockgate("--json", "outbox", "alice")
    assert NotAuthenticated.code in gone.stdout
    monkeypatch.delenv("LOCKGATE_TOKEN")
    as_json(deployment, "outbox", "alice")  # the operator's own tools take a new one
