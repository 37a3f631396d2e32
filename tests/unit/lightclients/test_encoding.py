"""Hand-framed bytes equal the protobuf library's, and the values the digest works out (§§3–6)."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from lockgate.codec.wire import ibc_tendermint_pb2, tendermint_pb2
from lockgate.crypto.ed25519 import verify_zip215
from lockgate.lightclients.cometbft import decoding, encoding, framing, hashing
from lockgate.lightclients.cometbft.errors import HeaderRefused, InvalidValidatorSet, UnsupportedKey
from lockgate.lightclients.cometbft.rfc3339 import parse_time
from lockgate.lightclients.cometbft.signing import VoteFrame, proposal_sign_bytes
from lockgate.lightclients.cometbft.types import (
    ABSENT_SIG,
    GO_ZERO_TIME,
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    PartSetHeader,
    Validator,
    ValidatorSet,
    VoteType,
)
from lockgate.lightclients.tendermint import messages
from lockgate.primitives.time import UnixNanos
from tests.support.chain import TestLedger, header_message

# Block 10 of a kvstore chain with one validator, worked out in the digest §6.
BLOCK_9 = BlockID(
    bytes.fromhex("678a83fb0422d053a3792154703122861dd68abb8247a4ff2945df832db18fc8"),
    PartSetHeader(1, bytes.fromhex("29fe32f6b57d8439c9e9f6240b436dd560646fda8c8c105e2c261b6f4746e89c")),
)
KEY = bytes.fromhex("6cd3651a5b39476e700b749df3bdb417fdfeec8641857703db630d16d3e4fefd")
VALIDATORS = bytes.fromhex("33415effceda5bd0a3a443a727457d9f7b9e38389bf27a936fedf749a7b7566e")
EXAMPLE = Header(
    version_app=1,
    chain_id="dockerchain",
    height=10,
    time=parse_time("2023-05-17T14:12:53.088875124Z"),
    last_block_id=BLOCK_9,
    last_commit_hash=bytes.fromhex("a3ad467820428d99fd53bfcf38cdc1eb141dd27e3b5f0f3931bbe91fba8b097d"),
    data_hash=hashing.EMPTY_HASH,
    validators_hash=VALIDATORS,
    next_validators_hash=VALIDATORS,
    consensus_hash=hashing.consensus_hash(),
    app_hash=bytes(8),
    last_results_hash=hashing.EMPTY_HASH,
    evidence_hash=hashing.EMPTY_HASH,
    proposer_address=bytes.fromhex("2dd9f44fd9067555c322243c3c913ba7b51d2be0"),
)
EXAMPLE_ID = BlockID(
    bytes.fromhex("00ecdac463c201ecd4bdbbaae4a53a4c80291d4051fd69ed97f6420ce1388bfe"),
    PartSetHeader(1, bytes.fromhex("ff0a320e696fd233dd4d3cc7cd82ff90f54b8fdbc9c700d9375c95a02782b062")),
)


def canonical(kind: type[Message], encoded: bytes) -> bytes:
    """Return what the protobuf library writes for the message it reads from `encoded`."""
    return kind.FromString(encoded).SerializeToString(deterministic=True)


def test_worked_example_header_hash() -> None:
    assert hashing.header_hash(EXAMPLE) == EXAMPLE_ID.hash
    assert framing.timestamp(EXAMPLE.time).hex() == "08e5c193a30610f4c0b02a"
    assert encoding.version(EXAMPLE).hex() == "080b1001"


def test_worked_example_validator_set() -> None:
    validator = Validator.from_key(KEY, 10)
    assert validator.address == EXAMPLE.proposer_address
    assert ValidatorSet.of((validator,)).hash == VALIDATORS


def test_worked_example_sign_bytes_and_signature() -> None:
    commit = Commit(10, 0, EXAMPLE_ID, (ABSENT_SIG,))
    frame = VoteFrame.precommits("dockerchain", commit)
    message = frame.sign_bytes(parse_time("2023-05-17T14:12:53.605374524Z"))
    assert message.hex() == (
        "700802110a0000000000000022480a2000ecdac463c201ecd4bdbbaae4a53a4c80291d4051fd69ed97f6420ce1388bfe"
        "122408011220ff0a320e696fd233dd4d3cc7cd82ff90f54b8fdbc9c700d9375c95a02782b062"
        "2a0c08e5c193a30610bc90d5a002320b646f636b6572636861696e"
    )
    signature = bytes.fromhex(
        "e72d0a6acddb4ab815606fd02b05a8bcca5305f6af65fcbf03c0d79101f31475"
        "4c8ce7159364caeb185841ab1f8a8768add8356e30dfecd0f0362fd876295a03"
    )
    assert verify_zip215(KEY, signature, message)


@pytest.mark.parametrize(
    ("chain_id", "kind", "height", "round_", "expected"),
    [
        ("", VoteType.UNKNOWN, 0, 0, "0d2a0b088092b8c398feffffff01"),
        ("", VoteType.PRECOMMIT, 1, 1, "2108021101000000000000001901000000000000002a0b088092b8c398feffffff01"),
        (
            "test_chain_id",
            VoteType.UNKNOWN,
            1,
            1,
            "2e1101000000000000001901000000000000002a0b088092b8c398feffffff01320d746573745f636861696e5f6964",
        ),
    ],
)
def test_sign_bytes_without_block_id(chain_id: str, kind: VoteType, height: int, round_: int, expected: str) -> None:
    for nothing in (None, BlockID()):
        assert VoteFrame.of(chain_id, kind, height, round_, nothing).sign_bytes(GO_ZERO_TIME).hex() == expected


def test_sign_bytes_are_the_canonical_vote() -> None:
    commit = Commit(7, 3, EXAMPLE_ID, (ABSENT_SIG,))
    raw = VoteFrame.precommits("ledger-1", commit).sign_bytes(UnixNanos(1_500_000_000_000_000_001))
    vote = tendermint_pb2.CanonicalVote.FromString(raw[1:])
    assert raw[0] == len(raw) - 1
    assert (vote.type, vote.height, vote.round, vote.chain_id) == (2, 7, 3, "ledger-1")
    assert vote.block_id.part_set_header.hash == EXAMPLE_ID.parts.hash
    assert vote.SerializeToString(deterministic=True) == raw[1:]


def test_proposal_sign_bytes_are_the_canonical_proposal() -> None:
    raw = proposal_sign_bytes("ledger-1", 7, 3, -1, EXAMPLE_ID, UnixNanos(1_500_000_000_000_000_001))
    start = 1 if raw[0] < 128 else 2
    proposal = tendermint_pb2.CanonicalProposal.FromString(raw[start:])
    assert raw[:start] == framing.uvarint(len(raw) - start)
    assert (proposal.type, proposal.pol_round) == (32, -1)
    assert proposal.SerializeToString(deterministic=True) == raw[start:]


@pytest.mark.parametrize("nanos", [0, 1, -1, 10**9, GO_ZERO_TIME, 1_760_000_000_123_456_789])
def test_times_and_durations_equal_the_library_s(nanos: int) -> None:
    stamp = Timestamp(seconds=nanos // 10**9, nanos=nanos % 10**9)
    assert framing.timestamp(nanos) == stamp.SerializeToString()
    seconds, fraction = divmod(abs(nanos), 10**9)
    sign = -1 if nanos < 0 else 1
    period = Duration(seconds=sign * seconds, nanos=sign * fraction)
    assert framing.duration(nanos) == period.SerializeToString()
    assert decoding.instant(stamp) == nanos
    if abs(nanos) < 2**63:
        assert decoding.duration(period) == nanos


def test_every_structure_is_canonical_and_reads_back() -> None:
    chain = TestLedger(powers=(40, 30, 30))
    chain.produce()
    block = chain.produce(absent={0}, nil={2})
    commit, validators = block.signed_header.commit, block.validators
    for kind, encoded in (
        (tendermint_pb2.Header, encoding.header(block.header)),
        (tendermint_pb2.Commit, encoding.commit(commit)),
        (tendermint_pb2.SignedHeader, encoding.signed_header(block.signed_header)),
        (tendermint_pb2.ValidatorSet, encoding.validator_set(validators)),
        (tendermint_pb2.Block, encoding.block(block.header, (b"one", b""), commit)),
        (ibc_tendermint_pb2.Header, header_message(block, chain.block(1))),
    ):
        assert canonical(kind, encoded) == encoded
    signed = decoding.parse(tendermint_pb2.SignedHeader, encoding.signed_header(block.signed_header))
    assert decoding.signed_header(signed) == block.signed_header
    members = decoding.parse(tendermint_pb2.ValidatorSet, encoding.validator_set(validators))
    assert decoding.validator_set(members) == validators
    assert commit.signatures[0] == ABSENT_SIG
    assert commit.signatures[2].flag is BlockIdFlag.NIL


def test_empty_structures_keep_their_always_written_parts() -> None:
    assert encoding.block_id(BlockID()).hex() == "1200"
    assert encoding.commit(Commit()).hex() == "1a021200"
    assert encoding.commit_sig(ABSENT_SIG).hex() == "08011a0b088092b8c398feffffff01"


def test_misbehaviour_reads_back() -> None:
    chain = TestLedger()
    first, second = chain.produce(), chain.produce()
    third = chain.produce()
    raw = messages.encode_misbehaviour("07-tendermint-0", header_message(third, first), header_message(second, first))
    assert canonical(ibc_tendermint_pb2.Misbehaviour, raw) == raw
    evidence = messages.decode_misbehaviour(raw)
    assert (evidence.first.block.hash, evidence.second.block.hash) == (
        hashing.header_hash(third.header),
        hashing.header_hash(second.header),
    )


def test_a_time_that_is_not_on_the_wire_is_go_s_zero_time() -> None:
    signed = decoding.signed_header(
        tendermint_pb2.SignedHeader(
            header=tendermint_pb2.Header(), commit=tendermint_pb2.Commit(signatures=[{"block_id_flag": 1}])
        )
    )
    assert signed.header.time == GO_ZERO_TIME
    assert signed.commit.signatures == (ABSENT_SIG,)


def member(**changes: object) -> tendermint_pb2.Validator:
    fields: dict[str, object] = {
        "address": sha256(KEY).digest()[:20],
        "pub_key": tendermint_pb2.PublicKey(ed25519=KEY),
        "voting_power": 10,
    }
    return tendermint_pb2.Validator(**{**fields, **changes})  # type: ignore[arg-type]  # names are fields


@pytest.mark.parametrize(
    ("message", "refusal"),
    [
        (tendermint_pb2.ValidatorSet(validators=[member()]), InvalidValidatorSet),
        (tendermint_pb2.ValidatorSet(proposer=member()), InvalidValidatorSet),
        (
            tendermint_pb2.ValidatorSet(validators=[member(address=bytes(20))], proposer=member()),
            InvalidValidatorSet,
        ),
        (
            tendermint_pb2.ValidatorSet(
                validators=[member(pub_key=tendermint_pb2.PublicKey(secp256k1=bytes(33)))], proposer=member()
            ),
            UnsupportedKey,
        ),
        (
            tendermint_pb2.ValidatorSet(validators=[member(pub_key=tendermint_pb2.PublicKey())], proposer=member()),
            UnsupportedKey,
        ),
        (
            tendermint_pb2.ValidatorSet(
                validators=[member(pub_key=tendermint_pb2.PublicKey(ed25519=KEY[:31]))], proposer=member()
            ),
            UnsupportedKey,
        ),
        (
            tendermint_pb2.ValidatorSet(validators=[member(voting_power=-1)], proposer=member()),
            InvalidValidatorSet,
        ),
    ],
)
def test_validator_sets_off_the_wire_are_refused(
    message: tendermint_pb2.ValidatorSet, refusal: type[HeaderRefused]
) -> None:
    good = tendermint_pb2.ValidatorSet(validators=[member()], proposer=member(), total_voting_power=99)
    assert decoding.validator_set(good).total_power == 10
    with pytest.raises(refusal):
        decoding.validator_set(message)


@pytest.mark.parametrize(
    "message",
    [
        Timestamp(seconds=1, nanos=10**9),
        Timestamp(seconds=1, nanos=-1),
        Timestamp(seconds=-62_135_596_801),
        Timestamp(seconds=253_402_300_800),
    ],
)
def test_times_go_cannot_hold_are_refused(message: Timestamp) -> None:
    with pytest.raises(HeaderRefused):
        decoding.instant(message)


@pytest.mark.parametrize(
    "message",
    [
        Duration(seconds=1, nanos=-1),
        Duration(seconds=1, nanos=10**9),
        Duration(seconds=9_223_372_036, nanos=854_775_808),
    ],
)
def test_durations_go_cannot_hold_are_refused(message: Duration) -> None:
    assert decoding.duration(Duration(seconds=9_223_372_036, nanos=854_775_807)) == 2**63 - 1
    with pytest.raises(HeaderRefused):
        decoding.duration(message)


def test_unknown_flags_and_missing_halves_are_refused() -> None:
    header, commit = tendermint_pb2.Header(), tendermint_pb2.Commit()
    odd = tendermint_pb2.Commit(signatures=[{"block_id_flag": 4}])
    for message in (
        tendermint_pb2.SignedHeader(header=header),
        tendermint_pb2.SignedHeader(commit=commit),
        tendermint_pb2.SignedHeader(header=header, commit=odd),
    ):
        with pytest.raises(HeaderRefused):
            decoding.signed_header(message)


def test_parts_are_cut_at_64_kib() -> None:
    assert hashing.part_set(b"x" * 65_536).total == 1
    two = hashing.part_set(b"x" * 65_537)
    one, other = sha256(b"\x00" + b"x" * 65_536).digest(), sha256(b"\x00x").digest()
    assert two == PartSetHeader(2, sha256(b"\x01" + one + other).digest())


def test_hashes_of_a_block() -> None:
    assert hashing.consensus_hash().hex() == "048091bc7ddc283f77bfbf91d73c44da58c3df8a9cbc867405d8b7f3daada22f"
    assert (
        hashing.data_hash([b"async-key=value"]).hex()
        == "3081f9915040d138b3ad7f895732d2767c29e85ba5d84388d04e17a5d8262b7a"
    )
    assert hashing.results_hash(()) == hashing.evidence_hash() == hashing.commit_hash(Commit())
    result = tendermint_pb2.ExecTxResult(code=3, data=b"d", gas_wanted=5, gas_used=-1)
    leaf = sha256(b"\x00" + result.SerializeToString(deterministic=True)).digest()
    assert hashing.results_hash([hashing.TxResult(code=3, data=b"d", gas_wanted=5, gas_used=-1)]) == leaf


def test_a_header_without_validators_has_no_hash() -> None:
    assert hashing.header_hash(replace(EXAMPLE, validators_hash=b"")) == b""


def test_commit_signatures_keep_their_own_times() -> None:
    sig = CommitSig(BlockIdFlag.COMMIT, bytes(20), UnixNanos(5), bytes(64))
    message = tendermint_pb2.CommitSig.FromString(encoding.commit_sig(sig))
    assert (message.timestamp.seconds, message.timestamp.nanos) == (0, 5)
