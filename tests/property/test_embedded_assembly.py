"""Blocks assembled from a ledger's frame are, byte for byte, what the plain encoding and hashing make of the values."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.engines.embedded.assembly import AssembledBlock, HeaderFrame, SealedCommit
from lockgate.lightclients.cometbft import encoding, framing, hashing
from lockgate.lightclients.cometbft.types import (
    ABSENT_SIG,
    END_OF_TIME,
    GO_ZERO_TIME,
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    PartSetHeader,
)
from lockgate.primitives.time import UnixNanos

TIMES = st.integers(GO_ZERO_TIME, END_OF_TIME - 1).map(UnixNanos)
DIGESTS = st.binary(min_size=32, max_size=32)
BLOCK_IDS = st.just(BlockID()) | st.builds(
    BlockID, DIGESTS, st.builds(PartSetHeader, st.integers(0, 2**32 - 1), DIGESTS)
)
HEADERS = st.builds(
    Header,
    version_block=st.integers(0, 2**64 - 1),
    version_app=st.integers(0, 2**64 - 1),
    chain_id=st.text(max_size=20),
    height=st.integers(1, 2**63 - 1),
    time=TIMES,
    last_block_id=BLOCK_IDS,
    last_commit_hash=DIGESTS,
    data_hash=DIGESTS,
    validators_hash=DIGESTS,
    next_validators_hash=DIGESTS,
    consensus_hash=st.just(b"") | DIGESTS,
    app_hash=DIGESTS,
    last_results_hash=DIGESTS,
    evidence_hash=st.just(b"") | DIGESTS,
    proposer_address=st.binary(max_size=20),
)
VOTES = st.builds(
    CommitSig, st.sampled_from(BlockIdFlag), st.binary(max_size=20), TIMES, st.binary(min_size=64, max_size=64)
)
COMMITS = st.builds(
    Commit,
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**31 - 1),
    BLOCK_IDS,
    st.lists(VOTES | st.just(ABSENT_SIG), max_size=5).map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(like=HEADERS, header=HEADERS, last=COMMITS, txs=st.lists(st.binary(max_size=300), max_size=3))
def test_a_block_from_the_frame_is_the_plain_one(like: Header, header: Header, last: Commit, txs: list[bytes]) -> None:
    whole = replace(
        like,
        height=header.height,
        time=header.time,
        last_block_id=header.last_block_id,
        last_commit_hash=header.last_commit_hash,
        data_hash=header.data_hash,
        app_hash=header.app_hash,
        last_results_hash=header.last_results_hash,
    )
    encoded, digest = HeaderFrame(like).header(
        header.height,
        header.time,
        header.last_block_id,
        header.last_commit_hash,
        header.data_hash,
        header.app_hash,
        header.last_results_hash,
    )
    assert encoded == encoding.header(whole)
    assert digest == hashing.header_hash(whole)
    block = AssembledBlock.of(encoded, digest, txs, SealedCommit.of(last))
    assert block.encoded == encoding.block(whole, txs, last)
    assert block.block_id == hashing.block_id(whole, txs, last)


@pytest.mark.parametrize("size", [hashing.PART_BYTES - 1_000, hashing.PART_BYTES, 2 * hashing.PART_BYTES + 1])
def test_a_block_of_several_parts_has_their_root(size: int) -> None:
    header = Header(
        chain_id="alpha-1",
        height=1,
        time=UnixNanos(1),
        validators_hash=bytes(32),
        next_validators_hash=bytes(32),
        proposer_address=bytes(20),
        last_commit_hash=bytes(32),
        data_hash=bytes(32),
        app_hash=bytes(32),
        last_results_hash=bytes(32),
    )
    encoded, digest = encoding.header(header), hashing.header_hash(header)
    block = AssembledBlock.of(encoded, digest, [bytes(size)], SealedCommit.of(Commit()))
    assert block.block_id == hashing.block_id(header, [bytes(size)], Commit())


@settings(max_examples=100, deadline=None)
@given(commit=COMMITS)
def test_a_commit_of_encoded_votes_is_the_plain_one(commit: Commit) -> None:
    leaves = [
        encoding.commit_sig_of(
            encoding.vote_head(sig.flag, sig.validator_address), framing.timestamp(sig.timestamp), sig.signature
        )
        for sig in commit.signatures
    ]
    sealed = SealedCommit.of_leaves(replace(commit, signatures=()), leaves)
    assert sealed == SealedCommit.of(commit)
    assert (sealed.encoded, sealed.hash) == (encoding.commit(commit), hashing.commit_hash(commit))
