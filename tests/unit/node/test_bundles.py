"""Offline bundles: what they prove of a packet, without any node, and that no changed byte does."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.codec.errors import SchemaMismatch
from lockgate.ibc.packet import Packet
from lockgate.machine.genesis import Parameters
from lockgate.node import check, prove
from lockgate.node.bundle import SCHEMA, BadBundle, Bundle, Kind, Name
from lockgate.node.findings import BadTrust, Finding, UntrustedStart, verify
from lockgate.node.packets import parse
from lockgate.node.prove import NotProvable, build
from lockgate.node.trace import Tracer
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.state import Event
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import RpcError
from tests.support import stories
from tests.support.lab import World

BRINGS = {
    Kind.SENT: stories.sent,
    Kind.RECEIVED: stories.held,
    Kind.ACKNOWLEDGED: stories.acknowledged,
    Kind.REFUSED: stories.refused,
    Kind.TIMED_OUT: stories.timed_out,
}


def made(bring: Callable[[World], Packet]) -> tuple[World, Packet, bytes]:
    world = World.make()
    packet = bring(world)
    return world, packet, stories.proof(world, stories.name_of(packet))


def starts(finding: Finding) -> list[bytes]:
    return [bytes.fromhex(witness.trusted_hash) for witness in finding.ledgers]


@pytest.mark.parametrize("kind", list(BRINGS))
def test_every_end_of_a_packet_is_proven_offline(kind: Kind) -> None:
    world, packet, data = made(BRINGS[kind])
    finding = verify(data)
    assert finding.kind == kind
    assert (finding.source_client, finding.sequence) == (packet.source_client, packet.sequence)
    assert finding.source_domain == world.a.ledger.genesis.domain_id.hex()
    assert finding.destination_domain == world.b.ledger.genesis.domain_id.hex()
    assert finding.trace_id == stories.story(world, stories.name_of(packet)).trace_id
    assert finding.accepted == (kind is Kind.ACKNOWLEDGED)
    assert finding.code == ("guest.refused" if kind is Kind.REFUSED else "")
    assert verify(data, starts(finding)).trust_given


@pytest.mark.parametrize("kind", list(BRINGS))
def test_a_bundle_is_as_its_schema_describes_it(kind: Kind) -> None:
    _, _, data = made(BRINGS[kind])
    SCHEMA.validate(data)
    value: Any = cbor.decode(data, limits=cbor.Limits(size=1 << 22))
    for wrong in ((1, *value[1:]), (*value, b""), (*value[:4], ())):
        with pytest.raises(SchemaMismatch):
            SCHEMA.validate(cbor.encode(list(wrong)))


def test_P10_the_words_of_a_finding_say_who_signed_and_no_more() -> None:
    world, _, data = made(stories.acknowledged)
    finding = verify(data)
    key = world.b.ledger.genesis.validators[0].public_key.hex()
    assert finding.ledgers[0].signers == (key,)
    assert f"signed by operator {key[:16]}" in finding.sentence()
    assert "finalised" not in finding.sentence()
    assert "which nobody compared" in finding.sentence()
    assert "as given" in verify(data, starts(finding)).sentence()


@pytest.mark.parametrize(
    ("kind", "step"),
    [(Kind.ACKNOWLEDGED, 1), (Kind.REFUSED, 1), (Kind.SENT, 3), (Kind.RECEIVED, 3), (Kind.TIMED_OUT, 5)],
)
def test_a_bundle_with_any_byte_changed_is_refused(kind: Kind, step: int) -> None:
    """Every byte of what was answered, each with a changed bit, and the trusted headers known; a part of the others."""
    _, _, data = made(BRINGS[kind])
    trusted = starts(verify(data))
    accepted = []
    for place in range(0, len(data), step):
        altered = bytearray(data)
        altered[place] ^= 1 << place % 8
        try:
            verify(bytes(altered), trusted)
        except LockgateError:
            continue
        accepted.append(place)
    assert accepted == []


def test_a_bundle_with_bytes_added_or_missing_is_refused() -> None:
    _, _, data = made(stories.acknowledged)
    for altered in (b"", data[:-1], data[1:], data + b"\x00", b"\x00" * 100, b"\xff" + data):
        with pytest.raises(LockgateError):
            verify(altered)


def test_P11_a_bundle_from_a_header_nobody_named_is_refused() -> None:
    _, _, data = made(stories.timed_out)
    finding = verify(data)
    with pytest.raises(UntrustedStart):
        verify(data, [bytes(32)])
    with pytest.raises(UntrustedStart):  # one of two ledgers known is not enough
        verify(data, starts(finding)[:1])


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        # The claim of one kind with the objects of another.
        (Kind.REFUSED, lambda b: dataclasses.replace(b, acknowledgement=b"")),
        (Kind.ACKNOWLEDGED, lambda b: dataclasses.replace(b, packet=b.packet[:-1])),
        (Kind.ACKNOWLEDGED, lambda b: dataclasses.replace(b, sections=b.sections * 2)),
        (Kind.TIMED_OUT, lambda b: dataclasses.replace(b, sections=(b.sections[0], b.sections[0]))),
        (Kind.TIMED_OUT, lambda b: dataclasses.replace(b, sections=b.sections[::-1])),
        (Kind.ACKNOWLEDGED, lambda b: _headers(b, lambda h: h[::-1])),
        (Kind.ACKNOWLEDGED, lambda b: _headers(b, lambda h: (h[0], *h))),
        (Kind.ACKNOWLEDGED, lambda b: _headers(b, lambda h: h[:1])),
    ],
)
def test_a_bundle_that_does_not_hold_together_is_refused(kind: Kind, spoil: Callable[[Bundle], Bundle]) -> None:
    _, _, data = made(BRINGS[kind])
    with pytest.raises((LockgateError, ValueError, KeyError)):  # some of it has no encoding at all
        verify(spoil(Bundle.from_bytes(data)).to_bytes())


def test_an_acknowledgement_where_the_kind_has_none_is_refused() -> None:
    _, _, data = made(stories.timed_out)
    with pytest.raises(BadBundle):
        verify(dataclasses.replace(Bundle.from_bytes(data), acknowledgement=b"x").to_bytes())


def test_an_object_of_another_packet_is_refused() -> None:
    world = World.make()
    first, second = stories.acknowledged(world), stories.acknowledged(world, b"another body")
    one = Bundle.from_bytes(stories.proof(world, stories.name_of(first)))
    two = Bundle.from_bytes(stories.proof(world, stories.name_of(second)))
    with pytest.raises(BadBundle):
        verify(dataclasses.replace(one, acknowledgement=two.acknowledgement).to_bytes())
    with pytest.raises(BadBundle):
        verify(dataclasses.replace(one, packet=two.packet).to_bytes())
    items = {**one.sections[0].items, Name.ACKNOWLEDGEMENT: two.sections[0].items[Name.ACKNOWLEDGEMENT]}
    with pytest.raises(LockgateError):
        verify(dataclasses.replace(one, sections=(dataclasses.replace(one.sections[0], items=items),)).to_bytes())


def test_I15_a_receipt_that_was_forgotten_is_no_proof_of_a_timeout() -> None:
    """Without the watermark, a packet that was answered and then pruned would pass for one never received."""
    _, _, data = made(stories.timed_out)
    bundle = Bundle.from_bytes(data)
    source, destination = bundle.sections
    forgotten = dataclasses.replace(destination.items[Name.WATERMARK], value=b"\x01")
    section = dataclasses.replace(destination, items={**destination.items, Name.WATERMARK: forgotten})
    with pytest.raises(BadBundle):
        verify(dataclasses.replace(bundle, sections=(source, section)).to_bytes())


def test_absence_in_a_header_before_the_timeout_proves_no_timeout() -> None:
    world = World.make()
    packet = world.send(timeout_s=600)
    life = asyncio.run(Tracer(stories.ledgers(world), world.clock).life(parse(stories.name_of(packet))))
    early = dataclasses.replace(life, ended=life.sent._replace(event=Event("timeout_packet", ())))
    with pytest.raises(NotProvable):
        asyncio.run(build(early))


def test_I15_what_was_forgotten_is_proven_from_before_it_was() -> None:
    world = World.make()
    late = stories.pruned(world)
    answered = f"alpha/{late.source_client}/{late.sequence + 1}"
    assert verify(stories.proof(world, stories.name_of(late))).kind == Kind.TIMED_OUT
    assert verify(stories.proof(world, answered)).accepted
    assert stories.story(world, answered).steps[-1].what == "pruned"
    assert stories.story(world, stories.name_of(late)).steps[-1].what == "timed_out"


def test_a_bundle_whose_last_header_is_before_the_timeout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Absence is true of every header before the packet arrives: only one past the timeout says that it never will."""

    async def too_early(_ledger: object, _timeout: int, newest: int) -> int:
        return newest - 2  # time passed with the last two blocks

    monkeypatch.setattr(prove, "_first_past", too_early)
    with pytest.raises(BadBundle, match="before the timeout"):
        made(stories.timed_out)


def test_two_ledgers_that_are_not_the_two_ends_of_one_lane_prove_no_timeout() -> None:
    _, _, data = made(stories.timed_out)
    other = World.make(Parameters(max_payloads=7))  # another genesis, so another domain, with the same client ids
    foreign = stories.proof(other, stories.name_of(stories.timed_out(other)))
    one, two = Bundle.from_bytes(data), Bundle.from_bytes(foreign)
    mixed = dataclasses.replace(one, sections=(one.sections[0], two.sections[1]))
    with pytest.raises(BadBundle, match="two lanes"):
        verify(mixed.to_bytes())


def test_a_chain_may_start_at_any_header_and_a_node_without_the_state_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    world, packet, _ = made(stories.acknowledged)
    assert verify(stories.proof(world, stories.name_of(packet), start=3)).ledgers[0].trusted_height == 3

    async def pruned(*_: object) -> None:
        raise RpcError("version does not exist")

    monkeypatch.setattr(CometBftChain, "prove", pruned)
    with pytest.raises(NotProvable):
        stories.proof(world, stories.name_of(packet))


def test_files_and_hashes_that_do_not_read_are_refused(tmp_path: Path) -> None:
    _, _, data = made(stories.acknowledged)
    path = tmp_path / "a.bundle"
    path.write_bytes(data)
    assert check.bundle(path, ()).accepted
    assert check.bundle(path, [verify(data).ledgers[0].trusted_hash]).trust_given
    for bad in ("", "zz" * 32, "ab" * 31, "ab" * 32 + " "):
        with pytest.raises(BadTrust):
            check.bundle(path, [bad])
    with pytest.raises(BadBundle):
        check.bundle(tmp_path / "absent", ())
    with pytest.raises(BadBundle):
        check.bundle(tmp_path, ())


def _headers(bundle: Bundle, change: Callable[[tuple[object, ...]], tuple[object, ...]]) -> Bundle:
    section = bundle.sections[0]
    changed = dataclasses.replace(section, headers=change(section.headers))  # type: ignore[arg-type]  # same blocks
    return dataclasses.replace(bundle, sections=(changed,))
