"""A beacon chain in small: sync committees with BLS keys, blocks over execution headers, and what nodes serve of them.

Signatures, branches and roots are real; the beacon state and block body are trees of the leaves a light client looks
at, everything else in them zero. There are no validators: a block is final when the builder says so, or by default
when it is the newest of two epochs before. Keys come from a seed, so a chain is the same in every run.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Final

from lockgate.crypto import bls12381 as bls
from lockgate.lightclients.ethereum import indices
from lockgate.lightclients.ethereum.containers import (
    NO_HEADER,
    ROOT_BYTES,
    BeaconHeader,
    Bootstrap,
    Branch,
    ExecutionHeader,
    LightHeader,
    SyncAggregate,
    SyncCommittee,
    Update,
    domain,
    signing_root,
)
from lockgate.lightclients.ethereum.network import Fork, Network, Scheduled
from lockgate.lightclients.ethereum.verification import DOMAIN_SYNC_COMMITTEE
from lockgate.merkle import ssz

Leaves = Mapping[int, bytes]  # generalized index -> the 32 bytes there
ELECTRA: Final = (0,) * (Fork.ELECTRA + 1)  # epochs of the forks: all of them from genesis


def minimal_network(
    genesis_time: int, fork_epochs: Collection[int] = ELECTRA, *, seconds_per_slot: int = 6, committee_size: int = 32
) -> Network:
    """A chain of the minimal preset (8 slots an epoch, 8 epochs a period); the seconds are Unix time."""
    return Network(
        genesis_validators_root=sha256(b"lab beacon %d" % genesis_time).digest(),
        genesis_time=genesis_time,
        seconds_per_slot=seconds_per_slot,
        slots_per_epoch=8,
        epochs_per_period=8,
        committee_size=committee_size,
        forks=tuple(Scheduled(epoch, bytes([place, 0, 0, 0x77])) for place, epoch in enumerate(fork_epochs)),
    )


@dataclass(frozen=True)
class Block:
    """A block of the chain, with the trees that its branches come from."""

    header: LightHeader
    state: Leaves
    finalized: LightHeader  # empty while nothing but genesis is final


@dataclass
class Beacon:
    """One chain, or one branch of a chain that forked."""

    network: Network
    seed: bytes = b"lab"
    blocks: dict[int, Block] = field(default_factory=dict)  # by slot

    def committee(self, period: int) -> SyncCommittee:
        return _committee(self.seed, period, self.network.committee_size)

    def propose(self, slot: int, execution: ExecutionHeader, *, finalized: int | None = None) -> LightHeader:
        """Add a block above all others. `finalized`: the slot of the block that it sees as final."""
        network = self.network
        fork, period = network.fork(slot), network.period(slot)
        final = self._final_at(slot) if finalized is None else self.blocks[finalized].header
        state = {
            indices.finalized_root(fork): final.beacon.root if final != NO_HEADER else bytes(ROOT_BYTES),
            indices.current_sync_committee(fork): self.committee(period).root,
            indices.next_sync_committee(fork): self.committee(period + 1).root,
        }
        before = max(self.blocks, default=None)
        # The field beside the payload stands for all others: a body whose other fields are all zero there is none.
        beside = sha256(b"%s body %d" % (self.seed, slot)).digest()
        body = {indices.EXECUTION_PAYLOAD: execution.root(fork), indices.EXECUTION_PAYLOAD ^ 1: beside}
        beacon = BeaconHeader(
            slot=slot,
            parent_root=bytes(ROOT_BYTES) if before is None else self.blocks[before].header.beacon.root,
            state_root=_node(state, 1),
            body_root=_node(body, 1),
        )
        header = LightHeader(beacon)
        if fork >= Fork.CAPELLA:
            header = LightHeader(beacon, execution, _branch(body, indices.EXECUTION_PAYLOAD))
        self.blocks[slot] = Block(header, state, final)
        return header

    def bootstrap(self, slot: int) -> Bootstrap:
        """Where a light client may start: at a block, trusted by its root."""
        block, network = self.blocks[slot], self.network
        return Bootstrap(
            header=block.header,
            current_sync_committee=self.committee(network.period(slot)),
            current_sync_committee_branch=_branch(block.state, indices.current_sync_committee(network.fork(slot))),
        )

    def update(
        self,
        attested: int,
        *,
        signature_slot: int | None = None,
        participants: int | Collection[int] | None = None,
        with_next: bool = True,
    ) -> Update:
        """The update that attests a block, signed at the next slot by all, by the first few, or by named members."""
        block, network = self.blocks[attested], self.network
        fork, period = network.fork(attested), network.period(attested)
        slot = attested + 1 if signature_slot is None else signature_slot
        bare = Update(
            attested_header=block.header,
            sync_aggregate=SyncAggregate(bytes(network.committee_size // 8), bytes(bls.SIGNATURE_BYTES)),
            signature_slot=slot,
            finalized_header=block.finalized,
            finality_branch=_branch(block.state, indices.finalized_root(fork)),
        )
        if with_next:
            branch = _branch(block.state, indices.next_sync_committee(fork))
            following = self.committee(period + 1)
            bare = replace(bare, next_sync_committee=following, next_sync_committee_branch=branch)
        return replace(bare, sync_aggregate=self.sign(block.header.beacon.root, slot, participants))

    def sign(
        self,
        block_root: bytes,
        slot: int,
        participants: int | Collection[int] | None = None,
        *,
        period: int | None = None,
        version: bytes | None = None,
    ) -> SyncAggregate:
        """What members of a slot's committee sign of a block. `period` and `version`: others than the slot has."""
        network = self.network
        by = range(network.committee_size) if participants is None else participants
        by = range(by) if isinstance(by, int) else by
        rules = network.version(max(slot, 1) - 1) if version is None else version
        message = signing_root(block_root, domain(DOMAIN_SYNC_COMMITTEE, rules, network.genesis_validators_root))
        secrets = _secrets(self.seed, network.period(slot) if period is None else period, network.committee_size)
        return sign_together([secrets[place] for place in by], sum(1 << place for place in by), message, len(secrets))

    def forked(self) -> Beacon:
        """Another branch of the chain: the same blocks so far, and the same keys."""
        return replace(self, blocks=copy.copy(self.blocks))

    def _final_at(self, slot: int) -> LightHeader:
        """The newest block at or before the beginning of the epoch two before a slot's."""
        border = (self.network.epoch(slot) - 2) * self.network.slots_per_epoch
        final = max((each for each in self.blocks if each <= border), default=0)
        return self.blocks[final].header if final else NO_HEADER


def sign_together(secrets: Collection[int], places: int, message: bytes, size: int) -> SyncAggregate:
    """The aggregate of all these keys' signatures, as one signature by the sum of the keys: the same point."""
    together = bls.SigningKey((sum(secrets) % bls.ORDER).to_bytes(bls.SECRET_BYTES))
    return SyncAggregate(places.to_bytes(size // 8, "little"), together.sign(message))


@lru_cache(64)
def _secrets(seed: bytes, period: int, size: int) -> tuple[int, ...]:
    drawn = (sha256(b"%s/%d/%d" % (seed, period, place)).digest() for place in range(size))
    return tuple(int.from_bytes(each) % (bls.ORDER - 1) + 1 for each in drawn)


@lru_cache(64)
def _committee(seed: bytes, period: int, size: int) -> SyncCommittee:
    secrets = _secrets(seed, period, size)
    keys = [bls.SigningKey(secret.to_bytes(bls.SECRET_BYTES)).public_key for secret in secrets]
    return SyncCommittee(tuple(keys), bls.encode_public(bls.add_keys(map(bls.load_public, keys))))


def _node(leaves: Leaves, index: int) -> bytes:
    """The node at a generalized index of a tree that holds these leaves and zeros."""
    found = leaves.get(index)
    if found is not None:
        return found
    if not any(leaf >> max(leaf.bit_length() - index.bit_length(), 0) == index for leaf in leaves):
        return bytes(ROOT_BYTES)
    return ssz.merkleize([_node(leaves, 2 * index), _node(leaves, 2 * index + 1)])


def _branch(leaves: Leaves, index: int) -> Branch:
    siblings = []
    while index > 1:
        siblings.append(_node(leaves, index ^ 1))
        index //= 2
    return tuple(siblings)


__all__ = ("ELECTRA", "Beacon", "Block", "minimal_network", "sign_together")
