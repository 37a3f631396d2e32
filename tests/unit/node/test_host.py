"""How a host's process begins: what else works on its folder is not in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lockgate.node import host
from lockgate.node.config import save
from lockgate.node.folder import Folder
from lockgate.storage.ledger import StoreInUse, take_lock
from tests.support.hosts import HostWorld, in_world


class Enough(Exception):
    """The process has come to what the test looks at."""


@in_world()
async def test_keys_are_read_under_the_lock_that_moving_them_takes(
    world: HostWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`keys apart` holds it: a host that read the file before would write the moved identity back."""
    folder, opened = Folder(tmp_path), []

    def cabinet(_: Folder, name: str) -> None:
        with pytest.raises(StoreInUse):
            take_lock(folder.host(name) / "host.lock")
        opened.append(name)
        raise Enough

    monkeypatch.setattr(host, "Cabinet", cabinet)
    save(world.config(world.b), folder.host("b") / "endpoint.json")
    lock = take_lock(folder.host("b") / "host.lock")
    with pytest.raises(StoreInUse):
        await host.run(folder, "b", lambda *_: None)
    assert opened == []
    os.close(lock)
    with pytest.raises(Enough):
        await host.run(folder, "b", lambda *_: None)
    assert opened == ["b"]
    os.close(take_lock(folder.host("b") / "host.lock"))
