"""The error table of the digest (§8): each condition has its own class and ibc-go's number."""

from __future__ import annotations

import inspect

import pytest

from lockgate.ibc import errors
from lockgate.primitives.errors import LockgateError, Misuse

TABLE = [
    (errors.CounterpartyMismatch, ("clientv2", 34)),
    (errors.CounterpartyNotFound, ("clientv2", 35)),
    (errors.BadPacket, ("channelv2", 2)),
    (errors.CommitmentMismatch, ("channelv2", 2)),
    (errors.ReceiptMissing, ("channelv2", 2)),
    (errors.BadPayload, ("channelv2", 3)),
    (errors.SendSequenceMissing, ("channelv2", 4)),
    (errors.BadAcknowledgement, ("channelv2", 5)),
    (errors.AcknowledgementCount, ("channelv2", 5)),
    (errors.HeldPacketMissing, ("channelv2", 5)),
    (errors.SentinelAsSuccess, ("channelv2", 5)),
    (errors.CommitmentNotFound, ("channelv2", 6)),
    (errors.AcknowledgementNotFound, ("channelv2", 7)),
    (errors.BadTimeout, ("channelv2", 8)),
    (errors.TimeoutTooFar, ("channelv2", 8)),
    (errors.TimeoutElapsed, ("channelv2", 9)),
    (errors.TimeoutNotReached, ("channelv2", 10)),
    (errors.AcknowledgementExists, ("channelv2", 11)),
    (errors.ClientNotActive, ("client", 29)),
    (errors.EmptyProof, ("commitment", 2)),
    (errors.RelayerNotAllowed, ("ibc", 2)),
    (errors.NotCreator, ("ibc", 2)),
    (errors.CounterpartyAlreadySet, ("ibc", 8)),
    (errors.BadHostIdentifier, ("host", 2)),
]


@pytest.mark.parametrize(("kind", "wire"), TABLE)
def test_the_number_is_that_of_ibc_go(kind: type[LockgateError], wire: tuple[str, int]) -> None:
    assert kind.wire == wire


def test_every_error_explains_itself() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, LockgateError) and kind.__module__ == errors.__name__
    ]
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert kind.code.startswith("ibc.")
        assert kind.summary.endswith(".")
        assert kind.next_step.endswith(".")
        assert kind.wire is not None or issubclass(kind, Misuse | errors.NoRoute | errors.BadData)
