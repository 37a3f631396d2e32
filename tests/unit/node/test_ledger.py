"""Where a ledger listens."""

from __future__ import annotations

import asyncio
import socket

import pytest

from lockgate.node.ledger import PortBusy, listen


def test_answers_leave_at_once() -> None:
    async def nodelay() -> int:
        asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = listen(0)
        async with await asyncio.start_server(accepted, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            found = await asked
            writer.close()
        return found

    assert asyncio.run(nodelay()), "Nagle's delay would cost 40 ms a call"


def test_a_busy_port_is_named() -> None:
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortBusy) as refusal:
            listen(port)
    assert refusal.value.fields["port"] == port
