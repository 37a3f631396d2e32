"""A ledger that refuses a step of setting up."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from lockgate.courier.ports import Submitted
from lockgate.node.provision import LedgerAccess, SetupFailed
from lockgate.primitives.ids import Height


class Refusing:
    async def submit(self, messages: object) -> Submitted:
        return Submitted(3, "lockgate", "the ledger's own words", Height(1, 7), (), ())


def test_a_refused_step_says_what_the_ledger_said() -> None:
    access = LedgerAccess("alpha", cast(Any, None), cast(Any, None), cast(Any, Refusing()))
    with pytest.raises(SetupFailed, match="the ledger's own words") as failure:
        asyncio.run(access.do(("lane.open", {})))
    assert failure.value.fields["ledger"] == "alpha"
