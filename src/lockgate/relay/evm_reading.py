"""Reads what quorums have told an attested contract out of the blocks of its chain, each block once and none left out.

A block that a re-organisation replaced is read again, and a process that starts anew begins some blocks before the
newest one that was released by an earlier one. A call may stand in another contract's call. Where the host's events say
that it took a proof in a transaction in which none is found, that is told: nobody can look at what was said there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from lockgate.courier.ports import ChainUnavailable
from lockgate.lightclients.evm_attestation import Binding
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.evm import answers
from lockgate.relay.chains.evm.answers import EvmBlock, TransactionCall, hexed
from lockgate.relay.chains.evm.chain import EvmChain, Report
from lockgate.relay.chains.evm.clients import AttestedContract
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.node import ask
from lockgate.relay.evm_words import Word, sound, word_in, words_within
from lockgate.relay.rpc import BadAnswer, RpcError

BLOCKS_AT_ONCE: Final = 16
FAR: Final = 7_200  # blocks behind the newest, a day of Ethereum: a reader that slept longer starts there, and says so
AGAIN: Final = 64  # blocks before what an earlier process released: it may not have done with their words
SETS_KEPT: Final = 64
PROVEN: Final = ("WriteAcknowledgement", "AckPacket", "TimeoutPacket")  # events of a call that showed a proof


class WordReader:
    """Of one attested contract. `source` is the domain id of the ledger that it follows (P9)."""

    def __init__(self, chain: EvmChain, client: ClientId, source: bytes, report: Report) -> None:
        self._chain, self._client, self._source, self._report = chain, client, source, report
        self._next = 0  # block; 0: not begun
        self._address = b""  # of the contract; a lane's client never changes
        self._sets: dict[int, AttestedContract] = {}  # by epoch
        self._seen = 0, 0  # re-organisations, and the newest released block, when it was looked last

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
            self._next = min(self._next, released + 1)
        self._seen = chain.reorganisations, final.number
        first = max(self._next, newest.number - FAR)
        if first > self._next:
            fields = {"chain": chain.chain_id, "first": self._next, "last": first - 1}
            self._report("alarm", {"code": "evm.words_unread", **fields})
        for number in range(first, min(newest.number, first + BLOCKS_AT_ONCE - 1) + 1):
            for word in await self._words(number):
                take(word)
            self._next = number + 1

    async def contract(self) -> AttestedContract:
        """The contract now; its set is remembered, since it answers for its words after a rotation, too."""
        state: AttestedContract = (await self._chain.client(self._client)).state
        self._remember(state)
        return state

    def set_of(self, epoch: int) -> AttestedContract | None:
        """The contract as it was in an epoch, where that is known."""
        return self._sets.get(epoch)

    @property
    def binding(self) -> Binding:
        return Binding(
            chain_id=self._chain.network, contract=self._address, client_id=self._client, source=self._source
        )

    def _remember(self, state: AttestedContract) -> None:
        self._sets[state.epoch] = state
        while len(self._sets) > SETS_KEPT:
            del self._sets[min(self._sets)]

    async def _words(self, number: int) -> list[Word]:
        """What a quorum has said in one block. Raises BadAnswer, ChainUnavailable."""
        chain = self._chain
        json = await ask(chain.node, "eth_getBlockByNumber", hex(number), True)
        if json is None:
            raise ChainUnavailable("the node does not have a block it should", number=number)
        block, known = answers.block_of(json), chain.history.at(number)
        if block.number != number:
            raise BadAnswer("the node answered for another block", asked=number, got=block.number)
        if known is not None and known.hash != block.hash:
            raise ChainUnavailable("the block was replaced meanwhile", number=number)
        found, read = [], set()
        for call in answers.calls_of(json):
            said = self._said(call)
            if said:
                read.add(call.hash)
            for word in said:
                judged = await self._sound(word, block)
                if judged is not None:
                    found.append(judged)
        await self._unseen(number, read)
        return found

    def _said(self, call: TransactionCall) -> list[Word]:
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
        parent = replace(block, number=block.number - 1, hash=block.parent)
        try:
            state: AttestedContract = (await self._chain.client_at(self._client, self._address, parent)).state
        except RpcError as error:  # a node that keeps no state so old
            fields = {"chain": self._chain.chain_id, "block": block.number, "epoch": epoch, "detail": str(error)[:200]}
            self._report("set_unknown", fields)
            return None
        self._remember(state)
        return state if state.epoch == epoch else None

    async def _unseen(self, number: int, read: set[bytes]) -> None:
        """Tell of proofs that the host took and that nobody can look at."""
        own = interface("host")
        topics = [[hexed(own.topic(name)) for name in PROVEN]]
        hidden = {log.transaction for log in await self._chain.logs(number, number, topics)} - read - {b""}
        for transaction in sorted(hidden):
            fields = {"chain": self._chain.chain_id, "block": number, "transaction": hexed(transaction)}
            self._report("alarm", {"code": "evm.words_unseen", "client": self._client, **fields})


__all__ = ("WordReader",)
