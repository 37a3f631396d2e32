"""How a call can end otherwise than with a reply, as types an application catches."""

from __future__ import annotations

from lockgate.primitives.errors import Refused, Unavailable


class MessageRefused(Refused):
    """The peer's side refused the message; nothing of it was kept there."""

    code = "message.refused"
    summary = "The message was refused: by the peer's guest, its host, or its ledger."
    untouched = "The peer's state is what it was before the message."
    next_step = "Explain the reason with `lockgate explain REASON`; `lockgate prove` makes a proof of the refusal."

    def __init__(self, detail: str = "", /, *, reason: str = "", words: str = "", packet: str = "") -> None:
        super().__init__(detail, reason=reason, words=words, packet=packet)
        self.reason = reason  # the code in the ledger's provable record (P3)
        self.words = words  # what whoever refused sealed to this host alone; empty where there is nothing
        self.packet = packet


class MessageTrapped(MessageRefused):
    """The peer's guest broke down over the message: a trap, or more fuel, memory or output than it may use."""

    code = "message.trapped"
    summary = "The peer's guest trapped on the message, or overran a limit."
    untouched = "The peer's state is what it was before the message; its guest was started clean."
    next_step = "Tell the peer's operator, whose host has logged the trap; the same body will trap again."


class MessageTimedOut(Refused):
    """Proven: the message did not arrive before its timeout, and never will."""

    code = "message.timed_out"
    summary = "The message was not received in time, and never will be."
    untouched = "The peer never saw it."
    next_step = "Send it again; a longer timeout helps where relayers are slow."

    def __init__(self, detail: str = "", /, *, packet: str = "") -> None:
        super().__init__(detail, packet=packet)
        self.packet = packet


class BodyErased(Refused):
    code = "archive.erased"
    summary = "The message ended longer ago than the host keeps bodies, and the key of what it kept is gone."
    untouched = "Nothing was written."
    next_step = "Ask its sender again; `archive` in the deployment file says how long bodies are kept."


class StillOpen(Unavailable):
    """The caller's patience ended before the message did."""

    code = "message.still_open"
    summary = "The message has not ended in the time the caller waits."
    untouched = "It goes on: it ends by an answer or its timeout, or says that it is suspended."
    next_step = "Look with `lockgate trace`, which says who must act; wait on with its ref."

    def __init__(self, detail: str = "", /, *, packet: str = "") -> None:
        super().__init__(detail, packet=packet)
        self.packet = packet


class CommandRefused(Refused):
    """The own guest refused a command, or trapped on it."""

    code = "command.refused"
    summary = "The guest refused the command, or trapped on it."
    untouched = "The guest's state is what it was; nothing was sent."
    next_step = "Read the guest's words in the error, and its log lines in the host's log."


class NoHost(Refused):
    code = "api.no_host"
    summary = "The connection names no host, and the data folder has none or several."
    next_step = "Name it: lockgate.connect(folder, host=…); the hosts are the folders under `hosts`."


class NoBody(Refused):
    code = "api.no_body"
    summary = "There is nothing to send: the body is empty, or its file cannot be read."
    untouched = "Nothing was sent."
    next_step = "Give at least one byte, or a file that can be read."


__all__ = (
    "BodyErased",
    "CommandRefused",
    "MessageRefused",
    "MessageTimedOut",
    "MessageTrapped",
    "NoBody",
    "NoHost",
    "StillOpen",
)
