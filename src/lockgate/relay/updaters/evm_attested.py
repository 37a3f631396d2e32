"""Has an attested contract on an EVM believe a ledger of ours: a quorum's word travels with every batch (ADR 19).

The contract keeps no roots, so there is nothing to bring in front of packets; only a contract that has never been told
anything is, since it sends nothing before that. A ground is for one batch: the values its
packets need are read and proven here as anywhere, attested together, and shown under one Merkle root.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lockgate.courier.evm_attesting import EvmAttest, leaves_of, statement_of
from lockgate.courier.ports import HeaderChain, Messages, NotYet, Proven, TrackedClient
from lockgate.ibc.host import STORE
from lockgate.lightclients.evm_attestation import (
    ABSENT,
    TYPE_URL,
    Binding,
    Leaf,
    Signed,
    Statement,
    encode_attestation,
    encode_proof,
    prove,
)
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.primitives.errors import Misuse
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.relay.chains.evm.clients import AttestedContract
from lockgate.relay.evm_attestors import EvmAttestors
from lockgate.relay.messages import update_client
from lockgate.relay.updaters.grounds import check_proofs

FIRST_WORD: Final = b"\x00"  # a path under which nothing ever stands
MAX_DRIFT: Final = 60 * NANOS_PER_SECOND  # contracts/attested.vy: ahead of the chain's time


class EvmAttestedUpdater:
    """Meets `courier.ports.Updater` for attested contracts on one EVM that follow `chain`.

    `network` is the EVM's chain id, `source` the domain id of `chain` (P9).
    """

    def __init__(self, chain: HeaderChain, network: int, source: bytes, attestors: EvmAttestors) -> None:
        self._chain = chain
        self._network = network
        self._source = source
        self._attestors = attestors

    def counts(self) -> dict[str, int]:
        return {"evm_attestations": self._attestors.rounds, "signatures_dropped": self._attestors.dropped}

    def health(self) -> dict[str, object]:
        return self._attestors.health()

    async def reach(self, tracked: TrackedClient, target: Height, now: UnixNanos, /) -> EvmAttestedGround:
        """Ground at `target` itself: the contract takes older heights too. Nothing is asked of attestors yet."""
        header = (await self._chain.light_block(target.height)).header
        if header.time > now + MAX_DRIFT:
            raise NotYet("the header is ahead of the other chain's time", height=target)
        contract: AttestedContract = tracked.state
        binding = Binding(
            chain_id=self._network, contract=contract.address, client_id=tracked.client_id, source=self._source
        )
        heard = tracked.latest.height != 0
        ground = EvmAttestedGround(
            self._chain, self._attestors, contract, binding, target, header.time, header.app_hash, heard=heard
        )
        if not heard:
            await ground.prove(STORE, [FIRST_WORD])
        return ground


class EvmAttestedGround:
    """Meets `courier.ports.Ground` for one batch."""

    def __init__(
        self,
        chain: HeaderChain,
        attestors: EvmAttestors,
        contract: AttestedContract,
        binding: Binding,
        height: Height,
        time: UnixNanos,
        root: bytes,
        *,
        heard: bool,
    ) -> None:
        self.height = height
        self._heard = heard
        self._chain = chain
        self._attestors = attestors
        self._contract = contract
        self._binding = binding
        self._time = time
        self._root = root
        self._leaves: tuple[Leaf, ...] = ()
        self._places: dict[bytes, int] = {}  # of leaves, by what `prove` gives for their proofs
        self._said: tuple[Statement, tuple[Signed, ...]] | None = None

    def updates(self, client: ClientId, signer: str, /) -> Messages:
        """The first word that a contract ever hears; nothing for one that has heard one."""
        if self._heard or self._said is None:
            return []
        return [update_client(client, TYPE_URL, encode_attestation(*self._said), signer)]

    async def prove(self, store: str, keys: Sequence[bytes], /) -> list[Proven | Exception]:
        """Values under the header's root, attested together. Raises TooFewEvmAttestors."""
        memo = ProofMemo(self._root)
        checked = check_proofs(memo, store, keys, await self._chain.prove_many(store, keys, self.height))
        there = [(key, one) for key, one in zip(keys, checked, strict=True) if isinstance(one, Proven)]
        if not there:
            return checked
        paths = tuple(key for key, _ in there)
        self._leaves = leaves_of(paths, [one.value for _, one in there])
        statement = statement_of(self._contract.epoch, self.height, self._time, self._root, self._leaves)
        request = EvmAttest(self._binding, self._contract.epoch, self.height, paths)
        contract = self._contract
        signatures = await self._attestors.sign(
            request, statement, contract.members, contract.threshold, contract.operators
        )
        self._said = statement, signatures
        self._places = {leaf.path: place for place, leaf in enumerate(self._leaves)}
        given = iter(self._leaves)
        return [Proven(one.value, next(given).path, self.height) if isinstance(one, Proven) else one for one in checked]

    def proofs(self, chosen: Sequence[Proven], /) -> list[bytes]:
        """One proof for all that are there; the contract takes absences one by one."""
        if self._said is None:
            raise Misuse("nothing was proven on this ground")
        places = [self._places[one.proof] for one in chosen]
        present = [place for place in places if self._leaves[place].value != ABSENT]
        joint = self._proof(present) if present else b""
        return [joint if self._leaves[place].value != ABSENT else self._proof([place]) for place in places]

    def _proof(self, places: Sequence[int]) -> bytes:
        assert self._said is not None
        statement, signatures = self._said
        return encode_proof(statement, signatures, prove(self._leaves, places)[1])


__all__ = ("EvmAttestedGround", "EvmAttestedUpdater")
