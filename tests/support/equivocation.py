"""A ledger that signs a second history: same genesis and keys, other blocks."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import End
from lockgate.lightclients.tendermint.messages import encode_header, encode_misbehaviour
from lockgate.machine.transaction import Message
from lockgate.primitives.time import DurationNanos, seconds
from tests.support.lab import START, World


def fork_of(world: World, height: int) -> LabLedger:
    """Ledger B as its operator shows it to somebody else: signed up to `height`, nothing in it."""
    clock = SimulatedClock(START)
    fork = LabLedger("beta-1", clock, authority=(world.gov.key,), parameters=world.b.ledger.genesis.parameters)
    assert fork.chain.machine.domain == world.b.ledger.chain.machine.domain
    while fork.height < height:
        if fork.height == height - 1:
            clock.advance(DurationNanos(world.clock.now() - START + seconds(1)))
        fork.block()
    return fork


def header_of(ledger: LabLedger, height: int, trusted: int) -> bytes:
    """The 07-tendermint Header of a height, to be trusted from another."""
    block = ledger.light_block(height)
    return encode_header(block.signed_header, block.validators, ledger.at(trusted), ledger.chain.validators)


def client_message(on: End, type_url: str, value: bytes) -> Message:
    message = client_wire.MsgUpdateClient(
        client_id=on.client, client_message=AnyMessage(type_url=type_url, value=value), signer=on.account.id
    )
    return urls.MSG_UPDATE_CLIENT, message.SerializeToString(deterministic=True)


def misbehaviour(world: World, fork: LabLedger, height: int, trusted: int) -> bytes:
    """Both signed headers of one height of ledger B."""
    return encode_misbehaviour(
        world.a.client, header_of(world.b.ledger, height, trusted), header_of(fork, height, trusted)
    )
