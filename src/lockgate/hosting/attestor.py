"""An attestor: signs what it has verified of one ledger with its own light client, and nothing else (P10, B5).

It believes no node and no relayer. A height is signed when its header is trusted, from the pinned one on, when
it lies deep enough, and when nothing else was ever signed of it; that is on disk before the signature is made. It
signs for signer sets that its operator accepted and that hold its own key, and hands over to none but such.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from lockgate.courier.attesting import (
    Answer,
    Attest,
    Attested,
    HandedOver,
    HandOver,
    Known,
    NotAttested,
    Request,
    Who,
)
from lockgate.courier.ports import Chain
from lockgate.crypto.hybrid import Purpose
from lockgate.crypto.keys import IdentitySigner
from lockgate.hosting.reader import Distrusted, ProvenReader, TwoHistories
from lockgate.lightclients.attested import Attestation, ConsensusState, Rotation, Signer, SignerSet
from lockgate.lightclients.attested.signers import check_not_lower, check_set
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.ids import Height
from lockgate.primitives.ports import Clock
from lockgate.storage.attested import AttestedState

WAIT_S: Final = 2.0  # for a block that is not there yet: an attestor's node may be behind the relayer's
POLL_S: Final = 0.1  # where no block is announced
Report = Callable[[str, dict[str, object]], None]


class NotFinal(Refused):
    code = "attestor.not_final"
    summary = "The height is not there yet, or not as deep as this attestor asks for."
    untouched = "Nothing was signed."
    next_step = "Ask again when the ledger has gone on; the attestor's own nodes may be behind."


class UnknownSet(Refused):
    code = "attestor.unknown_set"
    summary = "The attestor's operator has accepted no signer set of this hash, or one that its key has no part in."
    untouched = "Nothing was signed."
    next_step = "Have the operator look at the set, and accept it: `lockgate attestor accept`."


class Lapsed(Refused):
    code = "attestor.lapsed"
    summary = "The delegation of this attestor's key in the set has ended."
    untouched = "Nothing was signed; the ledger would refuse it."
    next_step = "Rotate to a set with a later end."


class NotServed(Refused):
    code = "attestor.not_served"
    summary = "The attestor signs for no client of this kind."
    untouched = "Nothing was signed."
    next_step = "Ask one that its operator runs for such clients: docs/how-to/attest.md."


@dataclass(frozen=True, slots=True)
class Watched:
    """The ledger that is attested, and how deep a block must lie under its newest."""

    chain_id: str
    domain: bytes
    revision: int
    depth: int = 0  # 0 where a block is final when it is there


class Attesting(ABC):
    """Answers requests, whatever kind of ledger is watched."""

    def __init__(
        self,
        watched: Watched,
        chain: Chain,
        signer: IdentitySigner,
        state: AttestedState,
        accepted: Callable[[], Iterable[SignerSet]],
        clock: Clock,
        report: Report,
    ) -> None:
        """`accepted` reads the sets that the operator has accepted; it is asked again for one that is not known."""
        self._watched = watched
        self._chain = chain
        self._signer = signer
        self._state = state
        self._accepted = accepted
        self._sets: dict[bytes, SignerSet] = {}
        self._clock = clock
        self._report = report

    async def check(self) -> None:
        """Compare what was signed last with what the ledger shows now. Raises SaidOtherwise.

        A ledger that was restored together with its signing state goes on with other blocks, signed as they should be.
        """
        newest = self._state.newest
        if newest:
            said = await self._content(newest)
            self._state.record(newest, said.timestamp, said.root)

    async def answer(self, request: Request) -> Answer:
        """Sign, or say why not. Never raises what a request can cause."""
        try:
            match request:
                case Attest():
                    return await self._attest(request)
                case HandOver():
                    return self._hand_over(request)
                case Who():
                    newest = self._at(max(0, await self._deepest()))
                    return Known(self._watched.chain_id, self._watched.domain, self._signer.key.hash, newest)
                case _:
                    raise NotServed(asked=type(request).__name__)
        except LockgateError as refusal:
            self._report("refused", {"code": refusal.code, "detail": str(refusal)[:300]})
            return NotAttested(refusal.code, refusal.detail or refusal.summary)

    async def _attest(self, request: Attest) -> Answer:
        signers = self._own_set(request.signers)
        await self._require_final(request.height)
        said = await self._content(request.height.height)
        bare = Attestation(epoch=signers.epoch, height=request.height, timestamp=said.timestamp, root=said.root)
        self._state.record(request.height.height, said.timestamp, said.root)
        signature = self._sign(bare.message(self._watched.chain_id, signers))
        self._report("attested", {"height": str(request.height), "epoch": signers.epoch})
        return Attested(said.timestamp, said.root, self._signer.key.hash, signature)

    @abstractmethod
    async def _content(self, height: int) -> ConsensusState:
        """Time and root of a height that lies deep enough, verified. Raises why they cannot be."""

    def _hand_over(self, request: HandOver) -> Answer:
        present, following = self._own_set(request.present), self._set(request.following)
        check_set(following, self._clock.now())
        check_not_lower(present, following)
        if following.epoch != present.epoch + 1:
            raise UnknownSet("epochs follow one another", present=present.epoch, following=following.epoch)
        signature = self._sign(Rotation(following=following).message(self._watched.chain_id, present))
        self._report("handed_over", {"epoch": present.epoch, "to": following.hash.hex()})
        return HandedOver(self._signer.key.hash, signature)

    def _sign(self, message: bytes) -> bytes:
        return self._signer.sign_for(Purpose.ATTESTATION, self._watched.domain, self._watched.revision, message)

    def _own_set(self, digest: bytes) -> SignerSet:
        """An accepted set that this attestor's key is of, now. Raises UnknownSet, Lapsed."""
        signers = self._set(digest)
        own: Signer | None = signers.by_hash.get(self._signer.key.hash)
        if own is None:
            raise UnknownSet("the set does not have this key", epoch=signers.epoch)
        if own.until <= self._clock.now():
            raise Lapsed(until=own.until, epoch=signers.epoch)
        return signers

    def _set(self, digest: bytes) -> SignerSet:
        if digest not in self._sets:
            self._sets = {each.hash: each for each in self._accepted()}
        if digest not in self._sets:
            raise UnknownSet(digest.hex())
        return self._sets[digest]

    async def _require_final(self, height: Height) -> None:
        """Wait a little for the height to be deep enough. Raises NotFinal."""
        if height.revision != self._watched.revision:
            raise NotFinal("another revision", asked=height, revision=self._watched.revision)
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while True:
            seen = self._chain.beat
            deepest = await self._deepest()
            if height.height <= deepest:
                return
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or height.height > deepest + AHEAD:
                raise NotFinal(asked=height, deepest=deepest, depth=self._watched.depth)
            await self._chain.pause(seen, min(left, POLL_S))

    async def _deepest(self) -> int:
        return (await self._chain.tip()).height.height - self._watched.depth

    def _at(self, height: int) -> Height:
        return Height(self._watched.revision, height)


class AttestorService(Attesting):
    """Attests a ledger with headers, by a light client of its own."""

    def __init__(
        self,
        watched: Watched,
        reader: ProvenReader,
        signer: IdentitySigner,
        state: AttestedState,
        accepted: Callable[[], Iterable[SignerSet]],
        clock: Clock,
        report: Report,
    ) -> None:
        super().__init__(watched, reader.chain, signer, state, accepted, clock, report)
        self._reader = reader

    async def _content(self, height: int) -> ConsensusState:
        header = (await self._trusted(height)).header
        return ConsensusState(header.time, header.app_hash)

    async def _trusted(self, height: int) -> LightBlock:
        """The block of a height, by the attestor's own light client. Raises TwoHistories, Distrusted."""
        try:
            await self._reader.reach(height)
        except TwoHistories as found:
            self._reader.distrusted = Distrusted(chain=self._watched.chain_id)
            self._report("two_histories", {"chain": self._watched.chain_id, "detail": str(found)[:300]})
            raise
        block = self._reader.follower.trusted(height)
        assert block is not None, "the height was reached"
        return block


AHEAD: Final = 64  # blocks that are waited for at most: more do not come within WAIT_S

__all__ = ("Attesting", "AttestorService", "Lapsed", "NotFinal", "NotServed", "UnknownSet", "Watched")
