"""The hashes a header holds, and the hash of the header. Source: digest §§3, 4.

Every one is an RFC 6962 Merkle root over SHA-256, except the consensus hash, which is a plain one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from lockgate.lightclients.cometbft import encoding
from lockgate.lightclients.cometbft.framing import bytes_field, number_field
from lockgate.lightclients.cometbft.types import BlockID, Commit, Header, PartSetHeader
from lockgate.merkle.tree import root as merkle_root

PART_BYTES: Final = 65_536  # types.BlockPartSizeBytes: the unit of gossip, part of the block id
EMPTY_HASH: Final = sha256(b"").digest()  # root of no leaves: no results, no evidence, no votes
DEFAULT_MAX_BYTES: Final = 22_020_096  # types.DefaultConsensusParams: 21 MiB
DEFAULT_MAX_GAS: Final = -1  # types.DefaultConsensusParams: unlimited


@dataclass(frozen=True, slots=True, kw_only=True)
class TxResult:
    """The deterministic part of an ABCI ExecTxResult: what the results hash covers."""

    code: int = 0
    data: bytes = b""
    gas_wanted: int = 0
    gas_used: int = 0


def header_hash(header: Header) -> bytes:
    """Return the block hash: the root over the header's fourteen fields, in order.

    A header without `validators_hash` has no hash: b"".
    """
    return merkle_root(encoding.header_leaves(header)) if header.validators_hash else b""


def data_hash(txs: Iterable[bytes]) -> bytes:
    """Return the root over the SHA-256 of each transaction."""
    return merkle_root([sha256(tx).digest() for tx in txs])


def commit_hash(commit: Commit) -> bytes:
    """Return the root over the commit's signatures: the next header's `last_commit_hash`."""
    return merkle_root([encoding.commit_sig(sig) for sig in commit.signatures])


def results_hash(results: Iterable[TxResult]) -> bytes:
    """Return the root over transaction results: the next header's `last_results_hash`."""
    return merkle_root(
        [
            number_field(b"\x08", result.code)
            + bytes_field(b"\x12", result.data)
            + number_field(b"\x28", result.gas_wanted)
            + number_field(b"\x30", result.gas_used)
            for result in results
        ]
    )


def evidence_hash(evidence: Sequence[bytes] = ()) -> bytes:
    """Return the root over encoded evidence; each item is the inner message, not its oneof."""
    return merkle_root(evidence)


def consensus_hash(max_bytes: int = DEFAULT_MAX_BYTES, max_gas: int = DEFAULT_MAX_GAS) -> bytes:
    """Return the SHA-256 of HashedParams: the two consensus parameters a header commits to."""
    return sha256(number_field(b"\x08", max_bytes) + number_field(b"\x10", max_gas)).digest()


def part_set(encoded: bytes) -> PartSetHeader:
    """Cut an encoded block into parts and return their number and root."""
    parts = [encoded[start : start + PART_BYTES] for start in range(0, len(encoded), PART_BYTES)]
    return PartSetHeader(len(parts), merkle_root(parts))


def block_id(header: Header, txs: Sequence[bytes], last_commit: Commit) -> BlockID:
    """Return the id a block's votes sign: its header hash and the part set of its encoding."""
    return BlockID(header_hash(header), part_set(encoding.block(header, txs, last_commit)))


__all__ = (
    "DEFAULT_MAX_BYTES",
    "DEFAULT_MAX_GAS",
    "EMPTY_HASH",
    "PART_BYTES",
    "TxResult",
    "block_id",
    "commit_hash",
    "consensus_hash",
    "data_hash",
    "evidence_hash",
    "header_hash",
    "part_set",
    "results_hash",
)
