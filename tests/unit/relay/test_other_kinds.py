"""Clients of kinds that a relayer was not made for: it names them, and a stranger's stop nothing."""

from __future__ import annotations

import asyncio

import pytest

from lockgate.ibc.events import UPDATE_CLIENT
from lockgate.lab.paths import End
from lockgate.lightclients.attested.messages import ATTESTATION, encode_attestation
from lockgate.primitives.ids import ClientId
from lockgate.relay.kinds import OtherKind, follows_headers
from tests.support.attested_lab import attestation, attested_state, client_message, create_attested
from tests.support.relays import Pair, account, relaying


def test_a_strangers_attested_client_does_not_disturb_a_relayer() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.05)
        other = End(pair.b.ledger, account("somebody else"))
        state = attested_state(pair.a.ledger)
        create_attested(other, pair.a.ledger, state)
        async with pair.running(), relaying(pair.relayer()) as (relayer,):
            await relayer.ready.wait()
            value = encode_attestation(attestation(pair.a.ledger, state, pair.a.ledger.height))
            update = other.ledger.signed(other.account, [client_message(other, ATTESTATION, value)])
            _, result = pair.services[1].submit(update)
            assert result.code == 0, result.log
            pair.send(5)
            await pair.ended(5)
            chain = pair.endpoint(pair.b, "reader").chain
            found = await chain.client(other.client)
            assert (found.kind, found.status, found.chain_id) == ("attested", "Active", "alpha-1")
            with pytest.raises(OtherKind):
                await chain.client(ClientId("08-wasm-0"))
            seen = pair.b.ledger.height
            await pair.until(lambda: pair.b.ledger.height > seen + 3)
        faults = [fields for kind, fields in pair.reports if "relay.client_kind" in str((kind, fields))]
        assert faults == []
        assert UPDATE_CLIENT == "update_client"

    asyncio.run(work())


@pytest.mark.parametrize(
    ("client", "header"),
    [("07-tendermint-0", True), ("attested-1", False), ("composite-2", False), ("07-tendermint", False), ("", False)],
)
def test_a_kind_is_read_off_the_id(client: str, header: bool) -> None:
    assert follows_headers(client) is header
