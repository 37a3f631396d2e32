"""What a guest may return, checked the same way for every kind of sandbox."""

from __future__ import annotations

from typing import Final

from lockgate.host.ports import (
    MAX_REFUSAL_DETAIL,
    Command,
    Deferred,
    Done,
    GuestLimits,
    GuestTrap,
    Handle,
    Invocation,
    Refusal,
    Reply,
    Result,
    TrapKind,
    is_refusal_code,
)

MAX_TRAP_DETAIL: Final = 200  # characters: one line of a log


class Stopped(BaseException):  # not an Exception: no `except Exception` of a guest may hold it
    """The guest went too far and the call ends here. Never leaves the runtime: it becomes a GuestTrap."""

    def __init__(self, kind: TrapKind, detail: str) -> None:
        super().__init__(detail)
        self.trap = GuestTrap(kind, shown(detail, MAX_TRAP_DETAIL))


def checked(invocation: Invocation, result: object, limits: GuestLimits) -> Result:
    """Return the result if this invocation may have it, within its limits; else stop the guest."""
    if isinstance(invocation, (Handle, Command)):
        if type(result) is Reply:
            return checked_reply(result.body, limits)
        if type(result) is Refusal:
            return checked_refusal(result.code, result.detail)
        if type(result) is Deferred and isinstance(invocation, Handle):
            return result
    elif type(result) is Done:
        return result
    raise Stopped(TrapKind.BAD_RESULT, f"{type(invocation).__name__} does not end with {type(result).__name__}")


def checked_reply(body: object, limits: GuestLimits) -> Reply:
    if type(body) is not bytes:
        raise Stopped(TrapKind.BAD_RESULT, "a reply is bytes")
    if len(body) > limits.reply_bytes:
        raise Stopped(TrapKind.OUTPUT_TOO_LARGE, f"a reply of {len(body)} bytes")
    return Reply(body)


def checked_refusal(code: object, detail: object, otherwise: TrapKind = TrapKind.BAD_RESULT) -> Refusal:
    """Return a refusal that a ledger record and a terminal can carry, else stop the guest.

    Control characters of the detail become spaces and a long detail is cut, at a character: it is
    the code that counts.
    """
    if type(code) is not str or type(detail) is not str or not is_refusal_code(code):
        raise Stopped(otherwise, "a refusal code is 1 to 64 printable ASCII characters")
    cut = shown(detail, MAX_REFUSAL_DETAIL).encode()[:MAX_REFUSAL_DETAIL]
    return Refusal(code, cut.decode(errors="ignore"))


def shown(text: str, longest: int) -> str:
    """Return at most `longest` characters of a guest's text, safe for a terminal."""
    return "".join(c if c.isprintable() else " " for c in text[:longest])


__all__ = ("Stopped", "checked", "checked_refusal", "checked_reply", "shown")
