"""`lockgate lane show`: one lane in full, and what brings it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.ibc.packet import Payload
from lockgate.lab.paths import expect
from lockgate.lightclients.cometbft.rfc3339 import format_time
from lockgate.machine import deviations
from lockgate.machine.gate import PAYLOAD_ENCODING, PAYLOAD_VERSION
from lockgate.machine.genesis import Parameters
from lockgate.node.lanes import NoSuchLane, shown
from lockgate.node.ledgers import LedgerDown
from lockgate.primitives.ids import PortId
from lockgate.primitives.time import seconds
from tests.support import stories
from tests.support.lab import World

RULES = Parameters(deviation_slow_at=2, deviation_quarantine_at=3, deviation_freeze_at=1, deviation_slowed_room=5)
LENIENT = Parameters(deviation_slow_at=2, deviation_quarantine_at=3)


def beta(world: World, client: str | None = None) -> dict[str, Any]:
    return asyncio.run(shown(stories.ledgers(world), client or world.b.client, "beta"))[0]


def deviate(world: World, count: int) -> None:
    for number in range(count):
        payload = Payload(
            source_port=PortId("application"),
            destination_port=PortId(world.receiver.id.hex()),
            version=PAYLOAD_VERSION,
            encoding=PAYLOAD_ENCODING,
            value=b"sealed",
        )
        expect(world.deliver(world.commit_anything((payload,), sequence=1_000_000 + number)))


def until(world: World) -> str:
    held = deviations.of_lane(world.b.ledger.chain.view(), world.b.client)
    assert held is not None
    return format_time(held.until)


def test_a_good_lane_is_shown_in_full_and_nothing_brings_it_back() -> None:
    world = World.make(RULES)
    stories.held(world)
    both = asyncio.run(shown(stories.ledgers(world), world.b.client))
    assert [row["ledger"] for row in both] == ["alpha", "beta"], "the same client id on each"
    row = both[1]
    assert (row["phase"], row["order"], row["kind"], row["back"]) == ("open", "unordered", "own", "")
    assert row["counterparty"] == {
        "ledger": "alpha",
        "domain": world.a.ledger.genesis.domain_id.hex(),
        "client": world.a.client,
        "class": "operated",
    }
    assert row["waiting_packets"] == {"open": 1, "most": 4_096}
    assert both[0]["sent_packets"] == {"open": 1, "most": 4_096}
    assert both[0]["sent_bytes"]["open"] == len(b"sealed")
    assert (row["client_status"]["kind"], row["client_status"]["status"]) == ("07-tendermint", "Active")
    assert "validators of alpha-1" in row["client_status"]["needs"]
    assert row["deviation"]["level"] == "none"
    assert row["deviation"]["slowed_at"] == 2


@pytest.mark.parametrize(
    ("count", "level", "most", "back"),
    [
        (1, "warned", 4_096, "the warning is forgotten"),
        (2, "slowed", 5, "full room again"),
        (3, "quarantined", 4_096, "received again"),
    ],
)
def test_what_passes_by_itself_says_when(count: int, level: str, most: int, back: str) -> None:
    world = World.make(Parameters(deviation_slow_at=2, deviation_quarantine_at=3, deviation_slowed_room=5))
    deviate(world, count)
    row = beta(world)
    assert (row["phase"], row["deviation"]["level"], row["deviation"]["count"]) == ("open", level, count)
    assert row["deviation"]["until"] == until(world)
    assert row["deviation"]["shown_by"] == 1_000_000 + count - 1
    assert row["waiting_packets"]["most"] == most
    assert back in row["back"]
    assert until(world) in row["back"]
    world.clock.advance(seconds(3_601))
    world.b.ledger.block()
    after = beta(world)
    assert (after["deviation"]["level"], after["deviation"]["count"], after["back"]) == ("none", 0, "")


def test_what_froze_waits_for_the_authority_and_is_forgotten_with_it() -> None:
    world = World.make(RULES)
    deviate(world, 3)
    row = beta(world)
    assert (row["phase"], row["cause"], row["deviation"]["level"]) == ("stopped", "deviation", "frozen")
    assert "lane.resume" in row["back"]
    assert "10 blocks" in row["back"]
    assert row["deviation"]["until"] == ""
    resume = {"action": "lane.resume", "arguments": {"lane": world.lane}}
    expect(world.b.ledger.govern(world.gov, "gov.announce", resume))
    for _ in range(RULES.authority_delay_blocks):
        world.b.ledger.block()
    after = beta(world)
    assert (after["phase"], after["deviation"]["level"], after["back"]) == ("open", "none", "")


def stop(world: World) -> None:
    expect(world.b.ledger.govern(world.gov, "gov.stop", {"lane": world.lane, "note": "a look"}))


def expire(world: World) -> None:
    world.clock.advance(seconds(30 * 24 * 3600))
    world.b.ledger.block()


def close(world: World) -> None:
    arguments = {"lane": world.lane, "note": "over"}
    expect(world.b.ledger.govern(world.gov, "gov.announce", {"action": "lane.close", "arguments": arguments}))
    for _ in range(RULES.authority_delay_blocks):
        world.b.ledger.block()


@pytest.mark.parametrize(
    ("spoil", "phase", "back"),
    [
        (stop, "stopped", "the authority stopped it"),
        (expire, "open", "`client.recover`: the client is expired"),
        (close, "closed", "a closed lane stays closed"),
    ],
)
def test_whatever_else_keeps_a_lane_says_who_ends_it(spoil: Callable[[World], None], phase: str, back: str) -> None:
    world = World.make(LENIENT)
    spoil(world)
    row = beta(world)
    assert row["phase"] == phase
    assert back in row["back"]


def test_a_client_without_a_lane_is_refused() -> None:
    world = World.make()
    with pytest.raises(NoSuchLane):
        beta(world, "07-tendermint-9")
    with pytest.raises(LedgerDown):
        asyncio.run(shown(stories.ledgers(world, down="beta"), world.b.client, "beta"))
