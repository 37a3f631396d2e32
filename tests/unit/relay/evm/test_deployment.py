"""Deployment: what a receipt must show."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from lockgate.codec import abi
from lockgate.relay.chains.evm.account import EvmAccount
from lockgate.relay.chains.evm.answers import Receipt
from lockgate.relay.chains.evm.deployment import LaneLimits, NotDeployed, add_client, client_of, deploy
from lockgate.relay.chains.evm.packets import host_interface
from lockgate.relay.rpc import BadAnswer
from tests.support.evm_node import FakeNode, chain_of

HOST = b"\x0a" * 20


class Executing:
    """An account whose transactions have this receipt."""

    async def execute(self, _to: bytes, _data: bytes) -> Receipt:
        return Receipt(bytes(32), True, 1, bytes(32), 1, None, ())


def test_a_receipt_without_a_contract_or_a_lane_is_named() -> None:
    account = cast(EvmAccount, Executing())
    calls: list[Any] = [
        deploy(account, "host"),
        add_client(account, HOST, "attested-0", HOST, LaneLimits()),
    ]
    for call in calls:
        with pytest.raises(NotDeployed):
            asyncio.run(call)


def lane(node: FakeNode, client: bytes, counterparty: bytes, contract: bytes) -> None:
    """A lane is opened in the next block."""
    kinds = abi.Tuple((abi.BYTES, abi.BYTES, abi.Uint(160), abi.Uint(160)))
    data = abi.encode(kinds, (client, counterparty, int.from_bytes(contract), 1))[abi.WORD :]
    node.logs.append(("ClientAdded", [host_interface().topic("ClientAdded")], data))


def test_a_lane_of_anothers_with_text_that_is_not_utf8_hides_no_other() -> None:
    node = FakeNode()
    lane(node, b"client-1", b"\xff" * 8, b"\x0c" * 20)
    lane(node, b"client-2", b"attested-0", b"\x0d" * 20)
    node.mine(3)
    chain, _ = chain_of(node, "0")
    assert asyncio.run(client_of(chain, b"\x0d" * 20, 0)) == "client-2"
    assert asyncio.run(client_of(chain, b"\x0e" * 20, 0)) is None


def test_a_lane_that_no_contract_can_have_opened_is_no_answer() -> None:
    node = FakeNode()
    node.logs.append(("ClientAdded", [host_interface().topic("ClientAdded")], b"\x01" * 64))
    node.mine(3)
    chain, _ = chain_of(node, "0")
    with pytest.raises(BadAnswer):
        asyncio.run(client_of(chain, b"\x0d" * 20, 0))
