"""What a starting ledger checks before it makes a block (I14, P12), and the full walk of `verify`.

Sign-state against store; the links, hashes and commits of the newest blocks; the recorded state root
against the newest block. Tree nodes are checked as they are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.engines.embedded.ports import BlockRow, BlockStore, SigningState
from lockgate.engines.embedded.results import BlockResults
from lockgate.engines.shared.audit import StoreTampered
from lockgate.engines.shared.validators import ValidatorSets
from lockgate.engines.shared.versions import check_app_version
from lockgate.lightclients.cometbft import decoding, hashing
from lockgate.lightclients.cometbft.commit import check_commit_light
from lockgate.lightclients.cometbft.signing import VoteFrame
from lockgate.lightclients.cometbft.types import Commit, SignedHeader, ValidatorSet
from lockgate.machine.genesis import Genesis
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.state import View

CHECKED_AT_START: Final = 1_000  # blocks; a second of work, and over an hour of heartbeats


class StoreBehind(Refused):
    code = "signer.store_behind"
    summary = "The validator has signed blocks that the store does not have: it was rolled back or restored (P12)."
    untouched = "The ledger did not start; nothing was signed."
    next_step = "Start the ledger again under a new revision (name-N+1), with new clients."


def recover(genesis: Genesis, store: BlockStore, view: View, signers: Sequence[tuple[bytes, SigningState]]) -> None:
    """Check the newest blocks and bring the sign-state up to the store, or refuse to start.

    Raises StoreTampered, StoreBehind, OtherAppVersion.

    `view` is the state after the newest block, which says who signed each of them.
    """
    tip = store.tip()
    height = 0 if tip is None else tip.height
    for _, state in signers:
        if state.height > height:
            raise StoreBehind("signed above the store", signed=state.height, stored=height)
    if tip is None:
        return
    first = max(store.base_height(), height - CHECKED_AT_START + 1)
    check_blocks(genesis, store, view, range(first, height + 1))
    check_versions(store, (max(store.base_height(), 1), height))
    sets = ValidatorSets(genesis)
    signed, validators = _signed(tip), sets.at(view, height)
    before = {member.public_key for member in sets.at(view, max(height - 1, 1)).validators}
    for public_key, state in signers:
        vote = _vote_of(genesis, validators, signed, public_key)
        if vote is None:
            continue
        sign_bytes, signature = vote
        if state.height == height and state.sign_bytes != sign_bytes:
            raise StoreBehind("the store holds another block of a signed height", height=height)
        if state.height < height - 1 and public_key in before:  # else this block is the first that it signed
            raise StoreBehind("the sign-state itself was rolled back", signed=state.height, stored=height)
        state.record(height, sign_bytes, signature)


def check_blocks(genesis: Genesis, store: BlockStore, view: View, heights: Iterable[int]) -> None:
    """Check blocks in a row against themselves and each other. Raises StoreTampered with the height.

    `view` is the state after the newest block: it says who signs. Each header announces the set of the next
    one, so from the first block on nobody but the genesis is believed.
    """
    sets = ValidatorSets(genesis)
    before: tuple[SignedHeader, BlockRow] | None = None
    for height in heights:
        try:
            row = store.block(height)
            if row is None:
                raise StoreTampered("a block is missing", height=height)
            signed = _signed(row)
            _check_block(genesis, sets.at(view, height), row, signed, before)
        except StoreTampered:
            raise
        except (LockgateError, ValueError, TypeError, KeyError, IndexError) as error:
            raise StoreTampered("a block does not verify", height=height, cause=type(error).__name__) from error
        before = signed, row


def check_versions(store: BlockStore, heights: Iterable[int]) -> None:
    """Check that these blocks were made under the rules of this build. Raises OtherAppVersion."""
    for height in heights:
        row = store.block(height)
        if row is not None:
            check_app_version(_signed(row).header.version_app)


def check_roots(store: BlockStore, state: MultiStore) -> None:
    """Check that each kept version of the newest blocks has the root its block committed to (I14).

    Root records alone are read; nodes are verified when they are. Raises StoreTampered with the height.
    """
    tip = store.tip()
    height = 0 if tip is None else tip.height
    if state.version != height:
        raise StoreTampered("the state is not that of the newest block", height=height, state=state.version)
    for at in range(max(1, state.oldest, store.base_height(), height - CHECKED_AT_START + 1), height + 1):
        row = store.block(at)
        try:
            computed = state.hash_at(at)
        except LockgateError as error:
            raise StoreTampered("a root record does not read", height=at, cause=error.code) from error
        if row is None or computed != row.app_hash:
            raise StoreTampered("the state's root is another", height=at)


def _check_block(
    genesis: Genesis,
    validators: ValidatorSet,
    row: BlockRow,
    signed: SignedHeader,
    before: tuple[SignedHeader, BlockRow] | None,
) -> None:
    def same(what: str, one: object, other: object) -> None:
        if one != other:
            raise StoreTampered(f"{what} does not match", height=row.height)

    header = signed.header
    block = decoding.parse(wire.Block, row.block)
    txs = tuple(block.data.txs)
    last_commit = decoding.commit(block.last_commit) if block.HasField("last_commit") else Commit()
    same("height", header.height, row.height)
    same("time", header.time, row.time)
    same("chain id", header.chain_id, genesis.chain_id)
    same("stored header", decoding.header(block.header), header)
    same("block hash", hashing.header_hash(header), row.hash)
    same("signed block id", signed.commit.block_id, hashing.block_id(header, txs, last_commit))
    same("validators", header.validators_hash, validators.hash)
    same("data hash", header.data_hash, hashing.data_hash(txs))
    same("last commit hash", header.last_commit_hash, hashing.commit_hash(last_commit))
    check_commit_light(genesis.chain_id, validators, signed.commit)
    if before is None:
        return
    earlier, earlier_row = before
    same("announced validators", earlier.header.next_validators_hash, header.validators_hash)
    same("last block id", header.last_block_id, earlier.commit.block_id)
    same("app hash", header.app_hash, earlier_row.app_hash)
    same("results", header.last_results_hash, BlockResults.from_bytes(earlier_row.results).hash)
    if header.time <= earlier.header.time:
        raise StoreTampered("time does not rise", height=row.height)


def _vote_of(
    genesis: Genesis, validators: ValidatorSet, signed: SignedHeader, public_key: bytes
) -> tuple[bytes, bytes] | None:
    for member, sig in zip(validators.validators, signed.commit.signatures, strict=True):
        if member.public_key == public_key and sig.signature:
            frame = VoteFrame.precommits(genesis.chain_id, signed.commit)
            return frame.sign_bytes(sig.timestamp), sig.signature
    return None


def _signed(row: BlockRow) -> SignedHeader:
    return decoding.signed_header(decoding.parse(wire.SignedHeader, row.signed))


__all__ = ("StoreBehind", "StoreTampered", "check_blocks", "check_roots", "check_versions", "recover")
