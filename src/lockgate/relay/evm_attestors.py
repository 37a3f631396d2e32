"""Asks the attestors of a ledger for their signatures over a statement for an EVM contract, all at once.

What a contract requires is never lowered: below a quorum nothing is sent, and what each attestor said is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from lockgate.courier.evm_attesting import EvmAttest, EvmAttested, quorum, signed_by
from lockgate.lightclients.evm_attestation import Member, Signed, Statement
from lockgate.primitives.errors import LockgateError, PeerFault, Unavailable

ASK_S: Final = 4.0  # an attestor waits up to two seconds for a block that is not there yet
Report = Callable[[str, dict[str, object]], None]


class TooFewEvmAttestors(Unavailable):
    code = "attestor.too_few_for_evm"
    summary = "Fewer attestors signed than the contract asks for, so no packet is brought to it."
    untouched = "Nothing was sent, and nothing less is ever enough; it goes on by itself when enough answer."
    next_step = "Look at what each attestor said, and bring those back that are missing."


class EvmAsked(Protocol):
    """One attestor, wherever it is."""

    @property
    def name(self) -> str: ...

    async def attest(self, request: EvmAttest, /) -> EvmAttested:
        """Raises LockgateError: silence, or the attestor's own refusal."""
        ...


class EvmAttestors:
    """The attestors of one ledger, as a relayer knows them."""

    def __init__(self, attestors: Sequence[EvmAsked], report: Report, ask_s: float = ASK_S) -> None:
        self._attestors = tuple(attestors)
        self._report = report
        self._ask_s = ask_s
        self.rounds = 0
        self.dropped = 0
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
        self.rounds += 1
        digest = statement.digest(request.binding)
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

    async def _ask(self, attestor: EvmAsked, request: EvmAttest) -> tuple[str, EvmAttested | None]:
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


__all__ = ("EvmAsked", "EvmAttestors", "TooFewEvmAttestors")
