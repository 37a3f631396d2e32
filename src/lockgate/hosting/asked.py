"""What a host's operator asks: a command for the guest, a message sent without asking it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from lockgate.codec.registry import SchemaName
from lockgate.envelope.binding import MAX_PAYLOADS
from lockgate.envelope.content import MAX_BODY
from lockgate.host import ports as guest_ports
from lockgate.host.sealing import schema_ref
from lockgate.hosting.steps import Steps
from lockgate.hosting.work import Decision, Item, Plan
from lockgate.ibc.packet import Payload
from lockgate.primitives.errors import Refused


class TooManyPayloads(Refused):
    code = "host.too_many_payloads"
    summary = "A packet carries at most 16 payloads, the message's own included (P2)."
    untouched = "Nothing was sent."
    next_step = "Put fewer payloads beside the message; a ledger's own limit may be lower."


class BadTimeout(Refused):
    code = "host.bad_timeout"
    summary = "A message has from one second to a day, and this one was to have less or more (P13)."
    untouched = "Nothing was sent."
    next_step = "Send it with a timeout of 1 to 86,400 s; in a session of at most 3,600 s."


class BodyTooLong(Refused):
    code = "host.body_too_long"
    summary = "A body above 131,072 bytes does not travel inside a packet (I8)."
    untouched = "Nothing was sent."
    next_step = "Send it as a file: `lockgate send --file`, or a path in the Python API."


def sendable(schema: str, timeout_s: int, body: bytes = b"", beside: Sequence[Payload] = ()) -> SchemaName:
    """The schema of a message that an operator asks for, judged before it is work: nothing in it is to stop a host.

    Raises BadSchemaName, BadTimeout, BodyTooLong, TooManyPayloads.
    """
    name = schema_ref(schema)
    if not 0 < timeout_s <= guest_ports.MAX_TIMEOUT_S:
        raise BadTimeout(timeout_s=timeout_s, longest=guest_ports.MAX_TIMEOUT_S)
    if len(body) > MAX_BODY:
        raise BodyTooLong(size=len(body), limit=MAX_BODY)
    if len(beside) >= MAX_PAYLOADS:
        raise TooManyPayloads(beside=len(beside))
    return name


class Asked:
    """Decides about what the operator asked."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._parts = steps.parts

    async def decide(self, item: Item) -> Decision:
        return await (self._command(item) if item.kind == "command" else self._direct(item))

    async def _command(self, item: Item) -> Decision:
        call_id = hashlib.sha256(b"lockgate/command/1" + self._parts.rng.bytes(32)).digest()
        outcome = self._steps.call(guest_ports.Command(item.input), call_id)
        match outcome.result:
            case guest_ports.Reply(body):
                result: dict[str, Any] = {"output": body.hex()}
            case guest_ports.Refusal(code, detail):
                return Decision(result={"refused": code, "detail": detail})
            case guest_ports.GuestTrap(kind, detail):
                return Decision(result={"trapped": kind.value, "detail": detail})
            case _:
                result = {}
        return Decision(await self._steps.follow(outcome, [], (), needed=False), result=result)

    async def _direct(self, item: Item) -> Decision:
        ref = hashlib.sha256(b"lockgate/direct/1" + self._parts.rng.bytes(32)).digest()
        send = guest_ports.Send(
            ref=guest_ports.MessageRef(ref), to=item.to, schema=item.schema, body=item.input, timeout_s=item.timeout_s
        )
        return Decision((Plan(sends=(await self._steps.sending(send, item.beside),)),), result={"ref": ref.hex()})


__all__ = ("Asked", "BadTimeout", "BodyTooLong", "TooManyPayloads", "sendable")
