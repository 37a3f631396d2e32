"""One account of an EVM chain: signs, sends, and stays with each transaction until its block is final.

Theory of operation. A transaction is a step with a nonce, and of all that are signed for a nonce at most one is ever
included. So the step is written down before it is sent (`journal`), its hashes are asked for, and only these same
bytes, or dearer ones of the same nonce, are sent again: after a crash, when a pool dropped them, when they wait too
long for their fee, and when a re-organisation takes their block back. The nonce is free again only when the chain has
spent it otherwise. Whoever executes a step hears of its first inclusion; the account goes on until that is final. A
nonce below ours that nobody fills (a gap) holds everything up, so it is filled with a transaction that does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lockgate.courier.ports import ChainUnavailable
from lockgate.crypto.recoverable import EvmKey
from lockgate.primitives.errors import LockgateError
from lockgate.relay.chains.evm import answers
from lockgate.relay.chains.evm.answers import EvmBlock, Receipt, hexed
from lockgate.relay.chains.evm.chain import EvmChain, Report
from lockgate.relay.chains.evm.fees import PLAIN_GAS, FeeAboveCeiling, FeeRules, Fees
from lockgate.relay.chains.evm.history import ReorganisedAfterRelease
from lockgate.relay.chains.evm.journal import Journal
from lockgate.relay.chains.evm.node import ask, ask_all
from lockgate.relay.chains.evm.refusals import (
    FundsMissing,
    GasBeyondBound,
    NonceSpent,
    Reverted,
    of_sending,
    of_simulation,
)
from lockgate.relay.chains.evm.transactions import EvmTransaction, SignedTransaction, dearer
from lockgate.relay.rpc import BadAnswer, RpcError

RETRIES: Final = 4
SPENT_LOOKS: Final = 2  # behind a balancer, or in a re-organisation, one look may deceive
MOST_AHEAD: Final = 64  # transactions of one account that pools keep waiting, beside ours
NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds."""

    poll: float = 1.0  # between two looks at what waits
    stuck: float = 36.0  # three blocks of Ethereum: then the same bytes again, or dearer ones
    confirm: float = 180.0  # after it the caller is told that the fate is unknown; the account stays with it


@dataclass(slots=True)
class Step:
    """One nonce, and everything that was signed for it."""

    versions: list[SignedTransaction]
    sent_at: float
    included: Receipt | None = None
    sent_under: int = 0  # the newest block then
    spent: int = 0  # looks in a row that found the nonce spent otherwise
    ceiling_told: bool = False
    done: asyncio.Future[Receipt] | None = field(default=None)

    @property
    def newest(self) -> SignedTransaction:
        return self.versions[-1]

    @property
    def nonce(self) -> int:
        return self.newest.transaction.nonce

    def end(self, outcome: Receipt | Exception) -> None:
        if self.done is not None and not self.done.done():
            if isinstance(outcome, Exception):
                self.done.set_exception(outcome)
                self.done.exception()  # its caller may have gone
            else:
                self.done.set_result(outcome)


class EvmAccount:
    """Executes calls, one nonce after the other. `journal` may be missing only where a lost step costs nothing."""

    def __init__(
        self,
        chain: EvmChain,
        key: EvmKey,
        rules: FeeRules,
        journal: Journal | None,
        report: Report,
        waits: Waits = Waits(),  # frozen
    ) -> None:
        self.chain = chain
        self.address = key.address
        self._key = key
        self._rules = rules
        self._journal = journal
        self._report = report
        self._waits = waits
        self._steps: dict[int, Step] = {}
        self._turn = asyncio.Lock()
        self._resumed = journal is None
        self._tender: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Steps whose block is not final yet."""
        return len(self._steps)

    async def execute(self, to: bytes, data: bytes, beside: int = 0, *, divisible: bool = False) -> Receipt:
        """Have a call, or with no receiver a creation, included in a block.

        It may take so much gas `beside` what a simulation shows; one that is `divisible` is refused where that does not
        fit, since its caller can do less at once.

        Raises Reverted, GasBeyondBound, FeeAboveCeiling, FundsMissing, NonceSpent before anything was done, Reverted
        also of a transaction in a block, and ChainUnavailable for a fate that is unknown: the account stays with it.
        """
        await self.resume()
        for attempt in range(RETRIES):
            async with self._turn:
                step = await self._begin(to, data, beside, divisible)
            try:
                async with asyncio.timeout(self._waits.confirm):
                    assert step.done is not None
                    receipt = await asyncio.shield(step.done)
            except TimeoutError as error:
                raise ChainUnavailable("the transaction was not seen in a block", hash=step.newest.hash) from error
            except NonceSpent:
                if attempt == RETRIES - 1:
                    raise
                continue
            if not receipt.succeeded:
                raise Reverted(await self._why(step.newest.transaction, receipt), hash=receipt.transaction)
            return receipt
        raise AssertionError("unreachable")

    async def resume(self) -> None:
        """Take up what an earlier process left: its transactions are looked for, and sent again where they are not."""
        async with self._turn:
            if not self._resumed and self._journal is not None:
                kept = self._journal.load()
                self._steps = {nonce: Step(versions, float("-inf")) for nonce, versions in kept.items()}
                self._resumed = True
                if self._steps:
                    self._report("resumed", {"chain": self.chain.chain_id, "transactions": len(self._steps)})
                    self._tend()

    async def close(self) -> None:
        """Stop looking. What waits is in the journal."""
        if self._tender is not None:
            self._tender.cancel()
            await asyncio.gather(self._tender, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until every step's block is final."""
        while self._steps:
            await asyncio.sleep(self._waits.poll)

    # Beginning a step.

    async def _begin(self, to: bytes, data: bytes, beside: int, divisible: bool) -> Step:
        _, newest = await self.chain.heads()
        fees = await self._fees(newest)
        estimate = await self._estimate(to, data, fees)
        gas = self._rules.gas(estimate, newest.gas_limit, beside, divisible=divisible)
        if gas is None:
            raise GasBeyondBound(most=min(self._rules.most_gas, newest.gas_limit))
        for _ in range(RETRIES):
            made = self._signed(await self._free_nonce(), to, data, gas, fees)
            step = self._keep(made)
            step.sent_under = newest.number
            step.done = asyncio.get_running_loop().create_future()
            try:
                await self._send(made)
            except NonceSpent:
                self._drop(step)
                continue
            except (RpcError, FundsMissing):
                self._drop(step)  # the node read it and said no
                raise
            except ChainUnavailable:
                pass  # sent or not: its hash is known, and its bytes are sent again
            except BadAnswer:
                self._tend()  # sent or not, as well
                raise
            self._tend()
            return step
        raise NonceSpent("another process signs for this account", account=hexed(self.address))

    def _signed(self, nonce: int, to: bytes, data: bytes, gas: int, fees: Fees) -> SignedTransaction:
        return EvmTransaction(
            network=self.chain.network, nonce=nonce, tip=fees.tip, fee=fees.fee, gas=gas, to=to, data=data
        ).signed(self._key)

    def _keep(self, made: SignedTransaction) -> Step:
        """Write a step down before it is sent."""
        step = Step([made], _now())
        self._steps[step.nonce] = step
        try:
            self._save()
        except BaseException:
            del self._steps[step.nonce]  # what is not written down is never sent
            raise
        return step

    def _drop(self, step: Step) -> None:
        self._steps.pop(step.nonce, None)
        self._save()

    def _save(self) -> None:
        if self._journal is not None:
            self._journal.save({nonce: step.versions for nonce, step in self._steps.items()})

    async def _free_nonce(self) -> int:
        """The lowest nonce that neither the chain, nor its pool, nor a step of ours has."""
        counts = await self._counts()
        nonce = counts[0]
        while nonce in self._steps:
            nonce += 1
        if nonce < counts[1]:  # what waits there was not signed here
            nonce = counts[1]
            while nonce in self._steps:
                nonce += 1
        return nonce

    async def _counts(self) -> tuple[int, int]:
        """Transactions of this account in blocks, and with those of the pool that follow on them."""
        account = hexed(self.address)
        calls = [("eth_getTransactionCount", [account, at]) for at in ("latest", "pending")]
        latest, pending = map(answers.quantity, await ask_all(self.chain.node, calls))
        if pending > latest + MOST_AHEAD + len(self._steps):  # what is signed above it would wait for ever
            raise BadAnswer("more transactions wait than a pool keeps", latest=latest, pending=pending)
        return latest, max(latest, pending)

    async def _fees(self, newest: EvmBlock) -> Fees:
        try:
            tip = answers.quantity(await ask(self.chain.node, "eth_maxPriorityFeePerGas"), 256)
        except RpcError:  # not every node advises
            tip = self._rules.most_tip
        return self._rules.fees(newest.base_fee, tip)

    async def _estimate(self, to: bytes, data: bytes, fees: Fees) -> int:
        try:
            return answers.quantity(await ask(self.chain.node, "eth_estimateGas", self._asked(to, data, fees)))
        except RpcError as error:
            raise of_simulation(error) from error

    def _asked(self, to: bytes, data: bytes, fees: Fees) -> dict[str, str]:
        """A simulation at the price of the transaction: where none is named it is 0, which a contract sees."""
        asked = {"from": hexed(self.address), "data": hexed(data)}
        asked |= {"maxFeePerGas": hexed(fees.fee), "maxPriorityFeePerGas": hexed(fees.tip)}
        return asked | {"to": hexed(to)} if to else asked

    async def _why(self, transaction: EvmTransaction, receipt: Receipt) -> str:
        """The contract's word for a transaction that failed in a block, by asking it again there."""
        try:
            fees = Fees(transaction.tip, transaction.fee)
            asked = self._asked(transaction.to, transaction.data, fees) | {"gas": hexed(transaction.gas)}
            await ask(self.chain.node, "eth_call", asked, {"blockHash": hexed(receipt.block_hash)})
        except RpcError as error:
            refusal = of_simulation(error)
            if isinstance(refusal, Reverted):
                return refusal.reason
        return "out of gas" if receipt.gas_used >= transaction.gas else "reverted in its block"

    async def _send(self, made: SignedTransaction) -> None:
        """Offer to the pool. Raises NonceSpent, FundsMissing, RpcError for a node that says no, ChainUnavailable."""
        try:
            found = answers.exactly(await ask(self.chain.node, "eth_sendRawTransaction", hexed(made.raw)), 32)
        except RpcError as error:
            refusal = of_sending(error)
            if refusal is not None:
                raise refusal from error
            return
        if found != made.hash:
            raise BadAnswer("the node names another transaction", sent=made.hash, named=found)

    # Staying with what was sent.

    def _tend(self) -> None:
        if self._tender is None or self._tender.done():
            self._tender = asyncio.create_task(self._tending())

    async def _tending(self) -> None:
        while self._steps:
            try:
                await self._look()
            except ReorganisedAfterRelease as error:
                for step in self._steps.values():
                    step.end(error)
                return
            except LockgateError as error:
                self._report("unavailable", {"what": f"transactions on {self.chain.chain_id}", "code": error.code})
            if self._steps:
                await asyncio.sleep(self._waits.poll)

    async def _look(self) -> None:
        """See how far each step is; do again what a step needs."""
        steps = sorted(self._steps.values(), key=lambda step: step.nonce)
        final, newest = await self.chain.heads()
        count, pooled = await self._counts()  # before the receipts: what is counted has one
        receipts = await self._receipts([one.hash for step in steps for one in step.versions])
        waiting, untold = [], None
        for step in steps:
            told = [receipts[one.hash] for one in step.versions]
            receipt = next((one for one in told if isinstance(one, Receipt)), None)
            doubt = next((one for one in told if isinstance(one, RpcError)), None)
            spent = receipt is None and step.nonce < count
            step.spent = step.spent + 1 if spent and doubt is None else 0
            if receipt is not None:
                self._included(step, receipt, final)
            elif step.spent >= SPENT_LOOKS:
                self._drop(step)
                step.end(NonceSpent(account=hexed(self.address), nonce=step.nonce))
            elif spent and doubt is not None:
                untold = doubt  # it may be in a block: signed under another nonce, its call would be paid for twice
            elif not step.spent:  # sent again, it keeps its nonce: whatever a node says, it is done once
                if step.included is not None:
                    self._report("dropped", {"chain": self.chain.chain_id, "hash": hexed(step.included.transaction)})
                    step.included, step.sent_at = None, NEVER
                waiting.append(step)
        await self._move(waiting, pooled, newest)
        if untold is not None:
            raise untold

    async def _receipts(self, hashes: Sequence[bytes]) -> dict[bytes, Receipt | RpcError | None]:
        """By hash: a receipt, None where the chain has none, an error where that is not known. Raises BadAnswer."""
        asked = [("eth_getTransactionReceipt", [hexed(one)]) for one in hashes]
        found: dict[bytes, Receipt | RpcError | None] = {}
        for one, json in zip(hashes, await self.chain.node.many(asked), strict=True):
            found[one] = json if json is None or isinstance(json, RpcError) else answers.receipt_of(json, one)
        return found

    def _included(self, step: Step, receipt: Receipt, final: EvmBlock) -> None:
        block = self.chain.history.at(receipt.block)
        if block is not None and block.hash != receipt.block_hash:
            return  # of another branch than the one that is followed: the next look says which stands
        step.included = receipt
        step.end(receipt)
        if receipt.block <= final.number:
            self._drop(step)

    async def _move(self, waiting: Sequence[Step], pooled: int, newest: EvmBlock) -> None:
        """Send again what waits for too long, for more where that is why; fill a gap below it."""
        late = [step for step in waiting if _now() - step.sent_at >= self._waits.stuck]
        if not late:
            return
        try:
            fees: Fees | None = await self._fees(newest)
        except FeeAboveCeiling:
            fees = None
        async with self._turn:
            gap = waiting[-1].nonce - pooled
            if 0 < gap <= MOST_AHEAD + len(self._steps) and pooled not in self._steps and fees is not None:
                self._report("gap", {"chain": self.chain.chain_id, "nonce": pooled})
                await self._again(self._keep(self._signed(pooled, self.address, b"", PLAIN_GAS, fees)), newest)
            for step in late:
                if step.sent_at != NEVER and newest.number > step.sent_under:
                    try:
                        self._replace(step, fees)
                    except LockgateError as error:  # what is on disk already can be sent nevertheless
                        said = {"chain": self.chain.chain_id, "nonce": step.nonce, "code": error.code}
                        self._report("not_sent", said)
                await self._again(step, newest)

    def _replace(self, step: Step, fees: Fees | None) -> None:
        old = step.newest.transaction
        now = None if fees is None else self._rules.bumped(Fees(old.tip, old.fee), fees)
        if now is not None:
            step.versions.append(dearer(old, now.tip, now.fee).signed(self._key))
            try:
                self._save()
            except BaseException:
                del step.versions[-1]
                raise
            self._report("replaced", {"chain": self.chain.chain_id, "nonce": step.nonce, "fee": now.fee})
        elif not step.ceiling_told:
            step.ceiling_told = True
            self._report("stuck", {"chain": self.chain.chain_id, "nonce": step.nonce, "fee": old.fee})

    async def _again(self, step: Step, newest: EvmBlock) -> None:
        step.sent_at, step.sent_under = _now(), newest.number
        try:
            await self._send(step.newest)
        except (NonceSpent, FundsMissing, RpcError) as error:  # the next look says what became of it
            self._report("not_sent", {"chain": self.chain.chain_id, "nonce": step.nonce, "code": error.code})


def _now() -> float:
    return asyncio.get_running_loop().time()


__all__ = ("EvmAccount", "Waits")
