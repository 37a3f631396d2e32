"""What a beacon chain tells its light clients, and the hash tree roots of it.

A branch or a committee that is not there is empty here; in SSZ it is all zeros, which no true one is. Source:
consensus-specs, the light client documents of Altair, Capella, Deneb and Electra.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from lockgate.lightclients.ethereum.network import Fork
from lockgate.merkle import ssz

ROOT_BYTES: Final = 32
ADDRESS_BYTES: Final = 20
BLOOM_BYTES: Final = 256
MAX_EXTRA_DATA: Final = 32
PUBKEY_BYTES: Final = 48
SIGNATURE_BYTES: Final = 96
Branch = tuple[bytes, ...]  # siblings from the leaf up, 32 bytes each; empty when there is none
_ZERO: Final = bytes(ROOT_BYTES)
_CAPELLA_FIELDS: Final = 15  # of an execution payload header; Deneb added two


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconHeader:
    """BeaconBlockHeader: a block of the beacon chain by the roots of its parts."""

    slot: int = 0
    proposer_index: int = 0
    parent_root: bytes = _ZERO
    state_root: bytes = _ZERO
    body_root: bytes = _ZERO

    @property
    def root(self) -> bytes:
        """32 bytes: what a sync committee signs, and what names the block."""
        numbers = [ssz.uint(self.slot), ssz.uint(self.proposer_index)]
        return ssz.merkleize([*numbers, self.parent_root, self.state_root, self.body_root])


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionHeader:
    """ExecutionPayloadHeader: the EVM block in a beacon block. The blob fields are zero before Deneb."""

    parent_hash: bytes = _ZERO
    fee_recipient: bytes = bytes(ADDRESS_BYTES)
    state_root: bytes = _ZERO
    receipts_root: bytes = _ZERO
    logs_bloom: bytes = bytes(BLOOM_BYTES)
    prev_randao: bytes = _ZERO
    block_number: int = 0
    gas_limit: int = 0
    gas_used: int = 0
    timestamp: int = 0  # seconds
    extra_data: bytes = b""  # at most 32 bytes
    base_fee_per_gas: int = 0  # wei, below 2**256
    block_hash: bytes = _ZERO
    transactions_root: bytes = _ZERO
    withdrawals_root: bytes = _ZERO
    blob_gas_used: int = 0
    excess_blob_gas: int = 0

    def root(self, fork: Fork) -> bytes:
        """The root in a block's body under a fork; zero before Capella, where light clients are shown none."""
        if fork < Fork.CAPELLA:
            return _ZERO
        leaves = [
            self.parent_hash,
            self.fee_recipient.ljust(ROOT_BYTES, b"\0"),
            self.state_root,
            self.receipts_root,
            ssz.merkleize(ssz.packed(self.logs_bloom)),
            self.prev_randao,
            *map(ssz.uint, (self.block_number, self.gas_limit, self.gas_used, self.timestamp)),
            ssz.with_length(ssz.merkleize(ssz.packed(self.extra_data), 1), len(self.extra_data)),
            ssz.uint(self.base_fee_per_gas),
            self.block_hash,
            self.transactions_root,
            self.withdrawals_root,
            *map(ssz.uint, (self.blob_gas_used, self.excess_blob_gas)),
        ]
        return ssz.merkleize(leaves if fork >= Fork.DENEB else leaves[:_CAPELLA_FIELDS])


NO_EXECUTION: Final = ExecutionHeader()


@dataclass(frozen=True, slots=True)
class LightHeader:
    """LightClientHeader: a beacon header, and from Capella on the execution header with its branch into the body."""

    beacon: BeaconHeader = BeaconHeader()
    execution: ExecutionHeader = NO_EXECUTION
    execution_branch: Branch = ()


NO_HEADER: Final = LightHeader()


@dataclass(frozen=True)  # no slots: the root is computed once
class SyncCommittee:
    """The keys that sign for one period, 48 bytes each, and their sum. A key may stand more than once."""

    pubkeys: tuple[bytes, ...]
    aggregate_pubkey: bytes

    @cached_property
    def root(self) -> bytes:
        """32 bytes: what a beacon state holds of a committee."""
        return committee_root(self.pubkeys_root, self.aggregate_pubkey)

    @property
    def pubkeys_root(self) -> bytes:
        """32 bytes: the root of the keys alone."""
        return ssz.merkleize([_key_root(key) for key in self.pubkeys])


def committee_root(pubkeys_root: bytes, aggregate_pubkey: bytes) -> bytes:
    """The root of a committee of which the root of its keys is known."""
    return ssz.merkleize([pubkeys_root, _key_root(aggregate_pubkey)])


def _key_root(key: bytes) -> bytes:
    """The root of the two chunks of a key, in one hash: there are a thousand of them in an update."""
    return hashlib.sha256(key.ljust(2 * ssz.CHUNK, b"\0")).digest()


@dataclass(frozen=True, slots=True)
class SyncAggregate:
    """Who of a committee signed, as bits (the first key is the lowest bit of the first byte), and the sum of it."""

    bits: bytes
    signature: bytes

    @property
    def participants(self) -> int:
        return int.from_bytes(self.bits).bit_count()

    def has(self, position: int) -> bool:
        """Whether the key at a position of the committee signed."""
        return bool(self.bits[position // 8] >> position % 8 & 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """LightClientBootstrap: where a client starts."""

    header: LightHeader
    current_sync_committee: SyncCommittee
    current_sync_committee_branch: Branch


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """LightClientUpdate, and with parts left out also a finality or an optimistic update.

    A finalized header without anything in it beside a branch means that genesis is what is final.
    """

    attested_header: LightHeader
    sync_aggregate: SyncAggregate
    signature_slot: int
    next_sync_committee: SyncCommittee | None = None
    next_sync_committee_branch: Branch = ()
    finalized_header: LightHeader = NO_HEADER
    finality_branch: Branch = ()

    @property
    def has_finality(self) -> bool:
        return bool(self.finality_branch)


def fork_data_root(version: bytes, genesis_validators_root: bytes) -> bytes:
    """The root of ForkData: which chain, under which rules."""
    return ssz.merkleize([version.ljust(ROOT_BYTES, b"\0"), genesis_validators_root])


def domain(kind: bytes, version: bytes, genesis_validators_root: bytes) -> bytes:
    """compute_domain: 4 bytes that say what is signed, and 28 of the fork data's root."""
    return kind + fork_data_root(version, genesis_validators_root)[: ROOT_BYTES - len(kind)]


def signing_root(object_root: bytes, signed_domain: bytes) -> bytes:
    """compute_signing_root: the 32 bytes that a key signs."""
    return ssz.merkleize([object_root, signed_domain])


__all__ = (
    "ADDRESS_BYTES",
    "BLOOM_BYTES",
    "MAX_EXTRA_DATA",
    "NO_EXECUTION",
    "NO_HEADER",
    "PUBKEY_BYTES",
    "ROOT_BYTES",
    "SIGNATURE_BYTES",
    "BeaconHeader",
    "Bootstrap",
    "Branch",
    "ExecutionHeader",
    "LightHeader",
    "SyncAggregate",
    "SyncCommittee",
    "Update",
    "committee_root",
    "domain",
    "fork_data_root",
    "signing_root",
)
