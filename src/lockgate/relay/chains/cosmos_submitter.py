"""Signs and submits transactions to a Cosmos SDK chain for one account (I10).

Theory of operation. An account has one sequence, so whoever shares it shares the counter: siblings sign one
after the other and wait for their blocks side by side. `broadcast_tx_sync` says what the chain's check says,
which for ibc-go runs updates, receives, acknowledgements and timeouts and costs nothing; then the block is
waited for. A transaction may leave the pool again (its packets were delivered by another, or its node was
restarted), and nobody tells. So the same bytes are sent again every few seconds: where they wait the node says
so, where they are in a block they are found, and where they were dropped the check says why. That is safe:
their sequence is used once.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lockgate.courier.batches import RPC_BYTES, Limits
from lockgate.courier.ports import ChainUnavailable, Submitted
from lockgate.machine.transaction import Message
from lockgate.primitives.errors import LockgateError
from lockgate.relay.chains import cosmos_tx
from lockgate.relay.chains.cosmos import CosmosChain
from lockgate.relay.chains.cosmos_tx import CosmosKey, CosmosTerms
from lockgate.relay.rpc import BadAnswer, RpcError, number
from lockgate.relay.submitter import submitted_of

WRONG_SEQUENCE: Final = ("sdk", 32)
OUT_OF_GAS: Final = ("sdk", 11)
RETRIES: Final = 4
CONFIRM_S: Final = 30.0
AGAIN_S: Final = 3.0  # a few blocks: after it, the same bytes are sent again
POLL_S: Final = 0.25
KNOWN: Final = "already exists in cache"  # CometBFT's words for bytes that wait in its pool
MARGIN: Final = (13, 10)  # over what a simulation used: the state moves on until the block
SIMPLE_GAS: Final = 300_000  # of a message whose simulation was refused: enough to be told why
MOST_GAS: Final = 50_000_000
# A chain takes the fee for the gas that was asked for, and a node says how much that should be. So there is a bound of
# ours: several times what updates and packets use, and three times what the SDK charges for a byte.
MESSAGE_GAS: Final = 3_000_000
BYTE_GAS: Final = 30
MESSAGES: Final = 250  # the cost per packet hardly falls beyond it


@dataclass(frozen=True, slots=True)
class GasPrice:
    """What is paid for a unit of gas: `amount` of `denom` for `per` units. Nothing, unless an operator says so."""

    amount: int = 0
    per: int = 1_000
    denom: str = ""

    def fee(self, gas: int) -> tuple[int, str] | None:
        """Rounded up."""
        return (-(-gas * self.amount // self.per), self.denom) if self.amount else None


@dataclass(slots=True)
class _Counter:
    """The sequence of one account, shared by every submitter that signs for it here."""

    number: int = 0
    sequence: int | None = None  # None: to be read from the chain
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class CosmosSubmitter:
    """Meets `courier.ports.Submitter`. `price` is the operator's, and gas has a bound whatever a node says."""

    def __init__(
        self,
        chain: CosmosChain,
        key: CosmosKey,
        price: GasPrice = GasPrice(),  # frozen
        nonce_lane: int = 0,
        _counter: _Counter | None = None,
    ) -> None:
        self.chain = chain
        self.nonce_lane = nonce_lane
        self._key = key
        self._price = price
        self._address = key.address
        self._counter = _counter or _Counter()
        self._limits: Limits | None = None

    @property
    def signer(self) -> str:
        return self._address

    def sibling(self, nonce_lane: int) -> CosmosSubmitter:
        """The same account: such a chain has no nonce lanes, so siblings share one counter and wait apart."""
        return CosmosSubmitter(self.chain, self._key, self._price, nonce_lane, self._counter)

    async def limits(self) -> Limits:
        """What one transaction may hold, by the chain's bounds for a block."""
        if self._limits is None:
            size, gas = await self.chain.block_bounds()
            self._limits = Limits(
                messages=MESSAGES,
                bytes=RPC_BYTES if size < 0 else min(size, RPC_BYTES),
                gas=MOST_GAS if gas < 0 else min(gas, MOST_GAS),
            )
        return self._limits

    async def submit(self, messages: Sequence[Message], /) -> Submitted:
        """Submit one atomic transaction and wait until it is in a block.

        A refusal, by the check or in the block, is a `Submitted` with the chain's code; ChainUnavailable means
        that the fate is unknown, and the next call reads the sequence from the chain first.
        """
        counter, gas = self._counter, 0
        for attempt in range(RETRIES):
            seen = self.chain.beat
            async with counter.turn:
                try:
                    data, answer = await self._offered(messages, gas)
                except BaseException:
                    counter.sequence = None
                    raise
            done = answer if answer is not None else await self._included(data)
            outcome = done.codespace, done.code
            if outcome == OUT_OF_GAS and not gas and attempt < RETRIES - 1:
                gas = await self._most_gas(messages)  # the state moved on under the simulation
            elif outcome != WRONG_SEQUENCE or attempt == RETRIES - 1:
                return done
            else:
                # Another process signs for this account, or one of ours was dropped: the chain knows.
                counter.sequence = None
                if attempt:
                    await self.chain.pause(seen, POLL_S)
        raise AssertionError("unreachable")

    async def _offered(self, messages: Sequence[Message], gas: int) -> tuple[bytes, Submitted | None]:
        """Sign with the next sequence and broadcast; the check's refusal, or None where the block is to come."""
        counter = self._counter
        if counter.sequence is None:
            counter.number, counter.sequence = await self.chain.account(self._address)
        limit = gas or await self._gas(messages, counter.sequence)
        data = self._signed(messages, counter.sequence, limit)
        try:
            refused = await self._broadcast(data)
        except RpcError:
            raise
        except LockgateError:
            refused = None  # sent or not? Asked below, by the same bytes
        if refused is None:
            counter.sequence += 1
        return data, refused

    async def _gas(self, messages: Sequence[Message], sequence: int) -> int:
        try:
            used = await self.chain.gas_of(self._signed(messages, sequence, 0))
        except RpcError:  # refused, and a simulation does not say by which code: the check does
            return min(SIMPLE_GAS * len(messages), await self._most_gas(messages))
        return min(-(-used * MARGIN[0] // MARGIN[1]), await self._most_gas(messages))

    async def _most_gas(self, messages: Sequence[Message]) -> int:
        """What is asked for at most, whatever a node says that it takes."""
        size = sum(len(content) for _, content in messages)
        return min(MESSAGE_GAS * len(messages) + BYTE_GAS * size, (await self.limits()).gas)

    def _signed(self, messages: Sequence[Message], sequence: int, gas: int) -> bytes:
        terms = CosmosTerms(
            chain_id=self.chain.chain_id,
            account_number=self._counter.number,
            sequence=sequence,
            gas_limit=gas,
            fee=self._price.fee(gas),
        )
        return cosmos_tx.sign(messages, self._key, terms)

    async def _broadcast(self, data: bytes) -> Submitted | None:
        """The check's refusal, or None: it waits for a block. Raises RpcError for a node that takes none."""
        try:
            answer = await self.chain.rpc.call("broadcast_tx_sync", tx=base64.b64encode(data).decode())
        except RpcError as error:
            if KNOWN in str(error):
                return None
            raise
        code = number(answer.get("code", 0))
        if not code:
            return None
        height = (await self.chain.tip()).height
        return Submitted(code, str(answer.get("codespace") or ""), str(answer.get("log") or ""), height, (), ())

    async def _included(self, data: bytes) -> Submitted:
        """Wait for the block, sending the same bytes again now and then. Raises ChainUnavailable."""
        digest = hashlib.sha256(data).digest()
        now = asyncio.get_running_loop().time
        again = now() + AGAIN_S
        try:
            async with asyncio.timeout(CONFIRM_S):
                while True:
                    seen = self.chain.beat
                    found = await self._find(digest)
                    if found is not None:
                        return found
                    if now() >= again:
                        again = now() + AGAIN_S
                        refused = await self._broadcast(data)
                        if refused is not None:
                            return await self._find(digest) or self._dropped(refused)
                    await self.chain.pause(seen, POLL_S)
        except TimeoutError as error:
            self._counter.sequence = None
            raise ChainUnavailable("the transaction was not seen in a block", hash=digest) from error

    def _dropped(self, refused: Submitted) -> Submitted:
        self._counter.sequence = None
        return refused

    async def _find(self, digest: bytes) -> Submitted | None:
        try:
            found: dict[str, Any] = await self.chain.rpc.call("tx", hash=base64.b64encode(digest).decode())
        except RpcError:
            return None  # not there, as a node says by an error
        if not isinstance(found.get("tx_result"), dict):
            raise BadAnswer("a transaction without a result")
        return submitted_of(found, self.chain.revision)


__all__ = ("CosmosSubmitter", "GasPrice")
