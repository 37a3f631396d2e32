"""Hands an attested contract over to its next signing set: a quorum of the present one signs, anybody carries it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lockgate.courier.evm_attesting import EvmHandOver
from lockgate.lightclients.evm_attestation import Binding, Signed, SigningSet
from lockgate.primitives.errors import Refused
from lockgate.relay.chains.evm.account import EvmAccount
from lockgate.relay.chains.evm.answers import Receipt
from lockgate.relay.chains.evm.clients import AttestedContract
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.evm_attestors import EvmAttestors


class NotTheNextSet(Refused):
    code = "relay.not_the_next_set"
    summary = "A signing set is not of the epoch after the contract's present one."
    untouched = "Nothing was sent; the contract rests on the set it has."
    next_step = "Compose the next set anew: `lockgate evm next-set` prints the present one with the next epoch."


@dataclass(frozen=True, slots=True)
class SignedRotation:
    """The set of epoch + 1, and what a quorum of the set of `epoch` signed."""

    epoch: int
    following: SigningSet
    signatures: tuple[Signed, ...]


async def collect(
    contract: AttestedContract, binding: Binding, epoch: int, following: SigningSet, attestors: EvmAttestors
) -> SignedRotation:
    """Have the present set sign for the one of `epoch`. Raises NotTheNextSet, TooFewEvmAttestors."""
    if epoch != contract.epoch + 1:
        raise NotTheNextSet(present=contract.epoch, given=epoch)
    request = EvmHandOver(binding, contract.epoch, following)
    signed = await attestors.hand_over(request, contract.members, contract.threshold, contract.operators)
    return SignedRotation(contract.epoch, following, signed)


async def carry(account: EvmAccount, contract: bytes, rotation: SignedRotation) -> Receipt:
    """Bring it to the contract. Raises what `EvmAccount.execute` does."""
    call = interface("attested").call("rotate", rotation.following.fields(), signature_fields(rotation.signatures))
    return await account.execute(contract, call)


def signature_fields(signatures: Sequence[Signed]) -> tuple[tuple[int, int, int], ...]:
    """Signatures as the contract's ABI has them."""
    return tuple((one.position, int.from_bytes(one.r), int.from_bytes(one.vs)) for one in signatures)


__all__ = ("NotTheNextSet", "SignedRotation", "carry", "collect", "signature_fields")
