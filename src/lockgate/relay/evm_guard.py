"""Watches what quorums tell an attested contract about a ledger of ours, and freezes it for words in conflict (P20).

Every block of the chain is looked through for calls of the host and of its client. What a quorum said there is compared
with what it said before, and with the ledger: its header at that height, and its values under the paths that were
shown. Where they differ it is told, and the attestors are asked for their word on the same height and path. Two words
that cannot both be true are evidence by themselves, whoever of the signers is right, and go to the contract.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import Any, Final

from lockgate.courier.evm_attesting import EvmAttest, leaves_of, statement_of
from lockgate.courier.ports import HeaderChain
from lockgate.ibc.host import STORE
from lockgate.lightclients.evm_attestation import (
    ABSENT,
    Binding,
    Inclusion,
    attestation_fields,
    inclusion_fields,
    prove,
)
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import Height
from lockgate.primitives.time import floor_seconds
from lockgate.relay.chains.evm.account import EvmAccount
from lockgate.relay.chains.evm.answers import data as hex_data
from lockgate.relay.chains.evm.answers import exactly
from lockgate.relay.chains.evm.clients import AttestedContract
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.node import ask
from lockgate.relay.endpoint import EndPoint
from lockgate.relay.evm_attestors import EvmAttestors
from lockgate.relay.evm_words import Shown, Word, holds, word_in
from lockgate.relay.guard import KeepEvidence
from lockgate.relay.mover import Report
from lockgate.relay.rpc import BadAnswer
from lockgate.relay.updaters.evm_attested import FIRST_WORD
from lockgate.relay.updaters.grounds import check_proofs

KEPT: Final = 1_024  # heights whose words are remembered, newest heard last
BLOCKS_AT_ONCE: Final = 16
FAR: Final = 512  # blocks behind the newest: a guard that slept longer starts there
PAUSE_S: Final = 1.0
LOOKS_MOST: Final = 8
SETS_KEPT: Final = 64
WAITING_MOST: Final = 256


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
        self._source, self._attestors, self._report, self._keep = source, attestors, report, keep
        self._next = 0  # block
        self._address = b""  # of the contract; a lane's client never changes
        self._sets: dict[int, AttestedContract] = {}  # by epoch, as they were seen
        self._waiting: list[tuple[Word, int]] = []  # words to look at, with how often that failed
        self._heard: OrderedDict[int, list[Word]] = OrderedDict()
        self._told: set[tuple[int, bytes]] = set()

    async def step(self) -> None:
        """Look through the blocks that are new, and wait a little."""
        _, newest = await self._account.chain.heads()
        await self._contract()
        first = max(self._next or newest.number, newest.number - FAR)
        for number in range(first, min(newest.number, first + BLOCKS_AT_ONCE - 1) + 1):
            self._waiting += [(word, 0) for word in await self._words(number)]
            self._next = number + 1
        waiting, self._waiting = self._waiting[-WAITING_MOST:], []
        for word, looks in waiting:
            try:
                await self._hear(word)
            except LockgateError as error:  # a ledger or attestors that do not answer now
                if looks + 1 < LOOKS_MOST:
                    self._waiting.append((word, looks + 1))
                self._report("unavailable", {"what": "words to the contract", "code": error.code})
        await asyncio.sleep(PAUSE_S)

    async def _words(self, number: int) -> list[Word]:
        """What calls of one block have said. Raises BadAnswer."""
        block = await ask(self._account.chain.node, "eth_getBlockByNumber", hex(number), True)
        if not isinstance(block, dict) or not isinstance(block.get("transactions"), list):
            raise BadAnswer("a block without its transactions", number=number)
        self._address = self._address or await self._account.chain.client_address(self._there.client)
        found = []
        for each in block["transactions"]:
            if not isinstance(each, dict) or not isinstance(each.get("to"), str):
                continue  # a contract's creation
            to = exactly(each["to"], 20)
            if to in (self._account.chain.host, self._address):
                word = word_in(hex_data(each.get("input")), to == self._account.chain.host)
                if word is not None:
                    found.append(word)
        return found

    async def _contract(self) -> AttestedContract:
        """The contract now; its set is remembered, since it answers for its words after a rotation, too."""
        state: AttestedContract = (await self._account.chain.client(self._there.client)).state
        self._sets[state.epoch] = state
        while len(self._sets) > SETS_KEPT:
            del self._sets[min(self._sets)]
        return state

    def _binding(self, contract: AttestedContract) -> Binding:
        return Binding(
            chain_id=self._account.chain.network,
            contract=contract.address,
            client_id=self._there.client,
            source=self._source,
        )

    async def _hear(self, word: Word) -> None:
        await self._contract()
        contract = self._sets.get(word.statement.epoch)
        if contract is None or not holds(word, contract, self._binding(contract)):
            return
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
        self._heard.setdefault(word.statement.height, []).append(word)
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
        statement = statement_of(contract.epoch, height, header.time, header.app_hash, leaves)
        request = EvmAttest(self._binding(contract), contract.epoch, height, keys)
        signed = await self._attestors.sign(
            request, statement, contract.members, contract.threshold, contract.operators
        )
        truth = Word(statement, signed)
        if wrong is not None:
            truth = replace(truth, shown=(Shown(keys[0], leaves[0], prove(leaves, [0])[1]),))
        evidence = _conflict(word, truth)
        if evidence is not None:
            await self._accuse(contract, evidence, said.height)

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
