"""A running host: one endpoint's guest, driven by what its own light clients prove.

Work comes as items: an inbox entry, a message of ours that ended, a command, a direct send. Each item
runs on the state that the items before it left, as a staged version; a batch of steps goes to the
ledger as one transaction, each step a compare-and-swap on the root the one before it left (P1). Only
when this host has proven the last root does the batch become the endpoint's state; otherwise every
staged version is discarded and the items are looked at again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any, Final

from lockgate.host import ports as guest_ports
from lockgate.host.recovery import OnLedger, Saved, Standing, standing
from lockgate.host.sealing import Local, schema_ref
from lockgate.host.staging import GuestTree
from lockgate.hosting.config import HostConfig
from lockgate.hosting.peers import Peers
from lockgate.hosting.reader import ProvenReader
from lockgate.hosting.steps import Steps
from lockgate.hosting.work import Item, Report, Staged, StepRefused
from lockgate.machine import endpoints, keys
from lockgate.machine.errors import StaleFence, UnknownEndpoint
from lockgate.machine.records import EndpointState
from lockgate.primitives.errors import LockgateError, Refused, Unavailable
from lockgate.primitives.ports import Clock, Rng
from lockgate.relay.submitter import AccountSubmitter
from lockgate.storage.host import HostStore

BATCH: Final = 32  # steps per transaction
POLL_S: Final = 0.05
RETRY_S: Final = 1.0
CURSOR: Final = "cursor"
FENCE: Final = "fence"


class Host:
    """One endpoint. `run` recovers, takes the fence, and works until cancelled or fenced off."""

    def __init__(
        self,
        config: HostConfig,
        store: HostStore,
        tree: GuestTree,
        guest: guest_ports.Guest,
        local: Local,
        readers: dict[str, ProvenReader],
        submitter: AccountSubmitter,
        clock: Clock,
        rng: Rng,
        report: Report,
    ) -> None:
        self.config = config
        self.store = store
        self.guest = guest
        self.peers = Peers(config, readers, clock)
        self.reader = readers[config.local.name]
        self._steps = Steps(config, store, tree, guest, local, self.peers, self.reader, rng, report)
        self._tree = tree
        self._submitter = submitter
        self._report = report
        self._items: deque[Item] = deque()
        self._wake = asyncio.Event()
        self._endpoint = bytes.fromhex(config.endpoint)
        self._queued: set[tuple[str, str, int]] = set()
        self.fenced: LockgateError | None = None
        self.ready = asyncio.Event()

    # What others ask of it.

    async def command(self, data: bytes) -> dict[str, Any]:
        """Hand bytes to the guest's `command` export; answers when the step stands on the ledger."""
        return await self._ask(Item("command", input=data))

    async def send(self, to: str, schema: str, body: bytes, timeout_s: int) -> dict[str, Any]:
        """Send a message without asking the guest; answers with its packet."""
        self.peers.named(to)
        schema_ref(schema)
        return await self._ask(Item("send", to=to, schema=schema, input=body, timeout_s=timeout_s))

    def status(self) -> dict[str, Any]:
        """What `lockgate host status` shows."""
        return {
            "host": self.config.name,
            "endpoint": self.config.endpoint,
            "guest": self.guest.identity.hex(),
            "fence": self._steps.fence,
            "root": self._steps.root.hex(),
            "waiting": len(self._items),
            "fenced_off": None if self.fenced is None else str(self.fenced),
            "peers": {alias: peer.endpoint for alias, peer in self.config.peers.items()},
            "sent": {
                state: len(self.store.all_sent(state)) for state in ("sent", "acknowledged", "refused", "timed_out")
            },
        }

    async def _ask(self, item: Item) -> dict[str, Any]:
        if self.fenced is not None:
            raise self.fenced
        item.done = asyncio.get_running_loop().create_future()
        self._items.append(item)
        self._wake.set()
        return await item.done

    # The life of the process.

    async def run(self) -> None:
        await self._recover()
        watching = asyncio.create_task(self._watch())
        watching.add_done_callback(lambda _: self._wake.set())
        self.ready.set()
        try:
            while True:
                if not self._items:
                    self._wake.clear()
                    if watching.done():
                        watching.result()
                    if not self._items:
                        await self._wake.wait()
                        continue
                try:
                    await self._batch()
                except StaleFence as error:
                    self._stop(error)
                    raise
                except Unavailable as error:
                    self._report("unavailable", {"code": error.code, "detail": str(error)})
                    await asyncio.sleep(RETRY_S)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await watching

    async def _recover(self) -> None:
        """Find out which saved state stands, then take the next fence (P1, P8). Raises Fenced."""
        committed = self.store.steps(promoted=True)
        staged = self.store.steps(promoted=False)
        state, height = await self._on_ledger()
        saved = Saved(
            committed[-1].root if committed else endpoints.EMPTY_ROOT,
            staged[-1].root if staged else None,
            int.from_bytes(self.store.meta(FENCE) or b"", "big"),
        )
        stands = standing(saved, OnLedger(state.root, state.fence, height))
        with self.store.commit():
            if stands is Standing.STAGED:
                self.store.promote(staged[-1].version)
                self.store.keep_sent()
            else:
                self.store.drop_staged()
                self._tree.discard_after(committed[-1].version if committed else 0)
        self._steps.root = state.root
        fence = state.fence + 1
        done = await self._submitter.submit([("endpoint.fence", {"endpoint": self._endpoint, "fence": fence})])
        if done.code:
            raise StaleFence(done.log, fence=fence)
        after, _ = await self._on_ledger()
        if after.root != self._steps.root or after.fence != fence:
            raise StaleFence("another copy acted while this one started", fence=fence, newest=after.fence)
        with self.store.commit():
            self.store.set_meta(FENCE, fence.to_bytes(8, "big"))
        self._steps.fence, self._steps.counter = fence, 0
        self._report("fence", {"fence": fence, "root": self._steps.root.hex()})

    async def _on_ledger(self) -> tuple[EndpointState, int]:
        """The endpoint's state, proven under the newest header."""
        height = await self.reader.latest()
        data = await self.reader.value(keys.ENDPOINT, keys.endpoint_state(self._endpoint), height)
        if data is None:
            raise UnknownEndpoint("this endpoint is not registered on its ledger", endpoint=self._endpoint)
        return EndpointState.from_bytes(data), height

    async def _watch(self) -> None:
        """Turn events of the own ledger into items, from the last fully handled height on."""
        start = int.from_bytes(self.store.meta(CURSOR) or b"\x01", "big")
        async for height in self.reader.chain.follow(start, POLL_S):
            while True:
                try:
                    block = await self.reader.chain.block_events(height)
                    break
                except Unavailable:
                    await asyncio.sleep(RETRY_S)
            for event in block.events:
                if event.get("endpoint") != self.config.endpoint:
                    continue
                if event.type == "inbox":
                    self._queue(Item("inbox", *_packet(event), height=height))
                elif event.type == "message_opened":
                    number = (int(event.get("fence") or 0), int(event.get("counter") or 0))
                    with self.store.commit():
                        self.store.sent_as(*number, *_packet(event))
                elif event.type == "message_ended":
                    self._queue(Item("ended", *_packet(event), height=height, how=event.get("how") or ""))
            if not self._items:
                with self.store.commit():
                    self.store.set_meta(CURSOR, (height + 1).to_bytes(8, "big"))

    def _queue(self, item: Item) -> None:
        name = (item.kind, item.client, item.sequence)
        if name not in self._queued:
            self._queued.add(name)
            self._items.append(item)
            self._wake.set()

    def _stop(self, error: LockgateError) -> None:
        self.fenced = error
        self._report("fenced", {"code": error.code, "detail": str(error), "fence": self._steps.fence})
        for item in self._items:
            item.fail(error)

    # One batch.

    async def _batch(self) -> None:
        items = [self._items.popleft() for _ in range(min(BATCH, len(self._items)))]
        try:
            done = await self._submit(items)
            if not done and len(items) > 1:
                # One step that the ledger refuses takes the whole transaction along: go one by one.
                for item in items:
                    if not await self._submit([item]):
                        self._drop(item)
            elif not done:
                self._drop(items[0])
        except Unavailable:
            self._items.extendleft(reversed([i for i in items if i.done is None or not i.done.done()]))
            if self.store.steps(promoted=False):
                # What was posted may be on the ledger or on its way there. A new fence settles it: the
                # old transaction can no longer land, and the proven root says which state stands.
                await self._recover()
            raise

    def _drop(self, item: Item) -> None:
        self._queued.discard((item.kind, item.client, item.sequence))
        self._report("dropped", {"kind": item.kind, "client": item.client, "sequence": item.sequence})
        item.fail(StepRefused("the ledger refused the step", kind=item.kind))

    async def _submit(self, items: list[Item]) -> bool:
        """Run items, post their steps as one transaction, keep or discard. False: refused."""
        height = await self.reader.latest()
        before = self._steps.root
        staged: list[Staged] = []
        counter = self._steps.counter
        for item in items:
            try:
                step = await self._steps.step(item, height)
            except (Refused, LockgateError) as error:
                if isinstance(error, Unavailable):
                    raise
                self._report("item_failed", {"kind": item.kind, "code": error.code, "detail": str(error)})
                item.fail(error)
                self._queued.discard((item.kind, item.client, item.sequence))
                continue
            if step is None:
                self._queued.discard((item.kind, item.client, item.sequence))
            else:
                staged.append(step)
        if not staged:
            return True
        done = await self._submitter.submit([step.message for step in staged])
        if done.code:
            self._report("refused", {"code": done.code, "log": done.log})
            self._steps.root, self._steps.counter = before, counter
            self._discard()
            if "endpoint.fenced_off" in done.log or "endpoint.state_root" in done.log:
                raise StaleFence(done.log)
            return False
        await self.reader.chain.header_at_least(done.height.height + 1)
        state, _ = await self._on_ledger()
        if state.root != staged[-1].root:
            raise StaleFence("the ledger shows another root than the one this host posted", fence=self._steps.fence)
        self._keep(staged, [e for e in done.events if e.type == "send_packet"])
        return True

    def _keep(self, staged: list[Staged], sent_events: list[Any]) -> None:
        packets = iter(sent_events)
        with self.store.commit():
            for step in staged:
                for sent in step.sends:
                    event = next(packets)
                    client, sequence = event.get("packet_source_client"), int(event.get("packet_sequence"))
                    self.store.sent_as(sent.fence, sent.counter, client, sequence)
                    step.result.setdefault("packets", []).append({"client": client, "sequence": sequence})
                step.record()
            self.store.promote(staged[-1].version)
            self._tree.keep(staged[-1].version)
        for step in staged:
            self._queued.discard((step.item.kind, step.item.client, step.item.sequence))
            step.item.finish(step.result)

    def _discard(self) -> None:
        committed = self.store.steps(promoted=True)
        with self.store.commit():
            self.store.drop_staged()
            self._tree.discard_after(committed[-1].version if committed else 0)
        self._steps.root = committed[-1].root if committed else endpoints.EMPTY_ROOT


def _packet(event: Any) -> tuple[str, int]:
    return event.get("client") or "", int(event.get("sequence") or 0)
