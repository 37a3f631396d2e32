"""Times as CometBFT writes them in JSON: RFC 3339, UTC, nanoseconds without trailing zeros."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from lockgate.lightclients.cometbft.errors import MalformedChainData
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos

_FORM: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?Z\Z", re.ASCII
)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAY_SECONDS: Final = 86_400


def parse_time(text: str) -> UnixNanos:
    """Read a time of the years 1 to 9999. Raises `MalformedChainData`."""
    match = _FORM.match(text)
    if match is None:
        raise MalformedChainData("not an RFC 3339 time in UTC", time=text)
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError as fault:
        raise MalformedChainData("no such day", time=text) from fault
    if hour > 23 or minute > 59 or second > 59:
        raise MalformedChainData("no such time of day", time=text)
    seconds = days * _DAY_SECONDS + hour * 3_600 + minute * 60 + second
    return UnixNanos(seconds * NANOS_PER_SECOND + int((match.group(7) or "0").ljust(9, "0")))


def format_time(time: UnixNanos) -> str:
    """Write a time of the years 1 to 9999."""
    seconds, fraction = divmod(time, NANOS_PER_SECOND)
    days, rest = divmod(seconds, _DAY_SECONDS)
    hour, minute, second = rest // 3_600, rest // 60 % 60, rest % 60
    tail = f".{fraction:09d}".rstrip("0") if fraction else ""
    day = date.fromordinal(days + _EPOCH_DAY).isoformat()
    return f"{day}T{hour:02d}:{minute:02d}:{second:02d}{tail}Z"


__all__ = ("format_time", "parse_time")
