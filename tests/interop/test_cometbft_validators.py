"""Who signs a real cluster changes while packets flow; light clients follow, ours and CometBFT's own (P10, P16)."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.machine.genesis import Parameters
from lockgate.node import cometbft as node
from lockgate.node import validator_keys
from lockgate.node.ledgers import Ledgers
from lockgate.node.provision import described
from lockgate.node.validator_rotation import ValidatorAway
from lockgate.node.validators import NotChanged
from tests.interop.test_cometbft_light import (
    Ledger,
    ask,
    cometbft,  # noqa: F401  # a fixture
    ended,
    light_command,
    wait_until,
)
from tests.support.clusters import NAME, Cluster

pytestmark = pytest.mark.interop

DELAY = 4
SETTLE_S = 120.0


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder of its own with a short path: the deployment's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="lg-") as root:
        yield Path(root)


def test_one_validator_leaves_and_a_fifth_joins_while_packets_flow(
    cometbft: str,  # noqa: F811
    short: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(Path(cometbft).parent), prepend=":")
    cluster = Cluster(short)

    async def work() -> set[bytes]:
        await cluster.set_up(Parameters(authority_delay_blocks=DELAY))
        cluster.start()
        try:
            await cluster.serving()
            async with cluster.load() as known:
                await cluster.acknowledged(3)
                trusted = await cluster.height(1)
                made = await asyncio.to_thread(cluster.command, "ledger", "validators", "join", NAME)
                assert made["validator"] == 4
                fifth = cluster.validator(4)
                cluster.parties.insert(4, fifth)
                fifth.start()
                await cluster.caught_up(4, trusted)
                added = await change(cluster, "add", "4")
                removed = await change(cluster, "remove", "0")
                assert removed["signs_from"] > added["signs_from"]
                await cluster.caught_up(4, removed["signs_from"] + 2)
                refused = await asyncio.to_thread(
                    cluster.refused, "ledger", "validators", "remove", NAME, cluster.key(1).hex()
                )
                assert (refused["code"], refused["fields"]["cause"]) == (NotChanged.code, "gov.validators")
                cluster.parties[0].kill()
                cluster.parties.pop(0)
                await cluster.acknowledged(5)
            await cluster.settled(SETTLE_S)
            await compare(cluster, trusted, added["signs_from"], removed["signs_from"])
            primary, witness = (Ledger(cluster.node(number).address) for number in (1, 4))
            cometbft_follows(cometbft, primary, witness, tmp_path, trusted)
        finally:
            cluster.stop()
        return known

    known = asyncio.run(work())
    cluster.acted_once(known)
    assert cluster.agree(range(5)) > DELAY


@pytest.mark.parametrize("validators", [4, 1])
def test_S11_every_validator_is_followed_by_its_next_key_while_packets_flow(
    cometbft: str,  # noqa: F811
    short: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    validators: int,
) -> None:
    monkeypatch.setenv("PATH", str(Path(cometbft).parent), prepend=":")
    cluster = Cluster(short, validators)
    numbers = range(validators)

    async def work() -> set[bytes]:
        await cluster.set_up(Parameters(authority_delay_blocks=DELAY))
        cluster.start()
        try:
            await cluster.serving()
            async with cluster.load() as known:
                await cluster.acknowledged(3)
                trusted, before = await cluster.height(0), [cluster.key(number) for number in numbers]
                if validators > 1:
                    await one_is_away(cluster)
                    assert [cluster.key(number) for number in numbers] == before
                    # As a round leaves it that stopped at the last of four: the first three are left alone.
                    for number in (0, 1, 2):
                        validator_keys.drop(cluster.node(number).home)
                    (last,) = await followed(cluster)
                    assert last["index"] == 3
                    assert [cluster.key(number) for number in (0, 1, 2)] == before[:3]
                rows = await followed(cluster)
                assert [row["index"] for row in rows] == [*numbers]
                assert not {cluster.key(number) for number in numbers} & {*before}
                await cluster.acknowledged(5)
            await cluster.settled(SETTLE_S)
            listed = await asyncio.to_thread(cluster.command, "ledger", "validators", "list", NAME)
            assert {row["validator"]: row["power"] for row in listed} == dict.fromkeys(numbers, node.POWER)
            if validators > 1:
                primary, witness = (Ledger(cluster.node(number).address) for number in (1, 2))
                cometbft_follows(cometbft, primary, witness, tmp_path, trusted)
            async with Ledgers(cluster.folder) as ledgers:
                (row,) = [each for each in await described(ledgers.named("beta").chain) if each[3] == "alpha-1"]
                assert row[2] == "Active"
                assert row[4][1] > rows[-1]["since"], "beta's client has verified a header of the last set"
        finally:
            cluster.stop()
        return known

    known = asyncio.run(work())
    cluster.acted_once(known)
    assert cluster.agree(numbers) > DELAY


async def one_is_away(cluster: Cluster) -> None:
    """With a validator down no other is made to start anew."""
    cluster.parties[3].kill()
    refused = await asyncio.to_thread(cluster.refused, "keys", "rotate", f"ledger/{NAME}", "validator")
    assert (refused["code"], refused["fields"]["validator"]) == (ValidatorAway.code, "3")
    cluster.parties[3].start()
    await cluster.caught_up(3, await cluster.height(0))


async def followed(cluster: Cluster) -> list[dict[str, int]]:
    done = await asyncio.to_thread(cluster.command, "keys", "rotate", f"ledger/{NAME}", "validator", timeout_s=300)
    rows: list[dict[str, int]] = done["on"]
    return rows


async def change(cluster: Cluster, verb: str, validator: str) -> dict[str, int]:
    done: dict[str, int] = await asyncio.to_thread(cluster.command, "ledger", "validators", verb, NAME, validator)
    return done


async def compare(cluster: Cluster, trusted: int, joined: int, left: int) -> None:
    """What the nodes, the machine and beta's light client say of the sets."""
    rows = await asyncio.to_thread(cluster.command, "ledger", "validators", "list", NAME)
    assert {row["validator"]: row["power"] for row in rows} == dict.fromkeys((1, 2, 3, 4), node.POWER)
    sizes = {}
    for height in (trusted, joined - 1, joined, left - 1, left):
        found = await cluster.rpc(1, "validators", height=str(height))
        sizes[height] = {member["pub_key"]["value"] for member in found["validators"]}
    assert len(sizes[joined - 1]) == 4
    assert len(sizes[joined] - sizes[joined - 1]) == 1
    assert len(sizes[left]) == 4
    assert len(sizes[left - 1] - sizes[left]) == 1
    results = await cluster.rpc(1, "block_results", height=str(joined - 2))
    (update,) = results["validator_updates"]
    assert update["power"] == str(node.POWER)
    async with Ledgers(cluster.folder) as ledgers:
        (row,) = [each for each in await described(ledgers.named("beta").chain) if each[3] == "alpha-1"]
        assert row[2] == "Active"
        assert row[4][1] > left, "beta's client has verified a header of the new set"


def cometbft_follows(binary: str, primary: Ledger, witness: Ledger, folder: Path, trusted: int) -> None:
    """CometBFT's own light client gets from a header of the first set to one of the last."""
    command = light_command(binary, folder, primary, witness, trusted, primary.hash_at(trusted))
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: b"Starting RPC HTTP server" in log.read_bytes(), process)
        tip = primary.tip()
        verified = ask(command[-1].replace("tcp", "http"), "commit", height=tip)["signed_header"]
        assert verified == primary.ask("commit", height=tip)["signed_header"]
    finally:
        ended(process)
