"""A lane to an unmodified ibc-go chain as a person runs it: a deployment file and commands (P9, I10)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lockgate.courier.ports import Submitted
from lockgate.ibc.packet import Payload
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from lockgate.relay.chains.cosmos import CosmosChain
from lockgate.relay.chains.cosmos_submitter import CosmosSubmitter
from lockgate.relay.rpc import Rpc
from tests.support.commanded import Commanded
from tests.support.ibcgo import MOCK, GoChain, key, send

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]

SCALAR = hashlib.sha256(b"relayer").hexdigest()
DEPLOYMENT = """
[[ledger]]
name = "alpha"
chain_id = "alpha-1"
heartbeat = 0.5
applications = ["echo"]

[[chain]]
name = "gaia"
kind = "cosmos"
ledger = "alpha"
rpc = ["{rpc}", "{other}"]
chain_id = "{chain_id}"
prefix = "cosmos"
key_file = "account.key"
"""


@pytest.fixture
def place(tmp_path: Path, go: GoChain) -> Iterator[Commanded]:
    other = go.rpc.replace("127.0.0.1", "localhost")
    made = Commanded(tmp_path, DEPLOYMENT.format(rpc=go.rpc, other=other, chain_id=go.chain_id), SCALAR)
    try:
        yield made
    finally:
        made.stop()


def ask(go: GoChain, client: str, body: bytes) -> Submitted:
    """Somebody over there has their application send to our ledger's."""

    async def work() -> Submitted:
        async with Rpc(go.rpc) as rpc:
            chain = CosmosChain(rpc, go.chain_id)
            now = (await chain.tip()).time // NANOS_PER_SECOND
            user = CosmosSubmitter(chain, key("user"))
            payload = Payload(MOCK[0], "echo", "echo-1", "application/octet-stream", body)
            return await user.submit([send(ClientId(client), UnixSeconds(now + 3_600), payload, user.signer)])

    return asyncio.run(work())


def open_there(go: GoChain, client: str) -> dict[int, bytes]:
    async def work() -> dict[int, bytes]:
        async with Rpc(go.rpc) as rpc:
            return dict(await CosmosChain(rpc, go.chain_id).outstanding(ClientId(client)))

    return asyncio.run(work())


def test_a_lane_is_opened_and_relayed_by_commands(place: Commanded, go: GoChain, proved: Callable[[str], None]) -> None:
    place.up()
    lane: dict[str, Any] = place.lockgate("lane", "open", place.file, code=3)
    assert lane["error"]["code"] == "chain.account_in_use", "the relayer has it"
    (shown,) = place.lockgate("lane", "list")
    assert (shown["remote_class"], shown["phase"]) == ("foreign", "open")
    there = shown["remote_client"]
    for number in range(3):
        done = ask(go, there, b"question %d" % number)
        assert done.code == 0, done.log
    place.until(lambda: not open_there(go, there))
    ours = place.lockgate("lane", "ask", shown["client"], "hello", "--ledger", "alpha", "--to", MOCK[1], "--wait", "90")
    assert ours["ended"] == "acknowledged"
    place.until(lambda: place.lockgate("relay", "status", "alpha-gaia")["counters"]["acknowledged"] == 4)
    status = place.lockgate("relay", "status", "alpha-gaia")
    assert {end["status"] for end in status["clients"].values()} == {"Active"}
    place.stop()
    again = place.folder / "data" / "chains" / "gaia" / "lane.json"
    before = again.read_text()
    place.up()
    assert again.read_text() == before, "a lane that stands is not opened again"
    assert len(place.lockgate("lane", "list")) == 1
    ours = place.lockgate("lane", "ask", shown["client"], "again", "--ledger", "alpha", "--to", MOCK[1], "--wait", "90")
    assert ours["ended"] == "acknowledged"
    place.stop()
    assert SCALAR not in "".join(place.said) + place.logs()
    proved("ibc-go by command: 3 packets of theirs answered by our ledger, 2 of ours by their chain")


def test_an_account_that_the_chain_does_not_know_is_named(place: Commanded) -> None:
    place.key_file.write_text("12" * 32)
    place.start("up", place.file)
    assert place.process is not None
    assert place.process.wait(60) == 3
    said = (place.folder / "out.txt").read_text()
    assert "cosmos.account_absent" in said
    assert "cosmos1" in said, "which address is to be sent something"
