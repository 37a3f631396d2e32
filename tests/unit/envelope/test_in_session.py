"""Envelopes in a session: one key, one place, one answer for whatever does not open (P3, P17, P18)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.crypto.errors import KeyCommitmentMismatch
from lockgate.envelope.binding import Binding, Role, SenderChoice
from lockgate.envelope.cose.encrypt import Encrypt0
from lockgate.envelope.cose.headers import Headers
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import BadBinding, BadEnvelope, BindingMismatch
from lockgate.envelope.in_session import open_in_session, seal_in_session
from lockgate.envelope.outside import inspect_envelope
from lockgate.envelope.seal import Opened
from tests.unit.envelope.world import HYBRID, LAB, World, h

KEY = h("a message's key")
CHOICE = SenderChoice(session=h("session"), epoch=1, start_salt=h("salt"), fence=3, counter=9, place=4)


def sealed(world: World, choice: SenderChoice = CHOICE) -> bytes:
    return seal_in_session(Binding(world.context, choice), world.content, KEY)


def opened(world: World, data: bytes, key: bytes = KEY) -> Opened:
    return open_in_session(world.context, data, key, world.author)


@pytest.mark.parametrize("suites", [LAB, HYBRID])
def test_P17_what_was_sealed_opens_at_its_place(suites: tuple[int, int]) -> None:
    world = World(suites)
    found = opened(world, sealed(world))
    assert (found.content, found.binding.choice, found.author) == (world.content, CHOICE, world.author)
    assert cbor.decode(found.binding.encode())[0] == "lockgate/envelope-in-session/1"
    assert cbor.decode(found.binding.encode())[-1] == CHOICE.place


def test_the_outside_names_the_session_and_no_sealing_key() -> None:
    world = World(HYBRID)
    outside = inspect_envelope(sealed(world))
    assert (outside.choice, outside.recipient, outside.suite) == (CHOICE, None, HYBRID[0])


@pytest.mark.parametrize("field", ["session", "epoch", "start_salt", "fence", "counter", "place"])
def test_P17_every_part_of_the_choice_is_bound(field: str) -> None:
    world = World(LAB)
    message = Encrypt0.decode(sealed(world), Wire.OURS)
    value = getattr(CHOICE, field)
    other = replace(CHOICE, **{field: value + 1 if isinstance(value, int) else h("another")})
    protected = {**message.headers.protected, -70002: other.to_value(), 5: other.nonce}
    with pytest.raises(BadEnvelope):
        opened(world, replace(message, headers=Headers.build(protected)).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"source_endpoint": h("carol")},
        {"destination_key_record": h("another record")},
        {"timeout": 1_800_000_001},
        {"role": Role.REPLY, "request": h("a request")},
        {"payload_count": 2},
    ],
)
def test_P17_every_part_of_the_place_is_bound(change: dict[str, Any]) -> None:
    world = World(LAB)
    data = sealed(world)
    world.context = replace(world.context, **change)
    with pytest.raises(BadEnvelope) as caught:
        opened(world, data)
    assert isinstance(caught.value.__cause__, KeyCommitmentMismatch)


def test_another_key_is_refused_before_anything_is_decrypted() -> None:
    world = World(LAB)
    with pytest.raises(BadEnvelope) as caught:
        opened(world, sealed(world), h("another key"))
    assert isinstance(caught.value.__cause__, KeyCommitmentMismatch)


@pytest.mark.parametrize("label", [1, 5, -70001, -70002, -70003])
def test_no_header_parameter_is_missing(label: int) -> None:
    world = World(LAB)
    message = Encrypt0.decode(sealed(world), Wire.OURS)
    protected = {key: value for key, value in message.headers.protected.items() if key != label}
    with pytest.raises(BadEnvelope):
        opened(world, replace(message, headers=Headers.build(protected)).encode())


def test_no_header_parameter_is_added_and_none_is_outside_authentication() -> None:
    world = World(LAB)
    message = Encrypt0.decode(sealed(world), Wire.OURS)
    for headers in (
        Headers.build({**message.headers.protected, 4: b"kid"}),
        Headers.build(message.headers.protected, {4: b"kid"}),
    ):
        with pytest.raises(BadEnvelope) as caught:
            opened(world, replace(message, headers=headers).encode())
        assert isinstance(caught.value.__cause__, BindingMismatch)


def test_it_is_tagged_and_an_envelope_outside_sessions_is_none() -> None:
    world = World(LAB)
    message = Encrypt0.decode(sealed(world), Wire.OURS)
    for data in (message.encode(tagged=False), world.seal()):
        with pytest.raises(BadEnvelope):
            opened(world, data)
    with pytest.raises(BadBinding):
        sealed(world, SenderChoice.outside_sessions(3, 9))


def test_a_choice_without_a_session_is_refused_in_one() -> None:
    world = World(LAB)
    message = Encrypt0.decode(sealed(world), Wire.OURS)
    protected = {**message.headers.protected, -70002: SenderChoice.outside_sessions(3, 9).to_value()}
    with pytest.raises(BadEnvelope):
        opened(world, replace(message, headers=Headers.build(protected)).encode())
