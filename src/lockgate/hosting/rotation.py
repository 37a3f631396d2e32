"""Rotating a host's keys: the next record posted and proven, old sealing keys kept until nothing needs them (P5, P6).

Identity, sealing key and account change together, so that a thief of today's keys has none of them after
it. What was sealed to the old key before is still opened: for a packet's longest timeout after the
rotation, and while a message sent before it is open, whose reply is sealed to the old record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from lockgate.host.keyring import KeyCabinet
from lockgate.hosting.peers import prove_records
from lockgate.hosting.queue import Queue
from lockgate.hosting.reader import ProvenReader
from lockgate.hosting.suites import check_rotation
from lockgate.hosting.work import Item, Parts, StepRefused
from lockgate.machine.errors import EndpointRevoked
from lockgate.machine.identity import KeyRecord, SignedRecord
from lockgate.primitives.errors import PeerFault, Refused, Unavailable
from lockgate.primitives.ids import EndpointId, Hash32
from lockgate.primitives.time import UnixNanos, floor_seconds, seconds
from lockgate.relay.submitter import AccountSubmitter

ROTATED: Final = "rotated"  # ledger time of the newest rotation, nanoseconds
KEPT: Final = seconds(86_400 + 3_600)  # a packet's longest timeout (P13), and the longest grace of an answer


class NoCabinet(Refused):
    code = "host.no_cabinet"
    summary = "This host was started with fixed keys and cannot make new ones."
    untouched = "The endpoint's key record is what it was."
    next_step = "Rotate with the host process that has the endpoint's key file."


class Rotation:
    """The endpoint's own key records: which is current, the next one, and what may be erased."""

    def __init__(
        self, parts: Parts, reader: ProvenReader, submitter: AccountSubmitter, cabinet: KeyCabinet | None
    ) -> None:
        self._parts = parts
        self._reader = reader
        self._submitter = submitter
        self._cabinet = cabinet
        self._posted = False  # a record whose fate is not proven, or whose keys are not taken up

    async def adopt(self) -> KeyRecord:
        """Take up the keys of the record that the own ledger proves current. Raises EndpointRevoked."""
        chain = await self._prove()
        if self._cabinet is not None:
            self._cabinet.settled(chain[-1])
            self._parts.keys = ring = self._cabinet.ring(chain)
            if ring.account is not None:
                self._submitter.become(ring.account.public_key, ring.account.sign)
        return chain[-1]

    async def _prove(self) -> tuple[KeyRecord, ...]:
        endpoint = EndpointId(Hash32(self._parts.endpoint))
        chain, revoked_at, _ = await prove_records(self._reader, endpoint)
        if revoked_at:
            raise EndpointRevoked("this endpoint is revoked", endpoint=endpoint, height=revoked_at)
        return chain

    async def resettle(self) -> None:
        """Take up what may stand by now: no step is posted under an account that the ledger knows no more."""
        if self._posted:
            await self.adopt()

    async def work(self, items: Iterable[Item], queue: Queue) -> None:
        """Do the rotations among items of a queue. Raises Unavailable, PeerFault for what is to be tried again."""
        for item in items:
            if item.kind == "rotate":
                try:
                    await self._answer(item)
                except (Unavailable, PeerFault):
                    queue.give_back()
                    raise
                queue.done(item)

    async def _answer(self, item: Item) -> None:
        """Make the rotation that was asked for, or refuse it, and tell whoever asked.

        Keys that the keystore or the reserve does not hand out now are such a refusal: nothing was posted, and the
        medium may be away for months.
        """
        try:
            if self._cabinet is None:
                raise NoCabinet(endpoint=self._parts.endpoint)
            record = await self._behind(item.sequence)
            if record is not None:
                # The ledger takes no record of another suite, so no key is made of one.
                await check_rotation(self._reader, record, item.suite, item.signing)
                try:
                    signed = self._cabinet.next_record(record, item.suite, item.signing)
                except Unavailable as error:
                    item.fail(error)
                    return
                self._posted = True
                await self._post(signed)
            item.finish(await self._settled())
        except Refused as error:
            item.fail(error)
        self._posted = False

    async def _behind(self, target: int) -> KeyRecord | None:
        """The current record where it is not yet that of index `target`, as an attempt before may have made it."""
        record = (await self._prove())[-1]
        return record if record.index < target else None

    async def _post(self, signed: SignedRecord) -> None:
        done = await self._submitter.submit([("endpoint.rotate", {"record": signed.to_bytes()})])
        if done.code:
            raise StepRefused(done.log, kind="rotate")
        await self._reader.chain.header_at_least(done.height.height + 1)

    async def _settled(self) -> dict[str, Any]:
        record = await self.adopt()
        with self._parts.store.commit(durable=True):
            self._parts.store.set_meta(ROTATED, int(self._time).to_bytes(8, "big"))
        self._parts.report("rotated", {"index": record.index, "record": record.hash.hex()})
        return {"index": record.index, "record": record.hash.hex()}

    async def retire(self) -> None:
        """Erase old sealing keys once nothing can be under way to them, by the ledger's own time."""
        kept = self._parts.store.meta(ROTATED)
        ring = self._parts.keys
        if self._cabinet is None or not ring.older or kept is None:
            return
        rotated = int.from_bytes(kept, "big")
        if self._parts.clock.now() < rotated + KEPT or self._open_since(rotated):
            return
        await self._reader.latest()
        if self._time < rotated + KEPT:
            return
        self._cabinet.forget(ring.record.index)
        self._parts.keys = self._cabinet.ring([ring.record])
        self._parts.report("keys_erased", {"before": ring.record.index})

    @property
    def _time(self) -> UnixNanos:
        return self._reader.newest.header.time

    def _open_since(self, rotated: int) -> bool:
        """Is a message open that may have been sent before the rotation? Its reply needs the old key."""
        latest = floor_seconds(UnixNanos(rotated + KEPT))
        return any(row.timeout <= latest for row in self._parts.store.all_sent("sent"))
