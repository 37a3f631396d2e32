"""A real cluster is forked: from one evidence every client of its domain freezes, on every ledger (P14, P20).

The cluster is stopped, its folders copied, keys and sign-states with them, and both copies go on with other
transactions. All four validators sign both, so each history is as good as the other to whoever sees only one.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from lockgate.codec.type_urls import TENDERMINT_MISBEHAVIOUR
from lockgate.lightclients.tendermint.messages import encode_header, encode_misbehaviour
from lockgate.machine.validators import address
from lockgate.node import cometbft as node
from lockgate.node import ledger as embedded
from lockgate.node.folder import Folder, write_json
from lockgate.node.ledger import ledger_keys
from lockgate.node.provision import LedgerAccess, create_client, described, lane_between, open_chain
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height
from lockgate.relay.messages import update_client
from lockgate.relay.rpc import Rpc
from tests.interop.test_cometbft_light import (  # noqa: F401  # a fixture
    Ledger,
    cometbft,
    ended,
    light_command,
    wait_until,
)
from tests.support.clusters import NAME, Cluster, forked
from tests.support.deployment import Party

pytestmark = pytest.mark.interop

LIMIT_S = 240.0
OTHERS = ("beta", "gamma")
CLIENTS = 2  # of the cluster on each other ledger


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder of its own with a short path: the deployment's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="lg-") as root:
        yield Path(root)


class World:
    """A cluster, two embedded ledgers that follow it, and a relayer between these two, which knows no node of it."""

    def __init__(self, root: Path) -> None:
        self.cluster = Cluster(root / "a")
        self.folder: Folder = self.cluster.folder
        (root / "a").mkdir()
        self.embedded = [Party(name, ("ledger", "run", name, "--heartbeat", "0.5"), root / "a") for name in OTHERS]
        self.relay = Party("relay", ("relay", "run", "beta-gamma"), root / "a")
        self.validators = [self.cluster.validator(number) for number in range(4)]

    def make(self) -> None:
        node.create(self.folder, NAME, "alpha-1", 4)
        for name in OTHERS:
            embedded.create(self.folder, name, f"{name}-1")

    def start(self) -> None:
        for party in (*self.validators, *self.embedded):
            party.start()

    def stop(self) -> None:
        for party in (*self.validators, *self.embedded, self.relay):
            party.kill()

    @asynccontextmanager
    async def opened(self, *names: str) -> AsyncIterator[dict[str, LedgerAccess]]:
        """The ledgers, when they answer."""
        found = {}
        try:
            for name in names:
                found[name] = await self._connect(name)
            yield found
        finally:
            await asyncio.gather(*(access.chain.rpc.close() for access in found.values()))

    async def _connect(self, name: str) -> LedgerAccess:
        signer = ledger_keys(self.folder, name).signer("operator")
        while True:
            with contextlib.suppress(LockgateError):
                access = await LedgerAccess.connect(name, partial(node.address_now, self.folder, name), signer, 1)
                await access.chain.header_at_least(3, 30.0)
                return access
            await asyncio.sleep(0.2)


def test_P20_two_headers_of_a_forked_cluster_freeze_every_client_of_it(
    cometbft: str,  # noqa: F811
    short: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(Path(cometbft).parent), prepend=":")
    world = World(short)
    world.make()

    async def work() -> None:
        async with asyncio.timeout(LIMIT_S):
            world.start()
            async with world.opened(NAME, *OTHERS) as ledgers:
                clients = {name: [await create_client(ledgers[name], ledgers[NAME])] for name in OTHERS}
                await ledgers[NAME].chain.header_at_least((await ledgers[NAME].chain.tip()).height.height + 1)
                for name in OTHERS:  # the second from another height
                    clients[name].append(await create_client(ledgers[name], ledgers[NAME]))
                await lane_between(ledgers["beta"], ledgers["gamma"], lambda _: None)
                write_json(world.folder.relay("beta-gamma") / "relay.json", {"between": list(OTHERS)})
                last = (await ledgers[NAME].chain.tip()).height.height
            for party in world.validators:
                party.kill()
            fork = forked(world.cluster, short / "b")
            parties = [fork.validator(number) for number in range(4)]
            try:
                for party in (*world.validators, *parties, world.relay):
                    party.start()
                height = await differ(world, fork, last)
                async with world.opened(*OTHERS) as ledgers:
                    await submit(world.cluster, fork, ledgers["beta"], clients["beta"][0], height)
                    await frozen(ledgers, CLIENTS)
                    for ledger in ledgers.values():
                        (row,) = [each for each in await described(ledger.chain) if each[3] != "alpha-1"]
                        assert row[2] == "Active", "a ledger that did not lie"
                await attacked(cometbft, world.cluster, fork, tmp_path, last, height)
            finally:
                for party in parties:
                    party.kill()

    try:
        asyncio.run(work())
    finally:
        world.stop()


async def differ(world: World, fork: Cluster, last: int) -> int:
    """Both histories go on, each with a transaction of its own; returns a height of which both have a header."""
    for cluster in (world.cluster, fork):
        for number in range(4):
            await cluster.caught_up(number, last + 2)
    async with world.opened(NAME) as ledgers:
        await create_client(ledgers[NAME], ledgers[NAME])  # a transaction that the fork does not have
    height = min([await cluster.height(0) for cluster in (world.cluster, fork)])
    mine, theirs = [
        (await cluster.rpc(0, "commit", height=str(height)))["signed_header"]["commit"]["block_id"]["hash"]
        for cluster in (world.cluster, fork)
    ]
    assert height > last
    assert mine != theirs
    return height


async def submit(cluster: Cluster, fork: Cluster, on: LedgerAccess, client: str, height: int) -> None:
    """Both headers of a height to one client, once."""
    tracked = await on.chain.client(ClientId(client))
    trusted = tracked.latest
    headers = []
    for each in (cluster, fork):
        async with Rpc(each.node(0).address) as rpc:
            chain = await open_chain(rpc)
            block = await chain.light_block(height)
            following = await chain.validators(trusted.height + 1)
            headers.append(encode_header(block.signed_header, block.validators, Height(1, trusted.height), following))
    evidence = encode_misbehaviour(client, *headers)
    await on.do(update_client(client, TENDERMINT_MISBEHAVIOUR, evidence, on.submitter.signer))


async def frozen(ledgers: dict[str, LedgerAccess], count: int) -> None:
    """Wait until every client of the cluster is frozen, on every ledger."""
    while True:
        rows = [
            [each[2] for each in await described(ledger.chain) if each[3] == "alpha-1"] for ledger in ledgers.values()
        ]
        assert all(len(statuses) == count for statuses in rows)
        if all(status == "Frozen" for statuses in rows for status in statuses):
            return
        await asyncio.sleep(0.2)


async def attacked(binary: str, cluster: Cluster, fork: Cluster, folder: Path, last: int, height: int) -> None:
    """CometBFT's light client, which is shown both, hands its evidence to a node: the machine records all four.

    They are everybody, so they stay; the ledger says of itself what they did.
    """
    primary, witness = Ledger(cluster.node(0).address), Ledger(fork.node(0).address)
    command = light_command(binary, folder, primary, witness, last, primary.hash_at(last))
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
    try:
        await asyncio.to_thread(wait_until, lambda: b"Starting RPC HTTP server" in log.read_bytes(), process)
        served = command[-1].replace("tcp", "http")
        answer = await asyncio.to_thread(httpx.get, f"{served}/commit", params={"height": height}, timeout=30)
        assert "error" in answer.json(), "it believes neither history"
    finally:
        ended(process)
    named = await evidence_of(cluster)
    assert len(named) >= 3, "more than two thirds signed both"
    while True:
        rows = await asyncio.to_thread(cluster.command, "ledger", "validators", "list", NAME)
        caught = {row["validator"] for row in rows if row["offence"].startswith("light client attack at block ")}
        if caught:
            break
        await asyncio.sleep(0.5)
    addresses = [address(cluster.key(number)) for number in range(4)]
    assert caught == {number for number in range(4) if addresses[number] in named}


async def evidence_of(cluster: Cluster) -> set[bytes]:
    """Addresses of the validators whom CometBFT's evidence names, when a block holds it."""
    height = 1
    while True:
        while height > await cluster.height(0):
            await asyncio.sleep(0.2)
        block = (await cluster.rpc(0, "block", height=str(height)))["block"]
        for each in block["evidence"]["evidence"]:
            assert each["type"] == "tendermint/LightClientAttackEvidence"
            return {bytes.fromhex(validator["address"]) for validator in each["value"]["ByzantineValidators"]}
        height += 1
