"""The planner for any pair of ledgers and any set of packets: nothing lost, nothing twice, nothing premature."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from lockgate.courier.plan import DELIVERY_MARGIN, Actor, Phase, Plan, Side, Track, plan, proof_height
from lockgate.primitives.ids import ClientId, Height, Sequence
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos, UnixNanos, UnixSeconds, floor_seconds

NOW_S = 1_000
STATUSES = ("Active", "Active", "Active", "Frozen", "Expired", "Unknown")


def height(number: int) -> Height:
    return Height(1, number)


@st.composite
def sides(draw: st.DrawFn, number: int) -> Side:
    return Side(
        height=height(draw(st.integers(2, 60))),
        time=UnixNanos(draw(st.integers(NOW_S * NANOS_PER_SECOND, (NOW_S + 8) * NANOS_PER_SECOND))),
        client=ClientId(f"07-tendermint-{number}"),
        client_status=draw(st.sampled_from(STATUSES)),
        client_height=height(draw(st.integers(1, 60))),
        client_time=UnixNanos(draw(st.integers((NOW_S - 600) * NANOS_PER_SECOND, NOW_S * NANOS_PER_SECOND))),
        trusting_period=DurationNanos(900 * NANOS_PER_SECOND),
    )


@st.composite
def track_lists(draw: st.DrawFn) -> list[Track]:
    found = []
    for sequence in draw(st.lists(st.integers(1, 400), unique=True, max_size=200)):
        phase = draw(st.sampled_from(Phase))
        answered = phase is Phase.ANSWERED
        found.append(
            Track(
                sequence=Sequence(sequence),
                timeout=UnixSeconds(draw(st.integers(NOW_S - 3, NOW_S + 14))),
                packet=b"packet",
                sent_height=height(draw(st.integers(1, 60))),
                phase=phase,
                acknowledgement=b"ack" if answered else None,
                answered_height=height(draw(st.integers(1, 60))) if answered else None,
                late=draw(st.booleans()),
            )
        )
    return found


@st.composite
def cases(draw: st.DrawFn) -> tuple[Side, Side, list[Track], set[int]]:
    tracks = draw(track_lists())
    held = draw(st.sets(st.sampled_from([t.sequence for t in tracks]))) if tracks else set()
    return draw(sides(0)), draw(sides(1)), tracks, set(held)


def queues(made: Plan) -> list[tuple[Track, ...]]:
    return [made.acknowledge, made.time_out, made.receive]


def everything(made: Plan) -> list[Track]:
    groups = [*queues(made), made.due, *(w.packets for w in made.waits), *(s.packets for s in made.suspended)]
    return [track for group in groups for track in group]


@given(cases())
def test_every_packet_is_in_exactly_one_place(case: tuple[Side, Side, list[Track], set[int]]) -> None:
    source, destination, tracks, held = case
    found = everything(plan(source, destination, tracks, held))
    assert sorted(t.sequence for t in found) == sorted(t.sequence for t in tracks if t.sequence not in held)


@given(cases())
def test_the_order_given_changes_nothing(case: tuple[Side, Side, list[Track], set[int]]) -> None:
    source, destination, tracks, held = case
    assert plan(source, destination, tracks, held) == plan(source, destination, tracks[::-1], held)


@given(cases())
def test_the_earliest_timeout_comes_first(case: tuple[Side, Side, list[Track], set[int]]) -> None:
    source, destination, tracks, held = case
    for queue in queues(plan(source, destination, tracks, held)):
        assert list(queue) == sorted(queue, key=lambda t: (t.timeout, t.sequence))


@given(cases())
def test_no_step_is_planned_that_a_ledger_would_refuse(case: tuple[Side, Side, list[Track], set[int]]) -> None:
    source, destination, tracks, held = case
    made = plan(source, destination, tracks, held)
    now = destination.time / NANOS_PER_SECOND
    for track in made.receive:
        assert track.phase is Phase.SENT
        assert not track.late
        assert floor_seconds(UnixNanos(destination.time + DELIVERY_MARGIN)) < track.timeout
        assert source.height >= proof_height(track.sent_height)
        assert destination.client_status == "Active"
    for track in made.time_out:
        assert track.phase is Phase.SENT
        assert int(now) >= track.timeout
        assert source.client_status == "Active"
    for track in made.acknowledge:
        assert track.answered_height is not None
        assert destination.height >= proof_height(track.answered_height)
        assert source.client_status == "Active"


@given(cases())
def test_receive_and_timeout_of_one_packet_exclude_each_other(
    case: tuple[Side, Side, list[Track], set[int]],
) -> None:
    source, destination, tracks, _ = case
    source = dataclasses.replace(source, client_status="Active")
    destination = dataclasses.replace(destination, client_status="Active")
    early = plan(source, destination, tracks)
    later = plan(source, dataclasses.replace(destination, time=UnixNanos(destination.time + 1)), tracks)
    receives = {t.sequence for t in early.receive}
    timeouts = {t.sequence for t in later.time_out}
    assert not receives & timeouts, "between the two lies the margin"


@given(cases())
def test_p14_a_suspended_packet_says_who_may_act(case: tuple[Side, Side, list[Track], set[int]]) -> None:
    source, destination, tracks, held = case
    for found in plan(source, destination, tracks, held).suspended:
        assert found.status != "Active"
        expected = Actor.AUTHORITY if found.status in {"Frozen", "Expired"} else Actor.OPERATOR
        assert found.who is expected
        assert found.client in {source.client, destination.client}


@given(cases())
def test_a_client_is_refreshed_at_a_third_of_its_period_while_it_lives(
    case: tuple[Side, Side, list[Track], set[int]],
) -> None:
    source, destination, tracks, held = case
    made = plan(source, destination, tracks, held)
    for due, side, other in (
        (made.refresh_source, source, destination),
        (made.refresh_destination, destination, source),
    ):
        assert due == (side.client_status == "Active" and side.client_age > 1 / 3 and other.height > side.client_height)
