"""One EVM chain through several nodes: what is believed is what enough of them say (B5, C3).

Every call goes to every node. What is a fact of the chain counts when the required number of nodes say the same of
it: headers, logs, proofs, storage and results of calls at a block. Nodes are not equally far, so the newest block (and
the one that a tag names) is the highest that so many have reached, and they must agree which block it is; what is asked
of "the newest block" is asked of that one, by its hash. A node that is behind, silent or says "no" counts for nothing,
one that contradicts the others is told, and below the required number nothing is read: failing over never lowers it.
What only the own account suffers from is what enough nodes have counted, and a middle value: of two tips the lower, of
two estimates of gas the higher, where enough nodes say that the call goes through. A transaction is offered to all.
Source: Ethereum execution API; EIP-1898.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median_high, median_low
from typing import Any, Final

from lockgate.courier.ports import ChainUnavailable
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.relay.chains.evm import answers
from lockgate.relay.chains.evm.node import Call, EvmCalls
from lockgate.relay.chains.evm.refusals import of_sending
from lockgate.relay.rpc import STUMBLES, BadAnswer, RpcError

GRACE_S: Final = 1.0  # after enough nodes have answered, for the others
TAGS: Final = ("latest", "finalized", "safe")
AT_NEWEST: Final = ("eth_call", "eth_getStorageAt", "eth_getCode", "eth_getBalance")
RECEIPT: Final = "eth_getTransactionReceipt"
ABSENT: Final = object()  # a node that gave no usable answer
Report = Callable[[str, dict[str, object]], None]


class TooFewNodes(Refused):
    code = "evm.nodes"
    summary = "So few nodes of the chain are named that nothing they say could be compared."
    untouched = "Nothing was started."
    next_step = "Name two nodes of different operators, or say with `one_node_because` why one is enough."


@dataclass(slots=True)
class Standing:
    """How a node did when it was last asked, for people."""

    name: str
    node: EvmCalls
    state: str = "not asked yet"
    height: int = 0
    differs: set[str] = field(default_factory=set)  # methods on which it contradicted the others when last asked

    @property
    def shown(self) -> str:
        return f"differs on {', '.join(sorted(self.differs))}" if self.differs else self.state


@dataclass(slots=True)
class _Round:
    """One question's answers, by node; ABSENT for none."""

    call: Call
    given: list[Any] = field(default_factory=list)


class EvmNodes:
    """Meets `EvmCalls`. `nodes` are named for people; so many as `required` must agree."""

    def __init__(self, nodes: Sequence[tuple[str, EvmCalls]], required: int, report: Report) -> None:
        """Raises TooFewNodes."""
        if not 1 <= required <= len(nodes):
            raise TooFewNodes("no more nodes can agree than there are", nodes=len(nodes), required=required)
        self._standing = [Standing(name, node) for name, node in nodes]
        self._required = required
        self._report = report
        self._alarms = 0
        self._halted: set[str] = set()

    async def close(self) -> None:
        await asyncio.gather(*(each.node.close() for each in self._standing), return_exceptions=True)

    def health(self) -> dict[str, object]:
        """As the sources of a ledger are shown."""
        nodes = [
            {"source": each.name, "state": each.shown, "height": each.height, "again_s": 0} for each in self._standing
        ]
        return {"required": self._required, "nodes": nodes, "alarms": self._alarms, "halted": sorted(self._halted)}

    async def many(self, calls: Sequence[Call], /) -> list[Any]:
        """Meets `EvmCalls`. Raises ChainUnavailable where too few nodes answer, or not enough of them alike."""
        if any(_at_newest(call) for call in calls):
            at = {"blockHash": answers.hexed((await self._head(("eth_getBlockByNumber", ["latest", False])))[1])}
            calls = [(call[0], [*call[1][:-1], at]) if _at_newest(call) else call for call in calls]
        found = []
        for asked in await self._asked(calls):
            method = asked.call[0]
            match method:
                case "eth_getBlockByNumber" if asked.call[1][0] in TAGS:
                    found.append((await self._head(asked.call, asked))[0])
                case "eth_sendRawTransaction":
                    found.append(self._sent(asked))
                case "eth_getTransactionCount":
                    found.append(self._count(asked))
                case "eth_maxPriorityFeePerGas":
                    found.append(self._middle(asked))
                case "eth_estimateGas":
                    found.append(self._estimated(asked))
                case _:
                    found.append(self._agreed(asked))
        return found

    async def _asked(self, calls: Sequence[Call]) -> list[_Round]:
        """Every node's answers to every call. Raises ChainUnavailable where too few nodes answer."""
        tasks = [asyncio.ensure_future(self._one(each, calls)) for each in self._standing]
        try:
            waiting = set(tasks)
            timeout = None
            while waiting:
                done, waiting = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                if sum(task.done() and task.result() is not None for task in tasks) >= self._required:
                    timeout = GRACE_S
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        rounds = [_Round(call) for call in calls]
        silent = 0
        for each, task in zip(self._standing, tasks, strict=True):
            row = None if task.cancelled() else task.result()
            if task.cancelled():
                self._stands(each, "slow")
            silent += row is None
            for place, one in enumerate(rounds):
                one.given.append(ABSENT if row is None else row[place])
        if len(tasks) - silent < self._required:
            raise ChainUnavailable("too few nodes answer", **self._said())
        return rounds

    async def _one(self, each: Standing, calls: Sequence[Call]) -> list[Any] | None:
        try:
            found = await each.node.many(calls)
        except STUMBLES as error:
            said = f"{error.code}: {error.detail}" if isinstance(error, LockgateError) else repr(error)
            self._stands(each, answers.printable(said)[:200])
            return None
        self._stands(each, "answers")
        return found

    async def _head(self, call: Call, asked: _Round | None = None) -> tuple[Any, bytes]:
        """The highest block that enough nodes have reached under a tag, as they agree on it, and its hash."""
        if asked is None:
            (asked,) = await self._asked([call])
        numbers = []
        for each, given in zip(self._standing, asked.given, strict=True):
            try:
                number = answers.block_of(given).number
            except BadAnswer:
                continue
            numbers.append(number)
            if call[1][0] == "latest":
                each.height = number
        if len(numbers) < self._required:
            raise ChainUnavailable("too few nodes name the block", tag=call[1][0], **self._said())
        number = sorted(numbers, reverse=True)[self._required - 1]
        if numbers.count(number) == len(self._standing):
            block = self._agreed(asked)
        else:
            (again,) = await self._asked([("eth_getBlockByNumber", [hex(number), False])])
            block = self._agreed(again)
        return block, answers.block_of(block).hash

    def _agreed(self, asked: _Round) -> Any:
        """What enough nodes say alike, a "no" too. Raises ChainUnavailable."""
        forms = [_form(asked.call, given) for given in asked.given]
        groups: dict[Any, list[int]] = {}
        for place, form in enumerate(forms):
            if form is not ABSENT:
                groups.setdefault(form, []).append(place)
        said = [form for form in groups if form not in (None, "error")]
        ranked = sorted(groups.items(), key=lambda one: (len(one[1]), one[0] in said), reverse=True)
        enough = [(form, places) for form, places in ranked if len(places) >= self._required]
        method = asked.call[0]
        # Whoever is behind, or lies, has no receipt: that many have none does not refute the one who shows it.
        doubtful = method == RECEIPT and bool(said) and not any(form in said for form, _ in enough)
        if len(said) > 1:
            winner = enough[0][1] if enough and enough[0][0] in said else []
            self._differ(asked, [place for form in said for place in groups[form] if place not in winner])
        if enough and not doubtful and (len(said) <= 1 or len([form for form, _ in enough if form in said]) == 1):
            form, places = next((one for one in enough if one[0] in said), enough[0])
            for place in places:
                self._standing[place].differs.discard(method)
            self._halted.discard(method)
            return asked.given[places[0]]
        if method == RECEIPT and len(said) <= 1:
            return RpcError("too few nodes agree on a receipt", method=method)
        if len(said) > 1:
            self._halted.add(method)
        raise ChainUnavailable("too few nodes agree", method=method, **self._said())

    def _differ(self, asked: _Round, places: Sequence[int]) -> None:
        """Tell, once, which nodes contradict the others; all of them where nobody can say who is right."""
        for place in places:
            each, method = self._standing[place], asked.call[0]
            if method not in each.differs:
                each.differs.add(method)
                self._alarms += 1
                what = {"node": each.name, "method": method, "params": str(asked.call[1])[:200]}
                self._report("alarm", {"code": "evm.nodes_differ", **what})

    def _count(self, asked: _Round) -> Any:
        """Counts grow: what enough nodes have reached, in blocks as in their pools."""
        found = sorted(_quantities(asked.given), reverse=True)
        if len(found) < self._required:
            raise ChainUnavailable("too few nodes count", **self._said())
        return answers.hexed(found[self._required - 1])

    def _middle(self, asked: _Round) -> Any:
        found = _quantities(asked.given)
        errors = [given for given in asked.given if isinstance(given, RpcError)]
        if found and len(errors) < self._required:
            return answers.hexed(median_low(found))
        if errors:
            return errors[0]
        raise ChainUnavailable("no node answers", method=asked.call[0], **self._said())

    def _estimated(self, asked: _Round) -> Any:
        """What a call takes, where so many nodes say that it goes through; of two numbers the higher.

        Gas that is not used is not paid, but a call that is given too little, or that the contract refuses, fails in
        its block and is: one node must not bring that about. Raises ChainUnavailable.
        """
        found = _quantities(asked.given)
        if len(found) >= self._required:
            return answers.hexed(median_high(found))
        errors = [given for given in asked.given if isinstance(given, RpcError)]
        if len(errors) >= self._required:
            return errors[0]
        raise ChainUnavailable("too few nodes agree", method=asked.call[0], **self._said())

    def _sent(self, asked: _Round) -> Any:
        """Taken where one takes it; else the first node's refusal. Raises ChainUnavailable where none said anything."""
        taken = [given for given in asked.given if isinstance(given, str)]
        errors = [given for given in asked.given if isinstance(given, RpcError)]
        known = [error for error in errors if of_sending(error) is None]
        for given in (*taken, *known, *errors):
            return given
        raise ChainUnavailable("no node answers", method=asked.call[0], **self._said())

    def _stands(self, each: Standing, state: str) -> None:
        if state not in {each.state, "answers"}:
            self._report("node", {"node": each.name, "state": state})
        each.state = state

    def _said(self) -> dict[str, object]:
        return {"required": self._required, "said": {each.name: each.shown for each in self._standing}}


def _at_newest(call: Call) -> bool:
    return call[0] in AT_NEWEST and call[1][-1] == "latest"


def _quantities(given: Sequence[Any]) -> list[int]:
    found = []
    for one in given:
        try:
            found.append(answers.quantity(one, 256))
        except BadAnswer:
            continue
    return found


def _form(call: Call, given: Any) -> Any:
    """What is compared of an answer: nodes add fields of their own, and write hex in either case."""
    if given is ABSENT or given is None:
        return given
    if isinstance(given, RpcError):
        return "error"
    try:
        match call[0]:
            case "eth_getBlockByNumber":
                block = answers.block_of(given)
                return (block, answers.calls_of(given)) if call[1][1] else block  # no one node says what was called
            case "eth_getLogs":
                return answers.logs_of(given)
            case "eth_getTransactionReceipt":
                return answers.receipt_of(given, bytes.fromhex(call[1][0][2:]))
            case "eth_getProof":
                return _proof_form(given)
    except BadAnswer:
        return ABSENT
    return given.lower() if isinstance(given, str) else ABSENT


def _proof_form(given: Any) -> Any:
    try:
        slots = tuple(
            (answers.quantity(one["key"], 256), tuple(map(str.lower, one["proof"]))) for one in given["storageProof"]
        )
        return str.lower(given["storageHash"]), tuple(map(str.lower, given["accountProof"])), slots
    except (KeyError, TypeError) as error:
        raise BadAnswer("a proof has another shape") from error


__all__ = ("GRACE_S", "EvmNodes", "TooFewNodes")
