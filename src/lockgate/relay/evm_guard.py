"""Watches what quorums tell an attested contract about a ledger of ours, and freezes it for words in conflict (P20).

Every block of the chain is looked through for calls of the host and of its client (`evm_reading`). What a quorum said
is compared with what it said before, and with the ledger: its header at that height, and its values under the paths
that were shown. Where they differ it is told, and the attestors are asked for their word on the same height and path.
Two words that cannot both be true are evidence by themselves, whoever of the signers is right, and go to the contract.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lockgate.courier.evm_attesting import EvmAttest, leaves_of, statement_of
from lockgate.courier.ports import HeaderChain
from lockgate.ibc.host import STORE
from lockgate.lightclients.cometbft import Header
from lockgate.lightclients.evm_attestation import (
    ABSENT,
    Inclusion,
    Leaf,
    attestation_fields,
    inclusion_fields,
    prove,
)
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import Height
from lockgate.primitives.time import floor_seconds
from lockgate.relay.chains.evm.account import EvmAccount
from lockgate.relay.chains.evm.clients import AttestedContract
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.refusals import Reverted
from lockgate.relay.endpoint import EndPoint
from lockgate.relay.evm_attestors import EvmAttestors, TooFewEvmAttestors
from lockgate.relay.evm_reading import WordReader
from lockgate.relay.evm_words import Shown, Word
from lockgate.relay.guard import KeepEvidence
from lockgate.relay.mover import Report
from lockgate.relay.updaters.evm_attested import FIRST_WORD
from lockgate.relay.updaters.grounds import check_proofs

KEPT: Final = 1_024  # heights whose words are remembered, newest heard last
AT_ONE_HEIGHT: Final = 256  # words: a batch has one, and few share a height
KNOWN: Final = 8_192  # words that are not looked at twice
PAUSE_S: Final = 1.0
LOOKS_MOST: Final = 200  # at one word; with the pauses between them about sixteen hours
SLOWEST_S: Final = 300.0
AT_ONCE: Final = 16  # looks in one step, so that new blocks are read, too
WAITING_MOST: Final = 4_096


@dataclass(slots=True)
class _Waiting:
    """A word to look at, how often that failed, and when to look again."""

    word: Word
    looks: int = 0
    at: float = float("-inf")


class EvmGuard:
    """Guards one attested contract. `ours` is the ledger it follows, `there` the chain it is on."""

    def __init__(
        self,
        ours: EndPoint,
        there: EndPoint,
        account: EvmAccount,
        source: bytes,
        attestors: EvmAttestors,
        report: Report,
        keep: KeepEvidence | None = None,
    ) -> None:
        """`source` is the ledger's domain id (P9)."""
        self._ours, self._there, self._account = ours, there, account
        self._attestors, self._report, self._keep = attestors, report, keep
        self._reader = WordReader(account.chain, there.client, source, report)
        self._waiting: deque[_Waiting] = deque()
        self._known: OrderedDict[Hashable, None] = OrderedDict()
        self._heard: OrderedDict[int, list[Word]] = OrderedDict()
        self._told: set[tuple[int, bytes]] = set()

    async def step(self) -> None:
        """Look through the blocks that are new, and wait a little. Raises what a node's answer does, after the rest."""
        try:
            await self._reader.step(self._take)
        finally:
            await self._look()
        await asyncio.sleep(PAUSE_S)

    def _take(self, word: Word) -> None:
        """Have a word looked at, once; anybody may repeat it."""
        name = word.statement, tuple((one.key, one.leaf) for one in word.shown)
        if name in self._known:
            return
        if len(self._waiting) >= WAITING_MOST:
            self._alarm("evm.words_dropped", word)
            return
        self._known[name] = None
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        self._waiting.append(_Waiting(word))

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        due = [each for each in self._waiting if each.at <= now][:AT_ONCE]
        for each in due:
            try:
                await self._hear(each.word)
            except LockgateError as error:  # a ledger, attestors or a chain that do not answer now
                each.looks += 1
                each.at = now + min(2.0**each.looks, SLOWEST_S)
                self._report("unavailable", {"what": "words to the contract", "code": error.code})
                if each.looks < LOOKS_MOST:
                    continue
                self._alarm("evm.words_given_up", each.word)
            self._waiting.remove(each)

    def _alarm(self, code: str, word: Word) -> None:
        fields = {"chain": self._ours.chain.chain_id, "height": word.statement.height, "client": self._there.client}
        self._report("alarm", {"code": code, **fields})

    async def _hear(self, word: Word) -> None:
        contract = self._reader.set_of(word.statement.epoch)
        if contract is None:
            return  # of so many sets ago that the contract asks nobody about it
        for other in self._beside(word.statement.height):
            evidence = _conflict(word, other)
            if evidence is not None:
                await self._accuse(contract, evidence, word.statement.height)
                return
        self._remember(word)
        await self._compare(contract, word)

    def _beside(self, height: int) -> list[Word]:
        below = max((each for each in self._heard if each < height), default=None)
        above = min((each for each in self._heard if each > height), default=None)
        return [each for place in (below, height, above) if place is not None for each in self._heard.get(place, ())]

    def _remember(self, word: Word) -> None:
        words = self._heard.setdefault(word.statement.height, [])
        if word not in words:  # it is looked at again where the ledger did not answer
            words.append(word)
            del words[:-AT_ONE_HEIGHT]
        self._heard.move_to_end(word.statement.height)
        while len(self._heard) > KEPT:
            self._heard.popitem(last=False)

    async def _compare(self, contract: AttestedContract, word: Word) -> None:
        """Compare with the ledger; where it shows another header or value, have the attestors say it again."""
        assert isinstance(self._ours.chain, HeaderChain), "a ledger of ours has headers"
        said = word.statement
        header = (await self._ours.chain.light_block(said.height)).header
        height = Height(self._ours.height.revision, said.height)
        wrong: Shown | None = None
        keys: tuple[bytes, ...] = (FIRST_WORD,)
        if (floor_seconds(header.time), header.app_hash) == (said.time, said.state_root):
            if not word.shown:
                return
            keys = tuple(one.key for one in word.shown)
            values = await self._values(header.app_hash, keys, height)
            wrong = next(
                (one for one, value in zip(word.shown, values, strict=True) if one.leaf.value != (value or ABSENT)),
                None,
            )
            if wrong is None:
                return
            keys = (wrong.key,)
        place = said.height, said.leaves_root
        if place not in self._told:
            self._told.add(place)
            fields = {"chain": self._ours.chain.chain_id, "height": str(height), "client": self._there.client}
            self._report("attested_otherwise", {**fields, "attested": said.state_root.hex()})
        leaves = leaves_of(keys, await self._values(header.app_hash, keys, height))
        truth = await self._truth(contract, height, header, keys, leaves)
        if wrong is not None:
            truth = replace(truth, shown=(Shown(keys[0], leaves[0], prove(leaves, [0])[1]),))
        evidence = _conflict(word, truth)
        if evidence is not None:
            await self._accuse(contract, evidence, said.height)

    async def _truth(
        self,
        contract: AttestedContract,
        height: Height,
        header: Header,
        keys: tuple[bytes, ...],
        leaves: Sequence[Leaf],
    ) -> Word:
        """A quorum's word on what the ledger shows: of the accused word's set, else of the newest one before it.

        Whoever stole a quorum may have handed over to keys of his own, under which nobody honest signs; the sets before
        answer for their words all the same (ADR 32). Raises TooFewEvmAttestors.
        """
        failure: TooFewEvmAttestors | None = None
        for one in (contract, *self._reader.sets_before(contract.epoch)):
            statement = statement_of(one.epoch, height, header.time, header.app_hash, leaves)
            request = EvmAttest(self._reader.binding, one.epoch, height, keys)
            try:
                signed = await self._attestors.sign(request, statement, one.members, one.threshold, one.operators)
            except TooFewEvmAttestors as error:
                failure = failure or error
            else:
                return Word(statement, signed)
        assert failure is not None, "each set was asked"
        raise failure

    async def _values(self, root: bytes, keys: tuple[bytes, ...], height: Height) -> list[bytes | None]:
        """What our ledger holds under keys, proven. Raises what does not hold."""
        found = []
        for one in check_proofs(ProofMemo(root), STORE, keys, await self._ours.chain.prove_many(STORE, keys, height)):
            if isinstance(one, Exception):
                raise one
            found.append(one.value)
        return found

    async def _accuse(self, contract: AttestedContract, evidence: tuple[str, tuple[Any, ...]], height: int) -> None:
        name, arguments = evidence
        call = interface("attested").call(name, *arguments)
        fields: dict[str, object] = {"chain": self._ours.chain.chain_id, "height": height, "client": self._there.client}
        if self._keep is not None:
            self._keep(f"{self._there.client}-{height}-attested", {**fields, "call": call.hex()})
        if (await self._account.chain.client(self._there.client)).status != "Active":
            return
        try:
            await self._account.execute(contract.address, call)
        except LockgateError as refusal:
            self._report("evidence_refused", {**fields, "on": self._account.chain.chain_id, "log": str(refusal)[:300]})
            if isinstance(refusal, Reverted):
                return  # it says the same the next time
            raise
        self._report("misbehaviour", {**fields, "on": self._account.chain.chain_id})
        await self._there.refresh()


def _conflict(one: Word, other: Word) -> tuple[str, tuple[Any, ...]] | None:
    """The contract's function for two words that cannot both be true, and its arguments; none for two that can."""
    low, high = sorted((one, other), key=lambda word: word.statement.height)
    a, b = low.statement, high.statement
    both = _fields(low), _fields(high)
    if a.height < b.height:
        return ("misbehaviour", both) if a.time > b.time else None
    if (a.time, a.state_root) != (b.time, b.state_root):
        return "misbehaviour", both
    for mine in low.shown:
        for theirs in high.shown:
            if mine.leaf.path == theirs.leaf.path and mine.leaf.value != theirs.leaf.value:
                first = _leaf(mine), _inclusion(mine.inclusion)
                second = _leaf(theirs), _inclusion(theirs.inclusion)
                return "misbehaviourOfLeaf", (both[0], *first, both[1], *second)
    return None


def _fields(word: Word) -> tuple[object, ...]:
    return attestation_fields(word.statement, word.signatures)


def _leaf(shown: Shown) -> tuple[int, int]:
    return int.from_bytes(shown.leaf.path), int.from_bytes(shown.leaf.value)


def _inclusion(inclusion: Inclusion) -> tuple[object, ...]:
    return inclusion_fields(inclusion)


__all__ = ("EvmGuard",)
