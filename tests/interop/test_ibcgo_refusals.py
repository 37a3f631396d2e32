"""What ibc-go refuses we refuse, under the same codespace and number; both are provoked live, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_commitment_pb2
from lockgate.courier.ports import Submitted
from lockgate.ibc import host, ics20, wire
from lockgate.ibc.packet import ERROR_ACKNOWLEDGEMENT, Acknowledgement, Packet, Payload
from lockgate.ibc.wire import NOOP, SUCCESS
from lockgate.lightclients.tendermint.messages import decode_header
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixSeconds
from lockgate.relay import pairing
from tests.support.ibcgo import (
    GoChain,
    Meeting,
    meeting,
    ok,
    transfer,
)
from tests.support.ibcgo_sides import Code, Side, answer_of, packets_of, sides

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]
NOBODY = ClientId("07-tendermint-999")
Found = dict[str, Code]


def compare(go: GoChain, provoke: Callable[[Meeting, Side], Awaitable[Found]], expected: Found) -> None:
    """Provoke the same on both; every code is the expected one on theirs, and ours is theirs."""

    async def inside() -> None:
        async with meeting(go) as met:
            theirs, ours = [await provoke(met, side) for side in sides(met)]
        assert theirs == expected
        assert ours == expected

    asyncio.run(inside())


def payload_to(met: Meeting, side: Side) -> Payload:
    """What is sent from the remote ledger, to be received on this one."""
    if side.name == "ours":
        return transfer("uatom", 1, met.user.signer, "a plain guest")
    return transfer("quote", 1, "a plain guest", met.user.signer)


async def sent_to(met: Meeting, side: Side, seconds: int = 3_600) -> tuple[Packet, Submitted]:
    send_it = met.send_here if side.name == "ours" else met.send_there
    done = await send_it(payload_to(met, side), seconds)
    return packets_of(done)[0], done


async def sends(met: Meeting, side: Side) -> Found:
    """Packets that this side does not let out."""
    (far,) = (each for each in sides(met) if each.name != side.name)
    payload = payload_to(met, far)
    later = await met.timeout()

    async def code(client: ClientId, timeout: int, *payloads: Payload) -> Code:
        message = wire.SendMessage(client, UnixSeconds(timeout), payloads or (payload,), side.submitter.signer)
        return await side.code((urls.MSG_SEND_PACKET, wire.encode_send(message)))

    return {
        "unknown client": await code(NOBODY, later),
        "timeout in the past": await code(side.client, later - 4_000),
        "timeout beyond a day": await code(side.client, later + 2 * 86_400),
        "timeout in nanoseconds": await code(side.client, later * 1_000_000_000),
        "no timeout": await code(side.client, 0),
        "two payloads": await code(side.client, later, payload, payload),
        "empty value": await code(side.client, later, payload._replace(value=b"")),
        "blank version": await code(side.client, later, payload._replace(version=" ")),
        "a port of one letter": await code(side.client, later, payload._replace(destination_port="x")),
    }


def test_sending(go: GoChain) -> None:
    compare(
        go,
        sends,
        {
            "unknown client": ("clientv2", 35),
            "timeout in the past": ("channelv2", 9),
            "timeout beyond a day": ("channelv2", 8),
            "timeout in nanoseconds": ("channelv2", 8),
            "no timeout": ("channelv2", 8),
            "two payloads": ("channelv2", 3),
            "empty value": ("channelv2", 3),
            "blank version": ("channelv2", 3),
            "a port of one letter": ("host", 2),
        },
    )


async def receives(met: Meeting, side: Side) -> Found:
    packet, done = await sent_to(met, side)
    other, later = await sent_to(met, side)
    update, good, at = await side.received(packet, done)
    proof = await side.proof(host.packet_commitment(side.remote_client, packet.sequence), at)
    found = {"a height that was not brought yet": await side.code(good)}
    ok(await side.submitter.submit([update]))
    layer = ibc_commitment_pb2.MerkleProof.FromString(proof)
    del layer.proofs[1:]
    between = Height(at.revision, at.height - 1)
    spoilt = {
        "another sequence": packet._replace(sequence=other.sequence),
        "another timeout": packet._replace(timeout=UnixSeconds(packet.timeout + 1)),
        "another value": packet._replace(payloads=(packet.payloads[0]._replace(value=b"x"),)),
        "another source": packet._replace(source_client=NOBODY),
        "another destination": packet._replace(destination_client=NOBODY),
        "sequence 0": packet._replace(sequence=0),
        "no payload": packet._replace(payloads=()),
        "a timeout that has passed": packet._replace(timeout=UnixSeconds(1)),
    }
    found |= {name: await side.code(side.receive(each, proof, at)) for name, each in spoilt.items()}
    found["a header that is not kept"] = await side.code(side.receive(packet, proof, between))
    found["another revision"] = await side.code(side.receive(packet, proof, Height(at.revision + 1, at.height)))
    found["a layer too few"] = await side.code(side.receive(packet, layer.SerializeToString(), at))
    found["no proof"] = await side.code(side.receive(packet, b"", at))
    found["bytes that are no proof"] = await side.code(side.receive(packet, b"\x0a\xff", at))
    found["absence for presence"] = await side.code(
        side.receive(packet, await side.proof(host.packet_commitment(side.remote_client, 10_000), at), at)
    )
    first = ok(await side.submitter.submit([good]))
    assert first.responses == (SUCCESS,)
    found["received already"] = await side.code(good)
    update, also, _ = await side.received(other, later)
    both = ok(await side.submitter.submit([update, good, also]))
    assert both.responses[1:] == (NOOP, SUCCESS), "what was received already costs its transaction nothing"
    return found


def test_receiving(go: GoChain) -> None:
    compare(
        go,
        receives,
        {
            "a height that was not brought yet": ("ibc", 9),
            "another sequence": ("commitment", 2),
            "another timeout": ("commitment", 2),
            "another value": ("commitment", 2),
            "another source": ("clientv2", 34),
            "another destination": ("clientv2", 35),
            "sequence 0": ("channelv2", 2),
            "no payload": ("channelv2", 3),
            "a timeout that has passed": ("channelv2", 9),
            "a header that is not kept": ("client", 7),
            "another revision": ("ibc", 9),
            "a layer too few": ("commitment", 4),
            "no proof": ("commitment", 2),
            "bytes that are no proof": ("commitment", 2),
            "absence for presence": ("commitment", 2),
            "received already": ("channel", 22),
        },
    )


async def settles(met: Meeting, side: Side) -> Found:
    """Acknowledgements and timeouts of what this side has sent."""
    far = next(each for each in sides(met) if each.name != side.name)
    packet, done = await sent_to(met, far)
    unsent, _ = await sent_to(met, far, 5)
    update, good, _ = await far.received(packet, done)
    answered = ok(await far.submitter.submit([update, good]))
    answer = answer_of(answered)
    at = await side.header_for(answered.height)
    key = host.packet_acknowledgement(side.remote_client, packet.sequence)
    proof = await side.proof(key, at)
    receipt = await side.proof(host.packet_receipt(side.remote_client, unsent.sequence), at)
    ok(await side.submitter.submit([await side.update(at)]))
    found = {
        "another answer": await side.code(side.acknowledge(packet, ERROR_ACKNOWLEDGEMENT, proof, at)),
        "an empty answer": await side.code(side.acknowledge(packet, Acknowledgement((b"",)), proof, at)),
        "two answers": await side.code(side.acknowledge(packet, Acknowledgement((b"a", b"b")), proof, at)),
        "an altered packet": await side.code(
            side.acknowledge(packet._replace(timeout=UnixSeconds(packet.timeout + 1)), answer, proof, at)
        ),
        "the answer of another": await side.code(side.acknowledge(unsent, answer, proof, at)),
        "from another destination": await side.code(
            side.acknowledge(packet._replace(destination_client=NOBODY), answer, proof, at)
        ),
        "timeout before its time": await side.code(side.time_out(unsent, receipt, at)),
        "timeout of what was received": await side.code(side.time_out(packet, receipt, at)),
    }
    assert answer.elements == (ics20.SUCCESS_ACKNOWLEDGEMENT,)
    assert ok(await side.submitter.submit([side.acknowledge(packet, answer, proof, at)])).responses == (SUCCESS,)
    found["acknowledged already"] = await side.code(side.acknowledge(packet, answer, proof, at))
    return found


def test_settling(go: GoChain) -> None:
    compare(
        go,
        settles,
        {
            "another answer": ("commitment", 2),
            "an empty answer": ("channelv2", 5),
            "two answers": ("channelv2", 5),
            "an altered packet": ("channelv2", 2),
            "the answer of another": ("commitment", 2),
            "from another destination": ("clientv2", 34),
            "timeout before its time": ("channelv2", 10),
            "timeout of what was received": ("channelv2", 10),
            "acknowledged already": ("channel", 22),
        },
    )


async def updates(met: Meeting, side: Side) -> Found:
    tracked = await side.chain.client(side.client)
    await side.remote.header_at_least(tracked.latest.height + 4)
    at = Height(tracked.latest.revision, tracked.latest.height + 3)
    name, good = await side.update(at)
    wrapped = AnyMessage.FromString(await side.remote.update_message(side.client, tracked.latest, at))
    header = decode_header(wrapped.value)
    signature = header.block.commit.signatures[0].signature
    spoilt = AnyMessage(type_url=urls.TENDERMINT_HEADER, value=wrapped.value.replace(signature, bytes(len(signature))))
    app_hash = AnyMessage(
        type_url=urls.TENDERMINT_HEADER,
        value=wrapped.value.replace(header.block.header.app_hash, b"\x01" * 32),
    )
    register = pairing.register_message(side.client, side.remote_client, side.submitter.signer)
    found = {
        "an unknown client": await side.code(await side.update(at, NOBODY)),
        "a trusted height that is not kept": await side.code(
            await side.update(at, trusted=Height(at.revision, tracked.latest.height + 1))
        ),
        "a spoilt signature": await side.code(side.carrying(spoilt)),
        "another app hash": await side.code(side.carrying(app_hash)),
        "a counterparty again": await side.code(register),
        "a counterparty for nobody's client": await side.code(
            pairing.register_message(NOBODY, side.remote_client, side.submitter.signer)
        ),
    }
    for _ in range(2):  # the same header again is no failure
        assert await side.code((name, good)) == ("", 0)
    return found


def test_updating(go: GoChain) -> None:
    compare(
        go,
        updates,
        {
            "an unknown client": ("client", 29),
            "a trusted height that is not kept": ("client", 7),
            "a spoilt signature": ("undefined", 1),
            "another app hash": ("undefined", 1),
            "a counterparty again": ("ibc", 8),
            "a counterparty for nobody's client": ("ibc", 2),
        },
    )
