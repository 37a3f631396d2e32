"""Requests for EVM contracts, and their answer, as values of the attestor's protocol (`attestor.1.0.cddl`)."""

from __future__ import annotations

from typing import Any, Final

from lockgate.courier.evm_attesting import EvmAttest, EvmAttested, EvmHandOver
from lockgate.crypto.recoverable import ADDRESS_BYTES
from lockgate.lightclients.evm_attestation import Binding, Member, SigningSet
from lockgate.lightclients.forms import items
from lockgate.lightclients.standing import MalformedState
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixSeconds

ATTEST: Final = "attest-evm"
HAND_OVER: Final = "hand-over-evm"
ATTESTED: Final = "attested-evm"
MAX_KEYS: Final = 128  # paths of one request; a relayer's batches have 52
MAX_KEY: Final = 80  # bytes of an ICS-24 v2 path: a client id, a mark, a sequence
MAX_CLIENT: Final = 64
MAX_MEMBERS: Final = 16  # contracts/attested.vy
WORD: Final = 32


def request_value(request: EvmAttest | EvmHandOver) -> list[Any]:
    binding = request.binding
    head = [binding.chain_id, binding.contract, binding.client_id, binding.source, request.epoch]
    if isinstance(request, EvmAttest):
        return [ATTEST, head, [request.height.revision, request.height.height], list(request.keys)]
    following = request.following
    members = [[one.operator, one.signer, one.weight] for one in following.members]
    return [HAND_OVER, head, [members, following.threshold, following.operators, int(following.expires)]]


def read_request(kind: str, value: tuple[Any, ...]) -> EvmAttest | EvmHandOver:
    """Read a request of one of the two kinds; `value` is its frame. Raises MalformedState."""
    if kind == ATTEST:
        _, _, head, height, keys = items(value, str, str, tuple, tuple, tuple)
        revision, number = items(height, int, int)
        if not 1 <= len(keys) <= MAX_KEYS or not all(type(key) is bytes and len(key) <= MAX_KEY for key in keys):
            raise MalformedState("a statement covers 1 to 128 paths of at most 80 bytes")
        return EvmAttest(*_head(head), Height(_small(revision), _small(number)), keys)
    _, _, head, following = items(value, str, str, tuple, tuple)
    members, threshold, operators, expires = items(following, tuple, int, int, int)
    if len(members) > MAX_MEMBERS:
        raise MalformedState("a set has at most 16 members", members=len(members))
    read = tuple(map(_member, members))
    return EvmHandOver(
        *_head(head), SigningSet(read, _small(threshold), _small(operators), UnixSeconds(_small(expires)))
    )


def answer_value(answer: EvmAttested) -> list[Any]:
    return [ATTESTED, answer.r, answer.vs]


def read_answer(value: tuple[Any, ...]) -> EvmAttested:
    """Raises MalformedState."""
    _, r, vs = items(value, str, bytes, bytes)
    return EvmAttested(_sized(r, WORD), _sized(vs, WORD))


def _head(value: tuple[Any, ...]) -> tuple[Binding, int]:
    network, contract, client, source, epoch = items(value, int, bytes, str, bytes, int)
    if not 0 < len(client) <= MAX_CLIENT:
        raise MalformedState("a client id has 1 to 64 characters")
    binding = Binding(
        chain_id=_small(network),
        contract=_sized(contract, ADDRESS_BYTES),
        client_id=client,
        source=_sized(source, WORD),
    )
    return binding, _small(epoch)


def _member(value: tuple[Any, ...]) -> Member:
    operator, signer, weight = items(value, int, bytes, int)
    return Member(_small(operator), _sized(signer, ADDRESS_BYTES), _small(weight))


def _small(number: int) -> int:
    if number >= 1 << 63:
        raise MalformedState("a signed word of 64 bits")
    return number


def _sized(value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise MalformedState("bytes of another length", length=len(value), expected=size)
    return value


__all__ = (
    "ATTEST",
    "ATTESTED",
    "HAND_OVER",
    "MAX_KEYS",
    "answer_value",
    "read_answer",
    "read_request",
    "request_value",
)
