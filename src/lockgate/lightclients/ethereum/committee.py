"""Keys of a sync committee, each checked as a point once for as long as the committee signs.

To load 512 keys takes twenty times as long as to verify with them. What was loaded is a function of the committee's
bytes alone, so the memo changes what a verification costs and never what it says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from lockgate.crypto import bls12381 as bls
from lockgate.crypto.errors import BadKey
from lockgate.lightclients.ethereum.containers import SyncAggregate, SyncCommittee
from lockgate.lightclients.ethereum.errors import CommitteeRefused

LOADED: Final = 8  # committees in use at one time: the present and the next of a few chains


@lru_cache(LOADED)
def load(committee: SyncCommittee) -> tuple[bls.PublicKey, ...]:
    """The keys as points. Raises CommitteeRefused: a key that is none, or a sum that is not theirs."""
    try:
        keys = tuple(map(bls.load_public, committee.pubkeys))
    except BadKey as failure:
        raise CommitteeRefused("a key is no key", reason=failure.detail) from failure
    if bls.encode_public(bls.add_keys(keys)) != committee.aggregate_pubkey:
        raise CommitteeRefused("the aggregate key is not the sum of the keys")
    return keys


def is_signed(committee: SyncCommittee, aggregate: SyncAggregate, message: bytes) -> bool:
    """Whether the members that an aggregate names signed a message, all of them. Raises CommitteeRefused."""
    signers = [key for place, key in enumerate(load(committee)) if aggregate.has(place)]
    return bls.fast_aggregate_verify(signers, message, aggregate.signature)


__all__ = ("LOADED", "is_signed", "load")
