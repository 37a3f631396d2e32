"""Copies of hosts and ledgers, as whole processes: one goes on, the others stop by name (P1, P8, P12, P20; S3).

A copy is taken as a machine's snapshot would be, in the middle of the load, and started by the command as an
operator would. Whatever is copied, every message acts exactly once and nothing is lost.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lockgate.cli.output import EXIT_REFUSED
from lockgate.codec import cbor
from lockgate.engines.embedded.recovery import StoreBehind
from lockgate.host.recovery import Fenced
from lockgate.hosting.reader import Distrusted
from lockgate.node.socket import RemoteRefusal
from lockgate.storage.ledger import LedgerStore
from tests.support.deployment import Deployment, Party, copy, elsewhere

SETTLE_S = 90.0
MOST_OPEN = 16  # messages under way: enough for every step of a story to fall among them
MORE = 5  # messages that go through between two steps of a story
Story = Callable[[Deployment, Path], Awaitable[None]]


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment set up and stopped; every test takes a copy of it."""
    root = tmp_path_factory.mktemp("provisioned") / "data"
    asyncio.run(Deployment(root).set_up())
    return root


def under_load(provisioned: Path, folder: Path, story: Story) -> Deployment:
    """Play a story while messages are under way; then every one must have acted once."""
    copy(provisioned, folder / "data")
    deployment = Deployment(folder / "data")

    async def work() -> set[bytes]:
        deployment.start()
        try:
            await deployment.party("host-sender").said("ready")
            async with deployment.load(MOST_OPEN) as known:
                await deployment.acknowledged(MORE)
                await story(deployment, folder)
                await deployment.acknowledged(MORE)
            await deployment.settled(SETTLE_S)
        finally:
            deployment.stop()
        return known

    deployment.acted_once(asyncio.run(work()))
    return deployment


async def fenced_off(party: Party, host: str) -> None:
    """It ended by itself as its page says, and left the ledger's proof of why."""
    assert await party.ended() == EXIT_REFUSED
    assert Fenced.code in party.words()
    (evidence,) = (party.folder / "hosts" / host / "evidence").glob("fenced-off-*.cbor")
    document = cbor.decode(evidence.read_bytes())
    assert document["ledger"]["root"] not in {document["saved"]["root"], document["saved"]["staged"]}
    assert document["proof"]


@pytest.mark.parametrize("host", ["counter", pytest.param("sender", marks=pytest.mark.soak)])
def test_P8_a_host_cloned_in_mid_run_goes_on_and_the_original_is_fenced_off(
    provisioned: Path, tmp_path: Path, host: str
) -> None:
    """[P1] [P8] The machine is snapshot and the snapshot started first; the original wakes up and is told."""

    async def story(deployment: Deployment, folder: Path) -> None:
        original = deployment.party(f"host-{host}")
        clone = elsewhere(deployment.folder, folder / "clone", host)
        original.tell(signal.SIGSTOP)
        copy(deployment.folder.host(host), clone.folder / "hosts" / host)
        clone.start()
        deployment.move(host, clone)
        await clone.said("ready")
        await clone.said("fence")
        original.tell(signal.SIGCONT)
        await fenced_off(original, host)

    under_load(provisioned, tmp_path, story)


def test_P8_an_older_backup_of_a_host_is_fenced_off_and_the_original_is_not_disturbed(
    provisioned: Path, tmp_path: Path
) -> None:
    """[P1] [P8] Started elsewhere from a backup while the original runs and has gone on."""

    async def story(deployment: Deployment, folder: Path) -> None:
        restored = elsewhere(deployment.folder, folder / "restored", "counter")
        original = deployment.party("host-counter")
        copy(deployment.folder.host("counter"), restored.folder / "hosts" / "counter", original)
        await deployment.acknowledged(MORE)
        fence = (await deployment.ask("counter", "status"))["fence"]
        restored.start()
        await fenced_off(restored, "counter")
        assert (await deployment.ask("counter", "status"))["fence"] == fence
        assert original.alive

    under_load(provisioned, tmp_path, story)


@pytest.mark.soak
def test_P8_a_sender_restored_in_place_sends_nothing_and_what_it_had_goes_on(provisioned: Path, tmp_path: Path) -> None:
    """[P1] [P8] An operator puts a backup in the place of what a host has now; then undoes that."""

    async def story(deployment: Deployment, folder: Path) -> None:
        party, home = deployment.party("host-sender"), deployment.folder.host("sender")
        copy(home, folder / "backup", party)
        await deployment.acknowledged(MORE)
        party.kill()
        shutil.move(home, folder / "newest")
        shutil.move(folder / "backup", home)
        party.start()
        await fenced_off(party, "sender")
        shutil.rmtree(home)
        shutil.move(folder / "newest", home)
        party.kill()
        party.start()
        await party.said("ready")

    under_load(provisioned, tmp_path, story)


def test_P12_a_ledger_restored_from_a_backup_refuses_to_sign(provisioned: Path, tmp_path: Path) -> None:
    """[P12] Its signing state lies outside the backup and is newer: the process ends by name, and signs nothing."""

    async def story(deployment: Deployment, folder: Path) -> None:
        party, home = deployment.party("ledger-beta"), deployment.folder.ledger("beta")
        copy(home, folder / "backup", party)
        await deployment.acknowledged(MOST_OPEN + 1)  # one at least was sent, and so received, after the copy
        party.kill()
        signed = deployment.folder.sign_state("beta").read_bytes()
        shutil.move(home, folder / "newest")
        shutil.move(folder / "backup", home)
        tip = _height(home)
        assert tip < _height(folder / "newest")
        party.start()
        assert await party.ended() == EXIT_REFUSED
        assert StoreBehind.code in party.words()
        assert deployment.folder.sign_state("beta").read_bytes() == signed
        assert _height(home) == tip
        shutil.rmtree(home)
        shutil.move(folder / "newest", home)
        party.kill()
        party.start()

    deployment = under_load(provisioned, tmp_path, story)
    for name in ("alpha", "beta"):
        assert deployment.verified(name)["verified"]


def test_P20_a_ledger_restored_together_with_its_signing_state_is_frozen_at_the_first_message_across(
    provisioned: Path, tmp_path: Path
) -> None:
    """[P20] What P12 forbids, done: it signs heights twice. Whoever saw the first history has both headers."""
    copy(provisioned, tmp_path / "data")
    deployment = Deployment(tmp_path / "data")

    async def work() -> RemoteRefusal:
        deployment.start()
        try:
            party, home = deployment.party("ledger-beta"), deployment.folder.ledger("beta")
            state = deployment.folder.sign_state("beta")
            await deployment.party("host-sender").said("ready")
            await deployment.party("host-counter").said("fence")
            copy(home, tmp_path / "backup", party)
            shutil.copy(state, tmp_path / "state")
            assert await deployment.send(b"before")
            await deployment.settled(SETTLE_S)
            party.kill()
            shutil.rmtree(home)
            shutil.move(tmp_path / "backup", home)
            shutil.copy(tmp_path / "state", state)
            party.start()
            await party.said("ready")
            assert party.alive, "nothing tells the ledger itself"
            refusal = await _refused(deployment)
            await deployment.party("relay").said("client_suspended")
        finally:
            deployment.stop()
        return refusal

    assert asyncio.run(work()).fields["code"] == Distrusted.code
    (evidence,) = (deployment.folder.host("sender") / "evidence").glob("two-histories-*.cbor")
    document = cbor.decode(evidence.read_bytes())
    assert document["chain"] == "beta-1"
    assert document["first"][0] != document["second"][0]
    assert "outcome=frozen" in deployment.party("host-sender").words()
    assert "status=Frozen" in deployment.party("relay").words()
    (before, *_) = deployment.sent()
    assert (before.body, before.state, before.reply) == (b"before", "acknowledged", b"\x01")


async def _refused(deployment: Deployment) -> RemoteRefusal:
    """Send until it is refused: a peer's key record is held for ten seconds before its ledger is read again."""
    async with asyncio.timeout(SETTLE_S):
        while True:
            try:
                await deployment.ask(
                    "sender", "send", to="counter", schema="bytes@1.0", body=b"after".hex(), timeout_s=3_600
                )
            except RemoteRefusal as refusal:
                return refusal
            await asyncio.sleep(0.5)


def _height(home: Path) -> int:
    store = LedgerStore.open(home / "ledger.sqlite")
    try:
        tip = store.tip()
        assert tip is not None
        return tip.height
    finally:
        store.close()
