"""Quotes and answers on the wire: `options.cddl`, in deterministic CBOR."""

from __future__ import annotations

from typing import Any, Final

from black_scholes import Answer, Expired, NoSolution, Option, Volatility
from lockgate_guest import cbor

QUOTE_SCHEMA: Final = "option-quote@1.0"
MAX_MONEY: Final = 10**15  # millionths: a thousand million of the currency
MAX_DAY: Final = 2_932_896  # 9999-12-31 in days since 1970-01-01
MAX_SERIES: Final = 64  # characters of a series' symbol; OCC symbols have 21


class BadQuote(ValueError):
    """The body is not a quote."""


def encode_quote(series: str, option: Option, quoted: int) -> bytes:
    """Return the body of a quote made on day `quoted` (days since 1970-01-01)."""
    return cbor.encode(
        {
            "series": series,
            "kind": "call" if option.is_call else "put",
            "spot": option.spot,
            "strike": option.strike,
            "bid": option.bid,
            "ask": option.ask,
            "quoted": quoted,
            "expires": quoted + option.days,
        }
    )


def decode_quote(body: bytes) -> tuple[str, Option]:
    """Return series and option; raises BadQuote. Fields of later minor versions are passed over."""
    try:
        fields = cbor.decode(body)
    except cbor.Malformed as malformed:
        raise BadQuote(str(malformed)) from None
    if not isinstance(fields, dict):
        raise BadQuote("a quote is a map")
    series = fields.get("series")
    if not isinstance(series, str) or not 0 < len(series) <= MAX_SERIES:
        raise BadQuote(f"series is 1 to {MAX_SERIES} characters")
    if fields.get("kind") not in ("call", "put"):
        raise BadQuote('kind is "call" or "put"')
    option = Option(
        is_call=fields["kind"] == "call",
        spot=_number(fields, "spot", 1, MAX_MONEY),
        strike=_number(fields, "strike", 1, MAX_MONEY),
        bid=_number(fields, "bid", 0, MAX_MONEY),
        ask=_number(fields, "ask", 0, MAX_MONEY),
        days=_number(fields, "expires", 0, MAX_DAY) - _number(fields, "quoted", 0, MAX_DAY),
    )
    if option.bid > option.ask:
        raise BadQuote("the bid is above the ask")
    return series, option


def encode_answer(answer: Answer) -> bytes:
    if isinstance(answer, Volatility):
        return cbor.encode({"volatility": answer.nano})
    if isinstance(answer, Expired):
        return cbor.encode({"expired": answer.days})
    reason = {"bound": answer.bound, "limit": answer.limit, "price": answer.price}
    return cbor.encode({"no_solution": reason})


def decode_answer(body: bytes) -> Answer:
    """Return the answer; raises BadQuote."""
    try:
        fields = cbor.decode(body)
        ((kind, value),) = fields.items()
        if kind == "volatility":
            return Volatility(value)
        if kind == "expired":
            return Expired(value)
        if kind == "no_solution":
            return NoSolution(value["bound"], value["limit"], value["price"])
    except (cbor.Malformed, AttributeError, TypeError, KeyError, ValueError) as wrong:
        raise BadQuote(f"not an answer: {wrong}") from None
    raise BadQuote(f"not an answer: {kind}")


def _number(fields: dict[Any, Any], name: str, least: int, most: int) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadQuote(f"{name} is an integer of {least} to {most}")
    return value
