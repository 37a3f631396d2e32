"""Routes by port: exact names, prefixes, and conflicts found when the router is built."""

from __future__ import annotations

import pytest

from lockgate.ibc.errors import NoRoute, RouteConflict
from lockgate.ibc.router import Router
from tests.support.ibc_fakes import Recorder

ONE, TWO, REST = Recorder("one"), Recorder("two"), Recorder("rest")


def test_exact_names_come_first_then_prefixes_then_the_rest() -> None:
    router = Router({"transfer": ONE}, {"wasm": TWO})
    assert router.route("transfer") is ONE
    assert router.route("wasm.cosmos1abc") is TWO
    with pytest.raises(NoRoute):
        router.route("transfer2")
    assert Router({"transfer": ONE}, otherwise=REST).route("transfer2") is REST


@pytest.mark.parametrize(
    ("exact", "prefixes"),
    [
        (("wasmd",), ("wasm",)),
        (("wasm",), ("wasm",)),
        ((), ("wasm", "wasmd")),
        (("a/b",), ()),
        (("",), ()),
        ((), ("a.b",)),
    ],
)
def test_overlapping_or_odd_routes_are_a_configuration_error(exact: tuple[str, ...], prefixes: tuple[str, ...]) -> None:
    with pytest.raises(RouteConflict):
        Router(dict.fromkeys(exact, ONE), dict.fromkeys(prefixes, TWO))
