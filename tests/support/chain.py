"""A small deterministic CometBFT chain: validators from numbers, headers and commits really signed.

chain = TestLedger("ledger-1", powers=(10, 10, 10, 10))
first = chain.produce(app_hash)          # a LightBlock, one second after the last
chain.elect((40, 10))                    # next block announces this set, the one after is signed by it
chain.produce(app_hash, absent={1})      # validator 1 of the set did not vote
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from hashlib import sha256

from lockgate.crypto.ed25519 import SigningKey
from lockgate.lightclients.cometbft import hashing
from lockgate.lightclients.cometbft.commit import ONE_THIRD, Fraction
from lockgate.lightclients.cometbft.signing import VoteFrame
from lockgate.lightclients.cometbft.types import (
    ABSENT_SIG,
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    LightBlock,
    PartSetHeader,
    SignedHeader,
    Validator,
    ValidatorSet,
    VoteType,
)
from lockgate.lightclients.tendermint.messages import encode_header
from lockgate.lightclients.tendermint.states import (
    ClientState,
    ConsensusState,
    encode_client_state,
    encode_consensus_state,
)
from lockgate.merkle.specs import IAVL_SPEC_BYTES, TENDERMINT_SPEC_BYTES
from lockgate.primitives.ids import Height, revision_number
from lockgate.primitives.time import NANOS_PER_MILLI, DurationNanos, UnixNanos, seconds

GENESIS_TIME = UnixNanos(1_760_000_000 * 10**9)
DAY = 86_400
BLOCK_TIME = seconds(1)
TRUSTING = seconds(14 * DAY)
UNBONDING = seconds(21 * DAY)
DRIFT = seconds(15)


def signing_key(number: int) -> SigningKey:
    """Return the consensus key of validator `number`; the same in every run."""
    return SigningKey(sha256(b"validator %d" % number).digest())


def validator_set(powers: Sequence[int], first: int = 0) -> ValidatorSet:
    """Return the set of validators `first`, `first + 1`, … with these powers, in canonical order."""
    return ValidatorSet.of(
        tuple(Validator.from_key(signing_key(first + place).public_key, power) for place, power in enumerate(powers))
    )


_KEYS = {sha256(key.public_key).digest()[:20]: key for key in map(signing_key, range(256))}


def sign(
    header: Header,
    validators: ValidatorSet,
    *,
    absent: Collection[int] = (),
    nil: Collection[int] = (),
    round_: int = 0,
    parts: PartSetHeader | None = None,
) -> SignedHeader:
    """Sign `header` with the keys of `validators`; places in `absent` and `nil` vote otherwise."""
    block_id = BlockID(
        hashing.header_hash(header), parts or PartSetHeader(1, sha256(b"parts of a test block").digest())
    )
    commit_frame = VoteFrame.of(header.chain_id, VoteType.PRECOMMIT, header.height, round_, block_id)
    nil_frame = VoteFrame.of(header.chain_id, VoteType.PRECOMMIT, header.height, round_, None)
    signatures = []
    for place, member in enumerate(validators.validators):
        if place in absent:
            signatures.append(ABSENT_SIG)
            continue
        time = UnixNanos(header.time + (place + 1) * NANOS_PER_MILLI)
        frame, flag = (nil_frame, BlockIdFlag.NIL) if place in nil else (commit_frame, BlockIdFlag.COMMIT)
        signature = _KEYS[member.address].sign(frame.sign_bytes(time))
        signatures.append(CommitSig(flag, member.address, time, signature))
    return SignedHeader(header, Commit(header.height, round_, block_id, tuple(signatures)))


class TestLedger:
    """Produces light blocks, one height after another."""

    __test__ = False  # not a test case, whatever its name

    def __init__(
        self, chain_id: str = "ledger-1", powers: Sequence[int] = (10, 10, 10, 10), start: UnixNanos = GENESIS_TIME
    ) -> None:
        self.chain_id = chain_id
        self.blocks: list[LightBlock] = []
        self._start = start
        self._validators = validator_set(powers)
        self._next = self._validators

    @property
    def revision(self) -> int:
        return revision_number(self.chain_id)

    @property
    def latest(self) -> LightBlock:
        return self.blocks[-1]

    def block(self, height: int) -> LightBlock:
        return self.blocks[height - 1]

    def height_of(self, block: LightBlock) -> Height:
        return Height(self.revision, block.height)

    def elect(self, powers: Sequence[int], first: int = 0) -> None:
        """Let the next block announce another set, which signs the block after it."""
        self._next = validator_set(powers, first)

    def produce(
        self,
        app_hash: bytes = b"",
        *,
        after: DurationNanos = BLOCK_TIME,
        absent: Collection[int] = (),
        nil: Collection[int] = (),
    ) -> LightBlock:
        """Append a block `after` nanoseconds past the last one."""
        header = self._header(app_hash, after)
        block = LightBlock(sign(header, self._validators, absent=absent, nil=nil), self._validators, self._next)
        self.blocks.append(block)
        self._validators = self._next
        return block

    def run(self, count: int) -> LightBlock:
        """Append `count` blocks and return the last."""
        for _ in range(count):
            self.produce()
        return self.latest

    def _header(self, app_hash: bytes, after: DurationNanos) -> Header:
        last = self.blocks[-1] if self.blocks else None
        height = len(self.blocks) + 1
        return Header(
            chain_id=self.chain_id,
            height=height,
            time=UnixNanos(last.header.time + after) if last else self._start,
            last_block_id=last.signed_header.commit.block_id if last else BlockID(),
            last_commit_hash=hashing.commit_hash(last.signed_header.commit if last else Commit()),
            data_hash=hashing.data_hash(()),
            validators_hash=self._validators.hash,
            next_validators_hash=self._next.hash,
            consensus_hash=hashing.consensus_hash(),
            app_hash=app_hash or sha256(b"state %d" % height).digest(),
            last_results_hash=hashing.results_hash(()),
            evidence_hash=hashing.evidence_hash(),
            proposer_address=self._validators.proposer.address,
        )


def resigned(block: LightBlock, **changes: object) -> LightBlock:
    """Return `block` with header fields changed and signed again by the whole set."""
    header = replace(block.header, **changes)  # type: ignore[arg-type]  # field names are the caller's
    return replace(block, signed_header=sign(header, block.validators))


def client_state_of(
    block: LightBlock,
    *,
    trusting: DurationNanos = TRUSTING,
    unbonding: DurationNanos = UNBONDING,
    drift: DurationNanos = DRIFT,
    level: Fraction = ONE_THIRD,
) -> ClientState:
    """Return the client state of a client that starts at `block`."""
    header = block.header
    return ClientState(
        chain_id=header.chain_id,
        trust_level=level,
        trusting_period=trusting,
        unbonding_period=unbonding,
        max_clock_drift=drift,
        latest_height=Height(revision_number(header.chain_id), header.height),
        proof_specs=(IAVL_SPEC_BYTES, TENDERMINT_SPEC_BYTES),
        upgrade_path=("upgrade", "upgradedIBCState"),
    )


def consensus_state_of(block: LightBlock) -> ConsensusState:
    """Return the consensus state of `block`."""
    header = block.header
    return ConsensusState(header.time, header.app_hash, header.next_validators_hash)


def client_states_of(block: LightBlock) -> tuple[bytes, bytes]:
    """Return client and consensus state as the Any bytes MsgCreateClient carries."""
    return encode_client_state(client_state_of(block)), encode_consensus_state(consensus_state_of(block))


def header_message(block: LightBlock, trusted: LightBlock) -> bytes:
    """Return the 07-tendermint Header that updates a client from `trusted` to `block`."""
    height = Height(revision_number(trusted.header.chain_id), trusted.height)
    return encode_header(block.signed_header, block.validators, height, trusted.next_validators)
