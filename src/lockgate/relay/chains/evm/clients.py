"""The attested client of a host contract, as a courier sees it. Source: contracts/attested.vy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec.errors import Malformed
from lockgate.courier.ports import TrackedClient
from lockgate.lightclients.evm_attestation import Member
from lockgate.primitives.ids import ClientId, Height, revision_number
from lockgate.primitives.time import DurationNanos, UnixSeconds, seconds_to_nanos
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.rpc import BadAnswer

KIND: Final = "evm-attested"


@dataclass(frozen=True, slots=True)
class AttestedContract:
    """A client contract: where it stands, and who must sign what it is to believe."""

    address: bytes
    epoch: int
    members: tuple[Member, ...]  # by position; their operators are not kept on the chain: 0
    threshold: int  # of weight
    operators: int  # how many must sign
    expires: UnixSeconds


def tracked_of(
    client_id: ClientId, address: bytes, status: bytes, signing: bytes, followed: str, now: UnixSeconds
) -> TrackedClient:
    """A client from what its contract answers to `status` and `getSet`. Raises BadAnswer."""
    active, height, time = _result("status", status)
    epoch, members, threshold, operators, expires = _result("getSet", signing)
    standing = "Active" if active else "Expired" if expires <= now else "Frozen"
    latest_time = seconds_to_nanos(UnixSeconds(time))
    return TrackedClient(
        client_id=client_id,
        kind=KIND,
        status=standing,
        chain_id=followed,
        latest=Height(revision_number(followed), height),
        latest_time=latest_time,
        # A set lapses at a fixed time, whatever was attested last
        trusting_period=DurationNanos(max(1, seconds_to_nanos(UnixSeconds(expires)) - latest_time)),
        state=AttestedContract(
            address,
            epoch,
            tuple(Member(operator, signer.to_bytes(20), weight) for operator, signer, weight in members),
            threshold,
            operators,
            UnixSeconds(expires),
        ),
    )


def _result(name: str, data: bytes) -> tuple[Any, ...]:
    try:
        return interface("attested").result(name, data)
    except Malformed as error:
        raise BadAnswer("not an attested client", asked=name) from error


__all__ = ("KIND", "AttestedContract", "tracked_of")
