"""Whose turn it is in a host's queue: a sender that floods makes nobody wait but itself (P15)."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from lockgate.hosting.queue import Queue
from lockgate.hosting.work import Item, Parts
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Event

ENDPOINT = "ab" * 32
GRANTS = [(client, sender) for client in ("07-tendermint-0", "07-tendermint-1") for sender in ("aa", "bb", "cc")]


class Blocks:
    """A ledger whose blocks hold what the test put there."""

    def __init__(self) -> None:
        self.held: list[tuple[Event, ...]] = []

    async def tip(self) -> Any:
        return SimpleNamespace(height=Height(1, len(self.held)))

    async def events(self, heights: range) -> list[tuple[Event, ...]]:
        return [self.held[height - 1] for height in heights]


def queue_over(blocks: Blocks) -> Queue:
    clock = SimpleNamespace(monotonic=lambda: 0)
    return Queue(
        cast(Parts, SimpleNamespace(config=SimpleNamespace(endpoint=ENDPOINT), clock=clock)), cast(Any, blocks)
    )


def arrival(grant: tuple[str, str], sequence: int) -> Event:
    pairs = (("endpoint", ENDPOINT), ("client", grant[0]), ("sequence", str(sequence)), ("sender", grant[1]))
    return Event("inbox", pairs)


def grant_of(item: Item) -> tuple[str, str]:
    return item.client, item.sender


moves = st.lists(
    st.one_of(st.lists(st.sampled_from(GRANTS), min_size=1, max_size=40), st.integers(1, 7)), min_size=1, max_size=30
)


@given(moves)
def test_P15_nobody_waits_for_more_than_one_of_anothers_at_each_turn(script: list[list[tuple[str, str]] | int]) -> None:
    """[P15] Before the k-th entry of a grant goes, at most k of any other grant have gone since it came."""

    async def work() -> None:
        blocks, sequence = Blocks(), 0
        queue = queue_over(blocks)
        gone: list[Item] = []
        came: dict[tuple[str, str, int], tuple[int, int]] = {}  # what had gone by then, and how many were ahead
        for move in [*script, 10_000]:
            if isinstance(move, int):
                taken = queue.take(move)
                for item in taken:
                    queue.done(item)
                gone += taken
                continue
            ahead = Counter(grant_of(item) for item in queue._waiting())
            for grant in move:
                sequence += 1
                came["inbox", grant[0], sequence] = len(gone), ahead[grant]
                ahead[grant] += 1
            first = sequence - len(move) + 1
            blocks.held.append(tuple(arrival(grant, first + place) for place, grant in enumerate(move)))
            await queue.look()
        assert {item.name for item in gone} == came.keys(), "each goes, and once"
        assert len(gone) == sequence
        for place, item in enumerate(gone):
            since, ahead_of_it = came[item.name]
            others = Counter(grant_of(other) for other in gone[since:place])
            assert others.pop(grant_of(item), 0) == ahead_of_it, "its own line keeps its order"
            assert all(count <= ahead_of_it + 1 for count in others.values())

    asyncio.run(work())


def test_P15_a_flood_of_one_sender_leaves_room_in_the_next_batch() -> None:
    """[P15] 256 of one grant wait, one of another comes last: it goes with the first batch, and so does a command."""

    async def work() -> None:
        blocks = Blocks()
        queue = queue_over(blocks)
        flood = tuple(arrival(GRANTS[0], number) for number in range(1, 257))
        blocks.held.append((*flood, arrival(GRANTS[1], 257)))
        await queue.look()
        queue.put(Item("command", input=b"x"))
        taken = queue.take(32)
        assert [item.sequence for item in taken if item.kind == "inbox"][:3] == [1, 257, 2]
        assert "command" in {item.kind for item in taken}
        queue.give_back()
        assert len(queue) == 258
        assert queue.take(1)[0].sequence in {1, 257, 0}

    asyncio.run(work())


def test_P15_what_the_operator_asks_keeps_its_order() -> None:
    queue = queue_over(Blocks())
    for number in range(5):
        queue.put(Item("command" if number % 2 else "send", input=bytes([number])))
    assert [item.input for item in queue.take(10)] == [bytes([number]) for number in range(5)]
