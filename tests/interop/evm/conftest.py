from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.interop.evm.world import Node, World, make_world, running_node


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    yield from running_node()


@pytest.fixture(scope="module")
def first_world(node: Node) -> World:
    return make_world(node)


@pytest.fixture
def world(first_world: World) -> Iterator[World]:
    """A world for one test: the chain goes back to where it was when the test ends, its clock too."""
    with first_world.undone():
        yield replace(first_world)
