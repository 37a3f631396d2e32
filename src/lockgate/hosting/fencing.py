"""Which saved state stands, and the next fence: how a host starts, and how a copy of it ends (P1, P8)."""

from __future__ import annotations

from typing import Final

from lockgate.courier.ports import Proven
from lockgate.host import evidence as documents
from lockgate.host.recovery import Fenced, OnLedger, Saved, Standing, fenced, standing
from lockgate.hosting.forks import Evidence
from lockgate.hosting.reader import ProvenReader
from lockgate.hosting.steps import Steps
from lockgate.hosting.work import Decision, Item, Parts, Plan, StepRefused
from lockgate.machine import endpoints, keys
from lockgate.machine.errors import RootMismatch, StaleFence, UnknownEndpoint
from lockgate.machine.records import EndpointState
from lockgate.primitives.ids import Height
from lockgate.relay.submitter import AccountSubmitter

FENCE: Final = "fence"
ATTEMPTS: Final = 4  # an own transaction of before may still land in between, once


class Fencing:
    """Recovers a host's state and takes its fence; finds out when another copy has."""

    def __init__(
        self, parts: Parts, steps: Steps, reader: ProvenReader, submitter: AccountSubmitter, evidence: Evidence
    ) -> None:
        self._parts = parts
        self._steps = steps
        self._reader = reader
        self._submitter = submitter
        self._evidence = evidence

    async def take(self) -> bool:
        """Settle which saved state stands and take the next fence. Raises Fenced, StepRefused.

        Tells whether the staged state stood. Fence and root move in one transaction: the fence is taken only
        while the root is the one that was settled, so a copy that is behind never fences off the one
        that is ahead.
        """
        stood = False
        for _ in range(ATTEMPTS):
            state, stands = await self._settle()
            stood |= stands is Standing.STAGED
            steps, fence = self._steps, state.fence + 1
            steps.root, steps.fence, steps.counter = state.root, fence, 0
            staged = steps.stage(Item("fence"), Decision((Plan(),)))
            with self._parts.store.commit(durable=True):
                self._parts.store.set_meta(FENCE, fence.to_bytes(8, "big"))
            take = ("endpoint.fence", {"endpoint": self._parts.endpoint, "fence": fence})
            done = await self._submitter.submit([take, *staged.messages])
            if done.code == 0:
                await self._reader.chain.header_at_least(done.height.height + 1)
                await self.require(staged.root)
                with self._parts.store.commit():
                    self._parts.store.promote(staged.version)
                    self._parts.tree.keep(staged.version)
                self._parts.report("fence", {"fence": fence, "root": steps.root.hex()})
                return stood
            steps.discard()
            if not is_fenced(done.log):
                raise StepRefused(done.log, kind="fence")
        raise await self.fenced_off()

    async def state(self) -> tuple[EndpointState, int, Proven]:
        """The endpoint's state under the newest header, with its proof."""
        reader = self._reader
        height = await reader.latest()
        key = keys.endpoint_state(self._parts.endpoint)
        proven = await reader.chain.prove(keys.ENDPOINT, key, Height(reader.chain.revision, height))
        data = reader.check(keys.ENDPOINT, key, proven)
        if data is None:
            raise UnknownEndpoint("this endpoint is not registered on its ledger", endpoint=self._parts.endpoint)
        return EndpointState.from_bytes(data), height, proven

    async def require(self, root: bytes) -> None:
        """The ledger must show the root that was just accepted from us. Raises Fenced."""
        state, _, _ = await self.state()
        if state.root != root:
            raise await self.fenced_off()

    async def fenced_off(self) -> Fenced:
        """Another copy has acted: keep both roots and fences and the ledger's proof as evidence."""
        state, height, proven = await self.state()
        saved, ledger = self._saved(), OnLedger(state.root, state.fence, height)
        block = self._reader.follower.trusted(height)
        assert block is not None, "its state was just proven"
        document = documents.fenced_off(self._parts.endpoint, saved, ledger, block, proven.value or b"", proven.proof)
        return fenced(saved, ledger, self._evidence.keep("fenced-off", document))

    async def _settle(self) -> tuple[EndpointState, Standing]:
        """Keep the staged state or drop it, by the root that the ledger proves. Raises Fenced."""
        store = self._parts.store
        state, height, _ = await self.state()
        stands = standing(self._saved(), OnLedger(state.root, state.fence, height))
        if stands is None:
            raise await self.fenced_off()
        if stands is Standing.STAGED:
            version = store.steps(promoted=False)[-1].version
            with store.commit():
                store.promote(version)
                self._parts.tree.keep(version)
        else:
            self._steps.discard()
        return state, stands

    def _saved(self) -> Saved:
        store = self._parts.store
        committed, staged = store.steps(promoted=True), store.steps(promoted=False)
        return Saved(
            committed[-1].root if committed else endpoints.EMPTY_ROOT,
            staged[-1].root if staged else None,
            int.from_bytes(store.meta(FENCE) or b"", "big"),
        )


def is_fenced(log: str) -> bool:
    """Do a ledger's words say that another copy has moved on?"""
    return StaleFence.code in log or RootMismatch.code in log


__all__ = ("Fencing", "is_fenced")
