"""The simulated network: what it loses is lost to the caller, and bodies in the clear are seen in any encoding."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode

import pytest

from lockgate.courier.ports import ChainUnavailable
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.disk import Fuse
from lockgate.lab.draws import Draws
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.events import EventLog
from lockgate.lab.journal import Journal
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.loop import TaskOwner, run
from lockgate.lab.network import Link, Network, Weather, forms_of
from lockgate.lab.rpc import LabRpc, service_of
from lockgate.primitives.time import UnixNanos

MARKER = b"in-the-clear-0123456789ab"


class Node:
    """Meets `lab.network.Serves`."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.owner = TaskOwner()
        self.rpc: LabRpc | None = LabRpc.of(service_of(LabLedger("alpha-1", clock)))


def linked(weather: Weather) -> tuple[SimulatedClock, Node, Network, Link]:
    clock = SimulatedClock(UnixNanos(1_750_000_000 * 10**9))
    node = Node(clock)
    network = Network({"alpha": node}, Draws(SeededEntropy(b"net")), EventLog(clock), Journal(MARKER))
    network.weather = weather
    return clock, node, network, network.link("host", "alpha", Fuse(lambda: None))


def test_a_call_takes_time_and_is_answered() -> None:
    clock, _, _, link = linked(Weather(latency_ms=(7, 7)))
    answer = run(clock, lambda: link.call("status"))
    assert answer["node_info"]["network"] == "alpha-1"
    assert clock.monotonic() >= 7_000_000


@pytest.mark.parametrize("spoil", ["lost", "cut", "down"])
def test_what_does_not_arrive_is_unavailable(spoil: str) -> None:
    clock, node, network, link = linked(Weather(lost=1_000 if spoil == "lost" else 0))
    if spoil == "cut":
        network.cut["host", "alpha"] = None
    if spoil == "down":
        node.rpc = None
    with pytest.raises(ChainUnavailable):
        run(clock, lambda: link.call("status"))


def test_each_connection_of_a_process_has_losses_of_its_own() -> None:
    """Were they the same, a process that lost one call too many on its way up would never come up."""
    clock, _, network, _ = linked(Weather(lost=500))

    async def story(link: Link) -> list[bool]:
        answered = []
        for _ in range(20):
            try:
                await link.call("status")
            except ChainUnavailable:
                answered.append(False)
            else:
                answered.append(True)
        return answered

    async def main() -> list[list[bool]]:
        return [await story(network.link("host", "alpha", Fuse(lambda: None))) for _ in range(2)]

    first, second = run(clock, main)
    assert first != second


def test_a_node_that_lies_is_heard() -> None:
    clock, _, network, link = linked(Weather())
    network.twists["host", "alpha"] = lambda method, params, truth: {"said": method}
    assert run(clock, lambda: link.call("status")) == {"said": "status"}


def test_a_repeated_broadcast_arrives_again_later() -> None:
    clock, node, _, link = linked(Weather(repeated=1_000))

    async def main() -> int:
        await link.call("broadcast_tx_sync", tx=b64encode(b"not a transaction").decode())
        await asyncio.sleep(10)
        assert node.rpc is not None
        return node.rpc.served["broadcast_tx_sync"]

    assert run(clock, main) == 2


@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("encode", [bytes.hex, lambda data: data.hex().upper(), lambda data: b64encode(data).decode()])
def test_s8_a_marker_is_seen_in_every_encoding(before: int, encode: object) -> None:
    body = b"x" * before + MARKER + b" and what follows"
    text = json.dumps({"value": encode(body)})  # type: ignore[operator]  # one of the three above
    assert any(form in text for form in forms_of(MARKER))
    assert not any(form in text.replace(encode(body), "") for form in forms_of(MARKER))  # type: ignore[operator]
