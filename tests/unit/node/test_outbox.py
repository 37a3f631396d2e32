"""An outbox longer than one answer is read whole, once, in order; at the boundary as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.node.desk import Desk, UnknownRef
from lockgate.node.outbox import MAX_LISTED, outbox
from lockgate.node.packets import BadPacketName
from lockgate.node.socket import RemoteRefusal, call, serve
from lockgate.storage.host import Sent
from tests.support.doors import door, host_home
from tests.support.hosts import HostWorld, in_world


def fill(world: HostWorld, count: int, start: int = 0) -> None:
    """Messages over several starts of the host: counters begin anew with each fence."""
    with world.a.store.commit():
        for number in range(start, start + count):
            world.a.store.add_sent(
                Sent(
                    ref=number.to_bytes(32, "little"),
                    fence=number // 300,
                    counter=number % 300,
                    peer="b",
                    state="sent" if number % 2 else "acknowledged",
                    body=b"%d" % number,
                    commitment=number.to_bytes(32, "big"),
                    timeout=1,
                    record=bytes(32),
                )
            )


def numbers(rows: list[dict[str, str]]) -> list[int]:
    return [int(bytes.fromhex(row["body"])) for row in rows]


@pytest.mark.parametrize("count", [0, 1, MAX_LISTED - 1, MAX_LISTED, MAX_LISTED + 1, 2 * MAX_LISTED, 2_345])
@in_world()
async def test_every_message_is_listed_once_oldest_first(world: HostWorld, tmp_path: Path, count: int) -> None:
    fill(world, count)
    path = host_home(tmp_path) / "host.sock"
    async with await serve(path, door(path.parent), Desk(world.a.host).handle):
        assert numbers(await outbox(path)) == list(range(count))
        assert numbers(await outbox(path, 7)) == list(range(count))[-7:]
        assert numbers(await outbox(path, MAX_LISTED + 1)) == list(range(count))[-MAX_LISTED - 1 :]


@in_world()
async def test_one_answer_has_a_bound_and_what_is_sent_meanwhile_moves_no_page(
    world: HostWorld, tmp_path: Path
) -> None:
    fill(world, MAX_LISTED + 5)
    path = host_home(tmp_path) / "host.sock"
    async with await serve(path, door(path.parent), Desk(world.a.host).handle):
        first = (await call(path, "outbox", limit=MAX_LISTED + 5))["messages"]
        assert numbers(first) == list(range(5, MAX_LISTED + 5))
        fill(world, 3, start=MAX_LISTED + 5)
        assert numbers(await outbox(path, before=first[0]["ref"])) == [0, 1, 2, 3, 4]
        assert numbers(await outbox(path, 2, before=first[0]["ref"])) == [3, 4]
        assert await outbox(path, before=bytes(32).hex()) == [], "nothing is older than the first"
        odd = await call(path, "outbox", limit=2, state="sent", before=first[0]["ref"])
        assert numbers(odd["messages"]) == [1, 3]
        unknown = ("ff" * 32, "07-tendermint-0/9", "b/07-tendermint-0/1", "00" * 16)
        for before, code in (*((one, UnknownRef.code) for one in unknown), ("ff", BadPacketName.code)):
            with pytest.raises(RemoteRefusal) as refusal:
                await outbox(path, before=before)
            assert refusal.value.fields["code"] == code


@in_world()
async def test_a_page_goes_on_from_a_packet_as_well(world: HostWorld, tmp_path: Path) -> None:
    refs = [(await world.send(world.a, b"%d" % number))["ref"] for number in range(3)]
    await world.settle()
    path = host_home(tmp_path) / "host.sock"
    async with await serve(path, door(path.parent), Desk(world.a.host).handle):
        rows = await outbox(path)
        assert [row["ref"] for row in rows] == refs
        assert rows[2]["packet"].startswith(f"{world.a.host.config.local.name}/")
        for name in (rows[2]["packet"], rows[2]["packet"].partition("/")[2], refs[2]):
            assert await outbox(path, before=name) == rows[:2]
