from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.evm.world import Node, World, make_world, running_node


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    yield from running_node()


@pytest.fixture
def world(node: Node) -> World:
    return make_world(node)
