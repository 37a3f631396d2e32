"""A packet's whole life over real trees, signed headers, the 07-tendermint client and ICS-23 proofs."""

from __future__ import annotations

import pytest

from lockgate.codec import type_urls as urls
from lockgate.ibc import host
from lockgate.ibc.errors import TimeoutNotReached
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import seconds
from tests.support.ibc_ledger import Ledgers
from tests.support.ibc_world import payload

SUCCESS = b"\x08\x02"


def test_sent_received_acknowledged() -> None:
    pair = Ledgers.connected()
    packets = [pair.send(payload(b"message %d" % number)) for number in range(3)]
    pair.sync()
    for packet in packets:
        assert pair.b.deliver(urls.MSG_RECV_PACKET, pair.receive_message(packet)).outcome.response == SUCCESS
        pair.sync()
        assert pair.a.deliver(urls.MSG_ACKNOWLEDGEMENT, pair.acknowledge_message(packet)).outcome.response == SUCCESS
        key = host.packet_commitment(packet.source_client, packet.sequence)
        assert pair.a.store.get("ibc", key) is None
    assert [call for call in pair.a.app.calls if call[0] == "acknowledge"] == [
        ("acknowledge", number + 1, b"ack of message %d" % number) for number in range(3)
    ]


def test_timed_out() -> None:
    pair = Ledgers.connected()
    packet = pair.send(payload(), seconds=10)
    pair.sync()
    with pytest.raises(TimeoutNotReached):
        pair.a.deliver(urls.MSG_TIMEOUT, pair.timeout_message(packet))
    pair.sync(after_b=seconds(12))
    assert pair.a.deliver(urls.MSG_TIMEOUT, pair.timeout_message(packet)).outcome.response == SUCCESS
    with pytest.raises(LockgateError):
        pair.b.deliver(urls.MSG_RECV_PACKET, pair.receive_message(packet))


def test_a_proof_of_another_key_or_height_is_refused() -> None:
    pair = Ledgers.connected()
    first, second = pair.send(payload(b"one")), pair.send(payload(b"two"))
    pair.sync()
    good, other = pair.receive_message(first), pair.receive_message(second)
    assert good != other
    before = dict(pair.b.store.scan("ibc", b"", b"\xff"))
    at = good.index(b"\x12")
    for spoiled in (good[:at] + other[at:], other[:at] + good[at:]):
        with pytest.raises(LockgateError):
            pair.b.deliver(urls.MSG_RECV_PACKET, spoiled)
    assert dict(pair.b.store.scan("ibc", b"", b"\xff")) == before


@pytest.mark.parametrize("step", ["receive", "acknowledge", "timeout"])
def test_a_message_altered_in_any_byte_is_refused(step: str) -> None:
    """The whole message with its real proof: nothing a relayer changes gets through."""
    pair = Ledgers.connected()
    packet = pair.send(payload(), seconds=10)
    pair.sync()
    ledger, url = pair.a, urls.MSG_ACKNOWLEDGEMENT
    if step == "receive":
        ledger, url, data = pair.b, urls.MSG_RECV_PACKET, pair.receive_message(packet)
    elif step == "acknowledge":
        pair.b.deliver(urls.MSG_RECV_PACKET, pair.receive_message(packet))
        pair.sync()
        data = pair.acknowledge_message(packet)
    else:
        pair.sync(after_b=seconds(12))
        url, data = urls.MSG_TIMEOUT, pair.timeout_message(packet)
    for at in range(len(data)):
        altered = data[:at] + bytes((data[at] ^ 0x01,)) + data[at + 1 :]
        try:
            done = ledger.deliver(url, altered)
        except LockgateError:
            continue
        # Another sequence may name a packet that never was: a redundant relay, which does nothing.
        assert done.is_noop, at
        assert not done.outcome.writes
    assert ledger.deliver(url, data).outcome.response == SUCCESS
