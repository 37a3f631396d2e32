"""Signs and submits transactions to a ledger of ours, one account and nonce lane per submitter (I3).

One writer per (account, nonce lane): transactions are submitted one at a time, the sequence is kept
here and read again from the ledger whenever the two disagree. A submission whose fate is unknown is
never repeated blindly: the sequence on the ledger says whether it went in.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.courier.ports import ChainUnavailable, Submitted
from lockgate.machine import gas
from lockgate.machine.accounts import account_id
from lockgate.machine.transaction import SUITE_ED25519, Message, Transaction, sign
from lockgate.primitives.ids import AccountId, DomainId, Height
from lockgate.primitives.state import Event
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import RpcError, b64, number

VALID_FOR_S: Final = 120  # of ledger time; a lost transaction cannot come back after it
CONFIRM_S: Final = 30.0
POLL_S: Final = 0.02
SEQUENCE_CODES: Final = frozenset({5})
RETRIES: Final = 3


class AccountSubmitter:
    """Meets `courier.ports.Submitter`. `sign_with` maps bytes to an Ed25519 signature."""

    def __init__(
        self,
        chain: CometBftChain,
        domain: DomainId,
        public_key: bytes,
        sign_with: Callable[[bytes], bytes],
        nonce_lane: int,
    ) -> None:
        self.chain = chain
        self._domain = domain
        self._public_key = public_key
        self._sign_with = sign_with
        self._nonce_lane = nonce_lane
        self._account = account_id(SUITE_ED25519, public_key)
        self._sequence: int | None = None
        self._turn = asyncio.Lock()

    @property
    def signer(self) -> AccountId:
        return self._account

    async def submit(self, messages: Sequence[Message], /) -> Submitted:
        """Submit one atomic transaction and wait until it is in a block.

        A refusal by the ledger is a `Submitted` with a code; ChainUnavailable means the fate is
        unknown, and the next call reads the sequence from the ledger first.
        """
        async with self._turn:
            for attempt in range(RETRIES):
                try:
                    done = await self._once(tuple(messages))
                except BaseException:
                    self._sequence = None
                    raise
                if done.codespace == "lockgate" and done.code in SEQUENCE_CODES and attempt < RETRIES - 1:
                    self._sequence = None
                    continue
                return done
        raise AssertionError("unreachable")

    async def _once(self, messages: tuple[Message, ...]) -> Submitted:
        if self._sequence is None:
            query = cbor.encode([self._account, self._nonce_lane])
            answer: Any = cbor.decode(b64((await self.chain.query("/lockgate/account", query)).get("value")))
            self._sequence = int(answer[0])
        tip = await self.chain.tip()
        transaction = Transaction(
            domain=self._domain,
            chain_id=self.chain.chain_id,
            public_key=self._public_key,
            nonce_lane=self._nonce_lane,
            sequence=self._sequence,
            valid_until=UnixSeconds(tip.time // NANOS_PER_SECOND + VALID_FOR_S),
            gas_limit=0,
            fee=0,
            messages=messages,
        )
        limit = gas.estimate(messages, len(transaction.body()))
        transaction = dataclasses.replace(transaction, gas_limit=limit)
        data = sign(transaction, self.chain.revision, self._sign_with)
        check = await self.chain.rpc.call("broadcast_tx_sync", tx=base64.b64encode(data).decode())
        if number(check.get("code", 0)) != 0:
            height = tip.height
            return Submitted(number(check["code"]), str(check.get("codespace")), str(check.get("log")), height, (), ())
        self._sequence += 1
        return await self._included(hashlib.sha256(data).digest())

    async def _included(self, digest: bytes) -> Submitted:
        encoded = base64.b64encode(digest).decode()
        try:
            async with asyncio.timeout(CONFIRM_S):
                while True:
                    try:
                        found = await self.chain.rpc.call("tx", hash=encoded)
                    except RpcError:
                        await asyncio.sleep(POLL_S)
                        continue
                    return _submitted(found, self.chain.revision)
        except TimeoutError as error:
            raise ChainUnavailable("the transaction was not seen in a block", hash=digest) from error


def _submitted(found: dict[str, Any], revision: int) -> Submitted:
    result = found["tx_result"]
    data = wire.TxMsgData.FromString(b64(result.get("data")))
    events = tuple(
        Event(str(e["type"]), tuple((str(a["key"]), str(a.get("value") or "")) for a in e["attributes"]))
        for e in result.get("events") or ()
    )
    return Submitted(
        number(result.get("code", 0)),
        str(result.get("codespace") or ""),
        str(result.get("log") or ""),
        Height(revision, number(found["height"])),
        tuple(response.value for response in data.msg_responses),
        events,
    )
