"""Big-integer arithmetic on edwards25519, for verification only: it sees public data and nothing else.

It exists because an acceptance set that every node must share cannot be "what the library says"
(P7). The time it takes depends on its inputs, so no secret scalar may ever reach it.

Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z on −x² + y² = 1 + dx²y² (RFC 8032 §5.1.4,
Hisil–Wong–Carter–Dawson). Addends are kept as (Y−X, Y+X, 2Z, 2dT), which saves the multiplications
that do not depend on the running sum. The double multiplication walks both scalars together in
signed windows (Straus): one doubling a bit, shared, and an addition about every sixth and ninth bit.
"""

from __future__ import annotations

from functools import cache
from typing import Final

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
_SQRT_M1: Final = pow(2, (P - 1) // 4, P)
_SIGN: Final = 1 << 255

Point = tuple[int, int, int, int]
_Addend = tuple[int, int, int, int]

_BASE_Y: Final = 4 * pow(5, -1, P) % P
_BASE_WINDOW: Final = 8  # 64 odd multiples, computed once; wider gains under 2 %
_POINT_WINDOW: Final = 5  # 8 odd multiples for each key; 4 and 6 measure the same or slower


def decompress(encoding: bytes) -> Point | None:
    """Decode 32 bytes as ZIP-215 does, or return None where no such point exists.

    y is taken modulo p, so encodings of y + p decode too, and x = 0 with the sign bit set is x = 0.
    """
    raw = int.from_bytes(encoding, "little")
    y = (raw & (_SIGN - 1)) % P
    yy = y * y % P
    u, v = (yy - 1) % P, (D * yy + 1) % P
    # x = u·v³·(u·v⁷)^((p−5)/8) is a square root of ±u/v if there is one (RFC 8032 §5.1.3).
    v3 = v * v % P * v % P
    x = u * v3 % P * pow(u * v3 % P * v3 % P * v % P, (P - 5) // 8, P) % P
    vxx = v * x % P * x % P
    if vxx != u:
        if vxx != P - u and u:
            return None
        x = x * _SQRT_M1 % P
    if x & 1 != raw >> 255:
        x = (P - x) % P
    return x, y, 1, x * y % P


def is_canonical(encoding: bytes) -> bool:
    """Whether these 32 bytes are the one encoding RFC 8032 gives a point: y < p, no negative zero."""
    raw = int.from_bytes(encoding, "little")
    y = raw & (_SIGN - 1)
    return y < P and not (raw >> 255 and y in (1, P - 1))


def double_scalar_is_torsion(s: int, k: int, point: Point, target: Point) -> bool:
    """Whether [8]([s]B − [k]point − target) is the identity, for s, k in 0..L−1."""
    x, y, z, t = target
    total = _multiply_two(s, k, _negate(point))
    total = add(total, (P - x, y, z, P - t))
    for _ in range(3):
        total = double(total)
    return total[0] % P == 0 and (total[1] - total[2]) % P == 0


def add(p: Point, q: Point) -> Point:
    return _add_prepared(p, _prepare(q))


def double(p: Point) -> Point:
    x, y, z, _ = p
    a, b = x * x % P, y * y % P
    h = a + b
    e = h - (x + y) * (x + y) % P
    g = a - b
    f = 2 * z * z % P + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def _prepare(p: Point) -> _Addend:
    x, y, z, t = p
    return (y - x) % P, (y + x) % P, 2 * z % P, 2 * D * t % P


def _add_prepared(p: Point, q: _Addend) -> Point:
    x, y, z, t = p
    minus, plus, z2, t2d = q
    a, b, c, d = (y - x) * minus % P, (y + x) * plus % P, t * t2d % P, z * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _negate(p: Point) -> Point:
    x, y, z, t = p
    return P - x, y, z, P - t


def _odd_multiples(p: Point, window: int) -> tuple[_Addend, ...]:
    """[1]p, [3]p, …, [2^(window−1) − 1]p, and their negatives behind: index −1 is −[1]p."""
    twice = _prepare(double(p))
    positive = [p]
    for _ in range((1 << window - 2) - 1):
        positive.append(_add_prepared(positive[-1], twice))
    addends = [_prepare(point) for point in positive]
    return (*addends, *((plus, minus, z2, P - t2d) for minus, plus, z2, t2d in reversed(addends)))


@cache
def _base_multiples() -> tuple[_Addend, ...]:
    base = decompress(_BASE_Y.to_bytes(32, "little"))
    assert base is not None
    return _odd_multiples(base, _BASE_WINDOW)


def _window_digits(scalar: int, window: int) -> list[tuple[int, int]]:
    """Split into (bit position, odd digit) pairs, |digit| < 2^(window−1), highest position first."""
    digits = []
    position, size, half = 0, 1 << window, 1 << window - 1
    while scalar:
        zeros = (scalar & -scalar).bit_length() - 1
        scalar >>= zeros
        position += zeros
        digit = scalar & size - 1
        if digit >= half:
            digit -= size
        digits.append((position, digit))
        scalar -= digit
    digits.reverse()
    return digits


def _multiply_two(s: int, k: int, point: Point) -> Point:
    """[s]B + [k]point. The plain form, one bit at a time, is in the tests; a property holds them equal."""
    steps: dict[int, list[_Addend]] = {}
    for scalar, window, multiples in (
        (s, _BASE_WINDOW, _base_multiples()),
        (k, _POINT_WINDOW, _odd_multiples(point, _POINT_WINDOW)),
    ):
        for position, digit in _window_digits(scalar, window):
            # Odd digit 2i+1 is at index i, its negative at −i−1: both are digit // 2.
            steps.setdefault(position, []).append(multiples[digit // 2])
    x, y, z, t = 0, 1, 1, 0
    top = max(steps, default=0)
    for position in range(top, -1, -1):
        if position < top:
            a, b = x * x % P, y * y % P
            h = a + b
            e = h - (x + y) * (x + y) % P
            g = a - b
            f = 2 * z * z % P + g
            addends = steps.get(position)
            x, y, z = e * f % P, g * h % P, f * g % P
            if not addends and position:
                continue  # T is only needed by an addition
            t = e * h % P
        for addend in steps.get(position, ()):
            x, y, z, t = _add_prepared((x, y, z, t), addend)
    return x, y, z, t


__all__ = ("D", "L", "P", "Point", "add", "decompress", "double", "double_scalar_is_torsion", "is_canonical")
