"""Posts staged steps as one transaction, and finds out what became of them (P1).

What a node says of a transaction decides nothing: the root that the host's own light client proves does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from lockgate.courier.ports import ChainUnavailable
from lockgate.hosting.fencing import Fencing
from lockgate.hosting.queue import Queue, number_in
from lockgate.hosting.steps import Steps
from lockgate.hosting.work import Staged
from lockgate.machine import keys
from lockgate.machine.records import Reason
from lockgate.primitives.state import Event
from lockgate.relay.rpc import BadAnswer
from lockgate.relay.submitter import AccountSubmitter, unjudged
from lockgate.storage.host import Seen


class Posting:
    """`unsettled` are the steps whose fate is not proven yet."""

    def __init__(
        self,
        steps: Steps,
        fencing: Fencing,
        queue: Queue,
        submitter: AccountSubmitter,
        session_made: Callable[[], None],
    ) -> None:
        self.unsettled: list[Staged] = []
        self._steps = steps
        self._parts = steps.parts
        self._fencing = fencing
        self._queue = queue
        self._submitter = submitter
        self._session_made = session_made

    async def post(self, staged: list[Staged]) -> str | None:
        """Post staged steps, keep or discard them. Returns the ledger's words when it refuses.

        Raises Fenced, and ChainUnavailable where the fate is unknown.
        """
        with self._parts.store.commit(durable=True):
            self._queue.save()
        self._parts.sessions.save()
        self.unsettled = staged
        done = await self._submitter.submit([message for step in staged for message in step.messages])
        if done.code == 0:
            await self._steps.reader.chain.header_at_least(done.height.height + 1)
            sent = [event for event in done.events if event.type == "send_packet"]
            stands = await self._fencing.root()
            if stands == staged[-1].root:
                self._keep(staged, sent, staged[-1].version)
                return None
            if await self._undone(staged[-1], stands, sent):
                return None
        self._parts.report("refused", {"code": done.code, "log": done.log})
        # A node's word alone. Dropping a state that stands would be the end of this endpoint, so the
        # proven root decides, under a new fence: until then the steps could still land. Raises Fenced.
        stood = await self._fencing.take()
        self.unsettled = []
        if stood:
            self._settled(staged)
            return None
        if done.code == 0 or unjudged(done):
            raise ChainUnavailable("the transaction is not on the ledger, whatever its node says")
        return done.log

    async def resettle(self) -> None:
        """Find out what became of a transaction whose fate is unknown, if there is one.

        It may be on the ledger or on its way there. A new fence settles it: the old transaction can no
        longer land, and the proven root says which state stands.
        """
        if not self.unsettled:
            return
        stood = await self._fencing.take()
        staged, self.unsettled = self.unsettled, []
        if stood:
            self._settled(staged)
        self._queue.give_back()

    async def _undone(self, step: Staged, stands: bytes, sent: list[Event]) -> bool:
        """Did an application beside a message refuse the packet, so that its answer moved no root (P2)?

        The reason record proves it: the packet has ended, so the answer can never land. Such an answer is
        the last step of its transaction, or its first and whatever followed did not land either.
        """
        place = next((n for n, made in enumerate(step.made) if made.root == stands), None)
        if place is None or not step.made[place].plan.shared or place not in {0, len(step.made) - 1}:
            return False
        made, reader = step.made[place], self._steps.reader
        client, sequence = made.plan.content["client"], made.plan.content["sequence"]
        data = await reader.value(keys.REASON, keys.reason(client, sequence), reader.newest.height)
        (seen,) = [record for record in made.plan.records if isinstance(record, Seen)]
        if data is None or Reason.from_bytes(data).commitment != seen.commitment:
            return False
        code = Reason.from_bytes(data).code_text
        self._parts.report("undone", {"client": client, "sequence": sequence, "code": code})
        if place:
            self._keep([step], sent, made.version)
        self._steps.discard()
        with self._parts.store.commit(durable=True):  # before its keys go
            self._parts.store.note(dataclasses.replace(seen, state="refused", reply=None, code=code))
        self.unsettled = []
        self._settled([step])
        return True

    def _keep(self, staged: list[Staged], sent: list[Event], version: int) -> None:
        """Everything up to `version` is proven to stand."""
        places, store = map(_place, sent), self._parts.store
        with store.commit():
            for step in staged:
                for row in step.sends:
                    place = next(places, None)
                    if place is None:
                        continue  # the node hides it, or spoils it; the block's own event is found again
                    client, sequence = place
                    store.sent_as(row.fence, row.counter, client, sequence)
                    step.result.setdefault("packets", []).append({"client": client, "sequence": sequence})
            store.promote(version)
            self._fencing.remember()
            self._parts.tree.keep(version)
        self.unsettled = []
        self._settled(staged)

    def ended(self, commitments: Iterable[bytes]) -> None:
        """Packets have ended, or their answers are proven: their keys go, from the vault too (P18)."""
        if self._parts.sessions.settled(commitments, self._steps.time):
            self._session_made()
        self._parts.sessions.save()

    def _settled(self, staged: list[Staged]) -> None:
        self.ended(commitment for step in staged for commitment in step.settles)
        for step in staged:
            self._queue.done(step.item)
            step.item.finish(step.result)


def _place(event: Event) -> tuple[str, int] | None:
    """Client and sequence of a packet that a node says was sent; None where no ledger says such a thing."""
    try:
        return event.get("packet_source_client") or "", number_in(event, "packet_sequence")
    except BadAnswer:
        return None


__all__ = ("Posting",)
