"""What an authority announces: when it is due says the ledger's node, which may say anything."""

from __future__ import annotations

import pytest

from lockgate.courier.ports import Submitted
from lockgate.node.provision import SetupFailed
from lockgate.node.recover import due_of
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Event


def done(*events: Event) -> Submitted:
    return Submitted(0, "", "", Height(1, 7), (), events)


def test_it_is_due_when_the_event_says() -> None:
    assert due_of(done(Event("other", (("due", "3"),)), Event("gov_announced", (("due", "17"),)))) == 17


@pytest.mark.parametrize(
    "events",
    [(), (Event("gov_announced", ()),), *((Event("gov_announced", (("due", t),)),) for t in ("x", "٣", "9" * 99))],
)
def test_a_node_that_does_not_say_it_is_named(events: tuple[Event, ...]) -> None:
    with pytest.raises(SetupFailed):
        due_of(done(*events))
