"""Keys replaced under load: the p95 of a message's life while a key of each kind rotates, against before it.

Two settings. *Packets*: two ledgers of one signer, an application that answers at once and one relayer, in one process
and on one core, 200 packets offered a second, or half of it and so on until the machine keeps up; accounts, authority
and signer rotate. *Messages*: a deployment as `up` starts it, in processes of its own, two hosts that talk in sessions,
callers that each wait for their answer; every kind rotates, and the rate is what the machine gives. A life ends when
its acknowledgement is on the sender's ledger, or its answer at the caller. No message may be lost in either.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.account_keys import key, rotation
from tests.support.authorities import succeeding
from tests.support.relays import RELAY_LANE, START, Answering, Pair, account, relaying

from bench.report import full_or, keep, machine, shown, spread
from lockgate.crypto import ed25519
from lockgate.engines.embedded.service import LedgerService
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.ledgers import LabLedger, lab_authority
from lockgate.lab.paths import End, connect
from lockgate.machine import handover
from lockgate.machine.transaction import Message
from lockgate.node import collector, keys, up
from lockgate.node.api import Connection
from lockgate.node.api import connect as talk
from lockgate.node.folder import Folder
from lockgate.node.spec import HostSpec, LedgerSpec, Spec
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.driver import EndPoint, Relayer
from lockgate.relay.submitter import AccountSubmitter, Sign

RATES = (200, 100, 50, 25)  # packets offered a second: the first of which the machine keeps up with
KEPT_UP = 0.95  # of what is offered ends in the same time
TICK_S = 0.05
ROUNDS = full_or(5, 1)
BEFORE_S = full_or(5.0, 1.5)
AFTER_S = 1.0  # what a rotation leaves behind shows within it
CALLERS = 16
SETTLE_S = 60.0
KINDS = ("sender's account", "relayer's account", "authority", "signer")
DEPLOYED = (
    ("host/one", ""),
    ("host/two", ""),
    ("relay/alpha-beta", "account"),
    ("ledger/alpha", "operator"),
    ("ledger/alpha", "authority"),
    ("ledger/alpha", "validator"),
)


@dataclass
class Lives:
    """When each message was sent, by the clock, and how long it lived."""

    sent: list[float] = field(default_factory=list)
    ended: list[tuple[float, float]] = field(default_factory=list)

    async def until_ended(self, begin: float, end: float) -> None:
        """Wait until all that was sent in between has ended."""
        async with asyncio.timeout(SETTLE_S):
            while True:
                ended = sum(begin <= sent < end for sent, _ in self.ended)
                if ended >= sum(begin <= sent < end for sent in self.sent):
                    return
                await asyncio.sleep(0.02)

    def p95_ms(self, begin: float, end: float) -> float:
        lives = sorted(life for sent, life in self.ended if begin <= sent < end)
        return 1e3 * lives[min(len(lives) - 1, int(0.95 * len(lives)))]

    def rate(self, begin: float, end: float) -> float:
        return sum(begin <= sent + life < end for sent, life in self.ended) / (end - begin)


@dataclass
class Packets:
    """Two ledgers with what can rotate on them, a relayer between, and a sender."""

    pair: Pair
    relayer: Relayer
    rate: int
    lives: Lives = field(default_factory=Lives)
    relayed_under: ed25519.SigningKey = field(default_factory=lambda: account("relayer").key)

    @classmethod
    def make(cls, rate: int) -> Packets:
        clock, gov = SimulatedClock(START), lab_authority("authority")
        ledgers = [
            LabLedger(name, clock, authority=(gov.key,), spares=1, applications={"app": Answering()})
            for name in ("alpha-1", "beta-1")
        ]
        a, b = (End(ledger, account(f"operator {ledger.genesis.chain_id}")) for ledger in ledgers)
        connect(a, b, lane=False)
        pair = Pair(clock, a, b, [LedgerService(ledger.chain, heartbeat_s=0.1) for ledger in ledgers])
        made = cls(pair, None, rate)  # type: ignore[arg-type]  # made of it below
        ends = [EndPoint(by.chain, by, ClientId(end.client), own_lane=False) for end, by in made.submitters(RELAY_LANE)]
        made.relayer = Relayer(ends[0], ends[1], lambda *_: None, SeededEntropy(b"bench"))
        return made

    def submitters(self, lane: int) -> list[tuple[End, AccountSubmitter]]:
        """The relayer's account on both ledgers."""

        async def renew() -> tuple[bytes, Sign]:
            return self.relayed_under.public_key, self.relayed_under.sign

        found = []
        for end in (self.pair.a, self.pair.b):
            chain = CometBftChain(self.pair.rpc(end), end.ledger.genesis.chain_id)
            first, domain = account("relayer").key, end.ledger.genesis.domain_id
            found.append((end, AccountSubmitter(chain, domain, first.public_key, first.sign, lane, renew=renew)))
        return found

    async def send(self) -> None:
        """Offer packets at the rate, whatever becomes of them."""
        begun = time.perf_counter()
        while True:
            due = int((time.perf_counter() - begun) * self.rate) - len(self.lives.sent)
            if due > 0:
                self.pair.send(due, timeout_s=7_200)
                self.lives.sent += [time.perf_counter()] * due
            await asyncio.sleep(TICK_S)

    async def watch(self) -> None:
        async for block in self.pair.services[0].blocks():
            for result in block.results.transactions:
                for event in result.events:
                    if event.type == "acknowledge_packet":
                        sent = self.lives.sent[int(event.get("packet_sequence") or 0) - 1]
                        self.lives.ended.append((sent, time.perf_counter() - sent))

    async def rotate(self, kind: str) -> None:
        await {
            "": self._nothing,
            "sender's account": self._sender,
            "relayer's account": self._relayer,
            "authority": self._authority,
            "signer": self._signer,
        }[kind]()

    async def _nothing(self) -> None:
        await asyncio.sleep(AFTER_S)

    async def _sender(self) -> None:
        ledger, holder = self.pair.a.ledger, self.pair.a.account
        await self._included(ledger.signed(holder, [rotation(ledger, holder.id, 1, "sender 1", "sender 2", 10)]))
        holder.key = key("sender 1")  # what waits was signed by the one before, and an overlap of ten blocks is for it

    async def _relayer(self) -> None:
        submitters = self.submitters(RELAY_LANE + 32)
        self.relayed_under = key("relayer 1")
        for end, by in submitters:
            done = await by.submit([rotation(end.ledger, by.signer, 1, "relayer 1", "relayer 2")])
            assert not done.code, done.log

    async def _authority(self) -> None:
        gov, successors = lab_authority("authority"), [lab_authority(f"authority {index}") for index in (1, 2)]
        await self._announced("authority_rotated", "gov.announce", succeeding(self.pair.a.ledger, gov, *successors))

    async def _signer(self) -> None:
        ledger = self.pair.a.ledger
        old, new = ledger.keys[0].public_key, ledger.spares[0]
        signed = handover.possession_bytes(old, new.public_key, ledger.chain.machine.domain, ledger.revision)
        arguments = {"public_key": new.public_key, "possession": new.sign(signed)}
        await self._announced("validators_changed", "gov.announce", {"action": handover.ROTATE, "arguments": arguments})

    async def _announced(self, what: str, name: str, fields: dict[str, Any]) -> None:
        ledger = self.pair.a.ledger
        message: Message = ledger.authorized(lab_authority("authority"), name, fields)
        blocks = self.pair.services[0].blocks()
        done = asyncio.create_task(_seen(blocks, what))
        await asyncio.sleep(0)
        await self._included(ledger.signed(ledger.clerk, [message]))
        await done

    async def _included(self, data: bytes) -> None:
        service = self.pair.services[0]
        digest, result = service.submit(data)
        assert not result.code, result.log
        block, number = await service.included(digest)
        assert not block.results.transactions[number].code, block.results.transactions[number].log


async def _seen(blocks: AsyncIterator[Any], what: str) -> None:
    async for block in blocks:
        if any(event.type == what for event in block.results.events):
            return


async def packets(kind: str, rate: int) -> dict[str, float]:
    """One round: load, a rotation of a kind in the middle of it (none of none), and everything ends."""
    world = Packets.make(rate)
    async with world.pair.running(), relaying(world.relayer):
        await world.relayer.ready.wait()
        watching = asyncio.create_task(world.watch())
        await asyncio.sleep(0)
        sending = asyncio.create_task(world.send())
        found = await _measured(world.lives, lambda: world.rotate(kind))
        sending.cancel()
        await world.pair.until(lambda: len(world.lives.ended) == len(world.lives.sent), SETTLE_S)
        watching.cancel()
        await asyncio.gather(watching, sending, return_exceptions=True)
    assert len(world.pair.received()) == len(world.lives.sent), "lost 0, none twice"
    return found


async def _measured(lives: Lives, rotate: Callable[[], Awaitable[object]]) -> dict[str, float]:
    async with asyncio.timeout(5 * SETTLE_S):  # callers whose message ended in no answer call no more
        return await _in_turn(lives, rotate)


async def _in_turn(lives: Lives, rotate: Callable[[], Awaitable[object]]) -> dict[str, float]:
    await asyncio.sleep(BEFORE_S / 2)  # cold caches, and a relayer that begins
    begun = time.perf_counter()
    await asyncio.sleep(BEFORE_S)
    while len([sent for sent in lives.sent if sent >= begun]) < CALLERS:
        await asyncio.sleep(0.05)
    rotating = time.perf_counter()
    await rotate()
    took = time.perf_counter() - rotating
    await asyncio.sleep(AFTER_S)
    while len([sent for sent in lives.sent if sent >= rotating]) < CALLERS:
        await asyncio.sleep(0.05)
    over = time.perf_counter()
    await lives.until_ended(begun, over)
    before, during = lives.p95_ms(begun, rotating), lives.p95_ms(rotating, over)
    rate = lives.rate(begun, rotating)
    print(f"{rate:4.0f} a second: {before:.0f} ms before, {during:.0f} while it rotates for {took:.1f} s", flush=True)
    return {"before_ms": before, "during_ms": during, "ratio": during / before, "rate": rate, "took_s": took}


@asynccontextmanager
async def deployment() -> AsyncIterator[tuple[Folder, Connection]]:
    """Two hosts that echo, over two ledgers and a relayer, each a process."""
    spec = Spec(
        ledgers=(LedgerSpec("alpha", "alpha-1", heartbeat=0.5), LedgerSpec("beta", "beta-1", heartbeat=0.5)),
        hosts=(HostSpec("one", "alpha", "echo", ("two",)), HostSpec("two", "beta", "echo", ("one",))),
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(Path(place) / "data")
        running = await up.start(folder, spec, lambda _: None, lambda *_: None, by="bench")
        try:
            async with talk(folder.root, "one") as one:
                yield folder, one
        finally:
            await running.stop()


async def messages() -> dict[str, list[dict[str, float]]]:
    """Every kind in turn, under the same callers."""
    found: dict[str, list[dict[str, float]]] = {}
    async with deployment() as (folder, one):
        lives, over = Lives(), asyncio.Event()

        async def caller() -> None:
            while not over.is_set():
                sent = time.perf_counter()
                lives.sent.append(sent)
                await one.call("two", b"x" * 256)  # raises what a message ends in that is no answer
                lives.ended.append((sent, time.perf_counter() - sent))

        await one.call("two", b"first")
        callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
        for _ in range(full_or(3, 1)):
            for party, name in DEPLOYED:
                row = await _measured(lives, lambda party=party, name=name: keys.rotate(folder, party, name))  # type: ignore[misc]  # mypy infers no defaults of a lambda
                found.setdefault(f"{party} {name}".rstrip(), []).append(row)
        over.set()
        async with asyncio.timeout(SETTLE_S):
            await asyncio.gather(*callers)
    return found


def run() -> bool:
    """Measure, print, and write bench/results/rotation.json."""
    collector.settle()
    rows: dict[str, list[dict[str, float]]] = {}
    rate = next((rate for rate in RATES if asyncio.run(packets("", rate))["rate"] >= KEPT_UP * rate), RATES[-1])
    for kind in KINDS:
        rows[f"packets: {kind}"] = [asyncio.run(packets(kind, rate)) for _ in range(ROUNDS)]
    rows |= {f"messages: {kind}": each for kind, each in asyncio.run(messages()).items()}
    report = {"machine": machine(), "offered_packets_per_s": rate, "callers": CALLERS, "rows": rows}
    table = [
        "| what rotates | a second | p95 before, ms | while it rotates, ms | ratio | the rotation takes, s |",
        "|---|---|---|---|---|---|",
    ]
    for kind, each in rows.items():
        cells = [shown(spread([row[name] for row in each]), digits) for name, digits in COLUMNS]
        table.append(f"| {kind} | {' | '.join(cells)} |")
    keep("rotation", report, table)
    return True


COLUMNS = (("rate", 0), ("before_ms", 0), ("during_ms", 0), ("ratio", 2), ("took_s", 1))

if __name__ == "__main__":
    sys.exit(0 if run() else 1)
