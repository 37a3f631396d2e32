"""Deployment: what a receipt must show."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from lockgate.relay.chains.evm.account import EvmAccount
from lockgate.relay.chains.evm.answers import Receipt
from lockgate.relay.chains.evm.deployment import LaneLimits, NotDeployed, add_client, deploy

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
