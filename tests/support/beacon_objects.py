"""Light client objects with arbitrary contents, for what reads and writes them."""

from __future__ import annotations

from hypothesis import strategies as st

from lockgate.lightclients.ethereum import (
    BeaconHeader,
    Bootstrap,
    ExecutionHeader,
    Fork,
    LightHeader,
    SyncAggregate,
    SyncCommittee,
    Update,
    indices,
)
from lockgate.lightclients.ethereum.containers import NO_HEADER, Branch
from lockgate.merkle import ssz

SIZE = 32
uint64 = st.integers(0, 2**64 - 1)
root = st.binary(min_size=32, max_size=32)
key = st.binary(min_size=48, max_size=48)


def branch(index: int) -> st.SearchStrategy[Branch]:
    depth = ssz.depth(index)
    whole = st.lists(root, min_size=depth, max_size=depth).map(tuple)
    return whole.map(lambda siblings: siblings if any(map(any, siblings)) else ())


beacon_header = st.builds(
    BeaconHeader, slot=uint64, proposer_index=uint64, parent_root=root, state_root=root, body_root=root
)
committee = st.builds(SyncCommittee, st.lists(key, min_size=SIZE, max_size=SIZE).map(tuple), key)


def execution_header(fork: Fork) -> st.SearchStrategy[ExecutionHeader]:
    blobs = uint64 if fork >= Fork.DENEB else st.just(0)
    return st.builds(
        ExecutionHeader,
        parent_hash=root,
        fee_recipient=st.binary(min_size=20, max_size=20),
        state_root=root,
        receipts_root=root,
        logs_bloom=st.binary(min_size=256, max_size=256),
        prev_randao=root,
        block_number=uint64,
        gas_limit=uint64,
        gas_used=uint64,
        timestamp=uint64,
        extra_data=st.binary(max_size=32),
        base_fee_per_gas=st.integers(0, 2**256 - 1),
        block_hash=root,
        transactions_root=root,
        withdrawals_root=root,
        blob_gas_used=blobs,
        excess_blob_gas=blobs,
    )


def light_header(fork: Fork) -> st.SearchStrategy[LightHeader]:
    if fork < Fork.CAPELLA:
        return st.builds(LightHeader, beacon_header)
    some = branch(indices.EXECUTION_PAYLOAD).filter(bool)
    return st.builds(LightHeader, beacon_header, execution_header(fork), some)


@st.composite
def updates(draw: st.DrawFn, fork: Fork) -> Update:
    next_branch = draw(branch(indices.next_sync_committee(fork)))
    finality_branch = draw(branch(indices.finalized_root(fork)))
    return Update(
        attested_header=draw(light_header(fork)),
        next_sync_committee=draw(committee) if next_branch else None,
        next_sync_committee_branch=next_branch,
        finalized_header=draw(light_header(fork)) if finality_branch else NO_HEADER,
        finality_branch=finality_branch,
        sync_aggregate=SyncAggregate(
            draw(st.binary(min_size=SIZE // 8, max_size=SIZE // 8)), draw(st.binary(min_size=96, max_size=96))
        ),
        signature_slot=draw(uint64),
    )


def bootstraps(fork: Fork) -> st.SearchStrategy[Bootstrap]:
    return st.builds(
        Bootstrap,
        header=light_header(fork),
        current_sync_committee=committee,
        current_sync_committee_branch=branch(indices.current_sync_committee(fork)),
    )


__all__ = ("SIZE", "bootstraps", "committee", "execution_header", "light_header", "updates")
