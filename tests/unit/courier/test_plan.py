"""The decision table of docs/spec/courier.md, row by row, on its boundaries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockgate.courier.plan import Phase, Side, Track, plan
from lockgate.primitives.ids import ClientId, Height, Sequence
from lockgate.primitives.time import DurationNanos, UnixNanos, UnixSeconds, seconds

NOW = 1_000
SIDE = Side(
    height=Height(1, 50),
    time=UnixNanos(seconds(NOW)),
    client=ClientId("07-tendermint-0"),
    client_status="Active",
    client_height=Height(1, 40),
    client_time=UnixNanos(seconds(NOW - 10)),
    trusting_period=DurationNanos(seconds(300)),
)
SENT = Track(sequence=Sequence(1), timeout=UnixSeconds(NOW + 60), packet=b"p", sent_height=Height(1, 49))
ANSWERED = replace(SENT, phase=Phase.ANSWERED, acknowledgement=b"a", answered_height=Height(1, 49))


def place(track: Track, source: Side = SIDE, destination: Side = SIDE) -> str:
    """Where the plan puts a packet."""
    made = plan(source, destination, [track])
    for name in ("acknowledge", "time_out", "receive", "due"):
        if getattr(made, name):
            return name
    if made.waits:
        return f"waits on {made.waits[0].who.value}"
    return f"suspended until {made.suspended[-1].who.value} acts"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "receive"),
        ({"timeout": UnixSeconds(NOW + 3)}, "receive"),
        ({"timeout": UnixSeconds(NOW + 2)}, "waits on nobody"),
        ({"timeout": UnixSeconds(NOW + 1)}, "waits on nobody"),
        ({"timeout": UnixSeconds(NOW)}, "time_out"),
        ({"late": True}, "waits on nobody"),
        ({"sent_height": Height(1, 50)}, "due"),
        ({"phase": Phase.RECEIVED}, "waits on the receiving host"),
        ({"phase": Phase.RECEIVED, "timeout": UnixSeconds(NOW - 5)}, "waits on the receiving host"),
    ],
)
def test_a_sent_packet(changes: dict[str, Any], expected: str) -> None:
    assert place(replace(SENT, **changes)) == expected


def test_an_answer_goes_back_whatever_the_time() -> None:
    assert place(ANSWERED) == "acknowledge"
    assert place(replace(ANSWERED, timeout=UnixSeconds(NOW - 100))) == "acknowledge"
    assert place(replace(ANSWERED, answered_height=Height(1, 50))) == "due"


@pytest.mark.parametrize(
    ("status", "who"),
    [("Frozen", "the ledger's authority"), ("Expired", "the ledger's authority"), ("Unknown", "the operator")],
)
def test_a_client_that_is_not_active_suspends_what_needs_it(status: str, who: str) -> None:
    dead = replace(SIDE, client_status=status)
    late = replace(SENT, timeout=UnixSeconds(NOW))
    assert place(SENT, destination=dead) == f"suspended until {who} acts"
    assert place(late, source=dead) == place(ANSWERED, source=dead) == f"suspended until {who} acts"
    assert place(SENT, source=dead) == "receive", "the other client carries it"


def test_a_refresh_is_due_past_a_third_and_only_forward() -> None:
    old = replace(SIDE, client_time=UnixNanos(seconds(NOW - 100) - 1))
    third = replace(SIDE, client_time=UnixNanos(seconds(NOW - 100)))
    assert plan(old, SIDE, []).refresh_source
    assert plan(SIDE, old, []).refresh_destination
    assert not plan(third, SIDE, []).refresh_source
    assert not plan(old, replace(SIDE, height=Height(1, 40)), []).refresh_source, "there is no newer header"
    assert not plan(replace(old, client_status="Frozen"), SIDE, []).refresh_source
