"""The main job on real input: option quotes from a guest on one ledger to a guest on the other.

Starts a deployment of its own, over a cluster that runs already where there is one, streams the quotes, and at the
end reads both ledgers back: what it prints is what they prove, not what this process remembers.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.ibc import host as ibc_host
from lockgate.node import net, up
from lockgate.node.chaos import one_at_a_time
from lockgate.node.clock import SystemClock
from lockgate.node.cometbft import address_now
from lockgate.node.config import load as load_config
from lockgate.node.engine import Engine
from lockgate.node.findings import verify
from lockgate.node.folder import Folder, writing
from lockgate.node.ledgers import Ledgers
from lockgate.node.net import Record
from lockgate.node.outbox import outbox
from lockgate.node.packets import ByPlace
from lockgate.node.prove import build
from lockgate.node.provision import open_chain
from lockgate.node.quotes import Quote, batches, describe
from lockgate.node.socket import call
from lockgate.node.spawner import Spawner
from lockgate.node.spec import Spec
from lockgate.node.trace import Tracer
from lockgate.primitives.errors import Unavailable
from lockgate.primitives.ids import ClientId
from lockgate.relay.rpc import Rpc

PER_COMMAND: Final = 32
MOST_OPEN: Final = 192  # below the 256 that one grant lets wait in an inbox (P15)
TIMEOUT_S: Final = 600
SETTLE_S: Final = 300.0
FIRST: Final = "alpha"  # of the two ledgers
SAMPLE: Final = 5  # bundles verified offline at the end
Say = Callable[[str], None]


class NotSettled(Unavailable):
    code = "demo.not_settled"
    summary = "Some messages have not ended in the time the demo waits."
    untouched = "They go on: every packet ends by an answer or a timeout."
    next_step = "Look at the logs in the data folder, or `lockgate relay status`."


@dataclass(slots=True)
class Tally:
    """What the ledgers and hosts show at the end."""

    sent: int = 0
    delivered: int = 0
    acknowledged: int = 0
    refused: int = 0
    timed_out: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    first_s: float = 0.0
    total_s: float = 0.0
    bundles: int = 0
    verified: int = 0
    killed: int = 0  # validators, each started again

    @property
    def lost(self) -> int:
        return self.sent - self.acknowledged - self.refused - self.timed_out

    def line(self) -> str:
        return (
            f"sent {self.sent} · delivered {self.delivered} · acknowledged {self.acknowledged} · "
            f"refused {self.refused} · lost {self.lost} · solved {self.answers['solved']} · "
            f"no solution {self.answers['no solution']} · expired {self.answers['expired']}"
        )


async def run(
    folder: Folder,
    quotes: list[Quote],
    bundles: Path,
    say: Say,
    progress: Callable[[int, int], None],
    spawner: Spawner | None = None,
    age_s: float = 0.0,
    engine: Engine = Engine.EMBEDDED,
    chaos: bool = False,
) -> Tally:
    """Run the whole demo in `folder`. Raises NotSettled when a message does not end in time.

    `engine` orders the blocks of the first ledger; the second one is embedded. With `chaos` one validator of it after
    the other is killed meanwhile. The tally's times count from the start of the command, which was `age_s` ago.
    """
    begun = time.monotonic() - age_s
    running = await up.start(folder, _spec(engine), say, lambda *_: None, spawner, by="demo")
    tally, over = Tally(), asyncio.Event()
    socket = folder.host("sender") / "host.sock"
    watching = asyncio.create_task(_first(socket, begun, tally))
    killing = asyncio.create_task(_kill(folder, over, tally)) if chaos else None
    try:
        say(f"{len(quotes)} quotes")
        # The first quote goes alone: nobody waits for a whole batch to see that it works.
        for batch in (quotes[:1], *batches(quotes[1:], PER_COMMAND)):
            command = {"send": {"to": "solver", "timeout": TIMEOUT_S, "quotes": [q.encode() for q in batch]}}
            await call(socket, "command", input=cbor.encode(command).hex())
            tally.sent += len(batch)
            while tally.sent - (ended := await _ended(socket)) > MOST_OPEN:
                progress(ended, len(quotes))
                await asyncio.sleep(0.1)
        await _settle(socket, len(quotes), progress)
        await watching
        tally.total_s = time.monotonic() - begun
        over.set()
        if killing is not None:
            say("the last validator comes back")
            await killing
        say("reading both ledgers back")
        rows = await outbox(socket)
        await _read_back(running, rows, tally)
        say("proof bundles")
        await _bundles(folder, rows, bundles, tally)
    finally:
        tasks = [task for task in (watching, killing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await running.stop()
    return tally


def _spec(engine: Engine) -> Spec:
    first, *others = Spec().ledgers
    return replace(Spec(), ledgers=(replace(first, engine=engine), *others))


def borrow(folder: Folder, record: Record, owner: Folder) -> None:
    """Make the cluster that runs in another folder this folder's first ledger, with what opens its keys."""
    with writing(folder.root):
        folder.ledger(FIRST).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.ledger(FIRST).symlink_to(owner.ledger(record.ledger))
        (folder.root / "passphrase").symlink_to(owner.root / "passphrase")


async def _kill(folder: Folder, over: asyncio.Event, tally: Tally) -> None:
    tally.killed = await one_at_a_time(await net.find(folder, FIRST), over)


async def _first(socket: Path, begun: float, tally: Tally) -> None:
    while not tally.first_s:
        status = await call(socket, "status")
        if status["sent"]["acknowledged"] or status["sent"]["refused"]:
            tally.first_s = time.monotonic() - begun
        await asyncio.sleep(0.05)


async def _ended(socket: Path) -> int:
    sent = (await call(socket, "status"))["sent"]
    return int(sent["acknowledged"] + sent["refused"] + sent["timed_out"])


async def _settle(socket: Path, total: int, progress: Callable[[int, int], None]) -> None:
    deadline = time.monotonic() + SETTLE_S
    while (ended := await _ended(socket)) < total:
        progress(ended, total)
        if time.monotonic() > deadline:
            raise NotSettled("messages are open", ended=ended, sent=total)
        await asyncio.sleep(0.2)
    progress(total, total)


async def _read_back(running: up.Running, rows: list[dict[str, Any]], tally: Tally) -> None:
    """Count from the ledgers: receipts on the receiver's, commitments gone from the sender's."""
    config = load_config(running.folder.host("sender") / "endpoint.json")
    peer = config.peers["solver"]
    ledgers = [Rpc(partial(address_now, running.folder, name)) for name in ("alpha", "beta")]
    async with ledgers[0] as rpc_a, ledgers[1] as rpc_b:
        alpha, beta = await open_chain(rpc_a), await open_chain(rpc_b)
        prefix = ibc_host.packet_commitment(peer.local_client, 0)[:-8]
        open_commitments = set(await alpha.keys("ibc", prefix, prefix + b"\xff" * 9))
        receipt = ibc_host.packet_receipt(peer.remote_client, 0)[:-8]
        receipts = set(await beta.keys("ibc", receipt, receipt + b"\xff" * 9))
    for row in rows:
        if ibc_host.packet_receipt(peer.remote_client, row["sequence"]) in receipts:
            tally.delivered += 1
        if ibc_host.packet_commitment(peer.local_client, row["sequence"]) in open_commitments:
            continue
        if row["state"] == "acknowledged":
            tally.acknowledged += 1
            tally.answers[describe(bytes.fromhex(row["reply"]))[0]] += 1
        elif row["state"] == "refused":
            tally.refused += 1
        elif row["state"] == "timed_out":
            tally.timed_out += 1


async def _bundles(folder: Folder, rows: list[dict[str, Any]], out: Path, tally: Tally) -> None:
    out.mkdir(parents=True, exist_ok=True)
    done = [row for row in rows if row["state"] == "acknowledged"]
    step = max(len(done) // SAMPLE, 1)
    async with Ledgers(folder) as ledgers:
        tracer = Tracer(ledgers, SystemClock())
        for row in done[::step][:SAMPLE]:
            life = await tracer.life(ByPlace("alpha", ClientId(row["client"]), row["sequence"]))
            path = out / f"{row['client']}-{row['sequence']}.bundle"
            path.write_bytes(await build(life, folder))
            tally.bundles += 1
            verify(path.read_bytes())
            tally.verified += 1
