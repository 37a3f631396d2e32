"""Fast forms equal plain ones: hand framing against the protobuf library, tree against recursion,
doubling search against a full scan, thresholds against their definition."""

from __future__ import annotations

from dataclasses import fields, replace
from hashlib import sha256

from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.lightclients.cometbft import decoding, encoding, hashing, rpc_json
from lockgate.lightclients.cometbft.bisection import BisectionPlan
from lockgate.lightclients.cometbft.commit import (
    Fraction,
    NotEnoughTrust,
    check_commit_light,
    check_commit_light_trusting,
)
from lockgate.lightclients.cometbft.errors import InsufficientPower
from lockgate.lightclients.cometbft.rfc3339 import format_time, parse_time
from lockgate.lightclients.cometbft.signing import VoteFrame
from lockgate.lightclients.cometbft.types import (
    END_OF_TIME,
    GO_ZERO_TIME,
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    PartSetHeader,
    SignedHeader,
    VoteType,
)
from lockgate.lightclients.cometbft.verification import TrustOptions
from lockgate.lightclients.tendermint.memo import ClientMemo
from lockgate.lightclients.tendermint.states import ConsensusState
from lockgate.lightclients.tendermint.store import ClientStore
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome
from lockgate.primitives.time import UnixNanos, seconds
from tests.support.chain import TestLedger
from tests.support.memory_view import MemoryView

TIMES = st.integers(GO_ZERO_TIME, END_OF_TIME - 1).map(UnixNanos)
DIGESTS = st.just(b"") | st.binary(min_size=32, max_size=32)
PARTS = st.builds(PartSetHeader, st.integers(0, 2**32 - 1), DIGESTS)
BLOCK_IDS = st.builds(BlockID, DIGESTS, PARTS)
HEADERS = st.builds(
    Header,
    version_block=st.integers(0, 2**64 - 1),
    version_app=st.integers(0, 2**64 - 1),
    chain_id=st.text(max_size=20),
    height=st.integers(-(2**63), 2**63 - 1),
    time=TIMES,
    last_block_id=BLOCK_IDS,
    last_commit_hash=DIGESTS,
    data_hash=DIGESTS,
    validators_hash=DIGESTS,
    next_validators_hash=DIGESTS,
    consensus_hash=DIGESTS,
    app_hash=st.binary(max_size=40),
    last_results_hash=DIGESTS,
    evidence_hash=DIGESTS,
    proposer_address=st.binary(max_size=20),
)
SIGS = st.builds(CommitSig, st.sampled_from(BlockIdFlag), st.binary(max_size=20), TIMES, st.binary(max_size=64))
COMMITS = st.builds(
    Commit,
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**31 - 1),
    BLOCK_IDS,
    st.lists(SIGS, max_size=4).map(tuple),
)


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, as it is defined: split at the largest power of two below the number of leaves."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + plain_root(leaves[:split]) + plain_root(leaves[split:])).digest()


def plain_header_hash(header: Header) -> bytes:
    """Hash the header through the protobuf library's own messages and wrappers."""
    if not header.validators_hash:
        return b""
    message = wire.Header.FromString(encoding.header(header))
    names = [field.name for field in fields(Header) if field.type == "bytes"]
    order = [name for name in (f.name for f in wire.Header.DESCRIPTOR.fields) if name in names]
    leaves = [
        message.version.SerializeToString(),
        StringValue(value=header.chain_id).SerializeToString(),
        Int64Value(value=header.height).SerializeToString(),
        message.time.SerializeToString(),
        message.last_block_id.SerializeToString(deterministic=True),
        *(BytesValue(value=getattr(header, name)).SerializeToString() for name in order),
    ]
    assert len(leaves) == 14
    return plain_root(leaves)


@settings(max_examples=200, deadline=None)
@given(header=HEADERS)
def test_headers_are_framed_and_hashed_as_the_library_would(header: Header) -> None:
    encoded = encoding.header(header)
    message = wire.Header.FromString(encoded)
    assert message.SerializeToString(deterministic=True) == encoded
    assert decoding.header(message) == header
    assert hashing.header_hash(header) == plain_header_hash(header)


@settings(max_examples=150, deadline=None)
@given(commit=COMMITS)
def test_commits_are_framed_as_the_library_would(commit: Commit) -> None:
    encoded = encoding.commit(commit)
    message = wire.Commit.FromString(encoded)
    assert message.SerializeToString(deterministic=True) == encoded
    assert decoding.commit(message) == commit


@settings(max_examples=150, deadline=None)
@given(
    chain_id=st.text(max_size=50),
    kind=st.sampled_from([VoteType.UNKNOWN, VoteType.PREVOTE, VoteType.PRECOMMIT]),
    height=st.integers(-(2**63), 2**63 - 1),
    round_=st.integers(-1, 2**31 - 1),
    block_id=st.none() | BLOCK_IDS,
    time=TIMES,
)
def test_sign_bytes_are_the_library_s_canonical_vote(
    chain_id: str, kind: VoteType, height: int, round_: int, block_id: BlockID | None, time: UnixNanos
) -> None:
    vote = wire.CanonicalVote(type=int(kind), height=height, round=round_, chain_id=chain_id)  # type: ignore[arg-type]  # enums are ints
    vote.timestamp.seconds, vote.timestamp.nanos = divmod(time, 10**9)
    vote.timestamp.SetInParent()
    if block_id is not None and not block_id.is_zero:
        vote.block_id.hash = block_id.hash
        vote.block_id.part_set_header.SetInParent()
        vote.block_id.part_set_header.total = block_id.parts.total
        vote.block_id.part_set_header.hash = block_id.parts.hash
    body = vote.SerializeToString(deterministic=True)
    signed = VoteFrame.of(chain_id, kind, height, round_, block_id).sign_bytes(time)
    size = len(body)
    assert signed == (bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))) + body


@settings(max_examples=150, deadline=None)
@given(header=HEADERS, commit=COMMITS)
def test_json_reads_back(header: Header, commit: Commit) -> None:
    header = replace(header, height=abs(header.height) % 2**63)
    commit = replace(
        commit,
        signatures=tuple(
            replace(sig, timestamp=UnixNanos(1)) if sig.timestamp == 0 else sig for sig in commit.signatures
        ),
    )
    signed = SignedHeader(header, commit)
    assert rpc_json.signed_header_from_json(rpc_json.signed_header_to_json(signed)) == signed


@given(time=TIMES)
def test_times_read_back(time: UnixNanos) -> None:
    assert parse_time(format_time(time)) == time


@settings(max_examples=40, deadline=None)
@given(
    powers=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    votes=st.lists(st.sampled_from("cna"), min_size=6, max_size=6),
    level=st.sampled_from([Fraction(1, 3), Fraction(1, 2), Fraction(2, 3), Fraction(1, 1)]),
)
def test_thresholds_are_strict(powers: list[int], votes: list[str], level: Fraction) -> None:
    """A commit holds exactly when the power behind it is strictly above the rounded-down fraction."""
    kinds = {kind: {place for place in range(len(powers)) if votes[place] == kind} for kind in ("n", "a")}
    block = TestLedger(powers=powers).produce(absent=kinds["a"], nil=kinds["n"])
    commit, validators = block.signed_header.commit, block.validators
    signed = sum(
        member.voting_power
        for sig, member in zip(commit.signatures, validators.validators, strict=True)
        if sig.flag is BlockIdFlag.COMMIT
    )
    try:
        check_commit_light("ledger-1", validators, commit)
        held = True
    except InsufficientPower:
        held = False
    assert held == (signed > validators.total_power * 2 // 3)
    overlap = check_commit_light_trusting("ledger-1", validators, commit, level)
    assert isinstance(overlap, NotEnoughTrust) == (
        signed <= validators.total_power * level.numerator // level.denominator
    )


@settings(max_examples=15, deadline=None)
@given(changes=st.lists(st.integers(0, 4), min_size=8, max_size=24), data=st.data())
def test_bisection_reaches_every_height_of_an_honest_chain(changes: list[int], data: st.DataObject) -> None:
    chain, first = TestLedger(), 0
    for change in changes:
        chain.produce()
        first += change
        chain.elect((10, 10, 10, 10), first=first % 60)
    target = data.draw(st.integers(2, len(changes)))
    options = TrustOptions(trusting_period=seconds(3_600))
    plan = BisectionPlan.to(target, chain.block(1), options)
    while plan.wanted is not None:
        plan = plan.feed(chain.block(plan.wanted), UnixNanos(chain.latest.header.time + 1))
    assert plan.done
    reached = [block.height for block in plan.verified]
    assert reached == sorted(set(reached))
    assert reached[-1] == target


@settings(max_examples=100, deadline=None)
@given(
    stored=st.sets(st.integers(1, 5_000), min_size=1, max_size=60),
    asked=st.integers(2, 5_001),
    other_revision=st.booleans(),
)
def test_neighbours_equal_those_of_a_full_scan(stored: set[int], asked: int, other_revision: bool) -> None:
    view, store_outcome = MemoryView(), Outcome()
    store = ClientStore(view, ClientId("07-tendermint-0"), ClientMemo())
    state = ConsensusState(UnixNanos(10**9), b"\x01" * 32, b"\x02" * 32)
    for number in stored:
        store.put_consensus_state(store_outcome, Height(2, number), state, (b"\x01", b"\x01"))
    if other_revision:
        for odd in (Height(1, asked), Height(3, 1)):
            store.put_consensus_state(store_outcome, odd, state, (b"\x01", b"\x01"))
    view.apply(store_outcome)
    every = sorted(stored)
    floor = every[0]
    below = [number for number in every if floor <= number < asked]
    above = [number for number in every if number > asked]
    expected = Height(2, below[-1]) if below else None
    assert store.previous_height(Height(2, asked), Height(2, floor)) == expected
    upper = Height(2, above[0]) if above else (Height(3, 1) if other_revision else None)
    assert store.next_height(Height(2, asked)) == upper
    assert store.oldest_height() == (Height(1, asked) if other_revision else Height(2, every[0]))
