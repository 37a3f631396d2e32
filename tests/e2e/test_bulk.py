"""A large file between two host processes, both killed on the way, and saved by the command (I8)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import SPEC, Deployment

SIZE = 96 << 20


async def recorded(folder: Path) -> None:
    """Wait until some of a body is good on disk."""
    async with asyncio.timeout(60):
        while not (folder.is_dir() and any(name.endswith(".progress") for name in os.listdir(folder))):
            await asyncio.sleep(0.005)


async def listening(socket: Path) -> None:
    async with asyncio.timeout(60):
        while not socket.exists():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("address", ["", "link+unix:"])
def test_a_file_arrives_whole_though_both_hosts_are_killed(address: str, tmp_path: Path) -> None:
    data, path, copy = tmp_path / "data", tmp_path / "file", tmp_path / "copy"
    with path.open("wb") as file:
        for _ in range(SIZE >> 20):
            file.write(os.urandom(1 << 20))
    sender, counter = SPEC.hosts
    blobs_at = (f"{address}{tmp_path}/s",) if address else ()
    deployment = Deployment(data, replace(SPEC, hosts=(replace(sender, blobs=blobs_at), counter)))
    bodies, blobs = (deployment.folder.host(name) / what for name, what in (("counter", "bodies"), ("sender", "blobs")))

    async def work() -> list[dict[str, Any]]:
        await deployment.set_up()
        deployment.start()
        await asyncio.gather(*(listening(deployment.folder.host(name) / "host.sock") for name in ("sender", "counter")))
        sent = await deployment.ask(
            "sender", "send_file", to="counter", schema="bytes@1.0", path=str(path), timeout_s=600
        )
        assert sent["packets"]
        await recorded(bodies)
        for name in ("host-counter", "host-sender"):
            deployment.party(name).kill()
            deployment.party(name).start()
        await deployment.settled(120)
        listed: list[dict[str, Any]] = (await deployment.ask("counter", "inbox"))["messages"]
        return listed

    try:
        listed = asyncio.run(work())
        assert [(row["state"], row["bytes"]) for row in listed] == [("answered", SIZE)]
        command = [sys.executable, "-m", "lockgate.cli.main", "--data", str(data), "save", "counter"]
        saving = [*command, listed[0]["packet"], str(copy), "--remove"]
        assert subprocess.run(saving, check=False, timeout=60).returncode == 0
        assert subprocess.run(["cmp", path, copy], check=False).returncode == 0
        assert copy.stat().st_mode & 0o777 == 0o600
        assert os.listdir(bodies) == os.listdir(blobs) == []
    finally:
        deployment.stop()
    (row,) = deployment.sent()
    assert row.state == "acknowledged"
    assert sum(deployment.counted().values()) == 1
