"""A running host: one endpoint's guest, driven by what its own light clients prove.

Work comes as items: an inbox entry, a message of ours that ended, a command, a direct send. Each item
runs on the state that the items before it left, as a staged version; a batch of steps goes to the
ledger as one transaction, each step a compare-and-swap on the root the one before it left (P1). Only
when this host has proven the last root does the batch become the endpoint's state; otherwise every
staged version is discarded and the items are looked at again.

An item that cannot be proven is kept and tried again later, ever less often; it stops nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from lockgate.crypto.ports import Encapsulator
from lockgate.envelope.bulk import BODY_SCHEMA
from lockgate.host import ports as guest_ports
from lockgate.host.keyring import KeyCabinet, KeyRing
from lockgate.host.recovery import Fenced
from lockgate.host.sealing import schema_name
from lockgate.host.staging import GuestTree
from lockgate.hosting.acquaintances import HostAcquaintances
from lockgate.hosting.arrivals import Arrivals
from lockgate.hosting.asked import Asked, sendable
from lockgate.hosting.bulk import Bulk, BulkComing, NoChannel
from lockgate.hosting.config import HostConfig
from lockgate.hosting.endings import Endings
from lockgate.hosting.epochs import Epochs
from lockgate.hosting.fencing import Fencing
from lockgate.hosting.forks import Evidence, Forks
from lockgate.hosting.handshakes import Handshakes
from lockgate.hosting.peers import Peers
from lockgate.hosting.posting import Posting
from lockgate.hosting.queue import Queue
from lockgate.hosting.reader import Distrusted, ProvenReader, TwoHistories
from lockgate.hosting.rotation import Rotation
from lockgate.hosting.rules import Rules, RulesChanged
from lockgate.hosting.sessions import ForgetfulVault, SessionComing, Sessions, Vault
from lockgate.hosting.steps import Steps
from lockgate.hosting.traffic import Traffic
from lockgate.hosting.work import Decision, Item, Parts, Report, Staged, StepRefused
from lockgate.ibc.packet import Payload
from lockgate.lightclients.follower import TrustExpired
from lockgate.primitives.errors import LockgateError, Misuse, PeerFault, Unavailable
from lockgate.primitives.ports import Clock, Rng
from lockgate.relay.submitter import AccountSubmitter
from lockgate.storage.host import HostStore

BATCH: Final = 32  # steps per transaction
REST_S: Final = 5.0  # an idle host looks this often although no block was announced
RETRY_S: Final = 1.0
STATES: Final = ("sent", "acknowledged", "refused", "timed_out")


class Host:
    """One endpoint. `run` recovers, takes the fence, and works until cancelled, fenced off or betrayed.

    Whoever drives it by hand calls `start` once and then `turn`, again and again.
    """

    def __init__(
        self,
        config: HostConfig,
        store: HostStore,
        tree: GuestTree,
        guest: guest_ports.Guest,
        keys: KeyRing,
        encapsulator: Encapsulator,
        readers: dict[str, ProvenReader],
        submitter: AccountSubmitter,
        clock: Clock,
        rng: Rng,
        evidence: Evidence,
        report: Report,
        bulk: Bulk | None = None,
        *,
        cabinet: KeyCabinet | None = None,
        vault: Vault | None = None,
    ) -> None:
        """`cabinet` holds keys that may be rotated; without a `vault`, sessions end here. Raises RulesNotPinned."""
        self.config = config
        self.store = store
        self.guest = guest
        self.sessions = Sessions(vault or ForgetfulVault(), rng, required=config.sessions, limits=config.epochs)
        self.parts = Parts(config, store, tree, guest, keys, encapsulator, clock, rng, report, self.sessions)
        self._readers = readers
        self.rules = Rules(config, readers, clock, report)
        self.peers = Peers(config, readers, clock, self.rules)
        self.reader = readers[config.local.name]
        self.bulk = bulk
        self.fenced: LockgateError | None = None
        self.ready = asyncio.Event()
        self._steps = Steps(self.parts, self.peers, self.reader)
        self._submitter = submitter
        self._forks = Forks(self.parts, readers, self.reader, submitter, evidence)
        self._fencing = Fencing(self.parts, self._steps, self.reader, submitter, evidence)
        self._rotation = Rotation(self.parts, self.reader, submitter, cabinet)
        blocks = Traffic(self.reader.chain)
        self._wake = asyncio.Event()
        self._handshakes, self._epochs = Handshakes(self._steps), Epochs(self._steps)
        self._arrivals = Arrivals(
            self._steps, blocks, self._forks, bulk, self._handshakes, self._epochs, self._wake.set
        )
        self._endings = Endings(self._steps, blocks, self._forks, bulk, self._handshakes, self._epochs)
        self._asked, self.acquaintances = Asked(self._steps), HostAcquaintances(self._steps, self._forks.note)
        self._queue = Queue(self.parts, self.reader.chain)
        self._posting = Posting(self._steps, self._fencing, self._queue, submitter, self._handshakes.go_on)

    # What others ask of it.

    async def command(self, data: bytes) -> dict[str, Any]:
        """Hand bytes to the guest's `command` export; answers when the step stands on the ledger."""
        return await self._ask(Item("command", input=data))

    async def send(
        self, to: str, schema: str, body: bytes, timeout_s: int, beside: Sequence[Payload] = ()
    ) -> dict[str, Any]:
        """Send a message without asking the guest; answers with its packet.

        `beside` are payloads to applications of the peer's ledger, which act or fail with the message (P2).
        """
        self.peers.named(to)
        sendable(schema, timeout_s, body, beside)
        item = Item("send", to=to, schema=schema, input=body, timeout_s=timeout_s, beside=tuple(beside))
        return await self._ask(item)

    async def send_file(self, to: str, schema: str, path: Path, timeout_s: int) -> dict[str, Any]:
        """Send a file of any length as one message: sealed and offered here, its key in the packet (I8)."""
        self.peers.named(to)
        name = sendable(schema, timeout_s)
        if self.bulk is None:
            raise NoChannel(host=self.config.name)
        body = await self.bulk.seal(path, name)
        try:
            return await self._ask(
                Item("send", to=to, schema=schema_name(BODY_SCHEMA), input=body, timeout_s=timeout_s)
            )
        except LockgateError:
            if self.fenced is None:  # else the message may stand on the ledger after all
                self.bulk.withdraw(body)
            raise

    async def rotate(self, sealing: int = 0, signing: int = 0) -> dict[str, Any]:
        """Replace the endpoint's keys by the next ones; answers when that is proven.

        The sealing key is of suite `sealing`, and the identity of the rotation after this one of suite `signing`.
        """
        target = self.parts.keys.record.index + 1
        return await self._ask(Item("rotate", sequence=target, suite=sealing, signing=signing))

    def accept_rules(self, ledger: str, digests: Iterable[str]) -> None:
        """The operator accepts rules of a ledger (P16); what waited for that goes on at once."""
        self.rules.accept(ledger, digests)
        self._queue.hurry()
        self._wake.set()

    def status(self) -> dict[str, Any]:
        """What `lockgate host status` shows."""
        return {
            "host": self.config.name,
            "endpoint": self.config.endpoint,
            "guest": self.guest.identity.hex(),
            "record": self.parts.keys.record.index,
            "fence": self._steps.fence,
            "root": self._steps.root.hex(),
            "waiting": len(self._queue),
            "held": self._queue.held(),
            "deferred": len(self._steps.deferred()) if self.ready.is_set() else 0,
            "sessions": self.sessions.status(),
            "rules_changed": self.rules.changed(),
            "sources": {name: health for name, r in self._readers.items() if (health := r.chain.health()) is not None},
            "fenced_off": None if self.fenced is None else str(self.fenced),
            "peers": {alias: peer.endpoint for alias, peer in self.config.peers.items()},
            "sent": {state: self.store.count_sent(state) for state in STATES},
        }

    async def _ask(self, item: Item) -> dict[str, Any]:
        if self.fenced is not None:
            raise self.fenced
        item.done = asyncio.get_running_loop().create_future()
        self._queue.put(item)
        self._wake.set()
        return await item.done

    # The life of the process.

    async def run(self) -> None:
        """Work until cancelled. Raises Fenced, and of the own ledger Distrusted (two histories) and TrustExpired."""
        hearing = asyncio.create_task(self._hear())
        try:
            while True:
                self._wake.clear()
                try:
                    if not self.ready.is_set():
                        await self.start()
                    if not await self.turn():
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(self._queue.rest_s(REST_S)):
                                await self._wake.wait()
                except TwoHistories as found:  # of the own ledger, before there was a fence
                    await self._forks.found(found)
                except RulesChanged as error:  # the same
                    self._withdraw(error)
                    await asyncio.sleep(RETRY_S)
                except (Unavailable, PeerFault) as error:
                    # A node that is away, or lies about what every item needs: wait for a better one.
                    self.parts.report("unavailable", {"code": error.code, "detail": str(error)})
                    await asyncio.sleep(RETRY_S)
        finally:
            hearing.cancel()

    async def _hear(self) -> None:
        """Turn when the ledger announces a block; often, while it announces none."""
        chain = self.reader.chain
        while True:
            await chain.pause(chain.beat, REST_S)
            self._wake.set()

    async def start(self) -> None:
        """Recover the state that stands and take the next fence. Raises Fenced, RulesChanged."""
        self._forks.recall()
        if self.bulk is not None:
            self.bulk.recall(self.store, self.parts.clock.now())
        self._queue.resume()
        self.sessions.recall(self.store, self.parts.report)
        with self._watched():
            await self.rules.watch()
            try:
                await self._rotation.adopt()
                await self._fencing.take()
            except StepRefused:
                # A rotation of the run before may have landed in between; then the next keys act.
                await self._fencing.next_block()
                await self._rotation.adopt()
                await self._fencing.take()
        self.ready.set()

    async def turn(self) -> bool:
        """Look for new work and do one batch of it; tells whether anything was done."""
        with self._watched():
            try:
                await self.rules.watch()
                await self._posting.resettle()
                await self._forks.submit()
                await self._queue.look()
                self._queue.put_all((*self._epochs.due(), *self._handshakes.due()))
                items = self._queue.take(BATCH)
                try:
                    await self._work(items)
                except (Unavailable, PeerFault):  # for however long: what is due to be erased is (P18)
                    with contextlib.suppress(Unavailable, PeerFault):
                        await self._erase()
                    raise
                await self._erase()
                return bool(items)
            except RulesChanged as error:
                self._withdraw(error)
                return False
            except TwoHistories as found:
                await self._forks.found(found)
                return True

    def _withdraw(self, error: LockgateError) -> None:
        """Nothing acts on the own ledger: whoever asks is told, what came from the ledger waits."""
        for item in self._queue.withdraw():
            item.fail(error)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """A host that is fenced off, or can trust its own ledger no more, stops for good and says so."""
        try:
            yield
        except (Fenced, Distrusted, TrustExpired) as error:
            self.fenced = error
            what = {Fenced: "fenced", Distrusted: "distrusted"}.get(type(error), "expired")
            self.parts.report(what, {"code": error.code, "detail": str(error), "fence": self._steps.fence})
            for item in self._queue.clear():
                item.fail(error)
            raise

    # One batch.

    async def _work(self, items: list[Item]) -> None:
        """Rotate after the batch: whatever was sealed before is on the ledger before the new record is."""
        if steps := [item for item in items if item.kind != "rotate"]:
            await self._batch(steps)
        await self._rotation.work(items, self._queue)

    async def _erase(self) -> None:
        await self._steps.forget(self.bulk)
        await self._rotation.retire()

    async def _batch(self, items: list[Item]) -> None:
        try:
            await self._rotation.resettle()
            posted, refused = await self._submit(items)
            if refused is not None and len(posted) > 1:
                # One step that the ledger refuses takes the whole transaction along: go one by one.
                for item in posted:
                    _, refused = await self._submit([item])
                    if refused is not None:
                        self._refused_alone(item, refused)
            elif refused is not None:
                self._refused_alone(posted[0], refused)
        except (Unavailable, PeerFault):
            if not self._posting.unsettled:
                self._steps.discard()
                self._queue.give_back()
            raise

    async def _submit(self, items: Sequence[Item]) -> tuple[list[Item], str | None]:
        """Decide about items, post their steps as one transaction, keep or discard.

        Returns whose steps were posted, and the ledger's words when it refuses.
        """
        await self._arrivals.prove(items, await self.reader.latest())
        staged: list[Staged] = []
        for place, item in enumerate(items):
            self._steps.sealed.let_go(self._steps.time)  # of a decision that came to nothing
            decision = await self._decide(item)
            if decision is None or not decision.plans:
                continue
            if decision.shared and staged:
                self._queue.again(item)
                continue
            staged.append(self._steps.stage(item, decision))
            if decision.shared:
                for other in reversed(items[place + 1 :]):
                    self._queue.again(other)
                break
        return [step.item for step in staged], await self._posting.post(staged) if staged else None

    async def _decide(self, item: Item) -> Decision | None:
        """What to do about one item; None when it is finished, failed or held back."""
        try:
            match item.kind:
                case "inbox":
                    decision = await self._arrivals.decide(item)
                case "ended":
                    decision = await self._endings.decide(item)
                case "session":
                    decision = await self._handshakes.begin(item)
                case "epoch":
                    decision = await self._epochs.begin(item)
                case _:
                    decision = await self._asked.decide(item)
        except (TwoHistories, Misuse):
            raise
        except BulkComing:
            self._queue.again(item)
            return None
        except SessionComing as coming:
            if hopeless := self._handshakes.wait(item, coming, self._queue):
                self._put_off(item, hopeless)
            return None
        except LockgateError as error:
            self._put_off(item, error)
            return None
        if not decision.plans:
            if decision.records:
                with self.store.commit(durable=True):  # a reply is on disk before the key that opened it goes
                    for record in decision.records:
                        self.store.note(record)
            self._posting.ended(decision.settles)
            self._queue.done(item)
            item.finish(decision.result)
        return decision

    def _put_off(self, item: Item, error: LockgateError) -> None:
        """Whoever waits is told; what the ledger holds is kept, and tried again later and later."""
        if self.reader.distrusted is not None:
            raise self.reader.distrusted
        if not item.from_ledger:
            self._queue.done(item)
            item.fail(error)
            return
        item.hold(self.parts.clock.monotonic())
        self._queue.again(item)
        self.parts.report(
            "held",
            {
                "kind": item.kind, "client": item.client, "sequence": item.sequence, "attempts": item.attempts,
                "code": error.code, "detail": str(error),
            },
        )  # fmt: skip

    def _refused_alone(self, item: Item, log: str) -> None:
        """The ledger takes no step of this item: a message is refused in the guest's place, an end is kept."""
        if item.kind == "inbox" and not item.declined:
            item.declined = log or StepRefused.summary
            self._queue.again(item)
            return
        self._put_off(item, StepRefused(log, kind=item.kind))
