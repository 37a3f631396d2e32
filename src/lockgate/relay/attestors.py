"""Asks the attestors of one ledger, all at once, and takes the smallest quorum that comes together.

Each is asked over a connection of its own, for a bounded time. What of their answers does not hold is dropped
and told: a signature that does not verify, one of a key that the client does not have, one over something else.
What a client requires is never lowered: below a quorum nothing is handed on, and who is missing is named.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from lockgate.courier.attesting import (
    LENGTH_BYTES,
    Answer,
    Attest,
    Attested,
    AttestorUnusable,
    HandedOver,
    HandOver,
    NotAttested,
    Request,
    decode_answer,
    encode_request,
    frame_length,
    holds,
    missing,
    smallest,
)
from lockgate.lightclients.attested import Attestation, ClientState, ConsensusState, Rotation, SignerSet
from lockgate.lightclients.attested.messages import Signatures
from lockgate.primitives.errors import LockgateError, PeerFault, Unavailable
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos

ASK_S: Final = 4.0  # an attestor waits up to two seconds for a block that is not there yet
SAID_KEPT: Final = 4_096  # statements remembered, to notice a key that says two things of one height
Report = Callable[[str, dict[str, object]], None]


class AttestorSilent(Unavailable):
    code = "attestor.silent"
    summary = "An attestor did not answer in time, or is not there."
    next_step = "Check that it runs and is reached at its address; it is asked again with the next batch."


class TooFewAttestors(Unavailable):
    code = "attestor.too_few"
    summary = "Fewer attestors signed than the client asks for, so nothing is brought to it and its packets wait."
    untouched = "Nothing was sent, and nothing less is ever enough; it goes on by itself when enough answer."
    next_step = "Look at the attestors in the status, and bring those back that are missing."


class Asked(Protocol):
    """One attestor, wherever it is."""

    @property
    def name(self) -> str:
        """Its address, as people know it."""
        ...

    async def ask(self, request: Request, /) -> Answer:
        """Raises AttestorSilent, AttestorUnusable."""
        ...


@dataclass(frozen=True, slots=True)
class Attestor:
    """An attestor behind a stream socket: `unix:PATH` or `tcp:HOST:PORT`."""

    name: str

    async def ask(self, request: Request, /) -> Answer:
        try:
            reader, writer = await self._open()
        except OSError as error:
            raise AttestorSilent(str(error), attestor=self.name) from error
        try:
            writer.write(encode_request(request))
            await writer.drain()
            length = frame_length(await reader.readexactly(LENGTH_BYTES))
            return decode_answer(await reader.readexactly(length))
        except (OSError, EOFError) as error:
            raise AttestorSilent("the connection ended", attestor=self.name) from error
        finally:
            writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        kind, _, rest = self.name.partition(":")
        if kind == "unix":
            return await asyncio.open_unix_connection(rest)
        host, _, port = rest.rpartition(":")
        return await asyncio.open_connection(host.strip("[]"), int(port))


@dataclass(slots=True)
class _Standing:
    """How an attestor did when it was last asked."""

    state: str = "not asked yet"
    key_hash: bytes = b""
    height: int = 0  # the newest it signed
    failures: int = 0  # in a row


@dataclass(slots=True)
class _Round:
    """What came of one question."""

    held: dict[object, dict[bytes, bytes]] = field(default_factory=dict)  # signatures by what they are over
    refusals: dict[str, str] = field(default_factory=dict)

    @property
    def signed(self) -> set[bytes]:
        return {key for signatures in self.held.values() for key in signatures}


Quorum = tuple[object, Signatures]  # what was signed, and by whom
Take = Callable[[str, Answer, _Round], Quorum | None]  # judges one answer; a quorum ends the round


class Attestors:
    """The attestors of one ledger, as a relayer knows them."""

    def __init__(self, attestors: Sequence[Asked], report: Report, ask_s: float = ASK_S) -> None:
        self._attestors = tuple(attestors)
        self._report = report
        self._ask_s = ask_s
        self._standing = {each.name: _Standing() for each in attestors}
        self._said: OrderedDict[tuple[bytes, bytes, Height], ConsensusState] = OrderedDict()
        self._accused: set[tuple[bytes, bytes, Height]] = set()  # of which it was told
        self._waits = ""  # why nothing could be attested when it was last asked
        self.rounds = 0
        self.dropped = 0

    async def attest(
        self, state: ClientState, height: Height, now: UnixNanos, *, as_evidence: bool = False
    ) -> Attestation:
        """A quorum's word on a height, for a client in this state; `now` is the time of the client's ledger.

        Whoever is known to have said another thing counts for nothing, unless that is what is to be shown.
        Raises TooFewAttestors.
        """
        signers = state.signers

        def take(name: str, answer: Answer, into: _Round) -> Quorum | None:
            if not isinstance(answer, Attested):
                raise AttestorUnusable("another answer than to what was asked", attestor=name)
            said = answer.consensus_state
            message = _attestation(state, height, said).message(state.chain_id, signers)
            self._check(state, signers, message, name, answer)
            if not self._consistent(state, answer.key_hash, height, said) and not as_evidence:
                raise AttestorUnusable("it has signed another root of this height before", attestor=name)
            self._standing[name].height = height.height
            return self._quorum(signers, said, answer, into, now)

        said, signatures = await self._round(Attest(signers.hash, height), signers, take)
        assert isinstance(said, ConsensusState)
        return dataclasses.replace(_attestation(state, height, said), signatures=signatures)

    def heard(self, state: ClientState, attestation: Attestation) -> None:
        """Note what a ledger was told, so that a key which says two things is noticed wherever it says them."""
        message = attestation.message(state.chain_id, state.signers)
        for key_hash, signature in attestation.signatures:
            if holds(state, state.signers, message, key_hash, signature):
                self._consistent(state, key_hash, attestation.height, attestation.consensus_state)

    async def hand_over(self, state: ClientState, following: SignerSet, now: UnixNanos) -> Rotation:
        """A quorum's rotation to the following set. Raises TooFewAttestors."""
        signers = state.signers
        bare = Rotation(following=following)
        message = bare.message(state.chain_id, signers)

        def take(name: str, answer: Answer, into: _Round) -> Quorum | None:
            if not isinstance(answer, HandedOver):
                raise AttestorUnusable("another answer than to what was asked", attestor=name)
            self._check(state, signers, message, name, answer)
            return self._quorum(signers, following.hash, answer, into, now)

        _, signatures = await self._round(HandOver(signers.hash, following.hash), signers, take)
        return Rotation(following=following, signatures=signatures)

    def health(self) -> dict[str, object]:
        """Each attestor and how it did when it was last asked, for people."""
        shown = [
            {
                "attestor": name,
                "state": each.state,
                "height": each.height,
                "key": each.key_hash.hex()[:16],
            }
            for name, each in self._standing.items()
        ]
        return {"attestors": shown, "waits": self._waits}

    async def _round(
        self,
        request: Request,
        signers: SignerSet,
        take: Take,
    ) -> Quorum:
        """Ask all, until a quorum has said the same or the time is over."""
        self.rounds += 1
        found = _Round()
        tasks = {asyncio.ensure_future(self._ask(each, request)): each.name for each in self._attestors}
        waiting = set(tasks)
        deadline = asyncio.get_running_loop().time() + self._ask_s
        try:
            while waiting:
                left = deadline - asyncio.get_running_loop().time()
                done, waiting = await asyncio.wait(waiting, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                for task in done:
                    quorum = self._answered(tasks[task], task, found, take)
                    if quorum is not None:
                        self._waits = ""
                        return quorum
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in waiting:
            self._failed(tasks[task], AttestorSilent("no answer in time"), found)
        raise self._too_few(signers, found)

    def _answered(
        self,
        name: str,
        task: asyncio.Future[Answer],
        found: _Round,
        take: Take,
    ) -> Quorum | None:
        try:
            answer = task.result()
            if isinstance(answer, NotAttested):
                self._standing[name].state = f"refuses: {answer.code} {answer.detail}".rstrip()
                found.refusals[name] = f"{answer.code}: {answer.detail}"
                return None
            quorum = take(name, answer, found)
        except LockgateError as failure:
            self._failed(name, failure, found)
            return None
        standing = self._standing[name]
        standing.state, standing.failures = "signs", 0
        return quorum

    async def _ask(self, attestor: Asked, request: Request) -> Answer:
        async with asyncio.timeout(2 * self._ask_s):
            return await attestor.ask(request)

    def _check(
        self, state: ClientState, signers: SignerSet, message: bytes, name: str, answer: Attested | HandedOver
    ) -> None:
        """Raise AttestorUnusable for a signature that the ledger would refuse the whole message for."""
        self._standing[name].key_hash = answer.key_hash
        if answer.key_hash not in signers.by_hash:
            raise AttestorUnusable("a key that the client's signer set does not have", attestor=name)
        if not holds(state, signers, message, answer.key_hash, answer.signature):
            raise AttestorUnusable("a signature that does not hold", attestor=name)

    def _consistent(self, state: ClientState, key_hash: bytes, height: Height, said: ConsensusState) -> bool:
        """Whether a key says the same of a height as before; one that does not is told, once."""
        place = (key_hash, state.domain, height)
        before = self._said.setdefault(place, said)
        while len(self._said) > SAID_KEPT:
            self._accused.discard(self._said.popitem(last=False)[0])
        if before != said and place not in self._accused:
            self._accused.add(place)
            operator = state.signers.by_hash[key_hash].operator
            fields: dict[str, object] = {"operator": operator, "chain": state.chain_id, "height": str(height)}
            fields |= {"first": before.root.hex(), "second": said.root.hex()}
            self._report("attestor_equivocates", fields)
        return before == said

    def _quorum(
        self, signers: SignerSet, content: object, answer: Attested | HandedOver, into: _Round, now: UnixNanos
    ) -> Quorum | None:
        held = into.held.setdefault(content, {})
        held[answer.key_hash] = answer.signature
        signatures = smallest(signers, held, now)
        return None if signatures is None else (content, signatures)

    def _failed(self, name: str, failure: LockgateError, found: _Round) -> None:
        standing = self._standing[name]
        standing.failures += 1
        said = "silent" if isinstance(failure, Unavailable) else f"dropped: {failure.detail or failure.summary}"
        found.refusals[name] = said
        if isinstance(failure, PeerFault):
            self.dropped += 1
        if standing.state != said:  # told once, not with every batch
            self._report("attestor_dropped", {"attestor": name, "code": failure.code, "detail": str(failure)[:300]})
        standing.state = said

    def _too_few(self, signers: SignerSet, found: _Round) -> TooFewAttestors:
        weight = max(
            (sum(signers.by_hash[key].weight for key in signatures) for signatures in found.held.values()), default=0
        )
        absent = missing(signers, found.signed)
        failure = TooFewAttestors(
            weight=weight, threshold=signers.threshold, epoch=signers.epoch, missing=absent, said=found.refusals
        )
        self._waits = f"{weight} of {signers.threshold} needed; missing: {', '.join(absent)}"
        if len(found.held) > 1:
            self._waits += "; attestors say different things of one height"
            said: dict[str, Any] = {str(content): len(held) for content, held in found.held.items()}
            self._report("attestors_differ", said)
        return failure


def _attestation(state: ClientState, height: Height, said: ConsensusState) -> Attestation:
    return Attestation(epoch=state.signers.epoch, height=height, timestamp=said.timestamp, root=said.root)


__all__ = ("ASK_S", "Asked", "Attestor", "AttestorSilent", "Attestors", "TooFewAttestors")
