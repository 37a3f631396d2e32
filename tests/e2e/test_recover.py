"""Clients that expired while a deployment slept, and what `up` and the authority do about it (I18, P16)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lockgate.node import recover, up
from lockgate.node.config import load as load_config
from lockgate.node.folder import Folder
from lockgate.node.keystores import open_keystore
from lockgate.node.ledger import LEDGER_KEYS
from lockgate.node.spec import HostSpec, LedgerSpec, Spec
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import seconds
from lockgate.relay import pairing, pairing_kinds

SPEC = Spec(
    ledgers=(LedgerSpec("alpha", "alpha-1", heartbeat=0.1), LedgerSpec("beta", "beta-1", heartbeat=0.1)),
    hosts=(HostSpec("one", "alpha", "echo", ("other",)), HostSpec("other", "beta", "echo", ("one",))),
)
TRUSTING_S = 2
TERMS = pairing.Terms
LIMIT_S = 120.0


def trusted_for(monkeypatch: pytest.MonkeyPatch, length_s: int) -> None:
    """Clients made from here on trust a header for so long."""
    for module in (pairing, pairing_kinds):
        monkeypatch.setattr(module, "Terms", lambda: TERMS(trusting=seconds(length_s)))


async def with_ledgers(folder: Folder, story: Callable[[up.Running], Awaitable[None]]) -> None:
    """The two ledgers alone, without a relayer that would keep the clients fresh."""
    processes = up.Deployment(folder, lambda *_: None)
    running = up.Running(folder, SPEC, processes, up.take(folder), "up")
    try:
        async with asyncio.timeout(LIMIT_S):
            for ledger in SPEC.ledgers:
                up.ledger_node.create(folder, ledger.name, ledger.chain_id)
            await asyncio.gather(*(up.start_ledger(running, ledger, False, print) for ledger in SPEC.ledgers))
            await story(running)
    finally:
        await running.stop()


def test_an_expired_client_is_named_and_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trusted_for(monkeypatch, TRUSTING_S)
    folder = Folder(tmp_path)
    said: list[str] = []

    async def story(running: up.Running) -> None:
        await up.provision(running, lambda _: None, {})
        with pytest.raises(recover.NothingExpired):
            await recover.recover(folder, said.append)
        old = load_config(folder.host("one") / "endpoint.json")
        async with recover.operators(folder, ["alpha", "beta"]) as accesses:
            while len(await recover.expired(accesses)) < 2:
                await asyncio.sleep(0.1)
        assert said == []

        told: asyncio.Queue[str] = asyncio.Queue()
        waiting = asyncio.create_task(up.provision(running, told.put_nowait, {}))
        while "lockgate client recover" not in (heard := await told.get()):
            assert "has expired" in heard
        assert not waiting.done(), "nothing can go over an expired client"
        trusted_for(monkeypatch, 3_600)

        async def nowhere(*_: object) -> ClientId:
            return ClientId("07-tendermint-99")

        with monkeypatch.context() as patch:
            patch.setattr(recover, "create_client", nowhere)
            with pytest.raises(recover.NotRecovered) as failure:
                await recover.recover(folder, lambda _: None)
        assert failure.value.fields["cause"] == "ibc.client_not_active", "the ledger's own code"
        assert not waiting.done()

        found = await recover.recover(folder, said.append)
        assert {(each.on, each.of) for each in found} == {("alpha", "beta"), ("beta", "alpha")}
        assert sum("it takes effect at block" in line for line in said) == 2
        await waiting
        new = load_config(folder.host("one") / "endpoint.json")
        assert new.local.height > old.local.height
        assert new.peers == old.peers, "the lanes are what they were"
        with pytest.raises(recover.NothingExpired):
            await recover.recover(folder, said.append)

    asyncio.run(with_ledgers(folder, story))
    logged = [json.loads(line) for line in (tmp_path / "logs" / "authority.log").read_text().splitlines()]
    assert [entry["action"] for entry in logged] == (["fingerprints"] * 2 + ["client.recover"] * 2) * 2


def test_only_the_authority_recovers(tmp_path: Path) -> None:
    folder = Folder(tmp_path)

    async def story(_: up.Running) -> None:
        path = folder.ledger("beta") / "keys"
        path.unlink()
        open_keystore(folder, path.parent, LEDGER_KEYS)
        with pytest.raises(recover.NotTheAuthority) as refusal:
            await recover.recover(folder, lambda _: None)
        assert refusal.value.fields["ledger"] == "beta"

    asyncio.run(with_ledgers(folder, story))
