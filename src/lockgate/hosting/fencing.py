"""Which saved state stands, and the next fence: how a host starts, and how a copy of it ends (P1, P8)."""

from __future__ import annotations

import contextlib
from typing import Any, Final, NamedTuple

from lockgate.codec import cbor
from lockgate.courier.ports import ChainUnavailable, NotYet, Proven
from lockgate.host import evidence as documents
from lockgate.host.recovery import Fenced, OnLedger, Saved, Standing, fenced, standing
from lockgate.hosting.forks import Evidence
from lockgate.hosting.reader import ProvenReader
from lockgate.hosting.steps import Steps
from lockgate.hosting.work import Parts, StepRefused
from lockgate.machine import endpoints, keys
from lockgate.machine.errors import RootMismatch, StaleFence, UnknownEndpoint
from lockgate.machine.records import EndpointState
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import Height
from lockgate.relay.submitter import AccountSubmitter, unjudged

FENCE: Final = "fence"
RENEWED: Final = "renewed"
PROVEN: Final = "proven"  # height of the newest header that showed this endpoint's state
KEPT: Final = 64  # fences of unknown fate; each can land for two minutes only
ATTEMPTS: Final = 4  # an own transaction of before may still land in between
NEXT_BLOCK_S: Final = 2.0


class _Renewal(NamedTuple):
    root: bytes
    salt: bytes
    message: Message


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
        self._height = 0
        self._stood = False  # what `take` has to tell, also when it needs a second call to come through

    async def take(self) -> bool:
        """Settle which saved state stands and take the next fence. Raises Fenced, StepRefused, ChainUnavailable.

        Tells whether the staged state stood. Fence and root move in one transaction: the fence is taken only
        while the root is the one that was settled, so a copy that is behind never fences off the one that
        is ahead. Until that is proven nothing is dropped, because a transaction of before may still land.
        """
        for _ in range(ATTEMPTS):
            state, stands = await self._settle()
            self._stood |= stands is Standing.STAGED
            fence = state.fence + 1
            made = self._renew(state.root, fence)
            done = await self._submitter.submit(
                [("endpoint.fence", {"endpoint": self._parts.endpoint, "fence": fence}), made.message]
            )
            if done.code == 0:
                await self._reader.chain.header_at_least(done.height.height + 1)
                if await self.root() == made.root:
                    self._adopt(made.root, made.salt)
                    self._steps.begin(fence)
                    self._parts.report("fence", {"fence": fence, "root": made.root.hex()})
                    stood, self._stood = self._stood, False
                    return stood
            elif not (is_fenced(done.log) or unjudged(done)):
                raise StepRefused(done.log, kind="fence")
            # A transaction of ours or of a copy is on its way; the next block shows which.
            await self.next_block()
        raise ChainUnavailable("the fence is not on the ledger, whatever its node says")

    async def next_block(self) -> None:
        """Wait a moment for a header that shows more than the newest one this host knows."""
        with contextlib.suppress(NotYet):
            await self._reader.chain.header_at_least(self._reader.newest.height + 1, NEXT_BLOCK_S)

    async def state(self) -> tuple[EndpointState, int, Proven]:
        """The endpoint's state under the newest header, with its proof. Raises NotYet for one that is behind."""
        reader = self._reader
        height = await reader.latest()
        if height < self._proven():
            # An older root is no sign of another copy: the node is behind, or says that it is.
            raise NotYet("the node shows less than this host has proven", height=height)
        key = keys.endpoint_state(self._parts.endpoint)
        proven = await reader.chain.prove(keys.ENDPOINT, key, Height(reader.chain.revision, height))
        data = reader.check(keys.ENDPOINT, key, proven)
        if data is None:
            raise UnknownEndpoint("this endpoint is not registered on its ledger", endpoint=self._parts.endpoint)
        self._height = height
        return EndpointState.from_bytes(data), height, proven

    async def root(self) -> bytes:
        """The root that the ledger proves to stand."""
        state, _, _ = await self.state()
        return state.root

    def remember(self) -> None:
        """Note, in the caller's transaction, how far the ledger has been proven."""
        self._parts.store.set_meta(PROVEN, self._proven().to_bytes(8, "big"))

    def _proven(self) -> int:
        return max(self._height, int.from_bytes(self._parts.store.meta(PROVEN) or b"", "big"))

    async def fenced_off(self) -> Fenced:
        """Another copy has acted: keep both roots and fences and the ledger's proof as evidence."""
        state, height, proven = await self.state()
        saved, ledger = self._saved(), OnLedger(state.root, state.fence, height)
        block = self._reader.follower.trusted(height)
        assert block is not None, "its state was just proven"
        document = documents.fenced_off(self._parts.endpoint, saved, ledger, block, proven.value or b"", proven.proof)
        return fenced(saved, ledger, self._evidence.keep("fenced-off", document))

    async def _settle(self) -> tuple[EndpointState, Standing]:
        """Find out which saved state the ledger proves, and make it the one to go on from. Raises Fenced."""
        store = self._parts.store
        state, height, _ = await self.state()
        stands = standing(self._saved(), OnLedger(state.root, state.fence, height))
        match stands:
            case None:
                raise await self.fenced_off()
            case Standing.STAGED:
                version = next(step.version for step in store.steps(promoted=False) if step.root == state.root)
                with store.commit():
                    store.promote(version)
                    store.set_meta(RENEWED, cbor.encode([]))
                    self.remember()
                    self._parts.tree.keep(version)
            case Standing.RENEWED:
                self._adopt(state.root, dict(self._renewals())[state.root])
        return state, stands

    def _renew(self, root: bytes, fence: int) -> _Renewal:
        """The state that stands under a new salt; noted durably, because its fate may stay unknown."""
        store, salt = self._parts.store, self._parts.rng.bytes(32)
        made = self._parts.tree.renewed(self._version(), salt)
        with store.commit(durable=True):
            store.set_meta(FENCE, fence.to_bytes(8, "big"))
            store.set_meta(RENEWED, cbor.encode([*self._renewals(), [made, salt]][-KEPT:]))
        message = {"endpoint": self._parts.endpoint, "fence": fence, "prev_root": root, "next_root": made, "sends": []}
        return _Renewal(made, salt, ("endpoint.advance", message))

    def _adopt(self, root: bytes, salt: bytes) -> None:
        """A fence of ours stands: what was staged beside it can no longer land."""
        store, version = self._parts.store, self._version()
        with store.commit(durable=True):
            store.renew(version, root, salt)
            self.remember()
            store.set_meta(RENEWED, cbor.encode([]))
        self._steps.discard()

    def _version(self) -> int:
        committed = self._parts.store.steps(promoted=True)
        return committed[-1].version if committed else 0

    def _renewals(self) -> list[tuple[bytes, bytes]]:
        """(root, salt) of fences whose fate is unknown, oldest first."""
        found: Any = cbor.decode(self._parts.store.meta(RENEWED) or b"\x80")
        return [(root, salt) for root, salt in found]

    def _saved(self) -> Saved:
        store = self._parts.store
        committed, staged = store.steps(promoted=True), store.steps(promoted=False)
        return Saved(
            committed[-1].root if committed else endpoints.EMPTY_ROOT,
            staged[-1].root if staged else None,
            int.from_bytes(store.meta(FENCE) or b"", "big"),
            tuple(root for root, _ in self._renewals()),
            tuple(step.root for step in staged[:-1]),
        )


def is_fenced(log: str) -> bool:
    """Do a ledger's words say that another copy has moved on?"""
    return StaleFence.code in log or RootMismatch.code in log


__all__ = ("Fencing",)
