"""Brings attested clients of an EVM forward: a quorum's word on the host's storage root, and proofs under it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.courier.ports import NotYet, Proven, TrackedClient
from lockgate.lightclients.attested.errors import AttestationDated
from lockgate.lightclients.attested.messages import ATTESTATION, encode_attestation
from lockgate.lightclients.attested.states import ClientState, ConsensusState
from lockgate.lightclients.attested.update import check_attestation
from lockgate.lightclients.evm_storage import StorageProofs, encode_proof
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos
from lockgate.relay.attestors import Attestors
from lockgate.relay.chains.evm.chain import EvmChain
from lockgate.relay.chains.evm.proofs import StorageProof
from lockgate.relay.messages import update_client
from lockgate.relay.updaters.grounds import OtherHistory
from lockgate.relay.updaters.words import check_words

GROUNDS_KEPT: Final = 8  # as of headers


@dataclass(frozen=True, slots=True)
class StorageGround:
    """A block whose storage root the client knows, or will by `brought`. Meets `courier.ports.Ground`."""

    chain: EvmChain
    height: Height
    root: bytes
    brought: tuple[tuple[str, bytes], ...] = ()

    def updates(self, client: str, signer: str, /) -> list[Message]:
        return [update_client(client, kind, value, signer) for kind, value in self.brought]

    async def prove(self, store: str, keys: Sequence[bytes], /) -> list[Proven | Exception]:
        """Values in the form the client takes, checked as it will check them."""
        found = await self.chain.prove_many(store, keys, self.height)
        return check_words(StorageProofs(self.root), _client_form, self.height, keys, found)

    def proofs(self, chosen: Sequence[Proven], /) -> list[bytes]:
        return [proven.proof for proven in chosen]


def _client_form(proof: StorageProof) -> bytes:
    return encode_proof(proof.storage)


class AttestedEvmUpdater:
    """Meets `courier.ports.Updater` for attested clients of an EVM."""

    def __init__(self, chain: EvmChain, attestors: Attestors) -> None:
        self._chain = chain
        self.attestors = attestors
        self._grounds: OrderedDict[tuple[bytes, Height], StorageGround] = OrderedDict()

    def counts(self) -> dict[str, int]:
        return {"attestations": self.attestors.rounds, "signatures_dropped": self.attestors.dropped}

    def health(self) -> dict[str, object]:
        return self.attestors.health()

    async def reach(self, tracked: TrackedClient, target: Height, now: UnixNanos, /) -> StorageGround:
        """As the port says. Raises TooFewAttestors, OtherHistory."""
        state: ClientState = tracked.state
        if tracked.latest >= target:
            held: ConsensusState = tracked.consensus
            await self._same(tracked.latest, held)
            return StorageGround(self._chain, tracked.latest, held.root)
        key = (state.signers.hash, target)
        known = self._grounds.get(key)
        if known is None:
            attestation = await self.attestors.attest(state, target, now)
            try:
                check_attestation(state, attestation, now)
            except AttestationDated as dated:
                if attestation.timestamp <= now:
                    raise
                raise NotYet("the attested time is ahead of the other ledger's", height=target) from dated
            await self._same(target, attestation.consensus_state)
            brought = ((ATTESTATION, encode_attestation(attestation)),)
            known = self._grounds[key] = StorageGround(self._chain, target, attestation.root, brought)
            while len(self._grounds) > GROUNDS_KEPT:
                self._grounds.popitem(last=False)
        return known

    async def _same(self, height: Height, said: ConsensusState) -> None:
        """Raise OtherHistory where the chain's own node shows another block than was attested."""
        shown = ConsensusState(await self._chain.time_of(height.height), await self._chain.storage_root(height.height))
        if shown != said:
            raise OtherHistory("attested otherwise", chain=self._chain.chain_id, height=height, attested=said.root)


__all__ = ("AttestedEvmUpdater", "StorageGround")
