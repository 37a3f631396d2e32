"""The RPC in one process answers as the one behind a socket."""

from __future__ import annotations

import asyncio

import pytest

from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.rpc import LabRpc, service_of
from lockgate.primitives.time import UnixNanos
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import RpcError

START = UnixNanos(1_800_000_000 * 10**9)


def ledger() -> LabLedger:
    return LabLedger("alpha-1", SimulatedClock(START))


def test_a_chain_reader_reads_a_ledger_in_memory() -> None:
    alpha = ledger()
    chain = CometBftChain(LabRpc.of(service_of(alpha)), "alpha-1")

    async def read() -> None:
        tip = await chain.tip()
        assert tip.height == alpha.at(alpha.height)
        block = await chain.light_block(2)
        assert block.signed_header == alpha.chain.signed_header(2)
        assert (await chain.prove("rules", b"domain", alpha.at(2))).value is not None

    asyncio.run(read())


def test_a_refused_call_is_an_rpc_error_with_the_ledgers_words() -> None:
    rpc = LabRpc.of(service_of(ledger()))

    async def ask(method: str, **params: object) -> None:
        await rpc.call(method, **params)

    with pytest.raises(RpcError, match="current blockchain height 2"):
        asyncio.run(ask("commit", height="9"))
    with pytest.raises(RpcError, match="no such method"):
        asyncio.run(ask("service"))
    with pytest.raises(RpcError, match="unknown parameter"):
        asyncio.run(ask("status", height="1"))
    assert rpc.served == {"commit": 1, "service": 1, "status": 1}
