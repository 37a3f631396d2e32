"""Replays `cometbft-light-client/*`: hashes, encodings, verdicts, real blocks with real signatures."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from dataclasses import replace
from typing import Any

from lockgate.crypto.ed25519 import verify_zip215
from lockgate.lightclients.cometbft import hashing, rpc_json
from lockgate.lightclients.cometbft.bisection import trusted_state
from lockgate.lightclients.cometbft.rfc3339 import parse_time
from lockgate.lightclients.cometbft.signing import VoteFrame
from lockgate.lightclients.cometbft.soundness import sound_block
from lockgate.lightclients.cometbft.types import (
    GO_ZERO_TIME,
    BlockIdFlag,
    LightBlock,
    Validator,
    ValidatorSet,
    VoteType,
)
from lockgate.lightclients.cometbft.verification import (
    Invalid,
    NotEnoughTrust,
    Trusted,
    TrustedState,
    TrustOptions,
    Verdict,
    verify,
)
from lockgate.merkle.tree import root
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.time import DurationNanos, UnixNanos, seconds
from tests.vectors.sets import Tally, vector_set

TOPIC = "cometbft-light-client"
VERDICTS = {Trusted: "SUCCESS", NotEnoughTrust: "NOT_ENOUGH_TRUST", Invalid: "INVALID"}
LONG = TrustOptions(trusting_period=seconds(10 * 365 * 86_400))  # recorded blocks lie months apart
STRANGER = ValidatorSet.of((Validator.from_key(hashlib.sha256(b"nobody").digest(), 1),))


def files(name: str) -> list[tuple[str, Any]]:
    return [(path.name, json.loads(path.read_text())) for path in sorted(vector_set(TOPIC, name).glob("*.json"))]


def light_block(item: Any) -> LightBlock:
    """Read a block whose answer holds no next validators: they are taken to stay the same."""
    validators = rpc_json.validator_set_from_json(item["validator_set"])
    return LightBlock(rpc_json.signed_header_from_json(item), validators, validators)


def single_step_verdict(
    trusted: tuple[TrustedState, ValidatorSet], block: Any, options: TrustOptions, now: UnixNanos
) -> Verdict:
    """Judge one block of the model; one that is unsound in itself is invalid as well."""
    try:
        sound = sound_block(
            rpc_json.signed_header_from_json(block["signed_header"]),
            rpc_json.validator_set_from_json(block["validator_set"]),
        )
    except PeerFault as failure:
        return Invalid(failure)
    return verify(*trusted, sound, options, now)


def from_here(verdict: Trusted, next_set: Any) -> tuple[TrustedState, ValidatorSet]:
    """Trust a block and the set it announces. Model chains may announce nobody: a stranger stands for that."""
    if not next_set["validators"]:
        return replace(verdict.state, next_validators_hash=STRANGER.hash), STRANGER
    return verdict.state, rpc_json.validator_set_from_json(next_set)


def test_single_step() -> None:
    tally = Tally(TOPIC, "single-step")
    for name, case in files("single-step"):
        initial = case["initial"]
        options = TrustOptions(
            trusting_period=DurationNanos(int(initial["trusting_period"])), clock_drift=DurationNanos(0)
        )
        header = rpc_json.header_from_json(initial["signed_header"]["header"])
        trusted = (
            TrustedState(header.chain_id, header.height, header.time, header.next_validators_hash),
            rpc_json.validator_set_from_json(initial["next_validator_set"]),
        )
        seen = []
        for step in case["input"]:
            verdict = single_step_verdict(trusted, step["block"], options, parse_time(step["now"]))
            seen.append(VERDICTS[type(verdict)])
            if isinstance(verdict, Trusted):
                trusted = from_here(verdict, step["block"]["next_validator_set"])
        tally.check(seen == [step["verdict"] for step in case["input"]], f"{name}: {seen}")
    tally.close()


def test_header_hash() -> None:
    tally = Tally(TOPIC, "header-hash")
    for name, cases in files("header-hash"):
        for place, case in enumerate(cases):
            header = rpc_json.header_from_json(case["header"])
            good = hashing.header_hash(header).hex().upper() == case["hash"]
            again = rpc_json.header_from_json(rpc_json.header_to_json(header))
            tally.check(good and again == header, f"{name}[{place}]")
    tally.close()


def preimages(value: Any) -> Any:
    """Replace `sha256:text` and `sha256-20:text` by the upper-case hash they stand for."""
    if isinstance(value, dict):
        return {key: preimages(inner) for key, inner in value.items()}
    if isinstance(value, str) and value.startswith("sha256"):
        kind, text = value.split(":", 1)
        digest = hashlib.sha256(text.encode()).hexdigest().upper()
        return digest[:40] if kind == "sha256-20" else digest
    return value


def vote_sign_bytes(case: Any) -> str:
    time = GO_ZERO_TIME if case.get("timestamp_go_zero") else parse_time(case["timestamp"])
    block_id = None if case["block_id"] is None else rpc_json.block_id_from_json(case["block_id"])
    frame = VoteFrame.of(case["chain_id"], VoteType(case["type"]), case["height"], case["round"], block_id)
    return frame.sign_bytes(time).hex()


def test_encoding() -> None:
    tally = Tally(TOPIC, "encoding")
    for name, content in files("encoding"):
        for place, case in enumerate(content if isinstance(content, list) else [content]):
            label = f"{name}[{place}]"
            if "sign_bytes" in case:
                tally.check(vote_sign_bytes(case) == case["sign_bytes"], label)
            elif "leaves" in case:
                tally.check(root([bytes.fromhex(leaf) for leaf in case["leaves"]]).hex() == case["root"], label)
            else:
                header = rpc_json.header_from_json(preimages(case["header"]))
                bare = replace(header, validators_hash=b"")
                good = hashing.header_hash(header).hex().upper() == case["hash"]
                tally.check(good and hashing.header_hash(bare) == b"", label)
    tally.close()


def every_signature_verifies(block: LightBlock) -> bool:
    """Check all votes, not only as many as a light client needs: nil votes sign no block id."""
    commit = block.signed_header.commit
    chain_id = block.header.chain_id
    frames = {
        BlockIdFlag.COMMIT: VoteFrame.precommits(chain_id, commit),
        BlockIdFlag.NIL: VoteFrame.of(chain_id, VoteType.PRECOMMIT, commit.height, commit.round, None),
    }
    return all(
        sig.flag is BlockIdFlag.ABSENT
        or (
            sig.validator_address == member.address
            and verify_zip215(member.public_key, sig.signature, frames[sig.flag].sign_bytes(sig.timestamp))
        )
        for sig, member in zip(commit.signatures, block.validators.validators, strict=True)
    )


def stands_by_itself(block: LightBlock) -> bool:
    """Sound, and signed by more than 2/3 of its own set: as if the block before had announced that set."""
    sound = sound_block(block.signed_header, block.validators)
    before = replace(
        trusted_state(block),
        height=block.height - 1,
        time=UnixNanos(block.header.time - 1),
        next_validators_hash=block.validators.hash,
    )
    now = UnixNanos(block.header.time + 1)
    return isinstance(verify(before, block.validators, sound, LONG, now), Trusted)


def follows(trusted: LightBlock, block: LightBlock) -> Verdict:
    sound = sound_block(block.signed_header, block.validators)
    now = UnixNanos(block.header.time + 1)
    return verify(trusted_state(trusted), trusted.next_validators, sound, LONG, now)


def with_next_sets(blocks: list[LightBlock]) -> list[LightBlock]:
    """Give each block the set it announces, wherever another block of the set holds that one."""
    by_hash = {block.validators.hash: block.validators for block in blocks}
    return [
        replace(block, next_validators=by_hash.get(block.header.next_validators_hash, block.validators))
        for block in blocks
    ]


def test_mocha_4() -> None:
    tally = Tally(TOPIC, "mocha-4")
    loaded = files("mocha-4")
    blocks = with_next_sets([light_block(item["result"]) for _, item in loaded])
    ascending = sorted(blocks, key=lambda block: block.height)
    for (name, item), block in zip(loaded, blocks, strict=True):
        good = stands_by_itself(block) and every_signature_verifies(block)
        good &= rpc_json.signed_header_from_json(rpc_json.signed_header_to_json(block.signed_header)) == (
            block.signed_header
        )
        good &= rpc_json.validator_set_to_json(block.validators) == item["result"]["validator_set"]
        for earlier in ascending:
            known = earlier.next_validators.hash == earlier.header.next_validators_hash
            if earlier.height + 1 == block.height:
                good &= isinstance(follows(earlier, block), Trusted)
            elif earlier.height < block.height and known:
                good &= isinstance(follows(earlier, block), Trusted | NotEnoughTrust)
        tally.check(good, name)
    tally.close()


def chains(loaded: list[tuple[str, Any]]) -> dict[tuple[str, bytes], list[tuple[str, Any, LightBlock]]]:
    """Group the set's blocks by chain: several chains are named alike, their validators differ."""
    found: dict[tuple[str, bytes], list[tuple[str, Any, LightBlock]]] = {}
    for name, content in loaded:
        for item in content if isinstance(content, list) else [content]:
            block = light_block(item)
            key = (block.header.chain_id, block.validators.hash)
            found.setdefault(key, []).append((name, item, block))
    for members in found.values():
        members.sort(key=lambda member: member[2].height)
    return found


def test_celestia_devnet() -> None:
    tally = Tally(TOPIC, "celestia-devnet")
    outcome: dict[str, bool] = {}
    for members in chains(files("celestia-devnet")).values():
        earlier: list[LightBlock] = []
        for name, item, block in members:
            parts = [b64decode(part) for part in item["dah"]["row_roots"] + item["dah"]["column_roots"]]
            good = root(parts) == block.header.data_hash
            good &= stands_by_itself(block) and every_signature_verifies(block)
            for trusted in (*earlier[:1], *earlier[-1:]):  # from the first, and from the one before
                good &= isinstance(follows(trusted, block), Trusted)
            outcome[name] = outcome.get(name, True) and good
            earlier.append(block)
    for name, good in outcome.items():
        tally.check(good, name)
    tally.close()


def test_no_file_is_left_over() -> None:
    for name in ("single-step", "header-hash", "encoding", "mocha-4", "celestia-devnet"):
        assert all(path.suffix == ".json" for path in vector_set(TOPIC, name).iterdir())
