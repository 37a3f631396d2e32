"""A host's own view of the list of revoked tokens: proven, dated by its header, and nobody's word (P22)."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import Any

import pytest

from lockgate.courier.ports import Proven
from lockgate.lab.paths import expect
from lockgate.node import revoked
from lockgate.node.passes import BadPass, revocable
from lockgate.node.revoked import Watch
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.relay.rpc import RpcError
from tests.support.hosts import HostWorld, in_world

TOKEN = b"t" * 16


def revoke(world: HostWorld, one: bytes = TOKEN) -> None:
    until = world.clock.now() // 10**9 + 300
    listed = {"endpoint": world.a.endpoint.id, "id": one, "until": until}
    expect(world.a.end.ledger.transact(world.a.account, ("token.revoke", listed)))
    world.a.end.ledger.block()


def watch_of(world: HostWorld) -> Watch:
    return Watch(world.a.host.reader, world.a.endpoint.id)


@in_world()
async def test_p22_the_list_is_proven_under_the_newest_trusted_header(world: HostWorld) -> None:
    watch, reader = watch_of(world), world.a.host.reader
    assert watch.seen is None
    await watch.look()
    assert watch.seen is not None
    assert (watch.seen.ids, watch.seen.time) == (frozenset(), reader.newest.header.time)
    revoke(world)
    await watch.look()
    assert watch.seen.ids == frozenset(), "the host has not gone on"
    await reader.latest()
    await watch.look()
    assert watch.seen.ids == {TOKEN}
    at = UnixNanos(watch.seen.time + 7 * NANOS_PER_SECOND)
    assert watch.status(at) == {"revoked": 1, "list_age_s": 7}
    assert watch_of(world).status(at) == {"revoked": None, "list_age_s": None}
    assert watch.seen.time == reader.newest.header.time


@in_world()
async def test_p22_a_node_that_hides_a_revocation_is_not_believed(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, reader = watch_of(world), world.a.host.reader
    before = reader.newest.height
    await watch.look()
    fresh = watch.seen
    revoke(world)
    await reader.latest()
    honest = reader.chain.prove

    async def denies(store: str, key: bytes, at: Height) -> Proven:
        return dataclasses.replace(await honest(store, key, at), value=None)

    async def lags(store: str, key: bytes, at: Height) -> Proven:
        return dataclasses.replace(await honest(store, key, Height(at.revision, before)), proof_height=at)

    for lie in (denies, lags):
        monkeypatch.setattr(reader.chain, "prove", lie)
        with pytest.raises(LockgateError):
            await watch.look()
        assert watch.seen == fresh


@pytest.mark.parametrize("failure", [RpcError("away"), ValueError("a fault of ours")])
@in_world()
async def test_a_list_that_cannot_be_read_grows_old_and_is_read_again(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    watch, reader = watch_of(world), world.a.host.reader
    monkeypatch.setattr(revoked, "EVERY_S", 0.01)
    honest, tries = reader.chain.prove, 0

    async def away(store: str, key: bytes, at: Height) -> Proven:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise failure
        return await honest(store, key, at)

    monkeypatch.setattr(reader.chain, "prove", away)
    shown: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: shown.append(context))
    keeping = asyncio.create_task(watch.keep())
    async with asyncio.timeout(30):
        while watch.seen is None:
            await asyncio.sleep(0.01)
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
    assert tries >= 3
    assert [each["exception"] for each in shown] == ([] if isinstance(failure, LockgateError) else [failure] * 2)


def test_what_is_revoked_is_named_whole() -> None:
    assert revocable(None, "ab" * 16) == (b"\xab" * 16, 0)
    assert revocable(None, "ab" * 32) == (b"\xab" * 32, 0)
    for wrong in ("", "ab", "xyz", "ab" * 17):
        with pytest.raises(BadPass):
            revocable(None, wrong)
