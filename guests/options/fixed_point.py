"""Exponential, logarithm, square root and the normal distribution in integers.

A number x is held as the integer round(x · 2^96). Every operation is exact integer arithmetic with
floor rounding, so that every machine, sandbox and Python version gets the same bits: floating-point
libraries do not promise that, and an answer that goes on a ledger needs it. The error of each function
is a few units of 2^-96 of its result's scale; 29 decimal places leave room for the cancellations of
option pricing (see `black_scholes`).
"""

from __future__ import annotations

from math import isqrt
from typing import Final

FRACTION_BITS: Final = 96
ONE: Final = 1 << FRACTION_BITS
_GUARD: Final = 32  # extra bits while constants are made
_SERIES_LIMIT: Final = 4 * ONE  # where the Taylor series needs about 60 terms; the fraction needs 64 there too
_FRACTION_DEPTH: Final = 64  # levels of the continued fraction: 77 correct bits at 4, more beyond


def ratio(numerator: int, denominator: int) -> int:
    """Return numerator / denominator, floored, for any integers with denominator > 0."""
    return (numerator << FRACTION_BITS) // denominator


def mul(a: int, b: int) -> int:
    return (a * b) >> FRACTION_BITS


def div(a: int, b: int) -> int:
    return (a << FRACTION_BITS) // b


def sqrt(x: int) -> int:
    """Return the square root of x >= 0."""
    return isqrt(x << FRACTION_BITS)


def _atanh_of_inverse(n: int, bits: int) -> int:
    """Return atanh(1/n) · 2^bits."""
    term = (1 << bits) // n
    total, k = term, 1
    while term:
        term //= n * n
        k += 2
        total += term // k
    return total


def _atan_of_inverse(n: int, bits: int) -> int:
    """Return atan(1/n) · 2^bits."""
    term = (1 << bits) // n
    total, k, sign = term, 1, -1
    while term:
        term //= n * n
        k += 2
        total += sign * (term // k)
        sign = -sign
    return total


_BITS: Final = FRACTION_BITS + _GUARD
LN2: Final = 2 * _atanh_of_inverse(3, _BITS) >> _GUARD  # ln 2 = 2 atanh(1/3)
PI: Final = (16 * _atan_of_inverse(5, _BITS) - 4 * _atan_of_inverse(239, _BITS)) >> _GUARD  # Machin, 1706
SQRT_2PI: Final = sqrt(2 * PI)


def exp(x: int) -> int:
    """Return e^x for x of at most a few hundred in size.

    x = k ln 2 + r; e^r = (e^(r/32))^32 by a short series.
    """
    k, r = divmod(x, LN2)
    r >>= 5
    term = total = ONE
    n = 0
    while term:
        n += 1
        term = mul(term, r) // n
        total += term
    for _ in range(5):
        total = mul(total, total)
    return total << k if k >= 0 else total >> -k


def ln(x: int) -> int:
    """Return the natural logarithm of x > 0.

    x = m · 2^k with m in [2/3, 4/3); ln m = 2 atanh((m − 1) / (m + 1)), whose argument is at most 1/5.
    """
    if x <= 0:
        raise ValueError("the logarithm of a number that is not positive")
    k = x.bit_length() - FRACTION_BITS
    m = x >> k if k >= 0 else x << -k  # in [1/2, 1)
    if 3 * m < 2 * ONE:
        m = x >> (k - 1) if k > 0 else x << (1 - k)
        k -= 1
    z = div(m - ONE, m + ONE)
    square = mul(z, z)
    term, total, n = z, z, 1
    while term and term != -1:  # floor division of a negative number ends at -1
        term = mul(term, square)
        n += 2
        total += term // n
    return 2 * total + k * LN2


LN_SQRT_2PI: Final = ln(SQRT_2PI)


def mills(d: int) -> int:
    """Return N(d) / φ(d), the normal distribution function over its density.

    Up to 4 in size by N(d) = 1/2 + φ(d) · (d + d³/3 + d⁵/15 + …), whose terms are all of one sign;
    below by Laplace's continued fraction for Mills' ratio, 1 / (z + 1 / (z + 2 / (z + 3 / …))) with
    z = −d; above by N(d) = 1 − N(−d). Source: Abramowitz and Stegun 26.2.11, 26.2.14.
    """
    if d < -_SERIES_LIMIT:
        z = -d
        tail = z
        for k in range(_FRACTION_DEPTH, 0, -1):
            tail = z + div(k * ONE, tail)
        return div(ONE, tail)
    inverse_density = mul(SQRT_2PI, exp(mul(d, d) >> 1))
    if d > _SERIES_LIMIT:
        return inverse_density - mills(-d)
    square = mul(d, d)
    term, total, n = d, d, 1
    while term and term != -1:
        n += 2
        term = mul(term, square) // n
        total += term
    return (inverse_density >> 1) + total


def normal_density(d: int) -> int:
    return div(exp(-(mul(d, d) >> 1)), SQRT_2PI)


def normal_cdf(d: int) -> int:
    """Return N(d), the probability that a standard normal variable is at most d."""
    tail = mul(normal_density(d), mills(-abs(d)))
    return tail if d < 0 else ONE - tail
