"""Attestors between a ledger of ours and an EVM, one for each way.

`EvmAttestorService` watches an EVM through a node of its operator's own and signs, for attested clients on our ledgers,
the storage root of the host contract at final blocks. There is no light client in it: its node is its source, and
its finality its word; that is what a quorum of operators with nodes of their own is for (B5).
`StatementSigner` watches a ledger of ours with its own light client and signs, for attested contracts on an EVM, what
it has proven there. Both write down what they say of a height before they say it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lockgate.courier.attesting import Answer, NotAttested, Request
from lockgate.courier.evm_attesting import EvmAttest, EvmAttested, EvmHandOver, leaves_of, statement_of
from lockgate.crypto.keys import IdentitySigner
from lockgate.crypto.recoverable import EvmKey
from lockgate.hosting.attestor import Attesting, NotFinal, NotServed, Report, UnknownSet, Watched
from lockgate.hosting.reader import ProvenReader
from lockgate.ibc import host as paths
from lockgate.lightclients.attested import ConsensusState, SignerSet
from lockgate.lightclients.evm_attestation import MAX_LEAVES, Binding, SigningSet
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.ports import Clock
from lockgate.relay.chains.evm.chain import EvmChain
from lockgate.storage.attested import AttestedState

Contract = tuple[int, bytes, str]  # chain id, address, client id


class UnknownContract(Refused):
    code = "attestor.unknown_contract"
    summary = "The attestor's operator has accepted no such contract: network, address, client and ledger together."
    untouched = "Nothing was signed."
    next_step = "Have the operator look at the contract, and accept it."


class EvmAttestorService(Attesting):
    """Attests the storage of a host contract at final blocks."""

    def __init__(
        self,
        watched: Watched,
        chain: EvmChain,
        signer: IdentitySigner,
        state: AttestedState,
        accepted: Callable[[], Iterable[SignerSet]],
        clock: Clock,
        report: Report,
    ) -> None:
        super().__init__(watched, chain, signer, state, accepted, clock, report)
        self._evm = chain

    async def _content(self, height: int) -> ConsensusState:
        return ConsensusState(await self._evm.time_of(height), await self._evm.storage_root(height))


class StatementSigner:
    """Signs statements of one ledger of ours for contracts that its operator accepted."""

    def __init__(
        self,
        name: str,
        reader: ProvenReader,
        key: EvmKey,
        state: AttestedState,
        contracts: Callable[[], Iterable[Contract]],
        source: bytes,
        report: Report,
        following: Callable[[], Iterable[tuple[int, SigningSet]]] = tuple,
    ) -> None:
        """`contracts` reads what the operator has accepted: chain id, address and client id each.

        `source` is the ledger's domain id (P9); `following` reads the sets with their epochs that he accepted to hand
        over to.
        """
        self.name = name
        self._reader = reader
        self._key = key
        self._state = state
        self._contracts = contracts
        self._following = following
        self._source = source
        self._report = report

    async def answer(self, request: Request) -> Answer:
        """Sign, or say why not. Never raises what a request can cause."""
        try:
            match request:
                case EvmAttest():
                    return await self.attest(request)
                case EvmHandOver():
                    return self.hand_over(request)
                case _:
                    raise NotServed(asked=type(request).__name__)
        except LockgateError as refusal:
            self._report("refused", {"code": refusal.code, "detail": str(refusal)[:300]})
            return NotAttested(refusal.code, refusal.detail or refusal.summary)

    def hand_over(self, request: EvmHandOver, /) -> EvmAttested:
        """Sign a rotation to a set that the operator accepted. Raises UnknownContract, UnknownSet."""
        self._known(request.binding)
        if (request.epoch + 1, request.following) not in set(self._following()):
            raise UnknownSet("not an accepted set of the next epoch", epoch=request.epoch + 1)
        r, vs = self._key.sign_digest(request.following.rotation_digest(request.binding, request.epoch)).compact
        self._report("handed_over", {"epoch": request.epoch, "client": request.binding.client_id})
        return EvmAttested(r, vs)

    def _known(self, binding: Binding) -> None:
        known = (binding.chain_id, binding.contract, binding.client_id)
        if known not in set(self._contracts()) or binding.source != self._source:
            raise UnknownContract(network=binding.chain_id, contract=binding.contract, client=binding.client_id)

    async def attest(self, request: EvmAttest, /) -> EvmAttested:
        """Read, verify, write down, sign. Raises UnknownContract, NotFinal, SaidOtherwise, or why it cannot read."""
        binding = request.binding
        self._known(binding)
        if not 1 <= len(request.keys) <= MAX_LEAVES:
            raise UnknownContract("a statement covers between 1 and 256 paths", paths=len(request.keys))
        height = request.height.height
        if request.height.revision != self._reader.chain.revision:
            raise NotFinal("another revision", asked=request.height)
        await self._reader.reach(height)
        block = self._reader.follower.trusted(height)
        assert block is not None, "the height was reached"
        found = await self._reader.chain.prove_many(paths.STORE, request.keys, request.height)
        values = []
        for key, proven in zip(request.keys, found, strict=True):
            if isinstance(proven, Exception):
                raise proven
            values.append(self._reader.check(paths.STORE, key, proven))
        header = block.header
        self._state.record(height, header.time, header.app_hash)
        leaves = leaves_of(request.keys, values)
        statement = statement_of(request.epoch, request.height, header.time, header.app_hash, leaves)
        r, vs = self._key.sign_digest(statement.digest(binding)).compact
        self._report("attested", {"height": str(request.height), "epoch": request.epoch, "paths": len(leaves)})
        return EvmAttested(r, vs)


__all__ = ("Contract", "EvmAttestorService", "StatementSigner", "UnknownContract")
