"""Whether enough signers of a set signed a message: each known, once, in order, unlapsed, and truly (C3)."""

from __future__ import annotations

from lockgate.lightclients.attested.errors import QuorumMissing, SignaturesRefused
from lockgate.lightclients.attested.messages import Signatures, signed
from lockgate.lightclients.attested.signers import SignerSet
from lockgate.lightclients.attested.states import ClientState
from lockgate.primitives.time import UnixNanos


def check_quorum(
    state: ClientState, signers: SignerSet, message: bytes, signatures: Signatures, now: UnixNanos | None
) -> None:
    """Raise SignaturesRefused or QuorumMissing unless a quorum of `signers` signed `message`.

    One bad signature refuses all: whoever collects drops it, and nothing hides behind a quorum. `now`
    asks that no delegation has lapsed; evidence counts whenever it was signed, and gives None.
    """
    previous = b""
    weight = 0
    for name, _ in signatures:
        if name <= previous:
            raise SignaturesRefused("not ascending by key hash, or twice", signer=name)
        previous = name
        signer = signers.by_hash.get(name)
        if signer is None:
            raise SignaturesRefused("an unknown signer", signer=name)
        if now is not None and signer.until <= now:
            raise SignaturesRefused("its delegation has lapsed", signer=name, operator=signer.operator)
        weight += signer.weight
    if weight < signers.threshold or signers.threshold <= 0:
        raise QuorumMissing(weight=weight, threshold=signers.threshold)
    for name, signature in signatures:
        key = signers.by_hash[name].key
        if not key.verify(signed(key, state, message), signature):
            raise SignaturesRefused("does not hold", signer=name)


__all__ = ("check_quorum",)
