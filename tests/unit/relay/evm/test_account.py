"""One account on an EVM chain: its transactions end once, whatever pool, fees, re-organisations and crashes do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lockgate.courier.ports import ChainUnavailable
from lockgate.crypto.recoverable import EvmKey
from lockgate.relay.chains.evm.account import EvmAccount, Waits
from lockgate.relay.chains.evm.answers import Receipt
from lockgate.relay.chains.evm.fees import GWEI, FeeAboveCeiling, FeeRules, Fees
from lockgate.relay.chains.evm.history import ReorganisedAfterRelease
from lockgate.relay.chains.evm.journal import Journal, JournalDamaged, JournalFull, JournalOfAnother
from lockgate.relay.chains.evm.memory import Memory
from lockgate.relay.chains.evm.node import Call
from lockgate.relay.chains.evm.nodes import EvmNodes
from lockgate.relay.chains.evm.refusals import FundsMissing, GasBeyondBound, NonceSpent, Reverted, of_simulation
from lockgate.relay.rpc import BadAnswer, RpcError
from tests.support.evm_node import HOST, NETWORK, FakeNode, chain_of
from tests.support.evm_pool import FakePool

KEY = EvmKey(b"\x07" * 32)
CALM = Waits(poll=0.002, stuck=60.0, confirm=15.0)
QUICK = Waits(poll=0.002, stuck=0.03, confirm=15.0)  # for what must be sent again by the clock
RULES = FeeRules(ceiling=100 * GWEI)


@dataclass
class World:
    """An account before its node, and what it reported."""

    path: Path
    node: FakePool = field(default_factory=FakePool)
    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    accounts: list[EvmAccount] = field(default_factory=list)

    def account(self, rules: FeeRules = RULES, waits: Waits = CALM, finality: str = "2") -> EvmAccount:
        journal = Journal(self.path, NETWORK, KEY.address)
        chain, _ = chain_of(self.node, finality)
        made = EvmAccount(chain, KEY, rules, journal, lambda name, fields: self.told.append((name, fields)), waits)
        self.accounts.append(made)
        return made

    def names(self) -> set[str]:
        return {name for name, _ in self.told}

    def effects(self) -> list[bytes]:
        """What was done on the chain, in order."""
        return [one.transaction.data for one in self.node.done]


def within(tmp_path: Path, work: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World(tmp_path / "journal.json")
        world.node.mine(3)
        try:
            async with asyncio.timeout(20):
                await work(world)
        finally:
            for account in world.accounts:
                await account.close()

    asyncio.run(main())


async def until(true: Callable[[], Any]) -> None:
    while not true():
        await asyncio.sleep(0.002)


def start(account: EvmAccount, data: bytes = b"one") -> asyncio.Task[Receipt]:
    return asyncio.create_task(account.execute(HOST, data))


async def sent(world: World, account: EvmAccount, data: bytes = b"one") -> asyncio.Task[Receipt]:
    """A call that waits in the pool."""
    before = len(world.node.sent)
    task = start(account, data)
    await until(lambda: len(world.node.sent) > before)
    return task


def test_a_call_is_included_and_let_go_when_it_is_final(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account()
        task = await sent(world, account)
        world.node.mine()
        receipt = await task
        assert (receipt.block, receipt.succeeded) == (4, True)
        (one,) = world.node.done
        assert (one.sender, one.transaction.to, one.transaction.data) == (KEY.address, HOST, b"one")
        assert (one.transaction.fee, one.transaction.tip, one.transaction.gas) == (2 * GWEI + 10**8, 10**8, 65_000)
        assert account.waiting == 1, "its block may be taken back"
        world.node.mine(2)
        await asyncio.wait_for(account.settled(), 10)
        assert json.loads(world.path.read_text())["signed"] == []

    within(tmp_path, work)


def test_a_simulation_is_asked_for_at_the_price_that_is_paid(tmp_path: Path) -> None:
    """A contract sees the price of gas: one that is cheap where it is nothing would take all there is in a block."""

    async def work(world: World) -> None:
        asked: list[Any] = []

        def note(method: str, params: Any, answer: Any) -> Any:
            if method in {"eth_estimateGas", "eth_call"} and "from" in params[0]:
                asked.append(params[0])
            return answer

        world.node.spoil = note
        world.node.failing = True
        task = await sent(world, world.account())
        world.node.mine()
        with pytest.raises(Reverted):
            await task
        estimated, *_ = asked
        paid = {"maxFeePerGas": hex(2 * GWEI + 10**8), "maxPriorityFeePerGas": hex(10**8)}
        assert paid.items() <= estimated.items()
        assert world.node.done[0].transaction.fee == 2 * GWEI + 10**8

    within(tmp_path, work)


@pytest.mark.parametrize(
    ("estimate", "beside", "divisible", "gas"),
    [
        (50_000, 0, True, 65_000),
        (50_000, 10_000, True, 65_000),
        (50_000, 40_000, True, 90_000),
        (50_000, 50_000, True, 100_000),
        (50_000, 50_001, True, None),
        (50_000, 50_001, False, 100_000),
        (90_000, 0, True, 100_000),
        (100_001, 0, False, None),
    ],
)
def test_gas_covers_what_may_be_taken(estimate: int, beside: int, divisible: bool, gas: int | None) -> None:
    assert FeeRules(GWEI, most_gas=100_000).gas(estimate, 10**9, beside, divisible=divisible) == gas
    assert FeeRules(GWEI).gas(estimate, 100_000, beside, divisible=divisible) == gas


def test_calls_side_by_side_take_one_nonce_each(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account()
        tasks = [start(account, bytes([number])) for number in range(8)]
        await until(lambda: len(world.node.pool) == 8)
        world.node.mine()
        await asyncio.gather(*tasks)
        assert sorted(world.effects()) == [bytes([number]) for number in range(8)]
        assert sorted(one.transaction.nonce for one in world.node.done) == list(range(8))

    within(tmp_path, work)


def test_the_journal_is_written_before_anything_is_sent(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        seen = []

        def spoil(method: str, params: Any, answer: Any) -> Any:
            if method == "eth_sendRawTransaction":
                seen.append(params[0][2:] in json.loads(world.path.read_text())["signed"])
            return answer

        world.node.spoil = spoil
        await sent(world, world.account())
        assert seen == [True]
        assert stat.S_IMODE(world.path.stat().st_mode) == 0o600

    within(tmp_path, work)


@pytest.mark.parametrize("arrived", [True, False])
def test_a_crash_between_signing_and_sending_resumes_with_the_same_bytes(tmp_path: Path, arrived: bool) -> None:
    async def work(world: World) -> None:
        first = world.account()
        task = await sent(world, first)
        await first.close()
        task.cancel()
        if not arrived:
            world.node.lose()
        second = world.account()
        await second.resume()
        await until(lambda: len(world.node.sent) > 1)
        assert len(set(world.node.sent)) == 1, "nothing was signed anew"
        world.node.mine(3)
        await asyncio.wait_for(second.settled(), 10)
        assert world.effects() == [b"one"]
        assert "resumed" in world.names()

    within(tmp_path, work)


def test_a_crash_after_inclusion_does_nothing_again(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        first = world.account()
        task = await sent(world, first)
        await first.close()
        task.cancel()
        world.node.mine(3)
        second = world.account()
        await second.resume()
        await asyncio.wait_for(second.settled(), 10)
        assert len(world.node.sent) == 1
        assert world.effects() == [b"one"]

    within(tmp_path, work)


@pytest.mark.parametrize("returns", [True, False])
def test_what_a_reorganisation_drops_is_sent_again_and_done_once(tmp_path: Path, returns: bool) -> None:
    async def work(world: World) -> None:
        account = world.account()
        task = await sent(world, account)
        world.node.mine()
        await task
        world.node.reorganise(1, returns=returns)
        assert world.effects() == []
        await until(lambda: world.node.pool)
        world.node.mine(3)
        await asyncio.wait_for(account.settled(), 10)
        assert world.effects() == [b"one"]
        assert len({one.hash for one in world.node.done} | set(world.node.sent)) == 1
        assert returns or "dropped" in world.names()

    within(tmp_path, work)


def test_a_pool_that_forgets_is_given_the_same_bytes(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account(waits=QUICK)
        task = await sent(world, account)
        world.node.lose()
        await until(lambda: world.node.pool)
        world.node.mine()
        await task
        assert len(set(world.node.sent)) == 1
        assert "replaced" not in world.names(), "no block was made, so it is not the fee"

    within(tmp_path, work)


def test_a_stuck_transaction_is_replaced_under_the_same_nonce(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account(waits=QUICK)
        task = await sent(world, account)
        world.node.base_fee = 10 * GWEI
        world.node.mine()
        await until(lambda: any(one.transaction.fee >= 10 * GWEI for one in world.node.pool.values()))
        world.node.mine()
        receipt = await task
        assert receipt.transaction == world.node.done[0].hash != world.node.sent[0]
        assert world.effects() == [b"one"]
        (replaced,) = [fields for name, fields in world.told if name == "replaced"]
        assert replaced["nonce"] == 0
        assert len(json.loads(world.path.read_text())["signed"]) == 2, "either may be included yet"

    within(tmp_path, work)


def test_the_first_version_may_win_after_all(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account(waits=QUICK)
        task = await sent(world, account)
        (first,) = world.node.pool.values()
        world.node.holds = True
        world.node.mine()
        await until(lambda: "replaced" in world.names())
        world.node.pool = {(KEY.address, 0): first}  # another miner has not heard of the second
        world.node.holds = False
        world.node.mine()
        assert (await task).transaction == first.hash
        assert world.effects() == [b"one"]

    within(tmp_path, work)


def test_fees_rise_up_to_the_ceiling_and_it_is_told_once(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        rules = FeeRules(ceiling=3 * GWEI)
        account = world.account(rules, QUICK)
        task = await sent(world, account)
        world.node.holds = True
        for _ in range(40):
            world.node.mine()
            await asyncio.sleep(0.01)
        assert all(one.transaction.fee <= rules.ceiling for one in world.node.pool.values())
        assert [name for name, _ in world.told].count("stuck") == 1
        world.node.base_fee = 50 * GWEI  # no new call is begun, and the old one stays as it is
        world.node.mine()
        with pytest.raises(FeeAboveCeiling):
            await account.execute(HOST, b"two")
        world.node.base_fee, world.node.holds = GWEI, False
        world.node.mine()
        await task
        assert world.effects() == [b"one"]

    within(tmp_path, work)


def test_a_bump_is_what_nodes_ask_for() -> None:
    assert RULES.bumped(Fees(10, 100), Fees(1, 1)) == Fees(12, 113)
    assert RULES.bumped(Fees(0, 0), Fees(0, 0)) == Fees(1, 1)
    assert RULES.bumped(Fees(10, 100), Fees(50, 500)) == Fees(50, 500)
    assert RULES.bumped(Fees(1, 95 * GWEI), Fees(1, 1)) is None


@pytest.mark.parametrize("base_fee", [0, 1_000, GWEI, 60 * GWEI])
@pytest.mark.parametrize("advised", [0, GWEI, 50 * GWEI])
def test_no_bump_pays_who_makes_a_block_more_than_the_operator_allows(base_fee: int, advised: int) -> None:
    """A node that hides blocks makes everything look stuck; what it can have paid for that is bounded (S29)."""
    fees, bumps = RULES.fees(base_fee, advised), 0
    while True:
        assert fees.tip <= RULES.most_tip
        assert fees.fee <= RULES.ceiling
        following = RULES.bumped(fees, RULES.fees(base_fee, advised))
        if following is None:
            break
        assert following.tip * 10 >= fees.tip * 11
        fees, bumps = following, bumps + 1
    assert bumps >= 4 or base_fee == 60 * GWEI, "there is room to replace a transaction that waits"


def test_what_is_written_down_outlives_the_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was replaced is there after the machine went, once its folder was synced too."""
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        found = os.readlink(f"/proc/self/fd/{handle}")
        synced.append("folder" if Path(found) == tmp_path else "file")
        if synced[-1] == "folder":
            assert (tmp_path / "kept.json").exists()
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    Journal(tmp_path / "kept.json", NETWORK, KEY.address).save({})
    assert synced == ["file", "folder"]
    (tmp_path / "kept.json").unlink()
    block = asyncio.run(chain_of(FakeNode(), "0")[0].heads())[1]
    Memory(tmp_path / "kept.json", NETWORK, HOST).save(block)
    assert synced == ["file", "folder"] * 2


def test_a_nonce_below_that_nobody_fills_is_filled(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account()
        one, two = await sent(world, account, b"one"), await sent(world, account, b"two")
        world.node.mine()
        await asyncio.gather(one, two)
        three = await sent(world, account, b"three")
        await account.close()
        three.cancel()
        value = json.loads(world.path.read_text())
        value["signed"] = value["signed"][2:]  # the first two are lost here, and taken back there
        world.path.write_text(json.dumps(value))
        world.node.lose()
        world.node.reorganise(1)
        again = world.account(waits=QUICK)
        await again.resume()
        await until(lambda: {nonce for _, nonce in world.node.pool} >= {0, 1, 2})
        world.node.mine(3)
        await asyncio.wait_for(again.settled(), 10)
        assert world.effects() == [b"", b"", b"three"]
        assert "gap" in world.names()

    within(tmp_path, work)


def test_a_gap_is_used_before_it_is_filled_with_nothing(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account()
        one, two = await sent(world, account, b"one"), await sent(world, account, b"two")
        account._steps.pop(0)  # no longer known here
        del world.node.pool[KEY.address, 0]  # nor there
        three = await sent(world, account, b"three")
        world.node.mine()
        await asyncio.gather(two, three)
        assert world.effects() == [b"three", b"two"]
        one.cancel()

    within(tmp_path, work)


def test_a_nonce_that_another_process_spends_is_not_waited_for(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account()
        task = await sent(world, account)
        world.node.lose()
        world.node.spend(KEY.address)
        world.node.mine()
        await until(lambda: len(set(world.node.sent)) > 1)
        world.node.mine()
        await task
        (one,) = world.node.done
        assert (one.transaction.nonce, one.transaction.data) == (1, b"one")

    within(tmp_path, work)


def test_what_another_process_has_in_the_pool_is_left_alone(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        first, second = world.account(), EvmAccount(chain_of(world.node)[0], KEY, RULES, None, lambda *_: None, CALM)
        world.accounts.append(second)
        one = await sent(world, first, b"one")
        two = await sent(world, second, b"two")
        world.node.mine()
        await asyncio.gather(one, two)
        assert world.effects() == [b"one", b"two"]

    within(tmp_path, work)


def test_an_account_that_two_processes_use_all_the_time_is_refused(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account()

        def spoil(method: str, _params: Any, answer: Any) -> Any:
            if method == "eth_sendRawTransaction":
                raise RpcError("nonce too low")
            return answer

        world.node.spoil = spoil
        with pytest.raises(NonceSpent):
            await account.execute(HOST, b"one")
        assert account.waiting == 0
        assert json.loads(world.path.read_text())["signed"] == []

    within(tmp_path, work)


def test_a_refusal_before_signing_costs_nothing(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account()
        world.node.refusing = "lane.paused"
        with pytest.raises(Reverted) as caught:
            await account.execute(HOST, b"one")
        assert caught.value.reason == "lane.paused"
        world.node.refusing = ""
        with pytest.raises(GasBeyondBound):
            await world.account(FeeRules(ceiling=100 * GWEI, most_gas=49_999)).execute(HOST, b"one")
        world.node.rich = False
        with pytest.raises(FundsMissing):
            await account.execute(HOST, b"one")
        assert account.waiting == 0
        assert world.effects() == []
        world.node.rich = True
        await sent(world, account)
        assert {nonce for _, nonce in world.node.pool} == {0}, "no refusal used up a nonce"

    within(tmp_path, work)


def test_a_revert_in_its_block_is_told_in_the_contracts_word(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        world.node.failing = True
        task = await sent(world, world.account())
        world.node.mine()
        with pytest.raises(Reverted) as caught:
            await task
        assert caught.value.reason == "packet.expired"

    within(tmp_path, work)


def test_a_node_that_is_silent_about_what_it_was_sent_is_asked_by_hash(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account, silent = world.account(), [True]

        def spoil(method: str, _params: Any, answer: Any) -> Any:
            if method == "eth_sendRawTransaction" and silent[0]:
                raise ChainUnavailable("cut off")  # it has it, and does not say so
            return answer

        world.node.spoil = spoil
        task = await sent(world, account)
        world.node.mine()
        await task
        assert world.effects() == [b"one"]
        assert len(world.node.sent) == 1

    within(tmp_path, work)


def test_a_node_that_names_another_hash_is_not_believed(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        def spoil(method: str, _params: Any, answer: Any) -> Any:
            return "0x" + "11" * 32 if method == "eth_sendRawTransaction" else answer

        world.node.spoil = spoil
        with pytest.raises(BadAnswer):
            await world.account().execute(HOST, b"one")

    within(tmp_path, work)


def test_a_receipt_of_another_branch_counts_for_nothing(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account()

        def spoil(method: str, _params: Any, answer: Any) -> Any:
            lie = method == "eth_getTransactionReceipt" and answer is not None
            return {**answer, "blockHash": "0x" + "22" * 32} if lie else answer

        world.node.spoil = spoil
        task = await sent(world, account)
        world.node.mine(3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), 0.1)
        world.node.spoil = lambda _method, _params, answer: answer
        await task

    within(tmp_path, work)


def test_an_unknown_fate_is_told_and_the_account_stays_with_it(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account(waits=Waits(poll=0.002, stuck=60.0, confirm=0.05))
        with pytest.raises(ChainUnavailable, match="not seen in a block"):
            await account.execute(HOST, b"one")
        assert account.waiting == 1
        world.node.mine(3)
        await asyncio.wait_for(account.settled(), 10)

    within(tmp_path, work)


def test_when_finality_fails_nothing_more_is_signed(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account()
        task = await sent(world, account)
        world.node.reorganise(3)
        with pytest.raises(ReorganisedAfterRelease):
            await task
        count = len(world.node.sent)
        with pytest.raises(ReorganisedAfterRelease):
            await account.execute(HOST, b"two")
        assert len(world.node.sent) == count

    within(tmp_path, work)


def test_a_node_that_fails_for_a_while_is_borne(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account()
        task = await sent(world, account)

        def spoil(method: str, _params: Any, answer: Any) -> Any:
            raise ChainUnavailable("away") if method == "eth_getBlockByNumber" else RpcError("busy")

        world.node.spoil = spoil
        world.node.mine()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), 0.05)
        world.node.spoil = lambda _method, _params, answer: answer
        await task
        assert "unavailable" in world.names()

    within(tmp_path, work)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 1}', '{"signed": 7}', "[" * 100_000],
    ids=["empty", "cut", "a list", "no account", "no list", "deep"],
)
def test_a_damaged_journal_stops_the_account(tmp_path: Path, text: str) -> None:
    async def work(world: World) -> None:
        world.path.write_text(text)
        with pytest.raises(JournalDamaged):
            await world.account().execute(HOST, b"one")
        assert world.node.sent == []
        assert world.path.read_text() == text

    within(tmp_path, work)


def test_a_journal_whose_bytes_were_changed_stops_the_account(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await sent(world, world.account())
        value = json.loads(world.path.read_text())
        for changed in (["00" * 50], [value["signed"][0][:-2]], ["zz"], [value["signed"][0] + "00"]):
            world.path.write_text(json.dumps({**value, "signed": changed}))
            with pytest.raises(JournalDamaged):
                Journal(world.path, NETWORK, KEY.address).load()
        world.path.write_text(json.dumps(value))
        for other in (Journal(world.path, 1, KEY.address), Journal(world.path, NETWORK, HOST)):
            with pytest.raises(JournalOfAnother):
                other.load()
        world.path.write_text(json.dumps({**value, "account": HOST.hex()}))
        with pytest.raises(JournalOfAnother):
            Journal(world.path, NETWORK, HOST).load()

    within(tmp_path, work)


def test_a_journal_that_cannot_be_written_sends_nothing(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        world.path = tmp_path / "file" / "journal.json"
        (tmp_path / "file").write_text("in the way")
        account = EvmAccount(
            chain_of(world.node)[0], KEY, RULES, Journal(world.path, NETWORK, KEY.address), lambda *_: None, CALM
        )
        with pytest.raises(JournalDamaged):
            await account.execute(HOST, b"one")
        assert world.node.sent == []

    within(tmp_path, work)


# --- a node that lies to the account, and a journal that cannot be written


def claiming(world: World, latest: int, pending: int) -> None:
    """The node says that so many of the account's transactions are in blocks, and wait."""

    def spoil(method: str, params: Any, answer: Any) -> Any:
        if method == "eth_getTransactionCount":
            return hex(latest if params[1] == "latest" else pending)
        return answer

    world.node.spoil = spoil


def test_b5_a_pool_that_is_said_to_be_endless_is_not_believed(tmp_path: Path) -> None:
    """Signed above it, a transaction waits for ever, and each nonce below is paid for with one that does nothing."""

    async def work(world: World) -> None:
        claiming(world, 0, 10**9)
        with pytest.raises(BadAnswer):
            await world.account().execute(HOST, b"one")
        assert world.node.sent == []

    within(tmp_path, work)


def test_b5_a_gap_that_no_pool_can_have_is_not_filled(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        claiming(world, 10**6, 10**6)
        account = world.account(waits=QUICK)
        task = start(account)
        await until(lambda: world.node.sent)
        world.node.spoil = lambda _method, _params, answer: answer
        for _ in range(20):
            world.node.mine()
            await asyncio.sleep(0.02)
        assert world.effects() == [], "nothing was paid to come nearer"
        assert "gap" not in world.names()
        task.cancel()

    within(tmp_path, work)


def test_a_transaction_that_a_node_misnames_is_stayed_with(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        world.node.spoil = lambda method, _, answer: "0x" + "11" * 32 if method == "eth_sendRawTransaction" else answer
        account = world.account()
        with pytest.raises(BadAnswer):
            await account.execute(HOST, b"one")
        world.node.mine(3)
        await asyncio.wait_for(account.settled(), 10)
        assert world.effects() == [b"one"]

    within(tmp_path, work)


def test_what_cannot_be_written_down_is_not_sent_now_or_later(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account(waits=QUICK)
        await account.resume()
        world.path.mkdir()  # a folder stands where the journal would
        with pytest.raises(JournalDamaged):
            await account.execute(HOST, b"one")
        world.path.rmdir()
        assert account.waiting == 0
        task = await sent(world, account, b"two")
        world.node.mine(3)
        await task
        await asyncio.wait_for(account.settled(), 10)
        assert world.effects() == [b"two"]

    within(tmp_path, work)


def test_a_journal_never_grows_beyond_what_a_restart_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(world: World) -> None:
        monkeypatch.setattr("lockgate.relay.chains.evm.journal.MAX_BYTES", 4_000)
        account = world.account()
        tasks = [await sent(world, account, bytes([number]) * 600) for number in range(2)]
        with pytest.raises(JournalFull):
            await account.execute(HOST, b"x" * 1_500)
        assert account.waiting == 2
        again = world.account()
        await again.resume()
        assert again.waiting == 2
        world.node.mine(3)
        await asyncio.gather(*tasks)
        await asyncio.wait_for(account.settled(), 10)
        assert world.effects() == [bytes([number]) * 600 for number in range(2)]

    within(tmp_path, work)


def test_what_does_not_fit_in_the_journal_keeps_nothing_else_from_being_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dearer version that cannot be written down is not sent; the one that is on disk is, where the pool lost it."""

    async def work(world: World) -> None:
        monkeypatch.setattr("lockgate.relay.chains.evm.journal.MAX_BYTES", 1_500)
        world.node.holds = True
        account = world.account(waits=QUICK)
        task = await sent(world, account, b"x" * 400)
        world.node.lose()
        world.node.mine()
        await until(lambda: len(world.node.sent) > 1)
        assert len(set(world.node.sent)) == 1
        assert ("not_sent", {"chain": account.chain.chain_id, "nonce": 0, "code": "evm.journal_full"}) in world.told
        world.node.holds = False
        world.node.mine()
        await task

    within(tmp_path, work)


@dataclass
class Receipts:
    """A node of the same chain that says of receipts what `told` makes of them. Meets `EvmCalls`."""

    pool: FakePool
    told: Callable[[str, Any], Any]

    async def close(self) -> None: ...

    async def many(self, calls: Sequence[Call], /) -> list[Any]:
        found = await self.pool.many(calls)
        return [
            self.told(params[0], one) if method == "eth_getTransactionReceipt" else one
            for (method, params), one in zip(calls, found, strict=True)
        ]


def beside(world: World, account: EvmAccount, *others: Receipts) -> None:
    """Have an account read through the node and others, of which two must agree."""
    nodes = [("true", world.node), *((f"other {place}", each) for place, each in enumerate(others))]
    account.chain.node = EvmNodes(nodes, 2, lambda name, fields: world.told.append((name, fields)))


@pytest.mark.parametrize("shown", [0, 1])
def test_b5_nodes_that_hide_a_receipt_do_not_have_the_call_paid_for_again(tmp_path: Path, shown: int) -> None:
    """One that lies, and beside it perhaps one that is late with its receipts: the nonce was not spent by another."""

    async def work(world: World) -> None:
        account = world.account()
        hiding = [Receipts(world.node, lambda _hash, _true: None) for _ in range(2 - shown)]
        beside(world, account, *hiding)
        task = await sent(world, account)
        world.node.mine()
        for _ in range(10):
            await asyncio.sleep(0.02)
            world.node.mine()
        assert world.effects() == [b"one"]
        assert account.waiting == 1
        assert "unavailable" in world.names(), "it is told that nobody knows"
        hiding[0].told = lambda _hash, true: true
        assert (await task).succeeded
        await asyncio.wait_for(account.settled(), 10)
        assert len(set(world.node.sent)) == 1

    within(tmp_path, work)


@pytest.mark.parametrize("others", [1, 2])
def test_b5_a_node_that_shows_an_old_receipt_for_ever_holds_nothing_up(tmp_path: Path, others: int) -> None:
    """What a re-organisation took back is sent again: it keeps its nonce, so nothing can be done twice by that."""

    async def work(world: World) -> None:
        account = world.account()
        shown: dict[str, Any] = {}
        old = Receipts(world.node, lambda hash_, true: shown.setdefault(hash_, true) if true else shown.get(hash_))
        beside(world, account, old, *(Receipts(world.node, lambda _hash, true: true) for _ in range(others - 1)))
        task = await sent(world, account)
        world.node.mine()
        await task
        world.node.reorganise(1)
        await until(lambda: world.node.pool)
        assert "dropped" in world.names()
        assert len(set(world.node.sent)) == 1

    within(tmp_path, work)


def test_a_node_that_is_late_with_receipts_is_waited_for_in_silence(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account()

        class Late(Receipts):
            async def many(self, calls: Sequence[Call], /) -> list[Any]:
                found = await super().many(calls)
                methods = [method for method, _ in calls]
                return ["0x0" if one == "eth_getTransactionCount" else found[at] for at, one in enumerate(methods)]

        late = Late(world.node, lambda _hash, _true: None)
        beside(world, account, late)
        task = await sent(world, account)
        world.node.mine()
        await asyncio.sleep(0.05)
        assert not task.done()
        assert "unavailable" not in world.names()
        beside(world, account, Receipts(world.node, lambda _hash, true: true))
        assert (await task).succeeded

    within(tmp_path, work)


def test_a_receipt_of_another_transaction_counts_for_nothing(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = world.account()
        other = {"transactionHash": "0x" + "22" * 32}
        account.chain.node = Receipts(world.node, lambda _hash, true: true and {**true, **other})
        task = await sent(world, account)
        world.node.mine(3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), 0.1)
        assert account.waiting == 1
        account.chain.node = world.node
        await task
        assert len(world.node.sent) == 1

    within(tmp_path, work)


@pytest.mark.parametrize("words", ["insufficient funds for gas * price + value", "gas required exceeds allowance (0)"])
def test_an_account_that_cannot_pay_for_what_is_simulated_is_named(words: str) -> None:
    assert isinstance(of_simulation(RpcError(words)), FundsMissing)
