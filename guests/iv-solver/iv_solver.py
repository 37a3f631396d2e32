"""Answers an option quote with its Black-Scholes implied volatility, or with why there is none."""

from black_scholes import implied_volatility
from lockgate_guest import Guest, Message, Refused
from quotes import QUOTE_SCHEMA, BadQuote, decode_quote, encode_answer

guest = Guest()


@guest.handles(QUOTE_SCHEMA)
def solve(message: Message) -> bytes:
    try:
        _, option = decode_quote(message.body)
    except BadQuote as bad:
        raise Refused("options.bad_quote", str(bad)) from None
    return encode_answer(implied_volatility(option))
