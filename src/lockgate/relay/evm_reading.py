"""Reads what quorums have told an attested contract out of the blocks of its chain, each block once and none left out.

A block that a re-organisation replaced is read again, and a process that starts anew begins some blocks before the
newest one that was released by an earlier one. A call may stand in another contract's call. What the host's events say
was proven to it must stand under a quorum's signatures in the same transaction, and the height that the contract is at
in a word that was read. Where it does not, that is told: nobody can look at what was said there, whatever stood beside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from lockgate.courier.ports import ChainUnavailable
from lockgate.crypto.keccak import keccak256
from lockgate.lightclients.evm_attestation import Binding
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixNanos, seconds_to_nanos
from lockgate.relay.chains.evm import answers
from lockgate.relay.chains.evm.answers import EvmBlock, Log, TransactionCall, hexed
from lockgate.relay.chains.evm.chain import EvmChain, NoHost, Report
from lockgate.relay.chains.evm.clients import AttestedContract
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.node import ask
from lockgate.relay.chains.evm.packets import told_by
from lockgate.relay.evm_words import PROVEN, Word, proven_by, sound, word_in, words_within
from lockgate.relay.rpc import BadAnswer, RpcError

BLOCKS_AT_ONCE: Final = 16
FAR: Final = 7_200  # blocks behind the newest, a day of Ethereum: a reader that slept longer starts there, and says so
AGAIN: Final = 64  # blocks before what an earlier process released: it may not have done with their words
SETS_KEPT: Final = 64
Proven = set[tuple[bytes, bytes]]  # ICS-24 key and value
Standing = tuple[int, UnixNanos]  # the newest height that the contract was told of, and its time


class WordReader:
    """Of one attested contract. `source` is the domain id of the ledger that it follows (P9)."""

    def __init__(self, chain: EvmChain, client: ClientId, source: bytes, report: Report) -> None:
        self._chain, self._client, self._source, self._report = chain, client, source, report
        self._next = 0  # block; 0: not begun
        self._address = b""  # of the contract; a lane's client never changes
        self._sets: dict[int, AttestedContract] = {}  # by epoch
        self._seen = 0, 0  # re-organisations, and the newest released block, when it was looked last
        self._stood: Standing | None = None  # the contract before the next block, where a node could tell
        self._said: set[Standing] = set()  # in words since then

    async def step(self, take: Callable[[Word], None]) -> None:
        """Read some blocks that are new; `take` gets each word that a quorum signed. Raises what nodes' answers do."""
        chain = self._chain
        final, newest = await chain.heads()
        self._address = self._address or await chain.client_address(self._client)
        await self.contract()
        if not self._next:
            before = chain.taken_up
            self._next = newest.number if before is None else max(1, before.number + 1 - AGAIN)
            self._seen = chain.reorganisations, final.number
        replaced, released = self._seen
        if chain.reorganisations != replaced:
            self._next, self._stood = min(self._next, released + 1), None
        self._seen = chain.reorganisations, final.number
        first = max(self._next, newest.number - FAR)
        if first > self._next:
            fields = {"chain": chain.chain_id, "first": self._next, "last": first - 1}
            self._report("alarm", {"code": "evm.words_unread", **fields})
            self._stood = None
        block = None
        for number in range(first, min(newest.number, first + BLOCKS_AT_ONCE - 1) + 1):
            block = await self._block(number)
            if self._stood is None and number == first:
                self._stood, self._said = await self._standing(_parent(block.header)), set()
            for word in await self._words(block):
                take(word)
                self._said.add((word.statement.height, seconds_to_nanos(word.statement.time)))
            self._next = number + 1
        if block is not None:
            await self._moved(block.header)

    async def contract(self) -> AttestedContract:
        """The contract now; its set is remembered, since it answers for its words after a rotation, too."""
        state: AttestedContract = (await self._chain.client(self._client)).state
        self._remember(state)
        return state

    def set_of(self, epoch: int) -> AttestedContract | None:
        """The contract as it was in an epoch, where that is known."""
        return self._sets.get(epoch)

    def sets_before(self, epoch: int) -> list[AttestedContract]:
        """The contract as it was in the epochs before one that are known, newest first."""
        return [self._sets[one] for one in sorted(self._sets, reverse=True) if one < epoch]

    @property
    def binding(self) -> Binding:
        return Binding(
            chain_id=self._chain.network, contract=self._address, client_id=self._client, source=self._source
        )

    def _remember(self, state: AttestedContract) -> None:
        self._sets[state.epoch] = state
        while len(self._sets) > SETS_KEPT:  # neither the newest, nor those that a thief's many rotations are to bury
            del self._sets[sorted(self._sets)[SETS_KEPT // 2]]

    async def _block(self, number: int) -> _Block:
        """Raises BadAnswer, ChainUnavailable."""
        chain = self._chain
        json = await ask(chain.node, "eth_getBlockByNumber", hex(number), True)
        if json is None:
            raise ChainUnavailable("the node does not have a block it should", number=number)
        block, known = answers.block_of(json), chain.history.at(number)
        if block.number != number:
            raise BadAnswer("the node answered for another block", asked=number, got=block.number)
        if known is not None and known.hash != block.hash:
            raise ChainUnavailable("the block was replaced meanwhile", number=number)
        return _Block(block, answers.calls_of(json))

    async def _words(self, block: _Block) -> list[Word]:
        """What a quorum has said in one block. Raises BadAnswer, ChainUnavailable."""
        found: list[Word] = []
        proven: dict[bytes, Proven] = {}
        for call in block.calls:
            for word in self._said_by(call):
                judged = await self._sound(word, block.header)
                if judged is not None:
                    found.append(judged)
                    proven.setdefault(call.hash, set()).update((one.key, one.leaf.value) for one in judged.shown)
        await self._unseen(block.header, proven)
        return found

    def _said_by(self, call: TransactionCall) -> list[Word]:
        if call.to in (self._chain.host, self._address):
            word = word_in(call.data, call.to == self._chain.host)
            return [] if word is None else [word]
        return words_within(call.data)

    async def _sound(self, word: Word, block: EvmBlock) -> Word | None:
        contract = self._sets.get(word.statement.epoch)
        if contract is None and 0 < word.statement.epoch < max(self._sets):
            contract = await self._set_at(word.statement.epoch, block)
        return None if contract is None else sound(word, contract, self.binding)

    async def _set_at(self, epoch: int, block: EvmBlock) -> AttestedContract | None:
        """The set of an epoch that this process has not seen: the contract's before a block, where the node tells."""
        try:
            found = await self._chain.client_at(self._client, self._address, _parent(block))
        except RpcError as error:  # a node that keeps no state so old
            fields = {"chain": self._chain.chain_id, "block": block.number, "epoch": epoch, "detail": str(error)[:200]}
            self._report("set_unknown", fields)
            return None
        state: AttestedContract = found.state
        self._remember(state)
        return state if state.epoch == epoch else None

    async def _unseen(self, block: EvmBlock, proven: Mapping[bytes, Proven]) -> None:
        """Tell of proofs that the host took and that nobody can look at."""
        own, number = interface("host"), block.number
        topics = [[hexed(own.topic(name)) for name in PROVEN], hexed(keccak256(self._client.encode()))]
        logs = await self._chain.logs(number, number, topics)
        if any(log.block_hash != block.hash for log in logs):
            raise ChainUnavailable("the block was replaced meanwhile", number=number)
        hidden = {log.transaction for log in logs if not _stands_in(log, proven.get(log.transaction, set()))}
        for transaction in sorted(hidden):
            self._hidden({"block": number, "transaction": hexed(transaction)})

    async def _moved(self, block: EvmBlock) -> None:
        """Tell where the contract reached a height that was said in no word: an `update` has no event."""
        now = await self._standing(block)
        if now is None:
            return  # words go on being counted
        if self._stood is not None and now[0] > self._stood[0] and now not in self._said:
            self._hidden({"block": block.number, "height": now[0]})
        self._stood, self._said = now, set()

    async def _standing(self, block: EvmBlock) -> Standing | None:
        """The contract after a block; None where a node keeps no state so old, and before it was there."""
        try:
            found = await self._chain.client_at(self._client, self._address, block)
        except (RpcError, NoHost):
            return None
        self._remember(found.state)  # of before a rotation, it may be
        return found.latest.height, found.latest_time

    def _hidden(self, fields: dict[str, object]) -> None:
        about = {"chain": self._chain.chain_id, "client": self._client}
        self._report("alarm", {"code": "evm.words_unseen", **about, **fields})


@dataclass(frozen=True, slots=True)
class _Block:
    header: EvmBlock
    calls: tuple[TransactionCall, ...]


def _parent(block: EvmBlock) -> EvmBlock:
    """Of the parent only its number and hash are right: state is asked for by these."""
    return replace(block, number=block.number - 1, hash=block.parent)


def _stands_in(log: Log, proven: Proven) -> bool:
    """Is what the host took for proven in words that were read? An event with text that no ledger reads is in none."""
    told = told_by(log)
    if told is None:
        return False
    key, leaf = proven_by(*told)
    return (key, leaf.value) in proven


__all__ = ("WordReader",)
