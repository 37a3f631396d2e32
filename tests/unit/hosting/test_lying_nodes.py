"""Nodes that lie or are away: items are kept, tried ever less often, and stop nobody else."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.courier.ports import ChainUnavailable, NotYet
from lockgate.hosting.work import LONGEST_WAIT_NS, Item, StepRefused
from lockgate.lab.paths import expect
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.time import seconds
from lockgate.relay.rpc import BadAnswer, Calls
from lockgate.relay.submitter import RETRIES
from tests.support import probe
from tests.support.hosts import HostWorld, in_world

Spoil = Callable[[str, dict[str, Any], dict[str, Any]], dict[str, Any]]


class Lying:
    """A node whose answers are spoiled while `lies` is set."""

    def __init__(self, honest: Calls, spoil: Spoil) -> None:
        self._honest = honest
        self._spoil = spoil
        self.lies = True
        self.calls = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.calls += 1
        answer = await self._honest.call(method, **params)
        return self._spoil(method, params, answer) if self.lies else answer

    async def close(self) -> None: ...


async def lying_b(world: HostWorld, spoil: Spoil) -> Lying:
    node = Lying(world.b.rpc, spoil)
    node.lies = False
    world.b.host = world.make(world.b, own=node)
    await world.b.host.start()
    node.lies = True
    return node


@in_world()
async def test_an_unproven_message_is_kept_counted_and_tried_ever_less_often(world: HostWorld) -> None:
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()

    def hide(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "block":
            answer["block"]["data"]["txs"] = []
        return answer

    node = await lying_b(world, hide)
    await world.turn(world.b)
    assert [row["code"] for row in world.b.reported("held")] == ["host.not_proven"]
    calls = node.calls
    await world.turn(world.b)
    assert node.calls - calls < 5, "it is not tried again before its time"
    for attempt in (2, 3, 4):
        world.clock.advance(seconds(1 << attempt - 2))
        await world.turn(world.b)
        assert world.b.reported("held")[-1]["attempts"] == attempt
        assert world.b.host.status()["held"] == 1
    node.lies = False
    world.clock.advance(seconds(16))
    await world.settle()
    assert world.b.get(b"k") == b"v"
    assert world.a.sent().state == "acknowledged"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sequence", "x"), ("sequence", "-1"), ("sequence", "9" * 19), ("sequence", "9" * 5_000),
        ("sequence", "\u0664"),
        ("client", "\ud800"), ("client", "\u00e9"),
    ],
)  # fmt: skip
@in_world()
async def test_an_event_that_no_ledger_makes_does_not_end_the_host(world: HostWorld, name: str, value: str) -> None:
    def spoil(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "block_results":
            answer = copy.deepcopy(answer)
            for result in answer["txs_results"] or ():
                for event in result["events"] or ():
                    for pair in event["attributes"] if event["type"] == "inbox" else ():
                        pair["value"] = value if pair["key"] == name else pair["value"]
        return answer

    node = await lying_b(world, spoil)
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()
    running = asyncio.create_task(world.b.host.run())
    try:
        async with asyncio.timeout(30):
            while not world.b.reported("unavailable") and not running.done():
                await asyncio.sleep(0.01)
            assert not running.done()
            assert {said["code"] for said in world.b.reported("unavailable")} == {BadAnswer.code}
            node.lies = False
            while world.b.get(b"k") != b"v":
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("value", ["x", "9" * 5_000])
@in_world()
async def test_a_packet_whose_number_is_spoiled_in_the_answer_is_found_again(world: HostWorld, value: str) -> None:
    spoilt = []

    def spoil(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "broadcast_tx_commit":
            answer = copy.deepcopy(answer)
            for event in answer["tx_result"]["events"]:
                for pair in event["attributes"] if event["type"] == "send_packet" else ():
                    if pair["key"] == "packet_sequence":
                        pair["value"] = value
                        spoilt.append(method)
        return answer

    await lying_b(world, spoil)
    await world.send(world.b, probe.write(b"k", b"v"))
    await world.settle()
    assert spoilt
    assert (world.a.get(b"k"), world.b.sent().state) == (b"v", "acknowledged")


class Late:
    """A node that keeps transactions until they have expired, while `keeps` is above 0."""

    def __init__(self, honest: Calls) -> None:
        self._honest = honest
        self.keeps = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        if method != "broadcast_tx_commit" or not self.keeps:
            return await self._honest.call(method, **params)
        self.keeps -= 1
        refused = {"code": 6, "log": "tx.expired", "codespace": "lockgate", "events": []}
        return {"check_tx": refused, "tx_result": {"code": 0}, "hash": "00" * 32, "height": "0"}

    async def close(self) -> None: ...


@pytest.mark.parametrize("kept", [1, RETRIES, 3 * RETRIES])
@in_world()
async def test_an_answer_that_came_too_late_refuses_no_message(world: HostWorld, kept: int) -> None:
    """The ledger has not looked at it, so it says nothing against the guest's answer."""
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()
    node = Late(world.b.rpc)
    world.b.host = world.make(world.b, own=node)
    await world.b.host.start()
    node.keeps = kept
    for _ in range(12):
        with contextlib.suppress(ChainUnavailable):
            await world.turn(world.b)
        world.clock.advance(seconds(2))
    await world.settle()
    assert world.a.sent().state == "acknowledged"
    assert world.b.get(b"k") == b"v"


def bent_proofs(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """One bit is changed in the packet messages of a block's transactions, where their proofs are."""
    if method == "block":
        txs = answer["block"]["data"]["txs"]
        for place, text in enumerate(txs):
            data = bytearray(base64.b64decode(text))
            at = data.find(b"\x0a\x03ibc\x12\x20")  # a store-layer proof: the store's name, then its root
            if at > 0:
                data[at + 8] ^= 1
                txs[place] = base64.b64encode(data).decode()
    return answer


@pytest.mark.parametrize("side", ["receiver", "sender"])
@in_world()
async def test_a_block_that_was_served_with_a_bent_proof_is_asked_for_again(world: HostWorld, side: str) -> None:
    """Found by seed 1167 of the lab: the honest node that came after was never asked."""
    deceived = world.b if side == "receiver" else world.a
    node = Lying(deceived.rpc, bent_proofs)
    node.lies = False
    deceived.host = world.make(deceived, own=node)
    await deceived.host.start()
    await world.send(world.a, probe.write(b"k", b"v"))
    if side == "sender":
        world.relay()
        await world.turn(world.b)
    node.lies = True
    world.relay()
    await world.turn(deceived)
    (held,) = deceived.reported("held")
    assert held["code"].startswith("merkle."), held
    node.lies = False
    world.clock.advance(seconds(2))
    await world.settle()
    assert world.b.get(b"k") == b"v"
    assert world.a.sent().state == "acknowledged"


def test_waiting_doubles_up_to_a_minute() -> None:
    item, waits = Item("inbox"), []
    for _ in range(10):
        item.hold(0)
        waits.append(item.due // 10**9)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert item.due == LONGEST_WAIT_NS


@in_world()
async def test_a_lie_about_one_message_does_not_stop_the_honest_ones(world: HostWorld) -> None:
    await world.send(world.a, probe.write(b"k1", b"v"))
    world.relay()
    first = world.b.end.ledger.height
    await world.send(world.a, probe.write(b"k2", b"v"))
    world.relay()

    def hide(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "block" and int(params["height"]) <= first:
            answer["block"]["data"]["txs"] = []
        return answer

    await lying_b(world, hide)
    await world.turn(world.b)
    assert (world.b.get(b"k1"), world.b.get(b"k2")) == (None, b"v")
    assert [row["sequence"] for row in world.b.reported("held")] == [1]
    assert world.b.store.seen(world.b.end.client, 1) is None


@in_world()
async def test_an_end_that_a_node_has_hidden_is_found_when_the_message_is_overdue(world: HostWorld) -> None:
    """The node shows the block without the event, once, and tells the truth from then on."""

    def hide(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        for result in answer["txs_results"] or () if method == "block_results" else ():
            result["events"] = [event for event in result["events"] if event["type"] != "message_ended"]
        return answer

    node = await lying_b(world, hide)
    await world.send(world.b, probe.write(b"k", b"v"))
    world.relay()
    await world.turn(world.a)
    world.relay()
    await world.turn(world.b)
    node.lies = False
    await world.turn(world.b)
    assert world.b.sent().state == "sent", "nothing says yet that anything was hidden"
    assert not world.b.reported("look_back")
    world.pass_time(world.b.sent().timeout - world.clock.now() // 10**9 + 31)
    for _ in range(2):  # the newest blocks first, then those before
        await world.turn(world.b)
    assert world.b.sent().state == "acknowledged"
    assert len(world.b.reported("look_back")) == 1
    await world.turn(world.b)
    assert len(world.b.reported("look_back")) == 1


@in_world()
async def test_a_held_message_is_found_again_after_a_restart(world: HostWorld) -> None:
    await world.send(world.a, probe.write(b"k1", b"v"))
    world.relay()
    first = world.b.end.ledger.height
    await world.send(world.a, probe.write(b"k2", b"v"))
    world.relay()

    def hide(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "block" and int(params["height"]) <= first:
            answer["block"]["data"]["txs"] = []
        return answer

    await lying_b(world, hide)
    await world.turn(world.b)
    world.b.host = world.make(world.b)
    await world.b.host.start()
    await world.turn(world.b)
    assert world.b.get(b"k1") == b"v"


@in_world()
async def test_a_node_that_lies_about_state_stops_the_host_from_acting_only(world: HostWorld) -> None:
    """Every proof is spoiled: nothing acts, nothing is lost, and an honest node lets it go on."""
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()

    def spoil(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "abci_query" and params.get("prove"):
            answer["response"]["value"] = base64.b64encode(b"\x83\x01\x02\x03").decode()
        return answer

    node = await lying_b(world, spoil)
    await world.turn(world.b)
    assert world.b.get(b"k") is None
    assert world.b.reported("held")[0]["code"] == "merkle.proof_mismatch"
    node.lies = False
    world.clock.advance(seconds(2))
    await world.settle()
    assert world.b.get(b"k") == b"v"


@in_world()
async def test_a_node_that_is_away_delays_and_loses_nothing(world: HostWorld) -> None:
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()

    def away(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        raise ChainUnavailable("away", method=method)

    node = await lying_b(world, away)
    with pytest.raises(ChainUnavailable):
        await world.b.host.turn()
    node.lies = False
    await world.settle()
    assert world.b.get(b"k") == b"v"


@in_world()
async def test_p1_a_step_that_stands_is_not_dropped_on_a_node_s_word(world: HostWorld) -> None:
    """The node says that the ledger refused what it took: the proven root decides, and the host goes on."""
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()
    told: list[str] = []

    def deny(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "broadcast_tx_commit" and not told:
            told.append(method)
            answer["tx_result"]["code"] = 22
        return answer

    await lying_b(world, deny)
    await world.settle()
    assert told
    assert world.b.get(b"k") == b"v"
    assert world.a.sent().state == "acknowledged"
    assert world.b.reported("fenced") == []


@in_world()
async def test_p1_a_step_that_was_refused_is_not_kept_on_a_node_s_word(world: HostWorld) -> None:
    """The node says that the ledger took what it refused: nobody else acted, so the host is not fenced off."""
    expect(world.a.end.ledger.govern(world.lab.gov, "gov.stop", {"lane": world.lab.lane, "note": "drill"}))

    def affirm(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "broadcast_tx_commit":
            answer["check_tx"]["code"] = 0
        return answer

    world.a.host.reader.chain.rpc = Lying(world.a.rpc, affirm)
    task = asyncio.ensure_future(world.a.host.send("b", "probe@1.0", b"x", 60))
    await asyncio.sleep(0)
    with pytest.raises(ChainUnavailable):
        await world.a.host.turn()
    world.a.host.reader.chain.rpc = world.a.rpc
    await world.a.host.turn()
    with pytest.raises(StepRefused, match=r"lane\.stopped"):
        await task
    assert world.a.store.all_sent() == []
    assert world.a.reported("fenced") == []


@in_world()
async def test_p8_a_node_that_is_behind_is_no_sign_of_another_copy(world: HostWorld) -> None:
    """It shows a root from before: the host, started anew, waits for a node that is not behind."""
    before = world.b.end.ledger.height
    await world.send(world.a, probe.write(b"k", b"v"))
    await world.settle()

    def behind(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "status":
            answer["sync_info"]["latest_block_height"] = str(before)
        return answer

    node = Lying(world.b.rpc, behind)
    host = world.make(world.b, own=node, seed=b"again")
    with pytest.raises(NotYet):
        await host.start()
    node.lies = False
    await host.start()
    assert host.ready.is_set()
    assert world.b.reported("fenced") == []


@in_world()
async def test_p1_a_command_that_stands_is_not_run_again_after_a_recovery_that_failed(world: HostWorld) -> None:
    """Every answer to what it posts is lost, also to the fence of its recovery."""
    await world.send(world.a, b"")

    def lose(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method in {"broadcast_tx_commit", "tx"}:
            raise ChainUnavailable("lost", method=method)
        return answer

    node = Lying(world.a.rpc, lose)
    world.a.host.reader.chain.rpc = node
    body = probe.write(b"once", b"v")
    task = asyncio.ensure_future(world.a.host.command(probe.send("b", body)))
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(ChainUnavailable):
            await world.a.host.turn()
    node.lies = False
    await world.a.host.turn()
    assert (await task)["output"]
    await world.settle()
    assert [row.state for row in world.a.store.all_sent() if row.body == body] == ["acknowledged"]


@pytest.mark.parametrize("method", ["broadcast_tx_sync", "tx", "abci_query", "commit", "status", "block_results"])
def test_a_command_cut_off_by_its_node_acts_at_most_once_and_answers(method: str) -> None:
    """The node fails once, before or after it did its work; the operator's command stands once."""

    @in_world()
    async def scenario(world: HostWorld) -> None:
        await world.send(world.a, b"")  # caught up
        for after in (False, True):
            failing = Failing(world.a.rpc, method, after=after)
            world.a.host.reader.chain.rpc = failing
            task = asyncio.ensure_future(world.a.host.command(probe.send("b", probe.write(b"n%d" % after, b"v"))))
            await asyncio.sleep(0)
            for _ in range(20):
                with contextlib.suppress(ChainUnavailable, PeerFault):
                    await world.a.host.turn()
                await asyncio.sleep(0)
                if task.done():
                    break
            sent = [row for row in world.a.store.all_sent() if row.body == probe.write(b"n%d" % after, b"v")]
            if task.exception() is None:
                assert len(sent) == 1
                assert task.result()["output"]
            else:
                assert sent == []
        await world.settle()
        assert {row.state for row in world.a.store.all_sent()} == {"acknowledged"}

    scenario()


class Failing:
    """A node that fails one call of a method."""

    def __init__(self, honest: Calls, method: str, *, after: bool) -> None:
        self._honest = honest
        self._method = method
        self._after = after
        self._failed = False

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        fails = method == self._method and not self._failed
        if fails and not self._after:
            self._failed = True
            raise ChainUnavailable("cut off", method=method)
        answer = await self._honest.call(method, **params)
        if fails:
            self._failed = True
            raise ChainUnavailable("cut off", method=method)
        return answer

    async def close(self) -> None: ...
