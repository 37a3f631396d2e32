"""What a host's operator asks: a command for the guest, a message sent without asking it."""

from __future__ import annotations

import hashlib
from typing import Any

from lockgate.host import ports as guest_ports
from lockgate.hosting.steps import Steps
from lockgate.hosting.work import Decision, Item, Plan
from lockgate.primitives.errors import Refused


class TooManyPayloads(Refused):
    code = "host.too_many_payloads"
    summary = "A packet carries at most 16 payloads, the message's own included (P2)."
    untouched = "Nothing was sent."
    next_step = "Put fewer payloads beside the message; a ledger's own limit may be lower."


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


__all__ = ("Asked", "TooManyPayloads")
