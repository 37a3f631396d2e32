"""What waits to be compared: a flood of updates displaces only its own."""

from __future__ import annotations

import pytest

from lockgate.primitives.ids import Height
from lockgate.relay import comparing
from lockgate.relay.comparing import Comparing
from lockgate.relay.endpoint import EndPoint
from tests.support.relays import Pair

LANE = "07-tendermint-0"


class World:
    """A ledger, what waits of it, and what was dropped."""

    def __init__(self) -> None:
        pair = Pair.make()
        self.on: EndPoint = pair.endpoint(pair.b, "relayer")
        assert self.on.client == LANE
        self.dropped: list[tuple[str, int]] = []
        self.waiting = Comparing(lambda on, client, height: self.dropped.append((client, height.height)))

    def add(self, client: str, height: int) -> None:
        self.waiting.add(self.on, client, Height(1, height))

    def taken(self) -> list[tuple[int, list[str]]]:
        found = []
        while (given := self.waiting.take()) is not None:
            found.append((given.height.height, sorted(given.clients)))
        return found


@pytest.fixture
def world() -> World:
    return World()


def test_what_a_lane_rests_on_comes_first_whatever_else_there_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "OTHERS_MOST", 10)
    for height in range(1, 101):
        world.add(f"07-tendermint-{height}", height)
    world.add(LANE, 50)
    for height in range(101, 201):
        world.add(f"07-tendermint-{height}", height)
    assert world.taken()[0] == (50, [LANE])
    assert len(world.dropped) == 190, "and whoever was dropped is told"
    assert LANE not in {client for client, _ in world.dropped}
    assert not world.waiting


def test_a_client_takes_no_other_clients_place(world: World) -> None:
    world.add("07-tendermint-8", 1)
    for height in range(2, 102):
        world.add("07-tendermint-9", height)
    assert world.dropped == [("07-tendermint-9", height) for height in range(2, 102 - comparing.PER_CLIENT)]
    taken = world.taken()
    assert taken[0] == (1, ["07-tendermint-8"])
    assert len(taken) == 1 + comparing.PER_CLIENT
    world.add("07-tendermint-9", 200)
    assert world.taken() == [(200, ["07-tendermint-9"])], "places that were taken are free again"


def test_a_lane_has_many_places_and_what_finds_none_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "LANES_MOST", 20)
    for height in range(1, 22):
        world.add(LANE, height)
    assert world.dropped == [(LANE, 1)]
    assert [height for height, _ in world.taken()] == list(range(2, 22))


def test_a_block_is_one_entry_whatever_it_brought(world: World) -> None:
    for client in ("07-tendermint-9", "07-tendermint-8", "07-tendermint-9", LANE, LANE):
        world.add(client, 7)
    assert world.taken() == [(7, [LANE]), (7, ["07-tendermint-8", "07-tendermint-9"])]


def test_what_comes_again_keeps_what_is_known_of_it(world: World) -> None:
    world.add("07-tendermint-8", 7)
    given = world.waiting.take()
    assert given is not None
    given.looks, given.ahead = 3, {"07-tendermint-8": 99, "gone": 1}
    world.add("07-tendermint-9", 8)
    world.waiting.again(given)
    assert world.waiting.take() is not given, "it has had its turn"
    again = world.waiting.take()
    assert again is not None
    assert (again.looks, again.ahead, again.clients) == (3, {"07-tendermint-8": 99}, {"07-tendermint-8"})
