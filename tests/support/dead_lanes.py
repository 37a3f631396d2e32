"""Lanes whose packets nobody can end any more: their client is dead, or the ledger's authority closed them."""

from __future__ import annotations

from dataclasses import replace

from lockgate.ibc import host
from lockgate.lab.paths import TRUSTING, End, expect
from lockgate.lightclients.tendermint.states import decode_client_state, encode_client_state
from lockgate.primitives.ids import Height
from lockgate.primitives.time import seconds
from tests.support.lab import World

DAY = seconds(86_400)
PERIOD_DAYS = TRUSTING // DAY


def status(end: End) -> str:
    chain = end.ledger.chain
    return chain.machine.packets.clients.of(chain.view(), end.client).status(chain.view(), end.client, chain.time)


def pass_days(world: World, count: int) -> None:
    for _ in range(count):
        world.clock.advance(DAY)
    for end in (world.a, world.b):
        end.ledger.block()


def freeze(end: End) -> None:
    """The ledger's client is frozen, as evidence would freeze it."""
    _change(end, frozen_height=Height(0, 1))
    assert status(end) == "Frozen"


def trust_for_a_century(end: End) -> None:
    """The ledger's client is one whose maker chose to trust a header for very long."""
    _change(end, trusting_period=36_500 * DAY, unbonding_period=73_000 * DAY)


def _change(end: End, **changes: object) -> None:
    chain = end.ledger.chain
    key = host.client_state(end.client)
    data = chain.view().get("ibc", key)
    assert data is not None
    changed = replace(decode_client_state(data), **changes)  # type: ignore[arg-type]  # whatever fields it has
    chain.state.apply({("ibc", key): encode_client_state(changed)})
    for _ in range(2):
        end.ledger.block()


def close_lane(world: World, end: End) -> None:
    ledger = end.ledger
    action = {"action": "lane.close", "arguments": {"lane": world.lane, "note": "its ledger is nobody's"}}
    expect(ledger.govern(world.gov, "gov.announce", action))
    for _ in range(ledger.genesis.parameters.authority_delay_blocks + 1):
        ledger.block()


__all__ = ("DAY", "PERIOD_DAYS", "close_lane", "freeze", "pass_days", "status", "trust_for_a_century")
