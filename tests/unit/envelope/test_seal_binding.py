"""P17: an envelope opens at the one place it was sealed for."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.crypto.errors import KeyCommitmentMismatch
from lockgate.crypto.keys import SealingKey
from lockgate.crypto.suites import SEAL_XWING_CHACHA, seal_suite
from lockgate.envelope.binding import Binding, Context, Role, SenderChoice
from lockgate.envelope.cose.encrypt import Encrypt
from lockgate.envelope.cose.headers import Headers
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import (
    BadBinding,
    BadEnvelope,
    BindingMismatch,
    SignersWrong,
)
from lockgate.envelope.seal import open_envelope
from tests.unit.envelope.world import HYBRID, LAB, World, h, plaintext_of, seal_plaintext

CHANGES: dict[str, Any] = {
    "suite": SEAL_XWING_CHACHA.id,
    "role": Role.REPLY,
    "source_domain": h("domain c"),
    "destination_domain": h("domain c"),
    "source_client": "07-tendermint-9",
    "destination_client": "07-tendermint-9",
    "source_endpoint": h("carol"),
    "destination_endpoint": h("carol"),
    "source_key_record": h("carol's record"),
    "destination_key_record": h("carol's record"),
    "source_revision": 2,
    "timeout": 1_800_000_001,
    "payload_index": 1,
    "payload_count": 2,
    "version": "lockgate-2",
    "encoding": "application/cbor",
    "schema": "envelope/content/2",
    "request": h("request"),
}
ALSO: dict[str, dict[str, Any]] = {  # what else must change for the value to be in range
    "role": {"request": h("request")},
    "request": {"role": Role.REPLY},
    "payload_index": {"payload_count": 2},
}


def test_P17_the_changes_below_name_every_field() -> None:
    assert {f.name for f in fields(Context)} == set(CHANGES)


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_P17_every_field_of_the_context_is_bound(name: str) -> None:
    world = World(LAB)
    world.seal()
    world.context = replace(world.context, **{name: CHANGES[name]}, **ALSO.get(name, {}))
    with pytest.raises(BadEnvelope):
        world.open()


@pytest.mark.parametrize("name", ["payload_index", "role", "request"])
def test_P17_fields_that_change_in_company_are_bound_alone_too(name: str) -> None:
    """The companions of `ALSO` stay as sealed; only the one field differs."""
    world = World(LAB)
    world.context = replace(world.context, role=Role.REPLY, request=h("request"), payload_count=2)
    world.seal()
    alone = {"payload_index": 1, "role": Role.REFUSAL, "request": h("another request")}
    world.context = replace(world.context, **{name: alone[name]})
    with pytest.raises(BadEnvelope):
        world.open()


@pytest.mark.parametrize("change", [{"fence": 4}, {"counter": 10}])
def test_P17_the_senders_choice_is_bound(change: dict[str, int]) -> None:
    """Rewriting the protected header is not enough: it is authenticated, and so is the IV rule."""
    world = World(LAB)
    message = Encrypt.decode(world.seal(), Wire.OURS)
    choice = replace(world.choice, **change)
    for iv in (world.choice.nonce, choice.nonce):
        protected = {**message.headers.protected, -70002: choice.to_value(), 5: iv}
        world.sealed = replace(message, headers=Headers.build(protected)).encode()
        with pytest.raises(BadEnvelope):
            world.open()


def test_P17_the_binding_is_the_list_in_the_protocol() -> None:
    world = World(LAB)
    binding = Binding(world.context, world.choice)
    value = cbor.decode(binding.encode())
    assert len(value) == 23
    assert value[0] == "lockgate/envelope/1"
    assert value[11:16] == (None, 0, b"", 3, 9)  # no session, its epoch and salt; fence and counter
    assert value[-1] is None


def test_P17_an_envelope_to_a_sealing_key_belongs_to_no_session() -> None:
    world = World(LAB)
    world.choice = SenderChoice(session=h("session"), epoch=1, start_salt=h("salt"), fence=3, counter=9, place=0)
    with pytest.raises(BadBinding):
        world.seal()
    world.choice = SenderChoice.outside_sessions(3, 9)
    message = Encrypt.decode(world.seal(), Wire.OURS)
    protected = {**message.headers.protected, -70002: (h("session"), 1, h("salt"), 3, 9, 0)}
    world.sealed = replace(message, headers=Headers.build(protected)).encode()
    with pytest.raises(BadEnvelope) as caught:
        world.open()
    assert isinstance(caught.value.__cause__, BindingMismatch)


def test_P17_the_key_commitment_is_checked_before_anything_is_decrypted() -> None:
    world = World(LAB)
    message = Encrypt.decode(world.seal(), Wire.OURS)
    protected = {**message.headers.protected, -70003: bytes(32)}
    world.sealed = replace(message, headers=Headers.build(protected), ciphertext=b"garbage").encode()
    with pytest.raises(BadEnvelope) as caught:
        world.open()
    assert isinstance(caught.value.__cause__, KeyCommitmentMismatch)


def test_P17_a_body_cannot_be_sealed_on_to_another() -> None:
    """Bob opens an envelope, keeps the signed part, and seals it to Carol: her binding differs."""
    world = World(HYBRID)
    world.seal()
    signed = plaintext_of(world)
    carol_key = seal_suite(HYBRID[0]).kem.derive_key(bytes(31) + b"\x02")
    carol = replace(world.context, destination_endpoint=h("carol"), destination_key_record=h("carol's record"))
    forged = seal_plaintext(world, carol, signed, SealingKey(HYBRID[0], carol_key.public_key))
    with pytest.raises(BadEnvelope) as caught:
        open_envelope(carol, forged, carol_key, world.author)
    assert isinstance(caught.value.__cause__, SignersWrong)


@pytest.mark.parametrize(
    "change",
    [
        {"role": Role.REPLY},
        {"request": h("x")},
        {"role": 1},
        {"source_domain": b"short"},
        {"source_client": "short"},
        {"payload_index": 1},
        {"payload_count": 17},
        {"timeout": -1},
        {"suite": True},
        {"version": ""},
    ],
)
def test_P17_a_binding_out_of_range_is_misuse(change: dict[str, Any]) -> None:
    with pytest.raises(BadBinding):
        replace(World(LAB).context, **change)


@pytest.mark.parametrize(
    "change", [{"fence": 0}, {"fence": 1 << 32}, {"counter": -1}, {"epoch": 1}, {"start_salt": h("s")}]
)
def test_P17_a_choice_out_of_range_is_misuse(change: dict[str, Any]) -> None:
    with pytest.raises(BadBinding):
        replace(World(LAB).choice, **change)
