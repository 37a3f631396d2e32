"""An ibc-go chain as a process of its own, a ledger of ours in this one, and clients of each other."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lockgate.codec.type_urls import MSG_SEND_PACKET
from lockgate.codec.wire import cosmos_pb2
from lockgate.courier.ports import Submitted
from lockgate.crypto import ed25519
from lockgate.engines.embedded.service import LedgerService
from lockgate.ibc import host, ics20, wire
from lockgate.ibc.packet import Payload
from lockgate.ibc.ports import Accepted, Call, Reception, Rejected
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.ledgers import LabLedger, lab_authority
from lockgate.lab.rpc import LabRpc
from lockgate.machine.transaction import Message
from lockgate.merkle.varint import uvarint
from lockgate.node.clock import SystemClock
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos, UnixSeconds
from lockgate.relay import pairing
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.chains.cosmos import CosmosChain
from lockgate.relay.chains.cosmos_submitter import CosmosSubmitter
from lockgate.relay.chains.cosmos_tx import CosmosKey
from lockgate.relay.driver import EndPoint, Relayer
from lockgate.relay.rpc import Rpc, b64
from lockgate.relay.submitter import AccountSubmitter

BINARY = Path(__file__).resolve().parents[2] / ".venv-tools" / "ibcgochain"
PATIENCE_S = 60.0  # for a process on a busy machine
NAMES = ("operator", "user", "relayer")
MOCK = ("mockv2A", "mockv2B", "mock-version", "application/x-protobuf")  # applications that SimApp ships with


def key(name: str) -> CosmosKey:
    return CosmosKey.of(hashlib.sha256(name.encode()).digest())


@dataclass(frozen=True)
class GoChain:
    """A running chain: where its RPC is, and whom it funded."""

    home: Path
    chain_id: str
    rpc: str
    operator: str  # of the validator
    accounts: dict[str, str]


@contextlib.contextmanager
def go_chain(home: Path, chain_id: str) -> Iterator[GoChain]:
    """Create and run one; it ends with the block."""
    keys = [part for name in NAMES for part in ("--key", hashlib.sha256(name.encode()).hexdigest())]
    create: list[str | Path] = [BINARY, "create", "--home", home, "--chain-id", chain_id, *keys]
    made = json.loads(subprocess.run(create, check=True, capture_output=True, timeout=PATIENCE_S).stdout)
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [BINARY, "run", "--home", home], stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready, (home / "log").read_text()[-2_000:]
        accounts = dict(zip(NAMES, made["accounts"], strict=True))
        yield GoChain(home, chain_id, json.loads(ready)["rpc"], made["operator"], accounts)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class PlainGuest:
    """Receives ICS-20 data and moves no value: keeps who was to get what, and refuses the receiver `nobody`."""

    def __init__(self) -> None:
        # By sequence: a transaction is run when it is checked and again in its block.
        self.got: dict[int, ics20.TransferData] = {}
        self.ended: dict[int, bytes | None] = {}  # acknowledgement, or None for a timeout

    def on_send(self, view: View, call: Call, /) -> Outcome:
        return Outcome()

    def on_receive(self, view: View, call: Call, /) -> Reception:
        try:
            data = ics20.decode(call.payload.value, call.payload.encoding)
            ics20.check(data)
        except LockgateError as refusal:
            return Rejected(refusal.code)
        if data.receiver == "nobody":
            return Rejected("guest.refused")
        self.got[call.packet.sequence] = data
        return Accepted(ics20.SUCCESS_ACKNOWLEDGEMENT)

    def on_acknowledgement(self, view: View, call: Call, acknowledgement: bytes, /) -> Outcome:
        self.ended[call.packet.sequence] = acknowledgement
        return Outcome()

    def on_timeout(self, view: View, call: Call, /) -> Outcome:
        self.ended[call.packet.sequence] = None
        return Outcome()


@dataclass
class Meeting:
    """Both ledgers, read and written through the adapters, and a client of each on the other."""

    go: GoChain
    ledger: LabLedger
    guest: PlainGuest
    ours: CometBftChain
    theirs: CosmosChain
    mine: AccountSubmitter  # our user's account
    user: CosmosSubmitter
    our_client: ClientId = ClientId("")  # on our ledger, follows theirs
    their_client: ClientId = ClientId("")
    reports: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def relaying(self) -> AsyncIterator[Relayer]:
        """A relayer between the two, for as long as the block runs."""
        relayer = self.relayer()
        task = asyncio.create_task(relayer.run())
        try:
            await asyncio.wait_for(relayer.ready.wait(), PATIENCE_S)
            yield relayer
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def relayer(self) -> Relayer:
        here = self.account("relayer")
        there = CosmosSubmitter(self.theirs, key("relayer"))
        return Relayer(
            EndPoint(self.ours, here, self.our_client, own_lane=False),
            EndPoint(self.theirs, there, self.their_client, own_lane=False),
            lambda kind, fields: self.reports.append((kind, fields)),
            SeededEntropy(b"meeting"),
        )

    def account(self, name: str) -> AccountSubmitter:
        signer = ed25519.SigningKey(hashlib.sha256(name.encode()).digest())
        return AccountSubmitter(self.ours, self.ledger.genesis.domain_id, signer.public_key, signer.sign, 0)

    async def timeout(self, seconds: int = 3_600) -> UnixSeconds:
        """So many seconds after the later ledger's time."""
        tips = [(await chain.tip()).time for chain in (self.ours, self.theirs)]
        return UnixSeconds(max(tips) // NANOS_PER_SECOND + seconds)

    async def send_there(self, payload: Payload, seconds: int = 3_600, count: int = 1) -> Submitted:
        """Our user sends."""
        message = send(self.our_client, await self.timeout(seconds), payload, self.mine.signer)
        return ok(await self.mine.submit([message] * count))

    async def send_here(self, payload: Payload, seconds: int = 3_600, count: int = 1) -> Submitted:
        """Their user sends."""
        message = send(self.their_client, await self.timeout(seconds), payload, self.user.signer)
        return ok(await self.user.submit([message] * count))

    async def open_there(self) -> list[int]:
        """Sequences their chain has sent that have not ended."""
        return sorted(await self.theirs.outstanding(self.their_client))

    async def open_here(self) -> list[int]:
        return sorted(await self.ours.outstanding(self.our_client))

    async def settled(self) -> None:
        """Wait until nothing either ledger sent is open."""
        await until(self._nothing_open)

    async def _nothing_open(self) -> bool:
        return not await self.open_here() and not await self.open_there()

    async def past(self, timeout: UnixSeconds) -> bool:
        """Are both ledgers' newest headers at or after it?"""
        tips = [(await chain.tip()).time for chain in (self.ours, self.theirs)]
        return min(tips) // NANOS_PER_SECOND >= timeout

    async def balance(self, address: str, denom: str) -> int:
        """What an account of their chain holds."""
        request = text(1, address) + text(2, denom)
        answer = await self.theirs.query("/cosmos.bank.v1beta1.Query/Balance", request)
        coin = cosmos_pb2.Coin.FromString(cosmos_pb2.TxRaw.FromString(b64(answer.get("value"))).body_bytes)
        return int(coin.amount or 0)

    async def answer_here(self, sequence: int) -> bytes | None:
        """The acknowledgement commitment our ledger holds for a packet of theirs."""
        return self.ledger.chain.view().get("ibc", host.packet_acknowledgement(self.our_client, sequence))

    async def answer_there(self, sequence: int) -> bytes | None:
        found = await self.theirs.acknowledged(self.their_client, [sequence])
        return found.get(sequence)


def transfer(denom: str, amount: int, sender: str, receiver: str, encoding: str = ics20.PROTOBUF) -> Payload:
    data = ics20.TransferData(denom=denom, amount=amount, sender=sender, receiver=receiver)
    return Payload(
        source_port=ics20.PORT,
        destination_port=ics20.PORT,
        version=ics20.VERSION,
        encoding=encoding,
        value=ics20.encode(data, encoding),
    )


def mock(body: bytes, source_port: str = MOCK[0]) -> Payload:
    return Payload(source_port=source_port, destination_port=MOCK[1], version=MOCK[2], encoding=MOCK[3], value=body)


def send(client: ClientId, timeout: UnixSeconds, payload: Payload, signer: str) -> Message:
    return MSG_SEND_PACKET, wire.encode_send(wire.SendMessage(client, timeout, (payload,), signer))


def text(number: int, value: str | bytes) -> bytes:
    """A protobuf field of messages that only tests speak."""
    data = value.encode() if isinstance(value, str) else value
    return uvarint(number << 3 | 2) + uvarint(len(data)) + data


def delegate(delegator: str, validator: str, amount: int) -> Message:
    coin = cosmos_pb2.Coin(denom="stake", amount=str(amount)).SerializeToString()
    return "/cosmos.staking.v1beta1.MsgDelegate", text(1, delegator) + text(2, validator) + text(3, coin)


def ok(done: Submitted) -> Submitted:
    assert done.code == 0, (done.codespace, done.code, done.log)
    return done


async def until(holds: Callable[[], object], deadline_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + deadline_s
    while True:
        held = holds()
        if asyncio.iscoroutine(held):
            held = await held
        if held:
            return
        assert time.monotonic() < end, "it took too long"
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def meeting(
    go: GoChain,
    *,
    name: str = "lock-1",
    trusting: DurationNanos = pairing.TRUSTING,
    validators: int = 4,
    lane: bool = False,
) -> AsyncIterator[Meeting]:
    """A fresh ledger of ours beside a running chain, with new clients both ways and counterparties."""
    guest = PlainGuest()
    ledger = LabLedger(
        name, SystemClock(), validators=validators, authority=(lab_authority("gov").key,),
        applications={ics20.PORT: guest},
    )  # fmt: skip
    service = LedgerService(ledger.chain, heartbeat_s=0.25)
    running = asyncio.create_task(service.run())
    try:
        async with Rpc(go.rpc) as rpc:
            ours, theirs = CometBftChain(LabRpc.of(service), name), CosmosChain(rpc, go.chain_id)
            await theirs.header_at_least(2)
            user = CosmosSubmitter(theirs, key("user"))
            signer = ed25519.SigningKey(hashlib.sha256(b"user").digest())
            mine = AccountSubmitter(ours, ledger.genesis.domain_id, signer.public_key, signer.sign, 0)
            met = Meeting(go, ledger, guest, ours, theirs, mine, user)
            terms = pairing.Terms(trusting=trusting)
            met.our_client, met.their_client = await pairing.pair((ours, mine), (theirs, user), terms)
            if lane:
                await pairing.open_foreign_lane((ours, mine), met.our_client, theirs, met.their_client)
            yield met
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
