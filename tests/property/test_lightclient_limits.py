"""The largest header a client takes, and the one that is too large by one validator."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from lockgate.codec.type_urls import TENDERMINT_HEADER
from lockgate.codec.wire import ibc_tendermint_pb2 as wire
from lockgate.ibc.ports import LightClient
from lockgate.lightclients import follower
from lockgate.lightclients.cometbft import errors as cometbft_errors
from lockgate.lightclients.cometbft.errors import CommitInvalid, InvalidValidatorSet
from lockgate.lightclients.cometbft.types import MAX_VALIDATORS, LightBlock, Validator, ValidatorSet
from lockgate.lightclients.tendermint import TendermintClient
from lockgate.lightclients.tendermint import errors as tendermint_errors
from lockgate.lightclients.tendermint.messages import MAX_HEADER_BYTES
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos
from tests.support.chain import TestLedger, client_states_of, header_message, sign, signing_key
from tests.support.memory_view import MemoryView

CLIENT = ClientId("07-tendermint-0")
OWN = Height(0, 1)


def crowded() -> tuple[LightBlock, LightBlock]:
    """Return two blocks of a chain with 10,000 validators, of whom one alone has enough power."""
    small = [sha256(b"small %d" % number).digest() for number in range(MAX_VALIDATORS - 1)]
    validators = ValidatorSet.of(
        (
            Validator.from_key(signing_key(0).public_key, 10**6),
            *(Validator.from_key(key, 1) for key in small),
        )
    )
    chain = TestLedger()
    blocks = []
    for block in (chain.produce(), chain.run(4)):
        header = replace(block.header, validators_hash=validators.hash, next_validators_hash=validators.hash)
        signed = sign(header, validators, absent=range(1, MAX_VALIDATORS))
        blocks.append(LightBlock(signed, validators, validators))
    return blocks[0], blocks[1]


def test_ten_thousand_validators_and_not_one_more() -> None:
    first, block = crowded()
    client: LightClient = TendermintClient()
    view, now = MemoryView(), UnixNanos(block.header.time + 1)
    view.apply(client.initialise(view, CLIENT, *client_states_of(first), now, OWN))
    raw = header_message(block, first)
    assert len(raw) < MAX_HEADER_BYTES
    for _ in range(2):
        update = client.update(view, CLIENT, (TENDERMINT_HEADER, raw), now, OWN)
        assert update.consensus_heights == (Height(1, block.height),)
    for field, refusal in (("validator_set", InvalidValidatorSet), ("signed_header", CommitInvalid)):
        message = wire.Header.FromString(raw)
        if field == "validator_set":
            message.validator_set.validators.add().CopyFrom(message.validator_set.validators[1])
        else:
            message.signed_header.commit.signatures.add().CopyFrom(message.signed_header.commit.signatures[1])
        with pytest.raises(refusal):
            client.update(view, CLIENT, (TENDERMINT_HEADER, message.SerializeToString()), now, OWN)


def test_every_refusal_of_the_package_says_what_to_do() -> None:
    for module in (cometbft_errors, tendermint_errors, follower):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, LockgateError) and kind.code:
                assert kind.summary.endswith(".")
                assert kind.next_step.endswith(".")
