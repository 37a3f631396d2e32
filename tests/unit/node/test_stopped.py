"""A host that does not run is rotated all the same: a thief of its account acts for it no more (P5, P6)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from lockgate.hosting.rotation import ROTATED
from lockgate.lab.ledgers import LabAccount
from lockgate.lab.paths import expect
from lockgate.machine.errors import NotTheEndpoint
from lockgate.machine.identity import KeyRecord
from lockgate.machine.suites import SuiteNotActive
from lockgate.node import keys, sources, stopped
from lockgate.node.config import save
from lockgate.node.folder import Folder
from lockgate.node.identity import Cabinet, inception, open_keys
from lockgate.node.keystores import Party, open_keystore
from lockgate.node.provision import RELAY_KEYS
from lockgate.node.reserve import ReserveAbsent, identities, set_apart
from lockgate.storage.host import HostStore
from lockgate.storage.ledger import StoreInUse
from tests.support.hosts import HostWorld, in_world
from tests.unit.hosting.test_suites import XWING_AES, stop


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "a long enough passphrase")
    return Folder(tmp_path / "data")


def laid_out(world: HostWorld, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> tuple[Party, KeyRecord, LabAccount]:
    """A host of ledger b, with keys in the folder and its endpoint on the ledger; it does not run."""
    nodes: dict[str, Any] = {side.name: side.rpc for side in world.sides}
    monkeypatch.setattr(Folder, "ledger_address", lambda _, name: name)
    monkeypatch.setattr(sources, "Rpc", lambda locate: nodes[locate()])
    monkeypatch.setattr(stopped, "SystemClock", lambda: world.clock)
    held = open_keys(folder, "h")
    record, signed = inception(held)
    expect(world.b.end.ledger.transact(world.lab.host_b, ("endpoint.register", {"record": signed.to_bytes()})))
    config = dataclasses.replace(
        world.config(world.b), name="h", endpoint=record.endpoint_id.hex(), records=(signed.to_bytes().hex(),)
    )
    save(config, folder.host("h") / "endpoint.json")
    return Party("hosts", "h", folder.host("h")), record, LabAccount(held.account)  # type: ignore[arg-type]


def fence(world: HostWorld, record: KeyRecord, by: LabAccount, number: int) -> str:
    message = ("endpoint.fence", {"endpoint": record.endpoint_id, "fence": number})
    return str(world.b.end.ledger.transact(by, message).log)


@pytest.mark.parametrize("relayer", [False, True])
@in_world()
async def test_P6_the_account_of_before_acts_no_more(
    world: HostWorld, folder: Folder, monkeypatch: pytest.MonkeyPatch, relayer: bool
) -> None:
    """[P6]"""
    party, record, thief = laid_out(world, folder, monkeypatch)
    if relayer:
        open_keystore(folder, folder.relay("r"), RELAY_KEYS).close()
    assert fence(world, record, thief, 1) == "", "the host is fenced off: it cannot start and rotate itself"
    done = await keys.rotate(folder, "host/h")
    assert done["index"] == 1
    assert NotTheEndpoint.code in fence(world, record, thief, 2)
    cabinet = Cabinet(folder, "h")
    assert identities(open_keystore(folder, party.home, {})) == ["identity-1", "identity-2"]
    new = LabAccount(cabinet.account(1))  # type: ignore[arg-type]
    assert fence(world, record, new, 2) == ""
    store = HostStore.reading(party.home / "host.sqlite")
    assert int.from_bytes(store.meta(ROTATED) or b"", "big") > world.clock.now() - 60 * 10**9
    store.close()
    assert (await keys.rotate(folder, "host/h"))["index"] == 2


@in_world()
async def test_P5_without_the_medium_nothing_is_posted(
    world: HostWorld, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    party, record, thief = laid_out(world, folder, monkeypatch)
    medium = folder.root.with_name("medium")
    set_apart(folder, party, str(medium))
    away = medium.rename(medium.with_name("drawer"))
    with pytest.raises(ReserveAbsent):
        await keys.rotate(folder, "host/h")
    assert fence(world, record, thief, 1) == "", "the keys are what they were"
    away.rename(medium)
    assert (await keys.rotate(folder, "host/h"))["index"] == 1


@in_world()
async def test_S61_no_key_is_made_of_a_suite_that_is_over(
    world: HostWorld, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    party, _, _ = laid_out(world, folder, monkeypatch)
    before = (party.home / "keys").read_bytes()
    stop(world, world.b, XWING_AES)
    with pytest.raises(SuiteNotActive):
        await keys.rotate(folder, "host/h")
    assert (party.home / "keys").read_bytes() == before
    assert (await keys.rotate(folder, "host/h", sealing=18))["index"] == 1


@in_world()
async def test_a_host_that_runs_and_does_not_answer_is_left_alone(
    world: HostWorld, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    party, record, thief = laid_out(world, folder, monkeypatch)
    store = HostStore.open(party.home / "host.sqlite")
    with pytest.raises(StoreInUse):
        await keys.rotate(folder, "host/h")
    store.close()
    assert fence(world, record, thief, 1) == ""
