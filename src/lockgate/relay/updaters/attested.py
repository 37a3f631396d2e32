"""Brings attested clients forward: a quorum's word on a height, and ICS-23 proofs under the root it named.

The word is checked by the client's own rules before it is handed on, and, where the ledger has headers of
which this relayer's node shows one, against that: what attestors say beside their ledger moves nothing here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from lockgate.courier.ports import Chain, HeaderChain, NotYet, TrackedClient, Updater
from lockgate.lightclients.attested.errors import AttestationDated
from lockgate.lightclients.attested.messages import ATTESTATION, encode_attestation
from lockgate.lightclients.attested.states import ClientState, ConsensusState
from lockgate.lightclients.attested.update import check_attestation
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos
from lockgate.relay.attestors import Attestors
from lockgate.relay.updaters.grounds import OtherHistory, RootGround

GROUNDS_KEPT: Final = 8  # as of headers: both lanes of both stages prove against few heights at a time


class NoAttestors(Refused):
    code = "relay.no_attestors"
    summary = "A client is updated by attestations, and this relayer was told of no attestor of the ledger it follows."
    untouched = "Nothing was sent."
    next_step = 'Name them by ledger under "attestors" in the relayer\'s relay.json.'


class AttestedUpdater:
    """Meets `courier.ports.Updater` for attested clients of `chain`."""

    def __init__(self, chain: Chain, attestors: Attestors) -> None:
        self._chain = chain
        self.attestors = attestors
        self._grounds: OrderedDict[tuple[bytes, Height, bytes], RootGround] = OrderedDict()

    @classmethod
    def of(cls, chain: Chain, _others: Updater) -> AttestedUpdater:
        """For `relay.kinds`: from a chain alone it cannot be made. Raises NoAttestors."""
        raise NoAttestors(chain=chain.chain_id)

    def counts(self) -> dict[str, int]:
        return {"attestations": self.attestors.rounds, "signatures_dropped": self.attestors.dropped}

    def health(self) -> dict[str, object]:
        return self.attestors.health()

    async def reach(self, tracked: TrackedClient, target: Height, now: UnixNanos, /) -> RootGround:
        """As the port says. Raises TooFewAttestors, OtherHistory."""
        state: ClientState = tracked.state
        if tracked.latest >= target:
            held: ConsensusState = tracked.consensus
            return await self._kept(state, tracked.latest, held, ())
        key = (state.signers.hash, target, b"")
        known = self._grounds.get(key)
        if known is None:
            attestation = await self.attestors.attest(state, target, now)
            try:
                check_attestation(state, attestation, now)
            except AttestationDated as dated:
                if attestation.timestamp <= now:
                    raise
                raise NotYet("the attested time is ahead of the other ledger's", height=target) from dated
            brought = (ATTESTATION, encode_attestation(attestation))
            known = await self._kept(state, target, attestation.consensus_state, (brought,))
        return known

    async def _kept(
        self, state: ClientState, height: Height, held: ConsensusState, brought: tuple[tuple[str, bytes], ...]
    ) -> RootGround:
        key = (state.signers.hash, height, b"" if brought else held.root)
        known = self._grounds.get(key)
        if known is None:
            await self._same_history(height, held)
            memo = ProofMemo(held.root)
            known = self._grounds[key] = RootGround(self._chain, height, held.timestamp, held.root, memo, brought)
            while len(self._grounds) > GROUNDS_KEPT:
                self._grounds.popitem(last=False)
        return known

    async def _same_history(self, height: Height, held: ConsensusState) -> None:
        """Raise OtherHistory where the ledger's own node shows another header than was attested."""
        if not isinstance(self._chain, HeaderChain):
            return
        header = (await self._chain.light_block(height.height)).header
        if (header.time, header.app_hash) != (held.timestamp, held.root):
            self._chain.forget(height.height)
            raise OtherHistory("attested otherwise", chain=self._chain.chain_id, height=height, attested=held.root)


__all__ = ("AttestedUpdater", "NoAttestors")
