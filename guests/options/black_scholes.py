"""Implied volatility of a European option, in integers, with a reason when there is none.

Convention. The rate and the dividend yield are zero, so price and forward are not discounted. A year
has 365 days: T = days / 365. The price is the mid of bid and ask. Then a call is worth more than its
intrinsic value max(S − K, 0) and less than S, a put more than max(K − S, 0) and less than K; strictly,
because volatility and time are positive. A price at or outside a bound has no implied volatility. An
option whose expiration is on or before the quote date is expired, whatever its price.

Method. With zero rates a call and a put of one strike differ by S − K exactly, so only the time value
v = price − intrinsic counts, and it is the price of the option of the pair that is out of the money.
With x = −|ln(S/K)|, s = σ√T, d1 = x/s + s/2, d2 = x/s − s/2 and v normalised by √(SK),

    v = e^(x/2) N(d1) − e^(−x/2) N(d2) = c(s) · (M(d1) − M(d2)),  M = N/φ,
    c(s) = e^(x/2) φ(d1) = e^(−x/2) φ(d2) = exp(−(x²/s² + s²/4)/2) / √(2π) = dv/ds.

So ln v(s) = ln c(s) + ln(M(d1) − M(d2)), its derivative is 1 / (M(d1) − M(d2)), and Newton's method on
the logarithm costs two values of M and one logarithm a step. It starts at the inflection s = √(2|x|),
or at √(2π) v where that is greater (the answer at the money), and is kept inside a bracket that shrinks
with every step. Source: Manaster and Koehler (1982), Brenner and Subrahmanyam (1988) for the starting
points; the rest is algebra.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fixed_point import FRACTION_BITS, LN_SQRT_2PI, ONE, div, exp, ln, mills, mul, ratio, sqrt

DAYS_PER_YEAR: Final = 365
VOLATILITY_UNIT: Final = 10**9  # a volatility of 18.44 % is 184,400,000
_MAX_S: Final = 64 * ONE  # σ√T at which a price differs from its bound by less than 2^-96 of it
_MIN_S: Final = ONE >> 64  # far below a volatility of 10^-9 for a day
_TOLERANCE: Final = ONE >> 40  # of s: a fiftieth of the answer's last digit for a day, less for longer
_MAX_STEPS: Final = 160  # bisection alone, from 64 to 2^-40, takes 46; Newton's method needs 3 to 12


@dataclass(frozen=True, slots=True)
class Volatility:
    """The implied volatility per year, in units of 10^-9, rounded to the nearest."""

    nano: int


@dataclass(frozen=True, slots=True)
class NoSolution:
    """No positive volatility gives this price. `bound` is "intrinsic" (at or below it) or "upper" (at or
    above it); `limit` is its value and `price` the mid, both in the quote's unit, doubled to be exact.
    """

    bound: str
    limit: int
    price: int


@dataclass(frozen=True, slots=True)
class Expired:
    """The option expired `days` days before the quote, 0 on the day itself."""

    days: int


Answer = Volatility | NoSolution | Expired


@dataclass(frozen=True, slots=True)
class Option:
    """One quoted European option. Prices are non-negative integers of one unit (spot, strike > 0)."""

    is_call: bool
    spot: int
    strike: int
    bid: int
    ask: int
    days: int  # from quote date to expiration


def implied_volatility(option: Option) -> Answer:
    """Return the volatility that gives the option's mid, or why none does."""
    if option.days <= 0:
        return Expired(-option.days)
    price = option.bid + option.ask  # twice the mid: exact
    spot, strike = 2 * option.spot, 2 * option.strike
    intrinsic = max(spot - strike, 0) if option.is_call else max(strike - spot, 0)
    upper = spot if option.is_call else strike
    if price <= intrinsic:
        return NoSolution("intrinsic", intrinsic, price)
    if price >= upper:
        return NoSolution("upper", upper, price)
    s = _total_deviation(price - intrinsic, spot, strike)
    per_year = div(s, sqrt(ratio(option.days, DAYS_PER_YEAR)))
    return Volatility((per_year * VOLATILITY_UNIT + ONE // 2) >> FRACTION_BITS)


def _total_deviation(time_value: int, spot: int, strike: int) -> int:
    """Return s = σ√T for a time value between 0 and the smaller of spot and strike."""
    ln_spot, ln_strike = ln(spot << FRACTION_BITS), ln(strike << FRACTION_BITS)
    x = -abs(ln_spot - ln_strike)
    target = ln(time_value << FRACTION_BITS) - (ln_spot + ln_strike) // 2
    low, high = _MIN_S, _MAX_S
    s = max(sqrt(-2 * x), exp(target + LN_SQRT_2PI), low)
    for _ in range(_MAX_STEPS):
        excess, inverse_slope = _log_value(x, s, target)
        low, high = (s, high) if excess < 0 else (low, s)
        following = s - mul(excess, inverse_slope)
        if not low <= following <= high:
            following = (low + high) // 2
        if abs(following - s) <= _TOLERANCE:
            return following
        s = following
    return s


def _log_value(x: int, s: int, target: int) -> tuple[int, int]:
    """Return ln v(s) − target and M(d1) − M(d2)."""
    drift, half = div(x, s), s >> 1
    difference = max(mills(drift + half) - mills(drift - half), 1)
    log_slope = -(mul(drift, drift) + mul(half, half)) // 2 - LN_SQRT_2PI
    return log_slope + ln(difference) - target, difference
