"""The list of revoked tokens on a ledger: who may write it, what it holds, and that it stays short (P22)."""

from __future__ import annotations

import pytest

from lockgate.lab.paths import expect
from lockgate.machine import keys
from lockgate.machine.errors import BadMessage, EndpointRevoked, NotTheEndpoint, UnknownEndpoint
from lockgate.machine.tokens import (
    KEPT_S,
    KEY_S,
    MAX_KEYS,
    MAX_TOKENS,
    TOKEN_S,
    BadRevocation,
    RevocationsFull,
    RevokedTokens,
    load,
)
from lockgate.primitives.time import seconds
from tests.support.lab import World

TOKEN, KEY = b"t" * 16, b"k" * 32


def message(world: World, one: bytes, ahead: int, **more: object) -> tuple[str, dict[str, object]]:
    return "token.revoke", {"endpoint": world.sender.id, "id": one, "until": world.now_s + ahead, **more}


def entries(world: World) -> dict[bytes, int]:
    return dict(load(world.a.ledger.chain.view(), world.sender.id).entries)


def test_p22_a_token_and_a_key_are_put_on_the_list() -> None:
    world = World.make()
    assert entries(world) == {}
    done = expect(world.a.ledger.transact(world.host_a, message(world, TOKEN, 300)))
    assert [event.get("id") for event in done.events if event.type == "token_revoked"] == [TOKEN.hex()]
    expect(world.a.ledger.transact(world.host_a, message(world, KEY, KEY_S - 60)))
    assert entries(world).keys() == {TOKEN, KEY}
    later = entries(world)[TOKEN]
    expect(world.a.ledger.transact(world.host_a, message(world, TOKEN, 10)))
    assert entries(world)[TOKEN] == later, "an entry is never shortened"


@pytest.mark.parametrize(
    ("one", "ahead", "more", "refusal"),
    [
        (TOKEN, TOKEN_S + 100, {}, BadRevocation),
        (TOKEN, -100, {}, BadRevocation),
        (KEY, KEY_S + 100, {}, BadRevocation),
        (KEY, -100, {}, BadRevocation),
        (b"", 300, {}, BadMessage),
        (b"t" * 17, 300, {}, BadMessage),
        (TOKEN, 300, {"more": 1}, BadMessage),
        (TOKEN, 300, {"until": "soon"}, BadMessage),
        (TOKEN, 300, {"endpoint": bytes(32)}, UnknownEndpoint),
        (TOKEN, 300, {"endpoint": b"short"}, BadMessage),
    ],
)
def test_what_is_no_revocation_is_refused(one: bytes, ahead: int, more: dict[str, object], refusal: type) -> None:
    world = World.make()
    done = world.a.ledger.transact(world.host_a, message(world, one, ahead, **more))
    assert done.code == refusal.wire[1]
    assert refusal.code in done.log
    assert entries(world) == {}


def test_only_the_endpoints_own_accounts_write_its_list() -> None:
    world = World.make()
    done = world.a.ledger.transact(world.a.account, message(world, TOKEN, 300))
    assert NotTheEndpoint.code in done.log
    assert entries(world) == {}


def test_entries_leave_when_their_tokens_have_ended() -> None:
    world = World.make()
    expect(world.a.ledger.transact(world.host_a, message(world, TOKEN, 60)))
    until = entries(world)[TOKEN]
    world.clock.advance(seconds(60 + KEPT_S - 30))
    expect(world.a.ledger.transact(world.host_a, message(world, b"u" * 16, 60)))
    assert TOKEN in entries(world), "a verifier's clock may be behind"
    while world.now_s <= until + KEPT_S:
        world.clock.advance(seconds(30))
    expect(world.a.ledger.transact(world.host_a, message(world, b"v" * 16, 60)))
    assert TOKEN not in entries(world)


@pytest.mark.parametrize(("size", "most"), [(16, MAX_TOKENS), (32, MAX_KEYS)])
def test_a_list_is_bounded(size: int, most: int) -> None:
    world = World.make()
    many = [message(world, number.to_bytes(size, "big"), 600) for number in range(most + 1)]
    for start in range(0, most, 16):
        expect(world.a.ledger.transact(world.host_a, *many[start : min(start + 16, most)]))
    assert len(entries(world)) == most
    refused = world.a.ledger.transact(world.host_a, many[most])
    assert RevocationsFull.code in refused.log
    assert len(entries(world)) == most
    stored = world.a.ledger.chain.view().get(keys.ENDPOINT, keys.revoked_tokens(world.sender.id))
    assert stored is not None
    assert len(stored) < 8_192
    assert len(RevokedTokens.from_bytes(stored).ids) == most


def test_a_revoked_endpoint_writes_no_list() -> None:
    world = World.make()
    announce = {"action": "endpoint.revoke", "arguments": {"endpoint": world.sender.id}}
    expect(world.a.ledger.govern(world.gov, "gov.announce", announce))
    for _ in range(world.a.ledger.genesis.parameters.authority_delay_blocks + 1):
        world.a.ledger.block()
    done = world.a.ledger.transact(world.host_a, message(world, TOKEN, 300))
    assert EndpointRevoked.code in done.log
