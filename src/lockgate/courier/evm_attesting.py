"""What a courier asks an attestor to sign for a contract on an EVM, and which of the answers make a quorum there.

An attestor reads its own ledger and signs what it found under the paths it was asked for. It is believed nothing: a
signature counts when it names a member of the contract's set, and is over the statement that the courier's own proofs
give. The contract refuses a whole batch for one signature that does not hold, so such a one is dropped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lockgate.crypto.keccak import keccak256
from lockgate.crypto.recoverable import Recoverable, recover
from lockgate.lightclients.evm_attestation import (
    ABSENT,
    Binding,
    Leaf,
    Member,
    Signed,
    SigningSet,
    Statement,
    merkle_root,
)
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos, floor_seconds


class NotOfTheSet(PeerFault):
    code = "attestor.not_of_the_set"
    summary = "A signature over an EVM statement is of nobody in the contract's signing set, or over something else."
    untouched = "It was dropped; the contract would have refused the whole batch for it."
    next_step = "Compare what the attestor reads with the ledger; look whether the set was rotated."


@dataclass(frozen=True, slots=True)
class EvmAttest:
    """Sign for a contract what stands under these paths of the `ibc` store, as the header of a height has it."""

    binding: Binding
    epoch: int
    height: Height
    keys: tuple[bytes, ...]  # 1..256 ICS-24 paths, in the order of their leaves


@dataclass(frozen=True, slots=True)
class EvmHandOver:
    """Sign that the set following that of `epoch` takes over from it."""

    binding: Binding
    epoch: int
    following: SigningSet


@dataclass(frozen=True, slots=True)
class EvmAttested:
    """A signature, over a statement or a rotation: r, and s with the parity in its top bit."""

    r: bytes
    vs: bytes


def leaves_of(keys: Sequence[bytes], values: Sequence[bytes | None]) -> tuple[Leaf, ...]:
    """Leaves in the order of their keys; None is nothing there."""
    return tuple(
        Leaf(keccak256(key), ABSENT if value is None else value) for key, value in zip(keys, values, strict=True)
    )


def statement_of(epoch: int, height: Height, time: UnixNanos, state_root: bytes, leaves: Sequence[Leaf]) -> Statement:
    """What is said of a height of a ledger of ours: its header's time, floored (P13), and the root the header has."""
    return Statement(
        epoch=epoch,
        height=height.height,
        time=floor_seconds(time),
        state_root=state_root,
        leaves_root=merkle_root(leaves),
    )


def signed_by(members: Sequence[Member], digest: bytes, answer: EvmAttested) -> Signed:
    """The answer with its signer's position in the set. Raises NotOfTheSet."""
    vs = int.from_bytes(answer.vs)
    signature = Recoverable(int.from_bytes(answer.r), vs & (1 << 255) - 1, bool(vs >> 255))
    signer = recover(digest, signature)
    for position, member in enumerate(members):
        if signer is not None and member.signer == signer:
            return Signed(position, answer.r, answer.vs)
    raise NotOfTheSet(signer=signer or b"")


def quorum(
    members: Sequence[Member], threshold: int, operators: int, have: Mapping[int, Signed]
) -> tuple[Signed, ...] | None:
    """The fewest signatures, by ascending position, that the contract takes for a quorum; None below one.

    A set lists each operator once, so signatures are counted as operators are.
    """
    chosen: list[int] = []
    weight = 0
    for position in sorted(have, key=lambda position: (-members[position].weight, position)):
        if weight >= threshold and len(chosen) >= operators:
            break
        chosen.append(position)
        weight += members[position].weight
    if weight < threshold or len(chosen) < operators:
        return None
    return tuple(have[position] for position in sorted(chosen))


__all__ = (
    "EvmAttest",
    "EvmAttested",
    "EvmHandOver",
    "NotOfTheSet",
    "leaves_of",
    "quorum",
    "signed_by",
    "statement_of",
)
