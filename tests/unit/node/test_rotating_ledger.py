"""The keys of a ledger that runs are replaced once for each time that is due, whatever fails on the way (S11)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lockgate.courier.ports import NotYet
from lockgate.keystore.errors import DeviceFailed
from lockgate.keystore.store import Keystore
from lockgate.machine.genesis import Parameters
from lockgate.machine.validators import ValidatorsRecord
from lockgate.node import announced, keys, ledger, patience, rotating, schedule
from lockgate.node.folder import Folder, NotRunning
from lockgate.node.keystores import Party, changing, recorded
from lockgate.node.rotating import AUTHORITY, OPERATOR, VALIDATOR, Rotation
from lockgate.node.wallet import NotRotated
from lockgate.primitives.time import UnixNanos

pytestmark = pytest.mark.timeout(60)
DELAY = 3
HEARTBEAT_S = 0.1
KEYS = (OPERATOR, AUTHORITY, VALIDATOR)


class World:
    """One ledger of a folder."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        ledger.create(folder, "alpha", "alpha-1", parameters=Parameters(authority_delay_blocks=DELAY))
        self.party = Party("ledgers", "alpha", folder.ledger("alpha"))
        self.said: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(ledger.run(self.folder, "alpha", heartbeat_s=HEARTBEAT_S))
        try:
            async with asyncio.timeout(20):
                while not (self.party.home / "address.json").exists():
                    await asyncio.sleep(0.02)
                while True:
                    with contextlib.suppress(Exception):
                        async with rotating.operators(self.folder, ["alpha"]):
                            break
                    await asyncio.sleep(0.05)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def rotate(self, key: str, *, scheduled: bool = False) -> Any:
        return await Rotation(self.folder, self.party, key, self.said.append, scheduled=scheduled).rotate()

    def noted(self, key: str) -> int | None:
        return schedule.Memory(self.party.home, key).index()

    def names(self, key: str) -> list[str]:
        return sorted(name for name in recorded(self.party.home)["keys"] if ledger.base_of(name) == key)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "a long enough passphrase")
    return World(Folder(tmp_path))


@pytest.mark.parametrize("key", KEYS)
def test_what_the_ledger_took_and_nobody_noted_is_not_made_again(
    world: World, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[S11] By its schedule; who asks for a rotation by hand gets one."""

    def broken(*_: Any) -> None:
        raise NotRunning("the process ends here")

    async def work() -> None:
        async with world.running():
            with monkeypatch.context() as patched:
                patched.setattr(schedule.Memory, "note", broken)
                with pytest.raises(NotRunning):
                    await world.rotate(key)
            assert world.noted(key) == 0
            await world.rotate(key, scheduled=True)
            assert world.noted(key) == 1, "the one that stood"
            await world.rotate(key, scheduled=True)
            assert world.noted(key) == 2
            await world.rotate(key)
            assert world.noted(key) == 3

    asyncio.run(work())


@pytest.mark.parametrize("key", [OPERATOR, VALIDATOR])
def test_a_device_that_destroys_nothing_is_named_and_the_rotation_noted(
    world: World, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise DeviceFailed(answer="ActionProhibited")

    async def work() -> None:
        async with world.running():
            with monkeypatch.context() as patched:
                patched.setattr(Keystore, "drop", refuse)
                await world.rotate(key)
            assert world.noted(key) == 1
            assert "not erased yet" in world.said[0]
            assert "ActionProhibited" in world.said[0]
            await world.rotate(key)
            assert len(world.said) == 1

    asyncio.run(work())
    if key == VALIDATOR:
        assert world.names(key) == ["validator-2"], "the next rotation erased what was left"


def test_an_announcement_is_waited_for_as_long_as_blocks_come(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """[S11] Its delay is in blocks, and no time bounds it. Only a ledger that stands still ends the wait."""
    for module in (announced, patience):
        monkeypatch.setattr(module, "BLOCK_S", 2.5 * HEARTBEAT_S)  # less than the delay takes

    async def work() -> None:
        async with world.running():
            await world.rotate(AUTHORITY)
            assert world.noted(AUTHORITY) == 1
            await world.rotate(VALIDATOR)
            assert world.noted(VALIDATOR) == 1
            async with rotating.operators(world.folder, ["alpha"]) as accesses:
                chain = accesses["alpha"].chain
                for module in (announced, patience):
                    monkeypatch.setattr(module, "BLOCK_S", 0.0)
                with pytest.raises(NotYet):
                    await patience.reached(chain, (await chain.tip()).height.height + 1_000)

    asyncio.run(work())


def test_a_host_with_keys_and_no_ledger_keeps_no_authority_from_rotating(world: World) -> None:
    keys.made(world.folder, "host/bob", "")

    async def work() -> None:
        async with world.running():
            await world.rotate(AUTHORITY)

    asyncio.run(work())
    assert world.noted(AUTHORITY) == 1
    assert world.names(AUTHORITY) == ["authority", "authority-1", "authority-2"]


def test_P12_a_signers_key_is_erased_only_when_a_header_shows_the_next_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[P12] A node says that the hand-over was decided, which the ledger never heard of."""

    async def swallowed(*_: Any) -> int:
        return 1

    async def work() -> None:
        async with world.running():
            true = rotating.decided
            asked = 0

            async def decided(*arguments: Any) -> ValidatorsRecord:
                nonlocal asked
                asked += 1
                if asked == 1:
                    return await true(*arguments)
                with changing(world.folder, world.party.home, ledger.wanted_keys) as keystore:
                    return ValidatorsRecord(1, ((keystore.signer("validator-1").public_key, 10),))

            with monkeypatch.context() as patched:
                patched.setattr(rotating, "carried_out", swallowed)
                patched.setattr(rotating, "decided", decided)
                with pytest.raises(NotRotated, match="another signer"):
                    await world.rotate(VALIDATOR)
            assert world.names(VALIDATOR) == ["validator", "validator-1"]
            await world.rotate(VALIDATOR)
            assert world.names(VALIDATOR) == ["validator-1"]

    asyncio.run(work())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"at_ns": "now"}', '{"at_ns": -1}', '{"at_ns": 1e400}'])
def test_a_record_of_the_last_rotation_that_does_not_read_is_named(world: World, text: str) -> None:
    schedule.write(world.party.home, 7_200, UnixNanos(0), OPERATOR)
    (world.party.home / f"rotated-{OPERATOR}.json").write_text(text)
    with pytest.raises(schedule.BadMemory):
        keys.scheduled(world.folder, "ledger/alpha", key=OPERATOR)
    rows = {row["key"]: row["next_rotation"] for row in keys.listed(world.folder)}
    assert rows[OPERATOR] is None, "and the list goes on"
    assert set(rows) == {OPERATOR, AUTHORITY, VALIDATOR}
