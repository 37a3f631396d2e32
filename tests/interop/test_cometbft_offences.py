"""A validator of a real cluster signs two votes of a height: it is recorded and loses its seat (S28, P10).

Packets flow on, and the clients that follow the ledger stay active: one validator of four makes no second header.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from lockgate.crypto.ed25519 import SigningKey
from lockgate.lightclients.cometbft import rpc_json
from lockgate.lightclients.cometbft.rfc3339 import format_time
from lockgate.lightclients.cometbft.signing import VoteFrame
from lockgate.lightclients.cometbft.types import BlockID, PartSetHeader, VoteType
from lockgate.machine.genesis import Parameters
from lockgate.node.cometbft import Node
from lockgate.node.ledgers import Ledgers
from lockgate.node.provision import described
from lockgate.node.validators import NotChanged
from tests.interop.test_cometbft_light import cometbft  # noqa: F401  # a fixture
from tests.support.clusters import NAME, Cluster

pytestmark = pytest.mark.interop

DELAY = 4
OFFENDER = 3
SETTLE_S = 120.0


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder of its own with a short path: the deployment's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="lg-") as root:
        yield Path(root)


def validator_key(node: Node) -> SigningKey:
    """The consensus key as CometBFT keeps it: 32 bytes of seed, then the public key."""
    record = json.loads((node.home / "config" / "priv_validator_key.json").read_text())
    return SigningKey(b64decode(record["priv_key"]["value"])[:32])


@dataclass(frozen=True)
class TwoVotes:
    """Two precommits of one validator for one height and round, as CometBFT's JSON has the evidence."""

    key: SigningKey
    place: int
    commit: Any
    header: Any
    power: int
    total: int

    def document(self) -> dict[str, Any]:
        made = [BlockID(sha256(name).digest(), PartSetHeader(1, sha256(name).digest())) for name in (b"one", b"other")]
        first, second = (self._vote(block_id) for block_id in sorted(made, key=lambda each: each.hash))
        value = {
            "vote_a": first,
            "vote_b": second,
            "TotalVotingPower": str(self.total),
            "ValidatorPower": str(self.power),
            "Timestamp": self.header["time"],
        }
        return {"type": "tendermint/DuplicateVoteEvidence", "value": value}

    def _vote(self, block_id: BlockID) -> dict[str, Any]:
        height = int(self.header["height"])
        frame = VoteFrame.of(self.header["chain_id"], VoteType.PRECOMMIT, height, 0, block_id)
        time = rpc_json.header_from_json(self.header).time
        return {
            "type": int(VoteType.PRECOMMIT),
            "height": str(height),
            "round": 0,
            "block_id": rpc_json.block_id_to_json(block_id),
            "timestamp": format_time(time),
            "validator_address": sha256(self.key.public_key).digest()[:20].hex().upper(),
            "validator_index": self.place,
            "signature": b64encode(self.key.sign(frame.sign_bytes(time))).decode(),
        }


async def double_sign(cluster: Cluster, number: int, height: int) -> None:
    """The validator signs twice, and somebody hands both votes to another node."""
    key = validator_key(cluster.node(number))
    signed = (await cluster.rpc(0, "commit", height=str(height)))["signed_header"]
    members = (await cluster.rpc(0, "validators", height=str(height)))["validators"]
    address = sha256(key.public_key).digest()[:20].hex().upper()
    place = next(place for place, member in enumerate(members) if member["address"] == address)
    powers = [int(member["voting_power"]) for member in members]
    votes = TwoVotes(key, place, signed["commit"], signed["header"], powers[place], sum(powers))
    await cluster.rpc(0, "broadcast_evidence", evidence=votes.document())


def test_S28_a_validator_that_signs_twice_leaves_and_no_client_freezes(
    cometbft: str,  # noqa: F811
    short: Path,
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
                height = await cluster.height(0) - 2
                await double_sign(cluster, OFFENDER, height)
                recorded = await caught(cluster, height)
                await cluster.caught_up(0, recorded + 4)
                await cluster.acknowledged(5)
                refused = await asyncio.to_thread(cluster.refused, "ledger", "validators", "add", NAME, str(OFFENDER))
                assert (refused["code"], refused["fields"]["cause"]) == (NotChanged.code, "gov.tombstoned")
            await cluster.settled(SETTLE_S)
            members = (await cluster.rpc(0, "validators", height=str(recorded + 2)))["validators"]
            keys = {b64decode(member["pub_key"]["value"]) for member in members}
            assert keys == {cluster.key(number) for number in range(4) if number != OFFENDER}
            async with Ledgers(cluster.folder) as ledgers:
                (row,) = [each for each in await described(ledgers.named("beta").chain) if each[3] == "alpha-1"]
            assert row[2] == "Active"
            assert row[4][1] > recorded + 2
        finally:
            cluster.stop()
        return known

    known = asyncio.run(work())
    cluster.acted_once(known)
    assert cluster.agree(range(4)) > DELAY


async def caught(cluster: Cluster, height: int) -> int:
    """Wait until the machine has recorded the offence; returns the block that held the evidence."""
    async with asyncio.timeout(60):
        while True:
            rows = await asyncio.to_thread(cluster.command, "ledger", "validators", "list", NAME)
            found = {row["validator"]: row["offence"] for row in rows if row["offence"]}
            if found:
                assert found == {OFFENDER: f"duplicate vote at block {height}"}
                break
            await asyncio.sleep(0.5)
    for at in range(height, await cluster.height(0) + 1):
        events = (await cluster.rpc(0, "block_results", height=str(at)))["finalize_block_events"] or []
        if any(event["type"] == "validator_tombstoned" for event in events):
            evidence = (await cluster.rpc(0, "block", height=str(at)))["block"]["evidence"]["evidence"]
            assert len(evidence) == 1
            return at
    raise AssertionError("no block says so")
