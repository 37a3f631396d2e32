"""An account's key is replaced on two ledgers while a relayer works under it; a kill on the way is made good (S11)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.crypto.keys import KeyRole
from lockgate.keystore import store as keystore_module
from lockgate.lab.entropy import SeededEntropy
from lockgate.machine import accounts
from lockgate.node.folder import SUITE_ED25519, Folder
from lockgate.node.keystores import changing, open_keystore, recorded
from lockgate.node.provision import RELAY_KEYS
from lockgate.node.wallet import KEPT, KeyTaken, NotRotated, Wallet, rotate
from lockgate.primitives.ids import ClientId, DomainId
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.driver import EndPoint, Relayer
from lockgate.relay.submitter import AccountSubmitter
from tests.support.relays import RELAY_LANE, Pair

LANE = RELAY_LANE + 32
Step = Callable[[str], None]


class Killed(BaseException):
    """The process ends here."""


class Steps:
    """Ends the process at its n-th lasting step: before it, or when it is done and nobody has heard of it."""

    def __init__(self, stop_at: int) -> None:
        self.stop_at, self.count = stop_at, 0

    def __call__(self, do: Callable[[], Any]) -> Any:
        self._pass()
        done = do()
        self._pass()
        return done

    async def later(self, do: Callable[[], Awaitable[Any]]) -> Any:
        self._pass()
        done = await do()
        self._pass()
        return done

    def _pass(self) -> None:
        self.count += 1
        if self.count == self.stop_at:
            raise Killed


class World:
    """Two ledgers, a relayer's key file, and what rotates it."""

    def __init__(self, folder: Folder) -> None:
        self.folder, self.pair = folder, Pair.make(heartbeat_s=0.05)
        self.wallet = Wallet(folder, folder.relay("a-b"), RELAY_KEYS, "account")
        self.account = self.wallet.account

    async def ledgers(self, steps: Steps | None = None) -> dict[str, tuple[AccountSubmitter, DomainId]]:
        found = {}
        for end in (self.pair.a, self.pair.b):
            rpc: Any = self.pair.rpc(end)
            chain = CometBftChain(_Stepping(rpc, steps) if steps else rpc, end.ledger.genesis.chain_id)
            domain = end.ledger.genesis.domain_id
            account, signer = await self.wallet.signer_on(chain)
            by = AccountSubmitter(chain, domain, signer.public_key, signer.sign, LANE, account=account)
            found[end.ledger.genesis.chain_id] = by, domain
        return found

    async def rotate(self, steps: Steps | None = None, overlap: int = 0) -> list[int]:
        done = await rotate(self.wallet, await self.ledgers(steps), overlap)
        return [each.index for each in done]

    def relayer(self) -> Relayer:
        """As `node.relay` makes it: its keys come from the wallet whenever a ledger takes the ones it has no more."""
        ends = []
        for end in (self.pair.a, self.pair.b):
            chain = CometBftChain(self.pair.rpc(end), end.ledger.genesis.chain_id)
            signer = self.wallet.signer(accounts.rotated(end.ledger.chain.view(), self.account))
            by = AccountSubmitter(
                chain, end.ledger.genesis.domain_id, signer.public_key, signer.sign, RELAY_LANE,
                account=self.account, renew=lambda chain=chain: self.wallet.renew(chain),
            )  # fmt: skip
            ends.append(EndPoint(chain, by, ClientId(end.client), own_lane=False))
        reports = self.pair.reports
        return Relayer(*ends, lambda kind, fields: reports.append((kind, fields)), SeededEntropy(b"wallet"))

    def indices(self) -> list[int]:
        found = [accounts.rotated(end.ledger.chain.view(), self.account) for end in (self.pair.a, self.pair.b)]
        return [0 if held is None else held.index for held in found]


class _Stepping:
    def __init__(self, inner: Any, steps: Steps) -> None:
        self.inner, self.steps = inner, steps

    async def call(self, method: str, **params: Any) -> Any:
        if method == "broadcast_tx_commit":
            return await self.steps.later(lambda: self.inner.call(method, **params))
        return await self.inner.call(method, **params)

    async def close(self) -> None:
        await self.inner.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "a long enough passphrase")
    return World(Folder(tmp_path))


@contextlib.asynccontextmanager
async def relaying(relayer: Relayer) -> Any:
    task = asyncio.create_task(relayer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("overlap", [0, 10])
def test_a_running_relayer_loses_nothing_when_its_key_is_replaced(world: World, overlap: int) -> None:
    """[S11] Packets go before, while and after; what the old key signed is signed again, and each arrives once."""
    pair = world.pair

    async def work() -> None:
        async with pair.running(), relaying(world.relayer()):
            pair.send(20)
            await until(lambda: len(pair.received()) >= 5)
            pair.send(20)
            assert await world.rotate(overlap=overlap) == [1, 1]
            pair.send(20)
            assert await world.rotate(overlap=overlap) == [2, 2]
            pair.send(20)
            await until(lambda: len(pair.received()) == 80 and not pair.open_packets())

    asyncio.run(work())
    assert pair.received() == list(range(1, 81))
    assert len(pair.history(pair.b, "recv_packet")) == 80, "none twice"
    assert sorted(recorded(world.wallet.home)["keys"]) == ["account", "account-1", "account-2", "account-3"]


def test_a_relayer_that_was_down_starts_under_the_new_key(world: World) -> None:
    async def work() -> None:
        async with world.pair.running():
            await world.rotate()
            world.pair.send(5)
            async with relaying(world.relayer()):
                await until(lambda: len(world.pair.received()) == 5 and not world.pair.open_packets())

    asyncio.run(work())
    assert world.account == world.wallet.account, "the account is what it was"


def test_a_kill_at_every_step_is_made_good_by_the_next_attempt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """[S11] Every write of the key file and every transaction, before and after it: enumerated, none left out."""
    written = keystore_module.write_key_file

    async def work() -> list[int]:
        killed = []
        async with world.pair.running():
            for stop_at in range(1, 40):
                steps = Steps(stop_at)
                monkeypatch.setattr(
                    keystore_module, "write_key_file", lambda *a, steps=steps, **k: steps(lambda: written(*a, **k))
                )
                before = max(world.indices())
                try:
                    await world.rotate(steps)
                except Killed:
                    killed.append(stop_at)
                else:
                    return killed
                finally:
                    monkeypatch.setattr(keystore_module, "write_key_file", written)
                assert await world.rotate() in ([before + 1] * 2, [before + 2] * 2)
                assert len(set(world.indices())) == 1
                world.pair.send(1)
                async with relaying(world.relayer()):
                    await until(lambda: len(world.pair.received()) == len(killed) and not world.pair.open_packets())
        raise AssertionError("it never came to its end")

    killed = asyncio.run(work())
    assert killed == list(range(1, 7)), "one write of the key file, two transactions, each before and after"


def test_a_nodes_word_costs_no_key_that_the_ledger_still_wants(world: World) -> None:
    """[S11] A node shows a history of its own, in which the account rotates on and on; the ledgers know of one."""
    truth, lie = world.pair, Pair.make(heartbeat_s=0.05)

    async def work() -> None:
        async with truth.running(), lie.running():
            for pair in (truth, lie):
                world.pair = pair
                assert await world.rotate() == [1, 1]
            for index in range(2, 6):
                assert await world.rotate() == [index, index]
                world.wallet.settle(index)
            world.pair = truth
            assert world.indices() == [1, 1]
            assert await world.rotate() == [2, 2], "the key that the ledgers want is there"

    asyncio.run(work())


def test_keys_that_were_replaced_long_ago_are_erased(world: World) -> None:
    with changing(world.folder, world.wallet.home, RELAY_KEYS) as keys:
        keys.make({f"account-{index}": (KeyRole.ACCOUNT, SUITE_ED25519) for index in range(1, KEPT + 5)})
    world.wallet.settle(KEPT + 3)
    left = [f"account-{index}" for index in range(3, KEPT + 5)]
    assert sorted(recorded(world.wallet.home)["keys"]) == sorted(["account", *left])


def test_a_rotation_that_was_not_heard_of_is_known_by_its_number(world: World) -> None:
    async def work() -> None:
        async with world.pair.running():
            await world.rotate()
            ledgers = await world.ledgers()
            assert [each.index for each in await rotate(world.wallet, ledgers, 0, known=0)] == [1, 1]
            assert [each.index for each in await rotate(world.wallet, ledgers, 0, known=1)] == [2, 2]

    asyncio.run(work())


def test_a_thief_who_rotates_first_is_named(world: World) -> None:
    """Who has copied the first key can give the account a key of his own: it is said, and nothing is made here."""

    async def work() -> None:
        async with world.pair.running():
            with changing(world.folder, world.folder.root / "thief", RELAY_KEYS):
                pass
            copied = (world.wallet.home / "keys").read_bytes()
            thief = Wallet(world.folder, world.folder.root / "thief", RELAY_KEYS, "account")
            (thief.home / "keys").write_bytes(copied)
            await rotate(thief, await world.ledgers())
            names = dict(recorded(world.wallet.home)["keys"])
            with pytest.raises(KeyTaken):
                await world.rotate()
            assert recorded(world.wallet.home)["keys"] == names

    asyncio.run(work())


def test_a_ledger_that_refuses_is_told_in_its_words(world: World) -> None:
    async def work() -> None:
        async with world.pair.running():
            with pytest.raises(NotRotated, match=r"account\.bad_rotation"):
                await world.rotate(overlap=101)
            assert world.indices() == [0, 0]
            assert await world.rotate() == [1, 1]

    asyncio.run(work())


def test_two_changes_of_one_key_file_lose_no_key(world: World) -> None:
    """Each reads the file anew under the lock; who holds an older copy of it writes nothing."""
    stale = open_keystore(world.folder, world.wallet.home, RELAY_KEYS)
    stale.close()
    for name in ("account-1", "account-2"):
        with changing(world.folder, world.wallet.home, RELAY_KEYS) as keys:
            keys.make({name: (KeyRole.ACCOUNT, SUITE_ED25519)})
    assert sorted(recorded(world.wallet.home)["keys"]) == ["account", "account-1", "account-2"]
