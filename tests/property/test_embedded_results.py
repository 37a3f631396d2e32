"""Results framed by hand are what the CBOR encoder writes of the same value."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.codec import cbor
from lockgate.engines.embedded.results import BlockResults
from lockgate.machine.machine import TxResult
from lockgate.primitives.state import Event

texts = st.text(st.characters(codec="ascii"), max_size=30) | st.just("é") | st.sampled_from(["x" * 300, "y" * 2_000])
pairs = st.tuples(st.sampled_from(["sequence", "client", "é"]), texts)
types = st.sampled_from(["sent", "received"]) | texts
several = st.lists(st.builds(Event, types, st.lists(pairs, max_size=4).map(tuple)), min_size=1, max_size=4)
events = several.flatmap(lambda some: st.lists(st.sampled_from(some), max_size=8)).map(tuple)  # the same objects again
results = st.builds(
    TxResult,
    code=st.integers(0, 2**32),
    codespace=texts,
    data=st.binary(max_size=40),
    log=texts,
    gas_wanted=st.integers(0, 2**48),
    gas_used=st.integers(0, 2**48),
    events=events,
)


@settings(deadline=None)
@given(st.lists(results, max_size=3).map(tuple), events)
def test_results_are_framed_as_the_encoder_does(transactions: tuple[TxResult, ...], own: tuple[Event, ...]) -> None:
    block = BlockResults(transactions, own)
    assert block.to_bytes() == cbor.encode(block.plain())
    assert BlockResults.from_bytes(block.to_bytes()) == block


@settings(deadline=None)
@given(st.lists(results, max_size=3).map(tuple), events)
def test_every_short_attribute_is_indexed_once(transactions: tuple[TxResult, ...], own: tuple[Event, ...]) -> None:
    rows = BlockResults(transactions, own).stored(7)[1]
    expected = {
        (f"{event.type}.{key}", value, 7, number)
        for number, emitted in ((-1, own), *enumerate(result.events for result in transactions))
        for event in emitted
        for key, value in event.attributes
        if len(value) <= 128
    }
    assert sorted(rows) == sorted(expected)
