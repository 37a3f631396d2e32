"""Signs and submits transactions to a ledger of ours, one account and nonce lane per submitter (I3).

One writer per (account, nonce lane): transactions are submitted one at a time, the sequence is kept
here and read again from the ledger whenever the two disagree. A submission whose fate is unknown is
never repeated blindly: its hash was known before it was sent, and the ledger is asked for it first.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError

from lockgate.codec import cbor
from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.courier.batches import RPC_BYTES, Limits
from lockgate.courier.ports import ChainUnavailable, Submitted
from lockgate.machine import gas
from lockgate.machine.accounts import account_id
from lockgate.machine.transaction import MAX_SEQUENCE, SUITE_ED25519, Message, Transaction, sign
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.ids import AccountId, DomainId, Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.events import event_of
from lockgate.relay.rpc import BadAnswer, RpcError, array, b64, number

VALID_FOR_S: Final = 120  # of ledger time; a lost transaction cannot come back after it
CONFIRM_S: Final = 30.0
POLL_S: Final = 0.25  # a block in between is announced, or asked for sooner where none are
FATE_S: Final = 2.0  # how long a transaction that may not have arrived is looked for
SEQUENCE_CODE: Final = 5
EXPIRED_CODE: Final = 6  # it waited longer than it was signed for
KEY_CODE: Final = 122  # the account has another key now
DROPPED: Final = "ledger.tx_dropped"  # a block in between made it impossible, as it stood
# It waits for a block: the ledger has the same bytes already, in its own words and in CometBFT's (another node passed
# them on before it went), or broadcast_tx_commit has waited less long than we do.
WAITING: Final = ("ledger.tx_known", "already exists in cache", "timed out")
STOPPED: Final = "was canceled"  # the node stopped while it waited for the block
RETRIES: Final = 3
LIMITS_HOLD_S: Final = 60.0  # a ledger's bounds change, and a node that told other ones may have been replaced
ANY_PRICE: Final = 1 << 63  # for whoever asks a node of his own


Sign = Callable[[bytes], bytes]
Renew = Callable[[], Awaitable[tuple[bytes, Sign] | None]]


@dataclass(slots=True)
class Credential:
    """The account that signs, and the key it does so with: one for all nonce lanes, so that all change it together.

    `renew` finds the account's key once the ledger takes this one no more; None where there is none to be found.
    """

    account: AccountId
    public_key: bytes
    sign_with: Sign
    renew: Renew | None = None

    @property
    def named(self) -> AccountId | None:
        """The account, where the key does not name it by itself."""
        return None if account_id(SUITE_ED25519, self.public_key) == self.account else self.account

    async def replaced(self, refused: bytes) -> bool:
        """Is there another key than the one that was refused? It is taken up."""
        if self.public_key == refused and self.renew is not None:
            found = await self.renew()
            if found is not None:
                self.public_key, self.sign_with = found
        return self.public_key != refused


class PriceAboveLimit(Refused):
    code = "relay.gas_price"
    summary = "The node asks more for a unit of gas than this account is to pay."
    untouched = "Nothing was signed and nothing was paid."
    next_step = "Compare it with min_gas_price in the ledger's rules; where it is right, raise max_gas_price."


def unjudged(done: Submitted) -> bool:
    """Did the ledger refuse the transaction without a look at its messages? Signed again, they may be good."""
    return done.codespace == "lockgate" and done.code in (SEQUENCE_CODE, EXPIRED_CODE)


class AccountSubmitter:
    """Meets `courier.ports.Submitter`. `sign_with` maps bytes to an Ed25519 signature.

    A node says what gas costs, and the fee is gone once the ledger has taken it, so nothing above
    `most_price` a unit is ever offered, whatever the node says.
    """

    def __init__(
        self,
        chain: CometBftChain,
        domain: DomainId,
        public_key: bytes,
        sign_with: Sign,
        nonce_lane: int,
        most_price: int = 0,
        *,
        account: AccountId | None = None,
        renew: Renew | None = None,
    ) -> None:
        """`account` is named where it is not the hash of the key: one whose first key was replaced."""
        self.chain = chain
        self.most_price = most_price
        self.nonce_lane = nonce_lane
        self._domain = domain
        name = account_id(SUITE_ED25519, public_key) if account is None else account
        self._credential = Credential(name, public_key, sign_with, renew)
        self._sequence: int | None = None
        self._limits: Limits | None = None
        self._limits_until = 0.0
        self._turn = asyncio.Lock()

    @property
    def signer(self) -> AccountId:
        return self._credential.account

    def sibling(self, nonce_lane: int) -> AccountSubmitter:
        """The same account on another nonce lane: neither waits for the other."""
        mine = self._credential
        one = AccountSubmitter(self.chain, self._domain, mine.public_key, mine.sign_with, nonce_lane, self.most_price)
        one._credential = mine
        return one

    def become(self, public_key: bytes, sign_with: Sign) -> None:
        """Sign with another account from the next transaction on."""
        self._credential = Credential(account_id(SUITE_ED25519, public_key), public_key, sign_with)
        self._sequence = None

    def sign_as(self, public_key: bytes, sign_with: Sign) -> None:
        """Sign with another key of the same account, on all of its nonce lanes."""
        self._credential.public_key, self._credential.sign_with = public_key, sign_with

    async def limits(self) -> Limits:
        """The ledger's own bounds for one transaction, read again each minute. Raises PriceAboveLimit."""
        now = asyncio.get_running_loop().time()
        if self._limits is None or now >= self._limits_until:
            answer = await self.chain.query("/lockgate/parameters", b"")
            rules: Any = cbor.decode(b64(answer.get("value")))
            names = ("max_messages", "max_tx_bytes", "max_tx_gas", "min_gas_price")
            if type(rules) is not dict or any(type(rules.get(name)) is not int for name in names):
                raise BadAnswer("the parameters have another shape")
            messages, size, most_gas, price = (rules[name] for name in names)
            if price > self.most_price:
                raise PriceAboveLimit(asked=price, most=self.most_price, chain=self.chain.chain_id)
            self._limits_until = now + LIMITS_HOLD_S
            self._limits = Limits(messages=messages, bytes=min(size, RPC_BYTES), gas=most_gas, gas_price=price)
        return self._limits

    async def submit(self, messages: Sequence[Message], /) -> Submitted:
        """Submit one atomic transaction and wait until it is in a block.

        A refusal by the ledger is a `Submitted` with a code; ChainUnavailable means the fate is
        unknown, and the next call reads the sequence from the ledger first.
        """
        async with self._turn:
            for attempt in range(RETRIES):
                seen = self.chain.beat
                used = self._credential.public_key
                try:
                    done = await self._once(tuple(messages))
                except BaseException as error:
                    self._sequence = None
                    if isinstance(error, RpcError) and DROPPED in str(error) and attempt < RETRIES - 1:
                        continue  # signed again, the ledger says why: done by another, most often
                    raise
                if (done.codespace, done.code) == ("lockgate", KEY_CODE):
                    self._sequence = None  # it is unspent, wherever the transaction was refused
                    if attempt == RETRIES - 1 or not await self._credential.replaced(used):
                        return done
                    continue  # signed again, with the key that the account has now
                if not unjudged(done) or attempt == RETRIES - 1:
                    return done
                # Another transaction of this lane waits or was lost, or this one came too late: the ledger knows which.
                self._sequence = None
                if attempt:
                    await self.chain.pause(seen, POLL_S)
        raise AssertionError("unreachable")

    async def _once(self, messages: tuple[Message, ...]) -> Submitted:
        if self._sequence is None:
            query = cbor.encode([self.signer, self.nonce_lane])
            self._sequence, _ = _account(await self.chain.query("/lockgate/account", query))
        price = (await self.limits()).gas_price
        tip = await self.chain.tip()
        signer = self._credential
        public_key, sign_with, named = signer.public_key, signer.sign_with, signer.named
        transaction = Transaction(
            domain=self._domain,
            chain_id=self.chain.chain_id,
            public_key=public_key,
            nonce_lane=self.nonce_lane,
            sequence=self._sequence,
            valid_until=UnixSeconds(tip.time // NANOS_PER_SECOND + VALID_FOR_S),
            gas_limit=0,
            fee=0,
            messages=messages,
            named=named,
        )
        limit = gas.estimate(messages, len(transaction.body()))
        transaction = dataclasses.replace(transaction, gas_limit=limit, fee=limit * price)
        data = sign(transaction, self.chain.revision, sign_with)
        digest = hashlib.sha256(data).digest()
        try:
            answer = await self.chain.rpc.call("broadcast_tx_commit", tx=base64.b64encode(data).decode())
        except LockgateError as error:
            if not isinstance(error, RpcError) or STOPPED in str(error):
                # Sent or not? It is in a block soon, or it never arrived.
                found = await self._included(digest, FATE_S)
                self._sequence += 1
                return found
            if not any(words in str(error) for words in WAITING):
                raise
            answer = None
        check = {} if answer is None else answer.get("check_tx") or {}
        if not isinstance(check, dict):
            raise BadAnswer("a check's result has another shape")
        if number(check.get("code", 0)) != 0:
            if number(check["code"]) == SEQUENCE_CODE and (earlier := await self._find(digest)) is not None:
                self._sequence += 1
                return earlier  # these very bytes, sent twice on the way
            return Submitted(
                number(check["code"]), str(check.get("codespace")), str(check.get("log")), tip.height, (), ()
            )
        self._sequence += 1
        if answer is None:
            return await self._included(digest, CONFIRM_S)
        return submitted_of(answer, self.chain.revision)

    async def _included(self, digest: bytes, deadline_s: float) -> Submitted:
        """Wait until the transaction is in a block; raises ChainUnavailable when it does not come."""
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    seen = self.chain.beat
                    found = await self._find(digest)
                    if found is not None:
                        return found
                    await self.chain.pause(seen, POLL_S)
        except TimeoutError as error:
            raise ChainUnavailable("the transaction was not seen in a block", hash=digest) from error

    async def _find(self, digest: bytes) -> Submitted | None:
        try:
            return submitted_of(
                await self.chain.rpc.call("tx", hash=base64.b64encode(digest).decode()), self.chain.revision
            )
        except RpcError:
            return None  # not there, as a node says by an error


def _account(response: Mapping[str, Any]) -> tuple[int, int]:
    """Next sequence and balance."""
    found = array(response, int)
    if len(found) != 2 or not 0 <= found[0] <= MAX_SEQUENCE:
        raise BadAnswer("an account is its next sequence and its balance")
    return found[0], found[1]


def submitted_of(found: dict[str, Any], revision: int) -> Submitted:
    """A transaction's result as a node's `tx` shows it. Raises BadAnswer."""
    try:
        result = found["tx_result"]
        data = wire.TxMsgData.FromString(b64(result.get("data")))
        return Submitted(
            number(result.get("code", 0)),
            str(result.get("codespace") or ""),
            str(result.get("log") or ""),
            Height(revision, number(found["height"])),
            tuple(response.value for response in data.msg_responses),
            tuple(map(event_of, result.get("events") or ())),
        )
    except (KeyError, TypeError, AttributeError, DecodeError) as error:
        raise BadAnswer("a transaction's result has another shape") from error


__all__ = (
    "ANY_PRICE",
    "AccountSubmitter",
    "Credential",
    "PriceAboveLimit",
    "Renew",
    "Sign",
    "submitted_of",
    "unjudged",
)
