"""Implied volatility in integers, against floating point and against recorded quotes."""

from __future__ import annotations

import math

import pytest
from black_scholes import (
    VOLATILITY_UNIT,
    Expired,
    NoSolution,
    Option,
    Volatility,
    implied_volatility,
)
from fixed_point import LN2, ONE, PI, exp, ln, mills, normal_cdf, normal_density, sqrt
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.quotes import option_chains, recorded

UNIT = 1_000_000


def real(x: int) -> float:
    return x / ONE


def fixed(x: float) -> int:
    return int(x * ONE)


def cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def price(is_call: bool, spot: float, strike: float, days: int, volatility: float) -> float:
    """Black-Scholes with zero rates, in floating point with the error function."""
    s = volatility * math.sqrt(days / 365)
    d1 = math.log(spot / strike) / s + s / 2
    if is_call:
        return spot * cdf(d1) - strike * cdf(d1 - s)
    return strike * cdf(s - d1) - spot * cdf(-d1)


def vega(spot: float, strike: float, days: int, volatility: float) -> float:
    s = volatility * math.sqrt(days / 365)
    d1 = math.log(spot / strike) / s + s / 2
    return spot * math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi) * math.sqrt(days / 365)


def option(is_call: bool, spot: float, strike: float, mid: float, days: int) -> Option:
    quoted = round(mid * UNIT)
    return Option(is_call, round(spot * UNIT), round(strike * UNIT), quoted, quoted, days)


# --- the functions underneath


def test_constants() -> None:
    assert real(PI) == math.pi
    assert real(LN2) == math.log(2)


@given(st.floats(-40, 40))
def test_exp(x: float) -> None:
    assert real(exp(fixed(x))) == pytest.approx(math.exp(x), rel=1e-12, abs=1e-27)


@given(st.floats(1e-12, 1e15))
def test_ln(x: float) -> None:
    assert real(ln(fixed(x))) == pytest.approx(math.log(x), rel=1e-14, abs=1e-14)


@given(st.floats(-20, 20))
def test_ln_undoes_exp(x: float) -> None:
    assert abs(ln(exp(fixed(x))) - fixed(x)) < ONE >> 60


def test_ln_of_nothing() -> None:
    with pytest.raises(ValueError, match="not positive"):
        ln(0)


@given(st.floats(0, 1e12))
def test_sqrt(x: float) -> None:
    assert real(sqrt(fixed(x))) == pytest.approx(math.sqrt(x), rel=1e-12, abs=1e-13)


@given(st.floats(-11, 11))
def test_normal_distribution(d: float) -> None:
    assert real(normal_cdf(fixed(d))) == pytest.approx(cdf(d), rel=1e-11, abs=1e-27)
    density = math.exp(-d * d / 2) / math.sqrt(2 * math.pi)
    assert real(normal_density(fixed(d))) == pytest.approx(density, rel=1e-11, abs=1e-27)


@pytest.mark.parametrize("edge", [-4, 4])
def test_mills_is_smooth_where_its_methods_meet(edge: int) -> None:
    just_under, just_over = mills(edge * ONE - 1), mills(edge * ONE + 1)
    assert abs(just_over - just_under) < abs(just_over) >> 70


# --- implied volatility


SPOT = 2_257.83
# Where a price in millionths settles the volatility to 1e-6: the vega is at least 10.
SENSITIVE = [
    (is_call, strike, days, volatility)
    for is_call in (True, False)
    for strike in (300.0, 1_650.0, 2_250.0, 2_257.83, 2_300.0, 3_500.0)
    for days in (1, 30, 365, 3_650)
    for volatility in (0.05, 0.2, 0.8, 3.0)
    if vega(SPOT, strike, days, volatility) >= 10
]


@pytest.mark.parametrize(("is_call", "strike", "days", "volatility"), SENSITIVE)
def test_finds_the_volatility_a_price_was_made_with(is_call: bool, strike: float, days: int, volatility: float) -> None:
    mid = price(is_call, SPOT, strike, days, volatility)
    answer = implied_volatility(option(is_call, SPOT, strike, mid, days))
    assert isinstance(answer, Volatility)
    assert answer.nano / VOLATILITY_UNIT == pytest.approx(volatility, abs=1e-6)


@settings(max_examples=300)
@given(
    st.booleans(),
    st.floats(0.01, 1e6),
    st.floats(0.3, 3.0),
    st.integers(1, 5_000),
    st.floats(0.01, 4.0),
)
def test_round_trip(is_call: bool, spot: float, moneyness: float, days: int, volatility: float) -> None:
    spot = round(spot, 6)
    strike = round(spot * moneyness, 6)
    assume(strike > 0)
    sensitivity = vega(spot, strike, days, volatility)
    assume(sensitivity > 2)
    answer = implied_volatility(option(is_call, spot, strike, price(is_call, spot, strike, days, volatility), days))
    assert isinstance(answer, Volatility)
    # half a millionth of price, and the float's own error of a few parts in 10^15 of the spot
    slack = (1e-6 + spot * 1e-13) / sensitivity + 2e-9
    assert answer.nano / VOLATILITY_UNIT == pytest.approx(volatility, abs=slack)


@given(
    st.booleans(),
    st.integers(1, 10**15),
    st.integers(1, 10**15),
    st.integers(0, 10**15),
    st.integers(0, 10**15),
    st.integers(-10, 4_000_000),
)
def test_every_quote_has_one_answer_of_the_right_kind(
    is_call: bool, spot: int, strike: int, bid: int, ask: int, days: int
) -> None:
    answer = implied_volatility(Option(is_call, spot, strike, bid, ask, days))
    doubled, intrinsic = bid + ask, 2 * max(0, spot - strike if is_call else strike - spot)
    upper = 2 * (spot if is_call else strike)
    if days <= 0:
        assert answer == Expired(-days)
    elif doubled <= intrinsic:
        assert answer == NoSolution("intrinsic", intrinsic, doubled)
    elif doubled >= upper:
        assert answer == NoSolution("upper", upper, doubled)
    else:
        assert isinstance(answer, Volatility)
        assert answer.nano >= 0


@given(st.integers(1, 999), st.integers(1, 500))
def test_a_higher_price_never_means_a_lower_volatility(mid: int, step: int) -> None:
    def at(quoted: int) -> int:
        answer = implied_volatility(Option(True, 1_000, 1_000, quoted, quoted, 30))
        assert isinstance(answer, Volatility)
        return answer.nano

    assume(mid + step < 1_000)
    assert at(mid) < at(mid + step)


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(1, 10**9), st.integers(1, 4_000))
def test_call_and_put_of_one_strike_agree(spot: int, strike: int, time_value: int, days: int) -> None:
    assume(time_value < min(spot, strike))
    call_price, put_price = max(spot - strike, 0) + time_value, max(strike - spot, 0) + time_value
    call = implied_volatility(Option(True, spot, strike, call_price, call_price, days))
    put = implied_volatility(Option(False, spot, strike, put_price, put_price, days))
    assert call == put


def test_the_bounds_are_strict() -> None:
    assert implied_volatility(Option(True, 120, 100, 20, 20, 30)) == NoSolution("intrinsic", 40, 40)
    assert isinstance(implied_volatility(Option(True, 120, 100, 20, 21, 30)), Volatility)
    assert implied_volatility(Option(True, 120, 100, 120, 120, 30)) == NoSolution("upper", 240, 240)
    assert isinstance(implied_volatility(Option(True, 120, 100, 119, 120, 30)), Volatility)
    assert implied_volatility(Option(False, 120, 100, 0, 0, 30)) == NoSolution("intrinsic", 0, 0)


def test_expired_comes_first() -> None:
    assert implied_volatility(Option(True, 120, 100, 0, 0, 0)) == Expired(0)
    assert implied_volatility(Option(True, 120, 100, 0, 0, -3)) == Expired(3)


# --- recorded quotes


def test_recorded_quotes_get_the_answer_their_price_implies() -> None:
    checked = 0
    for file in sorted(option_chains().glob("*.csv")):
        for _, quote, _, _ in recorded(file):
            answer = implied_volatility(quote)
            mid = (quote.bid + quote.ask) / 2 / UNIT
            spot, strike = quote.spot / UNIT, quote.strike / UNIT
            intrinsic = max(0.0, spot - strike if quote.is_call else strike - spot)
            if quote.days <= 0:
                assert isinstance(answer, Expired)
            elif isinstance(answer, NoSolution):
                assert answer.bound == "intrinsic"
                assert mid <= intrinsic + 1e-9
            else:
                assert isinstance(answer, Volatility)
                volatility = answer.nano / VOLATILITY_UNIT
                assert price(quote.is_call, spot, strike, quote.days, volatility) == pytest.approx(mid, abs=1e-6)
            checked += 1
    assert checked > 0


def test_the_vendor_is_of_the_same_mind_within_a_factor_of_two() -> None:
    """Puts within 30 % of the spot; the vendor has rates, dividends, and its own idea of the price."""
    compared = 0
    for _, quote, _, vendor in recorded(option_chains() / "spx_2017_sample.csv"):
        answer = implied_volatility(quote)
        near = not quote.is_call and 0.7 < quote.strike / quote.spot < 1.3
        if isinstance(answer, Volatility) and near and quote.days >= 5:
            assert 0.5 < answer.nano / VOLATILITY_UNIT / vendor < 2
            compared += 1
    assert compared > 0
