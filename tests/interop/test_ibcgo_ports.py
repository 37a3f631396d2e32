"""The suite of `courier.ports.Chain` and `Submitter` on an ibc-go chain."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from lockgate.machine.transaction import Message
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.cosmos import CosmosChain
from lockgate.relay.chains.cosmos_submitter import CosmosSubmitter
from tests.ports.test_chain import (  # noqa: F401  # collected here, with the fixture of this module
    On,
    test_a_client_shows_what_it_judges_by,
    test_a_height_that_does_not_come_is_named,
    test_a_new_block_is_announced,
    test_a_node_of_another_chain_is_refused,
    test_a_submission_ends_with_its_block_or_the_ledgers_refusal,
    test_blocks_say_what_happened_in_order_and_each_is_there_once,
    test_it_meets_the_ports,
    test_light_blocks_are_signed_by_their_validators,
    test_nonce_lanes_of_one_account_do_not_wait_for_each_other,
    test_presence_and_absence_are_proven_under_the_header_asked_for,
    test_what_is_outstanding_received_and_acknowledged,
)
from tests.support.ibcgo import (
    GoChain,
    Meeting,
    key,
    meeting,
    send,
    transfer,
)

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]


@dataclass
class TheirChain:
    """Meets `tests.ports.test_chain.Subject`."""

    met: Meeting
    followed: str = "lock-1"

    @property
    def chain(self) -> CosmosChain:
        return self.met.theirs

    @property
    def client(self) -> ClientId:
        return self.met.their_client

    def sender(self, nonce_lane: int) -> CosmosSubmitter:
        return self.met.user.sibling(nonce_lane)

    def stranger(self) -> CosmosSubmitter:
        return CosmosSubmitter(self.met.theirs, key("operator"))

    async def message(self) -> Message:
        payload = transfer("uatom", 1, self.met.user.signer, "somebody")
        return send(self.client, await self.met.timeout(100), payload, self.met.user.signer)


@pytest.fixture
def on(go: GoChain) -> On:
    @contextlib.asynccontextmanager
    async def subject() -> AsyncIterator[TheirChain]:
        async with meeting(go) as met:
            yield TheirChain(met)

    return subject
