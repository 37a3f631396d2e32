"""Sends option quotes its operator hands it, one message each, and keeps the answers.

Commands, in CBOR:
  {"send": {"to": peer, "timeout": seconds, "quotes": [body, …]}}   → {"sent": [reference, …]}
  {"report": true}                                                  → {counter: number, …}
  {"answers": {"after": reference or empty, "limit": number}}       → [[reference, series, answer], …]
  {"forget": [reference, …]}                                        → {"forgotten": number}
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

from black_scholes import Expired, NoSolution, Volatility
from lockgate_guest import Guest, Refused, SendFailed, cbor, messages, state
from quotes import QUOTE_SCHEMA, BadQuote, decode_answer, decode_quote

SENT, ANSWER, COUNT = b"sent/", b"answer/", b"count/"
OUTCOMES = {Volatility: "volatility", NoSolution: "no_solution", Expired: "expired"}
COUNTERS = ("sent", "acknowledged", "refused", "timed_out", *OUTCOMES.values(), "unreadable")

guest = Guest()


@guest.on_command
def command(data: bytes) -> bytes:
    try:
        ((verb, argument),) = cbor.decode(data).items()
        return cbor.encode(COMMANDS[verb](argument))
    except (cbor.Malformed, AttributeError, KeyError, TypeError, ValueError) as wrong:
        raise Refused("options.bad_command", f"{type(wrong).__name__}: {wrong}") from None


def send(batch: dict[str, Any]) -> dict[str, Any]:
    references = []
    for body in batch["quotes"]:
        series, _ = decode_quote(body)
        try:
            reference = messages.send(batch["to"], QUOTE_SCHEMA, body, batch["timeout"])
        except SendFailed as failed:
            raise Refused(f"options.{failed.word}", f"to {batch['to']}") from None
        state.put(SENT + reference, series.encode())
        references.append(reference)
    count("sent", len(references))
    return {"sent": references}


def report(_: Any) -> dict[str, int]:
    return {name: counted(name) for name in COUNTERS}


def answers(page: dict[str, Any]) -> list[list[Any]]:
    pairs = islice(state.scan(ANSWER, after=page["after"]), page["limit"])
    return [[key[len(ANSWER) :], *cbor.decode(value)] for key, value in pairs]


def forget(references: list[bytes]) -> dict[str, int]:
    known = [reference for reference in references if state.get(ANSWER + reference) is not None]
    for reference in known:
        state.delete(ANSWER + reference)
    return {"forgotten": len(known)}


COMMANDS: dict[str, Callable[[Any], Any]] = {"send": send, "report": report, "answers": answers, "forget": forget}


@guest.on_acknowledged
def acknowledged(sent: bytes, reply: bytes) -> None:
    series = ended(sent, "acknowledged")
    if series is None:
        return
    state.put(ANSWER + sent, cbor.encode([series, reply]))
    try:
        count(OUTCOMES[type(decode_answer(reply))], 1)
    except BadQuote:
        count("unreadable", 1)  # the peer's fault, and no reason for this guest to stop


@guest.on_refused
def refused(sent: bytes, code: str) -> None:
    ended(sent, "refused")


@guest.on_timed_out
def timed_out(sent: bytes) -> None:
    ended(sent, "timed_out")


def ended(sent: bytes, how: str) -> str | None:
    """Close an open message; None if it is not (any more) one of ours."""
    series = state.get(SENT + sent)
    if series is None:
        return None
    state.delete(SENT + sent)
    count(how, 1)
    return series.decode()


def counted(name: str) -> int:
    kept = state.get(COUNT + name.encode())
    return 0 if kept is None else int.from_bytes(kept, "big")


def count(name: str, by: int) -> None:
    state.put(COUNT + name.encode(), (counted(name) + by).to_bytes(8, "big"))
