"""What keeps a pair going beside its packets: clients fresh before they expire, finished packets forgotten.

A client that expires takes every packet over it out of service until the ledger's authority acts, so it
is refreshed at a third of its trusting period, and people hear of it at a half and at three quarters.
Pruning has no hurry: it waits until enough packets have finished, or an hour, and leaves the newest in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lockgate.courier.plan import due_for_refresh
from lockgate.courier.ports import Messages, OwnLedger
from lockgate.ibc import host
from lockgate.machine.pruning import MAX_RUN
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.time import NANOS_PER_SECOND
from lockgate.relay.direction import Direction
from lockgate.relay.endpoint import EndPoint, Slot
from lockgate.relay.mover import Counters, Report

EVERY_S: Final = 1.0
CHECKS_PER_PERIOD: Final = 20
ALERTS: Final = ((0.75, "client_close_to_expiry"), (0.5, "client_not_refreshed"))
PRUNE_AFTER: Final = MAX_RUN  # finished packets that gather before a run of them is forgotten
PRUNE_EVERY_S: Final = 3_600.0  # where fewer gather: a lane of little traffic is cleared within the hour
KEEP_FINISHED: Final = MAX_RUN  # newest finished packets that stay provable


class ClientSuspended(Refused):
    code = "relay.suspended"
    summary = "A client is expired or frozen: packets that need it wait, and no relayer can change that (P14)."
    untouched = "No packet is lost; each stays open on its ledger."
    next_step = "Expired: the ledger's authority recovers the client. Frozen: read the evidence; governance settles."


@dataclass(slots=True)
class Care:
    """Refreshes, alerts and prunes for one pair."""

    directions: Sequence[Direction]
    counters: Counters
    report: Report
    clock: Callable[[], float]  # monotonic seconds
    prune_after: int = PRUNE_AFTER
    keep_finished: int = KEEP_FINISHED
    _told: dict[str, str] = field(default_factory=dict)
    _finished: dict[str, int] = field(default_factory=dict)
    _pruned: dict[str, float] = field(default_factory=dict)  # when a run was last looked for, by direction

    def every_s(self) -> float:
        """How often to look: far more often than the shortest trusting period needs."""
        periods = [end.tracked.trusting_period for end in self._ends() if end.tracked is not None]
        return min([EVERY_S, *(period / NANOS_PER_SECOND / CHECKS_PER_PERIOD for period in periods)])

    def found(self, direction: Direction) -> None:
        """A scan was made: what finished before it is not known, so it is looked at once."""
        self._finished.setdefault(direction.name, self.prune_after)

    def ended(self, direction: Direction, count: int) -> None:
        self._finished[direction.name] = self._finished.get(direction.name, 0) + count

    async def work(self) -> None:
        """Look after both clients, then prune if there is nothing better to do.

        What fails keeps nothing else from being done, and is raised when all was tried; it is due again then.
        """
        failures: list[LockgateError] = []
        for step in (self._refresh_of, self._prune_of):
            for direction in self.directions:
                try:
                    await step(direction)
                except LockgateError as error:
                    failures.append(error)
        if failures:
            raise failures[0]

    async def _refresh_of(self, direction: Direction) -> None:
        await self._refresh(direction.source, direction.dest)

    async def _prune_of(self, direction: Direction) -> None:
        at_least, finished = self._due(direction), self._finished.get(direction.name, 0)
        if at_least and not direction.watch.live:
            while await self.prune(direction, at_least, self.keep_finished):
                pass
            self._finished[direction.name] -= finished  # more may have ended meanwhile
            self._pruned[direction.name] = self.clock()

    def _due(self, direction: Direction) -> int:
        """How long a run of finished packets must be to be forgotten now; 0 when it is not the time to look."""
        finished, now = self._finished.get(direction.name, 0), self.clock()
        if finished >= self.prune_after:
            return self.prune_after
        return 1 if finished and now - self._pruned.setdefault(direction.name, now) >= PRUNE_EVERY_S else 0

    async def _refresh(self, on: EndPoint, of: EndPoint) -> None:
        """Bring `on`'s client of `of` forward when it is due, and tell people when that has not happened."""
        if on.tracked is None:
            return
        if due_for_refresh(on.side(), of.side()):
            await on.refresh()  # another relayer may have done it
            if on.tracked.latest < of.height and on.side().client_status == "Active":
                submitter = on.submitters[Slot.CARE]
                ground = await of.updater.reach(on.tracked, of.height, on.time)
                updates = ground.updates(on.client, submitter.signer)
                if updates:  # a client that is told something with every packet only is never refreshed
                    await self._bring(on, updates)
        self._tell(on)

    async def _bring(self, on: EndPoint, updates: Messages) -> None:
        done = await on.submitters[Slot.CARE].submit(updates)
        if done.code:
            self.counters.failures += 1
            self.report("refresh_failed", {"client": on.client, "detail": done.log})
        else:
            self.counters.refreshes += 1
            self.counters.updates += len(updates)
        await on.refresh()

    def _tell(self, on: EndPoint) -> None:
        """Say once what state a client has come to."""
        side = on.side()
        kind = next((name for share, name in ALERTS if side.client_age >= share), "")
        if side.client_status != "Active":
            kind = "client_suspended"
        if kind != self._told.get(on.chain.chain_id, ""):
            self._told[on.chain.chain_id] = kind
            if kind:
                fields: dict[str, object] = {
                    "chain": on.chain.chain_id,
                    "client": on.client,
                    "status": side.client_status,
                }
                fields["age_of_trusting_period"] = round(side.client_age, 3)
                if kind == "client_suspended":
                    fields["code"] = ClientSuspended.code
                self.report(kind, fields)

    async def prune(self, direction: Direction, at_least: int, keep: int) -> bool:
        """Forget one run of finished packets on the destination; tells whether there may be another.

        The proof is that the source holds no commitment between the ledger's watermark and `last`; the
        run ends with a packet that was received, so every sequence in it has been sent.
        """
        on, of = direction.dest, direction.source
        if not on.own_lane or on.tracked is None or on.side().client_status != "Active":
            return False
        assert isinstance(on.chain, OwnLedger), "own lanes are between ledgers of ours"
        pruned = await on.chain.pruned(on.client)
        sent = await of.chain.last_sent(of.client)
        open_ = min(await of.chain.outstanding(of.client), default=sent + 1)
        most = min(open_ - 1, sent - keep, pruned + MAX_RUN)
        if most - pruned < at_least:
            return False
        answered = await on.chain.acknowledged(on.client, range(pruned + 1, most + 1))
        last = max(answered, default=0)
        if last - pruned < min(at_least, most - pruned):
            return False
        await of.see_tip()
        ground = await of.updater.reach(on.tracked, of.height, on.time)
        commitment = host.packet_commitment(of.client, last)
        (proven,) = await ground.prove(host.STORE, [commitment])
        if isinstance(proven, Exception):
            raise proven
        if proven.value is not None:
            return False
        (proof,) = ground.proofs([proven])
        submitter = on.submitters[Slot.CARE]
        run = {"client": on.client, "first": pruned + 1, "last": last}
        message = {**run, "height": str(ground.height), "proof": proof}
        done = await submitter.submit([*ground.updates(on.client, submitter.signer), ("lane.prune", message)])
        if done.code:
            self.report("prune_refused", {"direction": direction.name, "last": last, "detail": done.log})
            return False
        self.counters.pruned += last - pruned
        await on.refresh()
        return True

    def _ends(self) -> list[EndPoint]:
        return [direction.source for direction in self.directions]


__all__ = ("Care", "ClientSuspended")
