"""When keys are replaced without anybody asking: a period in the party's folder, counted from the last rotation (S11).

`rotation.json` of a host's folder holds the period and since when it is set; other parties have a record for each key
that rotates, `rotation-KEY.json`, and beside it when it last did. Who holds the keys looks every minute. A rotation
that was due while it was down is made when it is back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from lockgate.hosting.config import TRUSTING_S
from lockgate.hosting.rotation import KEPT, ROTATED
from lockgate.hosting.work import Report
from lockgate.node.folder import read_json, write_json
from lockgate.primitives.errors import LockgateError, Refused, Unavailable
from lockgate.primitives.ports import Clock
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos

RECORD: Final = "rotation.json"
UNITS: Final = {"h": 3_600, "d": 86_400}
# Old sealing keys are kept for KEPT after the newest rotation: rotating more often would never erase one.
LEAST_S: Final = KEPT // NANOS_PER_SECOND
OTHERS_LEAST_S: Final = 3_599  # other keys open nothing, so none is kept
MOST_S: Final = 3_660 * 86_400  # ten years
LOOK_S: Final = 60.0
AHEAD: Final = TRUSTING_S * NANOS_PER_SECOND  # no ledger that a host follows is as far behind a clock that is right


class BadSchedule(Refused):
    code = "keys.bad_schedule"
    summary = "This is no period after which keys can be rotated."
    untouched = "The schedule is what it was."
    next_step = "Give hours or days, `26 h` to `3660 d`, or `never`."


class BadMemory(Unavailable):
    code = "keys.rotation_record"
    summary = "The record of when a key was last rotated does not read."
    untouched = "No key was rotated."
    next_step = "Remove the file; the key is then taken for one that was never rotated."


class Rotates(Protocol):
    """What is asked of who rotates."""

    async def rotate(self) -> dict[str, Any]: ...


class Remembers(Protocol):
    """What is asked of its store."""

    def meta(self, name: str, /) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """`every_s` is 0 where keys are rotated by hand alone; `since` is when that was said."""

    every_s: int = 0
    since: UnixNanos = UnixNanos(0)

    def due(self, rotated: UnixNanos | None) -> UnixNanos | None:
        """When the next rotation is due, given when the last one was; None without a period."""
        return UnixNanos(max(self.since, rotated or 0) + self.every_s * NANOS_PER_SECOND) if self.every_s else None


class Memory:
    """When a key of a party that has no store was last rotated, and which one it is. Meets `Remembers`."""

    def __init__(self, home: Path, key: str) -> None:
        self._path = home / f"rotated-{key}.json"

    def meta(self, name: str, /) -> bytes | None:
        """Raises BadMemory."""
        at = self._number("at_ns") if name == ROTATED else None
        return None if at is None else at.to_bytes(8, "big")

    def index(self) -> int | None:
        """The number of the rotation that was noted; 0 before the first, None of one without. Raises BadMemory."""
        return self._number("index") if self._path.exists() else 0

    def note(self, now: UnixNanos, index: int | None = None) -> None:
        """It was rotated now, for this time."""
        write_json(self._path, {"at_ns": int(now), **({} if index is None else {"index": index})})

    def _number(self, name: str) -> int | None:
        if not self._path.exists():
            return None
        try:
            number = read_json(self._path).get(name)
            if number is None and name == "index":
                return None
            if type(number) is not int or not 0 <= number < 1 << 63:
                raise BadMemory("it has another shape", file=str(self._path), field=name)
        except BadMemory:
            raise
        except (LockgateError, AttributeError) as error:
            raise BadMemory(file=str(self._path)) from error
        return number


def least_s(key: str) -> int:
    """The shortest period of a key, which is a host's where it has no name."""
    return OTHERS_LEAST_S if key else LEAST_S


def parse(text: str, key: str = "") -> int:
    """Seconds of a period as people give it; 0 for `never`. Raises BadSchedule."""
    if text == "never":
        return 0
    match = re.fullmatch(r"([0-9]{1,6}) ?([hd])", text, re.ASCII)
    seconds = int(match[1]) * UNITS[match[2]] if match else -1
    if not least_s(key) < seconds <= MOST_S:
        raise BadSchedule(given=text[:40], least=f"{least_s(key) // 3_600 + 1} h")
    return seconds


def read(home: Path, key: str = "") -> Schedule:
    """Raises BadSchedule when the record does not read."""
    path = home / (f"rotation-{key}.json" if key else RECORD)
    if not path.exists():
        return Schedule()
    try:
        value = read_json(path)
        schedule = Schedule(int(value["every_s"]), UnixNanos(int(value["since_ns"])))
    except (LockgateError, KeyError, TypeError, ValueError) as error:
        raise BadSchedule("the record does not read", file=str(path)) from error
    if schedule.every_s and not least_s(key) < schedule.every_s <= MOST_S:
        raise BadSchedule("the record is out of range", file=str(path))
    return schedule


def write(home: Path, every_s: int, now: UnixNanos, key: str = "") -> Schedule:
    """Set the period, from now on; one that stands already goes on as it is."""
    if read(home, key).every_s != every_s:
        _set(home, key, every_s, now)
    return read(home, key)


def last_rotation(store: Remembers) -> UnixNanos | None:
    """Ledger time of the newest rotation, as the host's store remembers it."""
    kept = store.meta(ROTATED)
    return None if kept is None else UnixNanos(int.from_bytes(kept, "big"))


async def keep(home: Path, host: Rotates, store: Remembers, time: Callable[[], UnixNanos], report: Report) -> None:
    """Rotate a host's keys whenever that is due, until cancelled. What fails is reported, and tried again at the next
    look. `time` is the proven one of its ledger, by which its rotations are noted."""
    while True:
        try:
            await host_if_due(home, host, store, time())
        except Exception as error:  # whatever it is: nobody watches this task, and the next look may do better
            code = error.code if isinstance(error, LockgateError) else type(error).__name__
            report("rotation_failed", {"code": code, "detail": str(error)})
        await asyncio.sleep(LOOK_S)


async def host_if_due(home: Path, host: Rotates, store: Remembers, now: UnixNanos) -> bool:
    """One look at a host's schedule, at a time of its ledger: by a clock that is ahead of it, each look would rotate.

    Raises BadSchedule, and what a rotation raises.
    """
    return await _if_due(_read_at(home, "", now), host, last_rotation(store), now)


async def rotate_if_due(home: Path, party: Rotates, store: Remembers, clock: Clock, key: str) -> bool:
    """One look at the schedule of another party's key, by this machine's clock.

    A time that lies ahead was noted while that clock was wrong, and would put the next rotation off for as long: it
    does not count. Raises BadSchedule, and what a rotation raises.
    """
    rotated, now = last_rotation(store), clock.now()
    known = rotated if rotated is not None and rotated <= now else None
    return await _if_due(_read_at(home, key, now), party, known, now)


def _read_at(home: Path, key: str, now: UnixNanos) -> Schedule:
    """The schedule, counted from now where it was set by a clock that was far ahead: it would wait for that time."""
    found = read(home, key)
    if found.since > now + AHEAD:
        _set(home, key, found.every_s, now)
        return read(home, key)
    return found


def _set(home: Path, key: str, every_s: int, since: UnixNanos) -> None:
    write_json(home / (f"rotation-{key}.json" if key else RECORD), {"every_s": every_s, "since_ns": int(since)})


async def _if_due(schedule: Schedule, party: Rotates, rotated: UnixNanos | None, now: UnixNanos) -> bool:
    due = schedule.due(rotated)
    if due is None or now < due:
        return False
    await party.rotate()
    return True


__all__ = (
    "BadMemory",
    "BadSchedule",
    "Memory",
    "Schedule",
    "host_if_due",
    "keep",
    "last_rotation",
    "parse",
    "read",
    "rotate_if_due",
    "write",
)
