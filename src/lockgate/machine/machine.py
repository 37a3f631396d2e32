"""The deterministic state machine every ledger runs, in decide-then-apply form.

`execute` reads a view and returns a `BlockResult`; the engine applies its writes, which is the only
line that changes state. The same bytes in the same order give the same result under every engine:
nothing here asks the time, draws a byte, or looks outside the view, the block and the genesis.

Order inside a block: validators that were caught, announced actions that are due, expired inbox entries, then
transactions. A transaction checks shape, signature, domain, expiry, sequence, fee; then its messages run one after
the other on an overlay that is dropped whole when one is refused. Sequence, fee and gas stay spent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from lockgate.codec.type_urls import MSG_UPDATE_CLIENT
from lockgate.ibc.ports import Application
from lockgate.ibc.runs import RUNNERS
from lockgate.machine import (
    accounts,
    answers,
    endpoints,
    gas,
    governance,
    keys,
    lanes,
    offences,
    pruning,
    succession,
    suites,
    tokens,
    validators,
)
from lockgate.machine.context import Context, Handler, OwnHeaders
from lockgate.machine.errors import (
    CODESPACE,
    AuthorityKey,
    BadMessage,
    FeeTooLow,
    InternalFault,
    TransactionExpired,
    UnknownAccount,
    UnknownMessage,
    WrongDomain,
    WrongSequence,
)
from lockgate.machine.genesis import Genesis, GenesisValidator
from lockgate.machine.history import TrailRecord
from lockgate.machine.offences import Misbehaviour
from lockgate.machine.ordering import RECEIVE
from lockgate.machine.packets import PacketLayer
from lockgate.machine.records import Account
from lockgate.machine.transaction import SUITE_ED25519, SignedTransaction, Transaction, decode_and_verify
from lockgate.primitives.errors import Damaged, LockgateError
from lockgate.primitives.ids import AccountId, Hash32, Height
from lockgate.primitives.quick import make
from lockgate.primitives.state import Block, Draft, Event, Outcome, View, Writes
from lockgate.primitives.time import UnixNanos, floor_seconds

APP_VERSION: Final = 3  # 1 charged evidence once, whatever it was shown to; 2 let no validator follow at once
MAX_LOG: Final = 512  # bytes of a refusal's text in a transaction result; it is not hashed
OK: Final = 0
Bodies = dict[bytes, bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockInput:
    """What an engine hands over: a height, its header time, transactions in order, and which validators were caught.

    `link` is the one over this block's own header, on a ledger that binds them (`history`).
    """

    height: int
    time: UnixNanos
    transactions: tuple[bytes, ...]
    misbehaviour: tuple[Misbehaviour, ...] = ()
    link: bytes = b""


class TxResult(NamedTuple):
    """An ExecTxResult: code 0 is success; `data` holds the message responses."""

    code: int = OK
    codespace: str = ""
    data: bytes = b""
    log: str = ""
    gas_wanted: int = 0
    gas_used: int = 0
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What a block does: results in transaction order, the block's own events, and all writes.

    `validators` are those whose power is another from the block after the next on, each with its new one (0: it
    leaves).

    `bodies` go into a table beside the tree, in the same atomic commit (None deletes): the packets that
    began or ceased to wait. They follow from the block like the writes, so a replay builds them again.
    """

    results: tuple[TxResult, ...]
    events: tuple[Event, ...]
    writes: Writes
    bodies: Bodies
    validators: tuple[GenesisValidator, ...] = ()


class Machine:
    """One ledger's rules. Stateless but for memos of checked signatures, which never change a result."""

    def __init__(
        self, genesis: Genesis, headers: OwnHeaders, applications: Mapping[str, Application] | None = None
    ) -> None:
        """`applications` are bound to ports beside the endpoints; every node must name the same ones."""
        self.genesis = genesis
        self.domain = genesis.domain_id
        self._headers = headers
        self.packets = PacketLayer(applications or {})
        self._verified: dict[Hash32, SignedTransaction] = {}
        self._block = Block(genesis.chain_id, Height(genesis.revision, 0), genesis.time)  # the last one that was named
        self._messages: Mapping[str, Handler] = {
            "endpoint.register": endpoints.register,
            "endpoint.rotate": endpoints.rotate,
            "endpoint.fence": endpoints.fence,
            "endpoint.grant": endpoints.grant,
            "endpoint.ungrant": endpoints.ungrant,
            "token.revoke": tokens.revoke,
            "endpoint.answer": lambda view, context, message: answers.answer(view, context, message, self.packets),
            "endpoint.advance": lambda view, context, message: answers.advance(view, context, message, self.packets),
            "lane.open": lambda view, context, message: lanes.open_lane(view, context, message, self.packets),
            RECEIVE: self.packets.receive_in_order,
            "lane.foreign": lambda view, context, message: lanes.open_foreign(view, context, message, self.packets),
            gas.PRUNE: lambda view, context, message: pruning.prune(view, context, message, self.packets),
            "account.rotate": lambda view, context, message: accounts.rotate(
                view, context, message, succession.every_part(view, genesis)
            ),
            "gov.announce": lambda view, context, message: governance.announce(view, context, message, self.packets),
            "gov.cancel": governance.cancel,
            "gov.stop": governance.stop,
            suites.STOP: suites.stop,
        }

    def initial_state(self) -> Writes:
        """The writes of genesis: every store seeded, listed accounts, rules in force (I4)."""
        outcome = Outcome()
        for store in keys.STORES:
            outcome.set(store, keys.SCHEMA_KEY, keys.SCHEMA_VERSION)
        for listed in self.genesis.accounts:
            name = accounts.account_id(listed.suite, listed.public_key)
            record = Account(listed.suite, listed.public_key, listed.balance)
            outcome.set(keys.ACCOUNT, keys.account(name), record.to_bytes())
        outcome.set(keys.RULES, keys.RULES_DOMAIN, lanes.parameters_value(self.genesis))
        outcome.then(governance.rules(self.genesis, self.genesis))
        return outcome.writes

    def execute(self, view: View, block: BlockInput) -> BlockResult:
        """Decide a whole block. Reads `view`, which is the state after the block before; writes nothing."""
        draft = Draft(view)
        context = self._context(view, block.height, block.time, AccountId(""))
        caught = offences.record(draft, context, block.misbehaviour) if block.misbehaviour else Outcome()
        draft.take(caught.writes)
        due = governance.due_actions(draft, context, self.packets)
        draft.take(due.writes)
        swept = answers.sweep(draft, context, self.packets)
        draft.take(swept.writes)
        results = tuple([self._deliver(draft, block.height, block.time, data) for data in block.transactions])
        writes = draft.writes
        bodies = {place[1]: writes.pop(place) for place in [place for place in writes if place[0] == keys.BODIES]}
        if writes and block.link:  # a block that changes nothing must not change the root (I5)
            writes[keys.LOG, keys.TRAIL] = TrailRecord(block.height, block.link).to_bytes()
        updates = self._updates(view, draft) if (keys.GOVERNANCE, keys.NEWEST_VALIDATORS) in writes else ()
        return BlockResult(results, (*caught.events, *due.events, *swept.events), writes, bodies, updates)

    def _updates(self, before: View, after: View) -> tuple[GenesisValidator, ...]:
        newest = validators.newest
        return validators.updates(newest(before, self.genesis), newest(after, self.genesis))

    def check(self, draft: Draft, data: bytes, height: int, now: UnixNanos) -> TxResult:
        """Would the transaction be admitted on top of `draft`? What it would write stays there, so that
        the next transaction of the same account can be checked before this one is in a block.

        A transaction whose packet messages are all done already is refused here (redundant), while in
        a block it succeeds and changes nothing. A client update beside them does not save it: whoever relayed
        the packets brought a header too. Source: ibc-go RedundantRelayDecorator.
        """
        before = draft.mark()
        result = self._deliver(draft, height, now, data, check=True)
        if result.code:
            draft.undo_to(before)
        return result

    def simulate(self, view: View, data: bytes, height: int, now: UnixNanos) -> TxResult:
        """Run a signed transaction for its gas; the sequence and the fee are not checked."""
        return self._deliver(Draft(view), height, now, data, simulate=True)

    def _context(self, view: View, height: int, time: UnixNanos, signer: AccountId, key: bytes = b"") -> Context:
        parameters = governance.parameters(view, self.genesis)
        block = self._block
        if block.time != time or block.height.height != height:
            block = self._block = Block(self.genesis.chain_id, Height(self.genesis.revision, height), time)
        return make(Context, (block, self.genesis, parameters, self.domain, self._headers, signer, key))

    def _deliver(
        self,
        draft: Draft,
        height: int,
        time: UnixNanos,
        data: bytes,
        *,
        check: bool = False,
        simulate: bool = False,
    ) -> TxResult:
        """Run one transaction on the draft. What a refused one leaves there is what it spent, or nothing."""
        try:
            signed = self._signed(data, keep=check)
            transaction = signed.transaction
            context = self._context(draft, height, time, transaction.account, transaction.public_key)
            spent = self._admit(draft, context, transaction, simulate=simulate)
        except Damaged:
            raise
        except LockgateError as error:
            return _refusal(error, 0, 0)
        draft.take(spent.writes)
        before = draft.mark()
        meter = gas.Meter(min(transaction.gas_limit, context.parameters.max_tx_gas))
        try:
            meter.charge(gas.PER_TRANSACTION + gas.PER_SIGNATURE + gas.PER_BYTE * signed.size, "transaction")
            response, events = self._run(draft, context, transaction, meter, check=check)
        except Damaged:
            raise  # the block is not made: what one node cannot read must not become its result
        except LockgateError as error:
            draft.undo_to(before)
            return _refusal(error, transaction.gas_limit, meter.used)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as defect:
            # Our own bug must not stop a ledger. What it touched is dropped whole, like any refusal.
            draft.undo_to(before)
            return _refusal(InternalFault(type(defect).__name__), transaction.gas_limit, meter.used)
        return TxResult(data=response, gas_wanted=transaction.gas_limit, gas_used=meter.used, events=tuple(events))

    def _signed(self, data: bytes, *, keep: bool) -> SignedTransaction:
        digest = Hash32(hashlib.sha256(data).digest()) if keep or self._verified else None
        known = None if digest is None else self._verified.pop(digest, None)
        if known is None:
            parameters = self.genesis.parameters
            known = decode_and_verify(
                data, self.genesis.revision, max_bytes=parameters.max_tx_bytes, max_messages=parameters.max_messages
            )
        if keep and digest is not None:
            while len(self._verified) >= MAX_VERIFIED:
                self._verified.pop(next(iter(self._verified)))
            self._verified[digest] = known
        return known

    def _admit(self, view: View, context: Context, transaction: Transaction, *, simulate: bool) -> Outcome:
        """Everything that must hold before a message runs; what it returns is spent in any case."""
        if transaction.domain != self.domain or transaction.chain_id != self.genesis.chain_id:
            raise WrongDomain("signed for another ledger", chain_id=transaction.chain_id)
        if floor_seconds(context.block.time) > transaction.valid_until:
            raise TransactionExpired("expired", valid_until=transaction.valid_until)
        name = transaction.account
        if transaction.public_key in succession.every_part(view, self.genesis):
            raise AuthorityKey("an authority signs actions only", account=name)
        accounts.require_key(view, name, SUITE_ED25519, transaction.public_key, context.block.height.height)
        account = accounts.load(view, name)
        if account is None:
            if not context.parameters.account_admission_open:
                raise UnknownAccount("not listed", account=name)
            account = Account(SUITE_ED25519, transaction.public_key, 0)
        expected = accounts.next_sequence(view, name, transaction.nonce_lane)
        spent = Outcome()
        if simulate:
            return spent
        if transaction.sequence != expected:
            raise WrongSequence("not the next sequence", got=transaction.sequence, expected=expected)
        if transaction.fee < transaction.gas_limit * context.parameters.min_gas_price:
            raise FeeTooLow("the fee does not cover the gas limit", fee=transaction.fee)
        if transaction.fee > account.balance:
            raise FeeTooLow("the balance does not cover the fee", fee=transaction.fee, balance=account.balance)
        spent.set(keys.ACCOUNT, keys.sequence(name, transaction.nonce_lane), keys.u64(expected + 1))
        if transaction.fee:
            paid = Account(account.suite, account.public_key, account.balance - transaction.fee)
            spent.set(keys.ACCOUNT, keys.account(name), paid.to_bytes())
            pool = int.from_bytes(view.get("fee", FEE_POOL) or b"", "big") + transaction.fee
            spent.set("fee", FEE_POOL, pool.to_bytes(16, "big"))
        return spent

    def _run(
        self, draft: Draft, context: Context, transaction: Transaction, meter: gas.Meter, *, check: bool
    ) -> tuple[bytes, list[Event]]:
        """Run the messages, each on top of the one before; returns the responses' bytes and all events."""
        events: list[Event] = []
        responses = []
        redundant, relayed = check, False
        prices, dispatch = gas.PER_MESSAGE, self.packets.dispatch
        messages = transaction.messages
        position, count = 0, len(messages)
        next_run, pause = 0, 1  # where runs take little, as of packets that another relayer brought, few are tried
        while position < count:
            name, content = messages[position]
            price = prices.get(name)
            if price is None:
                raise UnknownMessage("no such message", message=name)
            most = min(count, position + (meter.limit - meter.used) // price)
            if next_run <= position < most - 1 and name in RUNNERS and messages[position + 1][0] == name:
                ran, answers_of = self.packets.run(draft, context, messages, position, most)
                pause = 1 if len(answers_of) > 1 else 2 * pause
                next_run = position + pause
                if answers_of:
                    meter.charge(price * len(answers_of), name)
                    draft.take(ran.writes)
                    events += ran.events
                    responses += answers_of
                    redundant = False
                    position += len(answers_of)
                    continue
            position += 1
            meter.charge(price, name)
            if type(content) is bytes:
                done = dispatch(draft, context, name, content, meter)
                if done.is_packet:
                    redundant, relayed = redundant and done.is_noop, True
                elif name != MSG_UPDATE_CLIENT:
                    redundant = False
                step = done.outcome
                responses.append((done.response_url, step.response))
            else:
                _check_sends(content)
                meter.charge(gas.beside(name, content), name)
                handler = self._messages.get(name)
                if handler is None:
                    raise UnknownMessage("no such message", message=name)
                redundant = False
                step = handler(draft, context, content)
                responses.append(("/lockgate." + name, step.response))
            draft.take(step.writes)
            events += step.events
        if redundant and relayed:
            raise self.packets.redundant()
        return self.packets.message_data(responses), events


FEE_POOL: Final = b"pool"
MAX_VERIFIED: Final = 4_096  # transactions checked and not yet in a block: a full mempool


def _check_sends(content: Mapping[str, Any]) -> None:
    if not isinstance(content.get("sends", ()), tuple):
        raise BadMessage("sends is an array", field="sends")


def _refusal(error: LockgateError, wanted: int, used: int) -> TxResult:
    codespace, number = error.wire or InternalFault.wire or (CODESPACE, 1)
    log = str(error).encode()[:MAX_LOG].decode(errors="ignore")
    return TxResult(code=number, codespace=codespace, log=log, gas_wanted=wanted, gas_used=used)
