"""Headers with as many validators as there may be, from an honest node and from ones that make it long."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

import pytest

from lockgate.crypto import ed25519
from lockgate.lightclients.cometbft import hashing, rpc_json
from lockgate.lightclients.cometbft.bisection import sound_light_block
from lockgate.lightclients.cometbft.commit import check_commit_light
from lockgate.lightclients.cometbft.errors import CommitInvalid, HeaderRefused
from lockgate.lightclients.cometbft.signing import VoteFrame
from lockgate.lightclients.cometbft.types import (
    MAX_VALIDATORS,
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    LightBlock,
    PartSetHeader,
    SignedHeader,
    Validator,
    ValidatorSet,
    VoteType,
)
from lockgate.primitives.errors import Unavailable
from lockgate.relay.chains.cometbft import MAX_PAGES, PER_PAGE, CometBftChain
from lockgate.relay.pages import EndlessAnswer
from tests.support.chain import TestLedger
from tests.support.sources import codes, several

LONGEST_S = 30.0  # fetched, checked and verified; a second or two on an idle core


@cache
def block_of(count: int) -> LightBlock:
    """Height 3 of test-1, signed by all of `count` validators."""
    keys = [ed25519.SigningKey(sha256(b"validator %d" % place).digest()) for place in range(count)]
    validators = ValidatorSet.of(tuple(Validator.from_key(key.public_key, 1) for key in keys))
    by_address = {sha256(key.public_key).digest()[:20]: key for key in keys}
    ledger = TestLedger()
    while len(ledger.blocks) < 3:
        ledger.produce()
    header = replace(ledger.block(3).header, validators_hash=validators.hash, next_validators_hash=validators.hash)
    block_id = BlockID(hashing.header_hash(header), PartSetHeader(1, sha256(b"parts").digest()))
    frame = VoteFrame.of(header.chain_id, VoteType.PRECOMMIT, header.height, 0, block_id)
    data = frame.sign_bytes(header.time)
    sigs = tuple(
        CommitSig(BlockIdFlag.COMMIT, member.address, header.time, by_address[member.address].sign(data))
        for member in validators.validators
    )
    return LightBlock(SignedHeader(header, Commit(header.height, 0, block_id, sigs)), validators, validators)


class Node:
    """Serves one block, its validators in pages."""

    def __init__(self, block: LightBlock, *, endless: bool = False, total: int = 1 << 40) -> None:
        self.block = block
        self.endless = endless
        self.total = total
        self.pages = 0
        self._members = [rpc_json.validator_to_json(member) for member in block.validators.validators]

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        if method == "commit":
            return {"signed_header": rpc_json.signed_header_to_json(self.block.signed_header)}
        assert method == "validators"
        self.pages += 1
        start = PER_PAGE * (int(params["page"]) - 1)
        total = self.total if self.endless else len(self._members)
        return {"validators": self._members[start : start + PER_PAGE], "total": str(total)}

    async def close(self) -> None: ...


def test_ten_thousand_validators_are_read_checked_and_verified_in_time() -> None:
    block = block_of(MAX_VALIDATORS)
    node = Node(block)
    begun = time.perf_counter()
    found = asyncio.run(CometBftChain(node, block.header.chain_id).light_block(3))
    check_commit_light(block.header.chain_id, found.validators, found.signed_header.commit)
    assert time.perf_counter() - begun < LONGEST_S
    assert sound_light_block(found).hash == hashing.header_hash(block.header)
    assert node.pages == MAX_PAGES, "the following set is the same one, and not fetched again"


def test_ten_thousand_validators_through_several_nodes_come_from_one() -> None:
    block = block_of(MAX_VALIDATORS)
    nodes = [Node(block) for _ in range(3)]
    chain, alarms = several(nodes, chain_id=block.header.chain_id)
    begun = time.perf_counter()
    found = asyncio.run(chain.light_block(3))
    assert time.perf_counter() - begun < LONGEST_S
    assert found.validators.hash == block.validators.hash
    assert [node.pages for node in nodes] == [MAX_PAGES, 0, 0]
    assert alarms == []


@pytest.mark.parametrize(("total", "pages"), [(1 << 40, 1), (MAX_VALIDATORS, 2)])
def test_a_validator_set_without_end_is_left(total: int, pages: int) -> None:
    """It says that there are more than there can be, or serves nothing where there is more to come."""
    block = block_of(PER_PAGE)
    node = Node(block, endless=True, total=total)
    with pytest.raises(EndlessAnswer):
        asyncio.run(CometBftChain(node, block.header.chain_id).light_block(3))
    assert node.pages == pages
    chain, alarms = several([node, Node(block), Node(block)], chain_id=block.header.chain_id)
    assert asyncio.run(chain.light_block(3)).validators.hash == block.validators.hash
    assert codes(alarms) == ["sources.unusable"]


@pytest.mark.parametrize("how", ["one twice", "the first one's everywhere", "one too many", "swapped", "a third left"])
def test_c3_commits_with_duplicate_or_missing_signatures_are_refused(how: str) -> None:
    block = block_of(PER_PAGE)
    commit = block.signed_header.commit
    sigs = list(commit.signatures)
    match how:
        case "one twice":
            sigs[1:] = [sigs[1]] * (len(sigs) - 1)
        case "the first one's everywhere":
            sigs = [replace(sig, signature=sigs[0].signature) for sig in sigs]
        case "one too many":
            sigs.append(sigs[0])
        case "swapped":
            sigs.reverse()
        case "a third left":
            sigs = sigs[: len(sigs) // 3]
    bad = replace(block, signed_header=replace(block.signed_header, commit=replace(commit, signatures=tuple(sigs))))
    with pytest.raises((HeaderRefused, CommitInvalid)):
        check_commit_light(block.header.chain_id, block.validators, bad.signed_header.commit)
    chain, alarms = several([Node(bad), Node(block), Node(block)], chain_id=block.header.chain_id)
    assert asyncio.run(chain.light_block(3)).signed_header.commit == commit
    assert codes(alarms) == ["sources.lied"]
    chain, _ = several([Node(bad), Node(bad)], chain_id=block.header.chain_id)
    with pytest.raises(Unavailable):
        asyncio.run(chain.light_block(3))
