"""A draft answers as plain overlays do, whatever was taken, undone and remembered on the way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.primitives import state
from lockgate.primitives.state import Draft, Overlay, View, Writes, fact
from tests.support.memory_view import MemoryView

PLACES = [("one", b"a"), ("one", b"b"), ("two", b"a")]
places = st.sampled_from(PLACES)
writes = st.dictionaries(places, st.none() | st.binary(min_size=1, max_size=2), max_size=3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), writes),
        st.tuples(st.just("mark"), st.none()),
        st.tuples(st.just("undo"), st.none()),
        st.tuples(st.just("ask"), st.lists(places, min_size=1, max_size=2).map(tuple)),
        st.tuples(st.just("ask above"), st.tuples(writes, st.lists(places, min_size=1, max_size=2).map(tuple))),
        st.tuples(st.just("ask a range"), st.none()),
    ),
    max_size=25,
)


def values(view: View, asked: tuple[tuple[str, bytes], ...]) -> tuple[bytes | None, ...]:
    """A fact that reads places one after the other, and looks further only at what it found."""
    found = []
    for store, key in asked:
        found.append(view.get(store, key))
        if found[-1] is None:
            break
    return tuple(found)


def everything(view: View, store: str) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(view.scan(store, b"", b"\xff"))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(places, st.binary(min_size=1, max_size=2)), steps)
def test_facts_are_as_if_computed_now(stored: dict[tuple[str, bytes], bytes], plan: list[tuple[str, object]]) -> None:
    base = MemoryView()
    for (store, key), value in stored.items():
        base.stores.setdefault(store, {})[key] = value
    draft = Draft(base)
    model: Writes = {}
    marks: list[tuple[int, Writes]] = [(draft.mark(), {})]
    for step, what in plan:
        plain = Overlay(base, model)
        if step == "take":
            assert isinstance(what, dict)
            draft.take(what)
            model = {**model, **what}
        elif step == "mark":
            marks.append((draft.mark(), dict(model)))
        elif step == "undo":
            mark, model = marks[-1][0], dict(marks[-1][1])
            draft.undo_to(mark)
        elif step == "ask":
            assert isinstance(what, tuple)
            assert fact(draft, values, what) == values(plain, what)
        elif step == "ask above":
            assert isinstance(what, tuple)
            above, asked = what
            assert fact(Overlay(draft, above), values, asked) == values(Overlay(plain, above), asked)
        else:
            assert fact(draft, everything, "one") == everything(plain, "one")
        assert draft.writes == model


def test_a_remembered_fact_is_not_computed_again_until_its_place_is_written() -> None:
    draft = Draft(MemoryView())
    asked = []

    def counted(view: View, store: str) -> bytes | None:
        asked.append(store)
        return view.get(store, b"a")

    assert [fact(draft, counted, "one") for _ in range(3)] == [None] * 3
    assert asked == ["one"]
    draft.take({("one", b"b"): b"x"})
    assert fact(draft, counted, "one") is None
    assert asked == ["one"]
    draft.take({("one", b"a"): b"x"})
    assert fact(draft, counted, "one") == b"x"
    assert asked == ["one", "one"]


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(places, st.binary(min_size=1, max_size=1)),
    st.lists(st.one_of(st.lists(places, min_size=1, max_size=2).map(tuple), writes), max_size=6),
    writes,
    writes,
)
def test_what_a_draft_notes_is_all_that_a_step_depends_on(
    stored: dict[tuple[str, bytes], bytes], plan: list[object], known: Writes, changed: Writes
) -> None:
    """A step asks facts, directly and above writes of its own, and writes; then the state changes below it."""
    base = MemoryView()
    for (store, key), value in stored.items():
        base.stores.setdefault(store, {})[key] = value

    def step(view: Draft) -> list[object]:
        said: list[object] = []
        for what in plan:
            if isinstance(what, tuple):
                said += [fact(view, values, what), fact(Overlay(view, known), values, what)]
                said.append(fact(view, nested, what))
            else:
                assert isinstance(what, dict)
                view.take(what)
        return said

    def nested(view: View, asked: tuple[tuple[str, bytes], ...]) -> object:
        return fact(view, values, asked[:1]), view.get("two", b"a")

    draft = Draft(base)
    for what in plan[::2]:
        if isinstance(what, tuple):  # remembered before the notes begin
            fact(draft, values, what)
            fact(draft, nested, what)
    mark = draft.watch()
    said = step(draft)
    seen = draft.watched(mark)
    assert seen is not None
    assert draft.since(mark) == draft.writes
    draft.undo_to(mark)
    assert draft.holds(seen)
    draft.take(changed)
    if draft.holds(seen):
        assert step(Draft(Overlay(base, changed))) == said


def test_a_step_that_scans_cannot_be_told_by_its_notes() -> None:
    draft = Draft(MemoryView())
    for scan in (draft.scan, Overlay(draft, {}).scan):
        draft.watch()
        draft.get("one", b"a")
        assert list(scan("one", b"", b"\xff")) == []
        assert draft.watched(0) is None
    draft.watch()
    draft.get("one", b"a")
    assert draft.watched(0) == {("one", b"a"): None}


def test_what_is_undone_while_it_is_noted_tells_nothing() -> None:
    draft = Draft(MemoryView())
    mark = draft.watch()
    draft.take({("one", b"a"): b"x"})
    assert draft.get("one", b"a") == b"x"
    draft.undo_to(mark)
    assert draft.watched(mark) is None


def test_a_draft_remembers_so_many_places_and_answers_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_REMEMBERED", 4)
    base = MemoryView()
    base.stores["one"] = {bytes((number,)): b"value" for number in range(0, 20, 2)}
    draft = Draft(base)
    draft.take({("one", b"\x01"): b"mine", ("one", b"\x02"): None})
    for _ in range(2):
        found = [draft.get("one", bytes((number,))) for number in range(20)]
        assert found[:4] == [b"value", b"mine", None, None]
        assert found[4:] == [b"value", None] * 8
        assert len(draft._now) <= 4
    assert draft.holds({("one", b"\x00"): b"value", ("one", b"\x01"): b"mine", ("one", b"\x13"): None})
    assert not draft.holds({("one", b"\x00"): None})
