"""Who signs a block in this process, and what its header has in common with all others of the same two sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from lockgate.engines.embedded.assembly import HeaderFrame
from lockgate.engines.embedded.ports import SigningState
from lockgate.lightclients.cometbft import encoding, framing, hashing
from lockgate.lightclients.cometbft.types import ABSENT_SIG, BlockIdFlag, Header, ValidatorSet
from lockgate.machine.genesis import Genesis
from lockgate.machine.machine import APP_VERSION
from lockgate.primitives.errors import Refused
from lockgate.primitives.time import UnixNanos

FIRST_HEIGHT: Final = 1
SignVote = Callable[[bytes], bytes]
_ABSENT: Final = encoding.commit_sig(ABSENT_SIG)


class NoSigner(Refused):
    code = "ledger.no_signer"
    summary = "None of the keys of this process is a validator of the ledger at the next height."
    untouched = "No block was made or signed."
    next_step = "Give the process a key of the set that signs now, or stop it: others make the blocks."


@dataclass(frozen=True, slots=True)
class LocalValidator:
    """A validator key this process signs with: public key, signing function, its sign-state."""

    public_key: bytes
    sign: SignVote
    state: SigningState


@dataclass(frozen=True, slots=True)
class Roster:
    """The set of a height and of the next one, with the members that sign here."""

    validators: ValidatorSet
    following: ValidatorSet
    signers: tuple[LocalValidator, ...]
    voters: tuple[tuple[LocalValidator | None, bytes], ...]  # in the set's order: who signs here, how his votes begin
    frame: HeaderFrame

    @classmethod
    def of(
        cls, genesis: Genesis, own: Mapping[bytes, LocalValidator], validators: ValidatorSet, following: ValidatorSet
    ) -> Self:
        """`own` are by public key. Raises NoSigner where none of them is in the set."""
        voters = [
            (own.get(member.public_key), encoding.vote_head(BlockIdFlag.COMMIT, member.address))
            for member in validators.validators
        ]
        signers = tuple(signer for signer, _ in voters if signer is not None)
        if not signers:
            raise NoSigner("no key of the set", keys=len(own), validators=len(validators))
        return cls(validators, following, signers, tuple(voters), _header_frame(genesis, validators, following))

    def votes(self, height: int, time: UnixNanos, sign_bytes: bytes) -> tuple[list[bytes], list[bytes]]:
        """Sign with every key that is here. Returns the signatures, and each validator's CommitSig, encoded."""
        stamp = framing.timestamp(time)
        signatures, leaves = [], []
        for signer, head in self.voters:
            if signer is None:
                leaves.append(_ABSENT)
                continue
            signer.state.permit(height, sign_bytes)
            signature = signer.sign(sign_bytes)
            signatures.append(signature)
            leaves.append(encoding.commit_sig_of(head, stamp, signature))
        return signatures, leaves


def _header_frame(genesis: Genesis, validators: ValidatorSet, following: ValidatorSet) -> HeaderFrame:
    return HeaderFrame(
        Header(
            version_app=APP_VERSION,
            chain_id=genesis.chain_id,
            height=FIRST_HEIGHT,
            time=genesis.time,
            validators_hash=validators.hash,
            next_validators_hash=following.hash,
            consensus_hash=consensus_hash(genesis),
            evidence_hash=hashing.evidence_hash(),
            proposer_address=validators.proposer.address,
        )
    )


def consensus_hash(genesis: Genesis) -> bytes:
    """The hash of the consensus parameters that every header of a ledger holds."""
    return hashing.consensus_hash(genesis.parameters.max_block_bytes, -1)


__all__ = ("FIRST_HEIGHT", "LocalValidator", "NoSigner", "Roster", "consensus_hash")
