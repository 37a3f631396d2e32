"""Asks the attestors of a ledger for their signatures over a statement for an EVM contract, all at once.

What a contract requires is never lowered: below a quorum nothing is sent, and what each attestor said is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from lockgate.courier.attesting import AttestorUnusable, NotAttested
from lockgate.courier.evm_attesting import EvmAttest, EvmAttested, EvmHandOver, quorum, signed_by
from lockgate.lightclients.evm_attestation import Member, Signed, Statement
from lockgate.primitives.errors import LockgateError, PeerFault, Refused, Unavailable
from lockgate.relay.attestors import Attestor

ASK_S: Final = 4.0  # an attestor waits up to two seconds for a block that is not there yet
Report = Callable[[str, dict[str, object]], None]


class TooFewEvmAttestors(Unavailable):
    code = "attestor.too_few_for_evm"
    summary = "Fewer attestors signed than the contract asks for, so no packet is brought to it."
    untouched = "Nothing was sent, and nothing less is ever enough; it goes on by itself when enough answer."
    next_step = "Look at what each attestor said, and bring those back that are missing."


class AttestorRefuses(Refused):
    code = "attestor.refuses"
    summary = "An attestor refuses to sign, and says why."
    untouched = "Nothing was sent; the others are asked all the same."
    next_step = "Read its own code and words; its operator must mend it, or accept what was asked for."


class EvmAsked(Protocol):
    """One attestor, wherever it is."""

    @property
    def name(self) -> str: ...

    async def attest(self, request: EvmAttest | EvmHandOver, /) -> EvmAttested:
        """Raises LockgateError: silence, or the attestor's own refusal."""
        ...


@dataclass(frozen=True, slots=True)
class SocketAttestor:
    """An attestor behind a stream socket: `unix:PATH` or `tcp:HOST:PORT`. Meets `EvmAsked`."""

    name: str

    async def attest(self, request: EvmAttest | EvmHandOver, /) -> EvmAttested:
        """Raises AttestorSilent, AttestorUnusable, AttestorRefuses."""
        answer = await Attestor(self.name).ask(request)
        if isinstance(answer, NotAttested):
            raise AttestorRefuses(f"{answer.code}: {answer.detail}", attestor=self.name)
        if not isinstance(answer, EvmAttested):
            raise AttestorUnusable("another answer than to what was asked", attestor=self.name)
        return answer


class EvmAttestors:
    """The attestors of one ledger, as a relayer knows them."""

    def __init__(self, attestors: Sequence[EvmAsked], report: Report, ask_s: float = ASK_S) -> None:
        self._attestors = tuple(attestors)
        self._report = report
        self._ask_s = ask_s
        self.rounds = 0
        self.dropped = 0
        self._waits = ""
        self.said: dict[str, str] = {}  # what became of each attestor's last answer

    async def sign(
        self,
        request: EvmAttest,
        statement: Statement,
        members: Sequence[Member],
        threshold: int,
        operators: int,
    ) -> tuple[Signed, ...]:
        """The smallest quorum over a statement. Raises TooFewEvmAttestors."""
        return await self._quorum(request, statement.digest(request.binding), members, threshold, operators)

    async def hand_over(
        self, request: EvmHandOver, members: Sequence[Member], threshold: int, operators: int
    ) -> tuple[Signed, ...]:
        """The smallest quorum of the present set over a rotation. Raises TooFewEvmAttestors."""
        digest = request.following.rotation_digest(request.binding, request.epoch)
        return await self._quorum(request, digest, members, threshold, operators)

    def health(self) -> dict[str, object]:
        """Each attestor and what became of its last answer, for people."""
        shown = [
            {"attestor": each.name, "state": self.said.get(each.name, "not asked yet")} for each in self._attestors
        ]
        return {"attestors": shown, "waits": self._waits}

    async def _quorum(
        self,
        request: EvmAttest | EvmHandOver,
        digest: bytes,
        members: Sequence[Member],
        threshold: int,
        operators: int,
    ) -> tuple[Signed, ...]:
        self.rounds += 1
        have: dict[int, Signed] = {}
        tasks = {asyncio.create_task(self._ask(each, request)): each.name for each in self._attestors}
        try:
            async with asyncio.timeout(self._ask_s):
                for done in asyncio.as_completed(list(tasks)):
                    name, answer = await done
                    if isinstance(answer, EvmAttested):
                        self._take(name, answer, members, digest, have)
                    found = quorum(members, threshold, operators, have)
                    if found is not None:
                        self._waits = ""
                        return found
        except TimeoutError:
            pass
        finally:
            for task, name in tasks.items():
                if not task.done():
                    task.cancel()
                    self.said[name] = "silent"
            await asyncio.gather(*tasks, return_exceptions=True)
        weight = sum(members[position].weight for position in have)
        self._waits = f"{weight} of {threshold} in weight, {len(have)} of {operators} operators"
        raise TooFewEvmAttestors(
            weight=weight, threshold=threshold, signers=len(have), operators=operators, said=dict(self.said)
        )

    def _take(
        self, name: str, answer: EvmAttested, members: Sequence[Member], digest: bytes, have: dict[int, Signed]
    ) -> None:
        try:
            signed = signed_by(members, digest, answer)
        except PeerFault as failure:
            self.dropped += 1
            self._failed(name, failure)
        else:
            have[signed.position] = signed
            self.said[name] = "signs"

    async def _ask(self, attestor: EvmAsked, request: EvmAttest | EvmHandOver) -> tuple[str, EvmAttested | None]:
        try:
            return attestor.name, await attestor.attest(request)
        except LockgateError as failure:
            self._failed(attestor.name, failure)
            return attestor.name, None

    def _failed(self, name: str, failure: LockgateError) -> None:
        said = f"{failure.code}: {failure.detail or failure.summary}"
        if self.said.get(name) != said:  # told once, not with every batch
            self._report("attestor_dropped", {"attestor": name, "code": failure.code, "detail": str(failure)[:300]})
        self.said[name] = said


__all__ = ("AttestorRefuses", "EvmAsked", "EvmAttestors", "SocketAttestor", "TooFewEvmAttestors")
