"""Who stands behind a header: only signatures that verify here are counted.

A commit may carry signatures that nobody had to look at once two thirds were there; words that count them would say
more than is known (P10).
"""

from __future__ import annotations

from dataclasses import dataclass

from lockgate.crypto.ed25519 import verify_zip215
from lockgate.lightclients.cometbft.signing import VoteFrame
from lockgate.lightclients.cometbft.types import BlockIdFlag, SignedHeader, ValidatorSet
from lockgate.machine.wording import finality


@dataclass(frozen=True, slots=True)
class Signed:
    """The keys (hex) whose signatures under a header verify, and the words for it."""

    signers: tuple[str, ...]
    words: str


def signed_by(signed: SignedHeader, validators: ValidatorSet) -> Signed:
    """Count the signatures under a header that verify under the keys of `validators`."""
    commit = signed.commit
    frame = VoteFrame.precommits(signed.header.chain_id, commit)
    signers = tuple(
        member.public_key.hex()
        for member, sig in zip(validators.validators, commit.signatures, strict=False)
        if sig.flag is BlockIdFlag.COMMIT
        and sig.validator_address == member.address
        and verify_zip215(member.public_key, sig.signature, frame.sign_bytes(sig.timestamp))
    )
    keys = [member.public_key for member in validators.validators]
    return Signed(signers, finality(keys, len(signers)) if signers else "signed by nobody")


__all__ = ("Signed", "signed_by")
